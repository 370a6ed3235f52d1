//! WebP, lossy and lossless; of animations the first frame.

use esrgan_core::{Notice, SampleDepth};
use image_webp::WebPDecoder;

use crate::Limits;
use crate::canvas::Canvas;
use crate::decode::{Codec, ReadSeek, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::limits::MAX_METADATA_BYTES;
use crate::memory;
use crate::metadata::{Found, exif};
use crate::orientation::Orientation;

pub(super) struct WebP<'a> {
    decoder: WebPDecoder<Box<dyn ReadSeek + 'a>>,
    exif: Option<Vec<u8>>,
    stored: Stored,
}

impl<'a> WebP<'a> {
    pub(super) fn open(source: Source<'a>, limits: &Limits) -> Result<Self, Failure> {
        let mut decoder = WebPDecoder::new(source.reader)?;
        // In this codec the limit concerns blocks of metadata only.
        let allowed = MAX_METADATA_BYTES.min(limits.alloc_bytes());
        decoder.set_memory_limit(usize::try_from(allowed).unwrap_or(usize::MAX));
        let exif = decoder.exif_metadata()?;
        let (width, height) = decoder.dimensions();
        let orientation = exif.as_deref().and_then(exif::orientation).unwrap_or(1);
        let mut stored = Stored {
            width,
            height,
            depth: SampleDepth::U8,
            has_alpha: decoder.has_alpha(),
            is_gray: false,
            orientation: Orientation::from_exif(orientation),
            scratch_bytes: 0,
        };
        // The output, and the canvas of animations; what a frame needs beside them is gone before the planes come.
        let canvas = if decoder.is_animated() { 4 } else { 0 };
        stored.scratch_bytes = stored.pixels() * (stored.channels() as u64 + canvas);
        Ok(Self { decoder, exif, stored })
    }
}

impl Codec for WebP<'_> {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(mut self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let size = self.stored.pixels() * self.stored.channels() as u64;
        let mut samples = memory::zeroed::<u8>(size)?;
        self.decoder.read_image(&mut samples)?;
        canvas.put_all(&samples);
        drop(samples);
        let mut notices = Vec::new();
        if self.decoder.is_animated() && self.decoder.num_frames() > 1 {
            notices.push(Notice::new("animated: only the first frame is used"));
        }
        Ok(Found {
            icc: self.decoder.icc_profile()?,
            xmp: self.decoder.xmp_metadata()?,
            exif: self.exif,
            density: None,
            notices,
        })
    }
}
