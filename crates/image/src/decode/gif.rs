//! GIF: the first frame, on the canvas that the file declares.

use std::num::NonZeroU64;

use esrgan_core::{Notice, SampleDepth};
use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use crate::Limits;
use crate::canvas::Canvas;
use crate::decode::{Codec, ReadSeek, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::memory;
use crate::metadata::Found;
use crate::orientation::Orientation;

pub(super) struct Gif<'a> {
    decoder: gif::Decoder<Box<dyn ReadSeek + 'a>>,
    stored: Stored,
}

impl<'a> Gif<'a> {
    pub(super) fn open(source: Source<'a>, limits: &Limits) -> Result<Self, Failure> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        let limit = NonZeroU64::new(limits.alloc_bytes()).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes);
        options.set_memory_limit(limit);
        let decoder = options.read_info(source.reader)?;
        let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
        if width == 0 || height == 0 {
            return Err(Failure::malformed("the canvas has no size"));
        }
        let pixels = u64::from(width) * u64::from(height);
        Ok(Self {
            decoder,
            stored: Stored {
                width,
                height,
                depth: SampleDepth::U8,
                has_alpha: true,
                is_gray: false,
                orientation: Orientation::default(),
                scratch_bytes: pixels * 4,
            },
        })
    }
}

impl Codec for Gif<'_> {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(mut self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let frame = self.decoder.next_frame_info()?.ok_or_else(|| Failure::malformed("no frame"))?;
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let width = usize::from(frame.width);
        let mut frame_samples = memory::zeroed::<u8>(self.decoder.buffer_size() as u64)?;
        self.decoder.read_into_buffer(&mut frame_samples)?;
        // Every row exists, also those that the frame does not cover: transparent.
        for channel in 0..canvas.channels() {
            canvas.segment(channel, 0, canvas.height() - 1, 0);
        }
        let visible = width.min(canvas.width().saturating_sub(left));
        let rows = frame_samples.chunks_exact((width * 4).max(1)).enumerate();
        for (row, samples) in rows.take(canvas.height().saturating_sub(top)) {
            canvas.put(left.min(canvas.width()), top + row, &samples[..visible * 4]);
        }
        drop(frame_samples);
        let mut notices = Vec::new();
        // Damage after the first frame does not concern the picture.
        if matches!(self.decoder.next_frame_info(), Ok(Some(_))) {
            notices.push(Notice::new("animated: only the first frame is used"));
        }
        Ok(Found {
            icc: self.decoder.icc_profile().map(<[u8]>::to_vec),
            xmp: self.decoder.xmp_metadata().map(<[u8]>::to_vec),
            notices,
            ..Found::default()
        })
    }
}
