//! PNG of 8 or 16 bits, row by row, with adaptive filters and balanced compression.

use std::borrow::Cow;
use std::io::Write;

use esrgan_core::{Notice, SampleDepth};
use png::{BitDepth, ColorType, Compression, Info, PixelDimensions, Unit};

use crate::error::Failure;
use crate::{Metadata, Raster, Samples};

pub(super) fn write(
    raster: &Raster,
    metadata: &Metadata,
    out: &mut impl Write,
    notices: &mut Vec<Notice>,
) -> Result<(), Failure> {
    let mut info = Info::with_size(side(raster.width)?, side(raster.height)?);
    info.color_type = match raster.channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    };
    info.bit_depth = match raster.samples.depth() {
        SampleDepth::U8 => BitDepth::Eight,
        _ => BitDepth::Sixteen,
    };
    info.icc_profile = metadata.icc.as_deref().map(Cow::Borrowed);
    info.exif_metadata = metadata.exif.as_deref().map(Cow::Borrowed);
    info.pixel_dims = metadata.density.map(|density| {
        let (xppu, yppu) = density.to_metre();
        PixelDimensions { xppu, yppu, unit: Unit::Meter }
    });
    let mut encoder = png::Encoder::with_info(out, info)?;
    encoder.set_compression(Compression::Balanced);
    if let Some(xmp) = &metadata.xmp {
        match std::str::from_utf8(xmp) {
            Ok(text) => encoder.add_itxt_chunk("XML:com.adobe.xmp".to_owned(), text.to_owned())?,
            Err(_) => notices.push(Notice::new("png holds XMP in UTF-8 only: XMP dropped")),
        }
    }
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    write_rows(raster, &mut rows)?;
    rows.finish()?;
    writer.finish()?;
    Ok(())
}

/// Samples of 16 bits are stored with the high byte first.
fn write_rows(raster: &Raster, rows: &mut impl Write) -> Result<(), Failure> {
    let row_samples = raster.width * raster.channels;
    match &raster.samples {
        Samples::U8(samples) => {
            for row in samples.chunks_exact(row_samples) {
                rows.write_all(row)?;
            }
        }
        Samples::U16(samples) => {
            let mut bytes = Vec::with_capacity(row_samples * 2);
            for row in samples.chunks_exact(row_samples) {
                bytes.clear();
                bytes.extend(row.iter().flat_map(|sample| sample.to_be_bytes()));
                rows.write_all(&bytes)?;
            }
        }
        Samples::F32(_) => return Err(Failure::Unsupported("floating-point samples".to_owned())),
    }
    Ok(())
}

/// A side as the headers of most formats count it.
pub(super) fn side(pixels: usize) -> Result<u32, Failure> {
    u32::try_from(pixels).map_err(|_| Failure::Unsupported(format!("a side of {pixels} pixels")))
}
