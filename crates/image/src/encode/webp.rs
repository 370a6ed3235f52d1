//! WebP without loss: the only kind that the codec writes.

use image_webp::{ColorType, WebPEncoder};

use super::Output;
use super::png::side;
use crate::error::Failure;
use crate::{Metadata, Raster};

pub(super) fn write(raster: &Raster, metadata: &Metadata, out: &mut Output) -> Result<(), Failure> {
    let mut encoder = WebPEncoder::new(out);
    let block = |block: &Option<Vec<u8>>| block.clone().unwrap_or_default();
    encoder.set_icc_profile(block(&metadata.icc));
    encoder.set_exif_metadata(block(&metadata.exif));
    encoder.set_xmp_metadata(block(&metadata.xmp));
    let color = if raster.has_alpha() { ColorType::Rgba8 } else { ColorType::Rgb8 };
    encoder.encode(raster.samples.as_bytes(), side(raster.width)?, side(raster.height)?, color)?;
    Ok(())
}
