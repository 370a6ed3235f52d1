//! JPEG of 8 bits: gray as one component, colour as YCbCr without chroma subsampling.

use std::io::{self, Write};

use esrgan_core::Notice;
use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::{ExtendedColorType, ImageEncoder};

use super::Output;
use super::png::side;
use crate::error::Failure;
use crate::metadata::Density;
use crate::{Metadata, Raster};

/// Bytes of a segment beside its marker and length field.
const MAX_SEGMENT: usize = 65_533;
const ICC_MARK: &[u8] = b"ICC_PROFILE\0";

pub(super) fn write(
    raster: &Raster,
    metadata: &Metadata,
    quality: u8,
    out: &mut Output,
    notices: &mut Vec<Notice>,
) -> Result<(), Failure> {
    let color = if raster.is_gray() { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut spliced = Splice { out, passed: 0, segments: segments(metadata, notices) };
    let mut encoder = JpegEncoder::new_with_quality(&mut spliced, quality.clamp(1, 100));
    if let Some(density) = metadata.density.and_then(whole_density) {
        encoder.set_pixel_density(density);
    }
    let (width, height) = (side(raster.width)?, side(raster.height)?);
    encoder.write_image(raster.samples.as_bytes(), width, height, color)?;
    Ok(())
}

fn whole_density(density: Density) -> Option<PixelDensity> {
    let whole = |dots: f64| (dots.round() <= f64::from(u16::MAX)).then_some(dots.round() as u16);
    Some(PixelDensity { density: (whole(density.x)?, whole(density.y)?), unit: PixelDensityUnit::Inches })
}

/// The application segments, with a notice for what is too large for one.
fn segments(metadata: &Metadata, notices: &mut Vec<Notice>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut single = |mark: &[u8], content: &Option<Vec<u8>>, name: &str| {
        let Some(content) = content else { return };
        if mark.len() + content.len() > MAX_SEGMENT {
            notices.push(Notice::new(format!(
                "jpg holds {name} of at most {} bytes: {name} of {} bytes dropped",
                MAX_SEGMENT - mark.len(),
                content.len()
            )));
            return;
        }
        append_segment(&mut bytes, 0xE1, &[mark, content]);
    };
    single(b"Exif\0\0", &metadata.exif, "EXIF");
    single(b"http://ns.adobe.com/xap/1.0/\0", &metadata.xmp, "XMP");
    if let Some(icc) = &metadata.icc {
        let parts: Vec<&[u8]> = icc.chunks(MAX_SEGMENT - ICC_MARK.len() - 2).collect();
        match u8::try_from(parts.len()) {
            Ok(count) => {
                for (number, part) in (1..=count).zip(&parts) {
                    append_segment(&mut bytes, 0xE2, &[ICC_MARK, &[number, count], part]);
                }
            }
            Err(_) => notices.push(Notice::new("the ICC profile is too large for jpg: profile dropped")),
        }
    }
    bytes
}

fn append_segment(bytes: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    bytes.extend([0xFF, marker]);
    bytes.extend((length as u16).to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
}

/// Puts segments behind the JFIF header of what is written through it; the encoder itself cannot write XMP.
struct Splice<'a> {
    out: &'a mut Output,
    passed: usize,
    segments: Vec<u8>,
}

/// Start-of-image marker and JFIF segment.
const JFIF_END: usize = 20;

impl Write for Splice<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.passed >= JFIF_END {
            return self.out.write(bytes);
        }
        let before = bytes.len().min(JFIF_END - self.passed);
        self.out.write_all(&bytes[..before])?;
        self.passed += before;
        if self.passed == JFIF_END {
            self.out.write_all(&self.segments)?;
        }
        Ok(before)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
