//! The formats that the `image` crate writes: BMP, QOI, OpenEXR and TGA.

use image::codecs::{bmp, openexr, qoi, tga};
use image::{ExtendedColorType, ImageEncoder};

use super::Output;
use super::png::side;
use crate::error::Failure;
use crate::{PictureFormat, Raster};

pub(super) fn write(raster: &Raster, format: PictureFormat, out: &mut Output) -> Result<(), Failure> {
    let color = match (format, raster.channels) {
        (PictureFormat::OpenExr, 3) => ExtendedColorType::Rgb32F,
        (PictureFormat::OpenExr, _) => ExtendedColorType::Rgba32F,
        (_, 1) => ExtendedColorType::L8,
        (_, 2) => ExtendedColorType::La8,
        (_, 3) => ExtendedColorType::Rgb8,
        (_, _) => ExtendedColorType::Rgba8,
    };
    let samples = raster.samples.as_bytes();
    let (width, height) = (side(raster.width)?, side(raster.height)?);
    match format {
        PictureFormat::Bmp => bmp::BmpEncoder::new(out).write_image(samples, width, height, color)?,
        PictureFormat::Qoi => qoi::QoiEncoder::new(out).write_image(samples, width, height, color)?,
        PictureFormat::OpenExr => {
            openexr::OpenExrEncoder::new(out).write_image(samples, width, height, color)?
        }
        PictureFormat::Tga => tga::TgaEncoder::new(out).write_image(samples, width, height, color)?,
        other => return Err(Failure::Unsupported(format!("no encoder for {other}"))),
    }
    Ok(())
}
