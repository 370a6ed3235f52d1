//! PNG, row by row; interlaced files through a whole buffer. Palettes, fewer than eight bits and tRNS are expanded.

use esrgan_core::{Notice, SampleDepth};
use png::{BitDepth, ColorType, Transformations};

use crate::canvas::Canvas;
use crate::decode::png_chunks::{self, Ancillary};
use crate::decode::{Codec, ReadSeek, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::limits::MAX_METADATA_BYTES;
use crate::memory;
use crate::metadata::{Density, Found, exif};
use crate::orientation::Orientation;

/// gAMA of pictures encoded for ordinary displays, as `sRGB` implies it.
const USUAL_GAMMA: std::ops::RangeInclusive<u32> = 45_000..=46_000;

pub(super) struct Png<'a> {
    reader: png::Reader<Box<dyn ReadSeek + 'a>>,
    ancillary: Ancillary,
    stored: Stored,
}

impl<'a> Png<'a> {
    pub(super) fn open(mut source: Source<'a>) -> Result<Self, Failure> {
        let ancillary = png_chunks::walk(&mut source)?;
        let limits = png::Limits { bytes: MAX_METADATA_BYTES as usize };
        let mut decoder = png::Decoder::new_with_limits(source.reader, limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_transformations(Transformations::EXPAND);
        let reader = decoder.read_info()?;
        let (color, bits) = reader.output_color_type();
        let info = reader.info();
        let depth = if bits == BitDepth::Sixteen { SampleDepth::U16 } else { SampleDepth::U8 };
        let buffer = reader.output_buffer_size().unwrap_or(usize::MAX) as u64;
        let orientation = ancillary.exif.as_deref().and_then(exif::orientation);
        let stored = Stored {
            width: info.width,
            height: info.height,
            depth,
            has_alpha: matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba),
            is_gray: matches!(color, ColorType::GrayscaleAlpha | ColorType::Grayscale),
            orientation: Orientation::from_exif(orientation.unwrap_or(1)),
            scratch_bytes: MAX_METADATA_BYTES.min(1 << 20) + if info.interlaced { buffer } else { 0 },
        };
        Ok(Self { reader, ancillary, stored })
    }

    fn notices(&self) -> Vec<Notice> {
        let info = self.reader.info();
        let mut notices = Vec::new();
        if info.animation_control().is_some_and(|control| control.num_frames > 1) {
            notices.push(Notice::new("animated: only the first frame is used"));
        }
        let ancillary = &self.ancillary;
        if ancillary.has_icc && info.icc_profile.is_none() {
            notices.push(Notice::new("the ICC profile is damaged and was dropped"));
        }
        let says_more = ancillary.has_srgb || ancillary.has_icc || ancillary.has_cicp;
        match ancillary.gamma {
            Some(gamma) if !says_more && !USUAL_GAMMA.contains(&gamma) => notices.push(Notice::new(format!(
                "the png's gamma of {:.5} is not carried: colours are kept as they are stored",
                f64::from(gamma) / 100_000.0
            ))),
            _ => {}
        }
        if ancillary.has_cicp {
            notices.push(Notice::new("the png's cICP colour description is not carried"));
        }
        notices
    }
}

impl Codec for Png<'_> {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(mut self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let depth = self.stored.depth;
        if self.reader.info().interlaced {
            let size = self.reader.output_buffer_size().unwrap_or(usize::MAX);
            let mut buffer = memory::zeroed::<u8>(size as u64)?;
            self.reader.next_frame(&mut buffer)?;
            let row_bytes = size / canvas.height().max(1);
            for (y, row) in buffer.chunks_exact(row_bytes).enumerate().take(canvas.height()) {
                put_row(canvas, y, row, depth);
            }
        } else {
            for y in 0..canvas.height() {
                let Some(row) = self.reader.next_row()? else {
                    return Err(Failure::Truncated(format!("row {y} is missing")));
                };
                put_row(canvas, y, row.data(), depth);
            }
        }
        let notices = self.notices();
        let animated = self.reader.info().is_animated();
        let mut found = Found {
            icc: self.reader.info().icc_profile.as_ref().map(|icc| icc.to_vec()),
            exif: self.ancillary.exif.take(),
            xmp: self.ancillary.xmp.take(),
            density: self.reader.info().pixel_dims.and_then(density),
            notices,
        };
        found.icc.take_if(|icc| icc.is_empty());
        if !animated {
            // Reads on to the end, so that checksums of the last chunks are verified too.
            self.reader.finish()?;
        }
        Ok(found)
    }
}

fn put_row(canvas: &mut Canvas, y: usize, row: &[u8], depth: SampleDepth) {
    if depth == SampleDepth::U8 {
        canvas.put(0, y, row);
        return;
    }
    let samples: Vec<u16> = row.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
    canvas.put(0, y, &samples);
}

fn density(dimensions: png::PixelDimensions) -> Option<Density> {
    match dimensions.unit {
        png::Unit::Meter => Density::per_metre(dimensions.xppu, dimensions.yppu),
        png::Unit::Unspecified => None,
    }
}
