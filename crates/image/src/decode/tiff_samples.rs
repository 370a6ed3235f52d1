//! What a TIFF's samples mean, and their way to 0..1.

use esrgan_core::SampleDepth;
use esrgan_core::{dequantise_u8, dequantise_u16};
use tiff::ColorType;
use tiff::decoder::DecodingResult;
use tiff::tags::SampleFormat;

use crate::error::Failure;

/// Values of the ExtraSamples tag. TIFF 6.0, section 18.
const ASSOCIATED_ALPHA: u16 = 1;
const UNASSOCIATED_ALPHA: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
}

/// How the samples of a pixel lie and what they mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub space: Space,
    /// Samples of a pixel as the decoder gives them, dropped ones included.
    pub samples: usize,
    pub bits: u8,
    pub has_alpha: bool,
    /// Colours are multiplied by alpha.
    pub is_premultiplied: bool,
    is_float: bool,
}

impl Layout {
    pub(super) fn new(color: ColorType, format: SampleFormat, extra: &[u16]) -> Result<Self, Failure> {
        let (space, samples, bits) = match color {
            ColorType::Gray(bits) => (Space::Gray, 1, bits),
            ColorType::Multiband { bit_depth, num_samples } => (Space::Gray, num_samples, bit_depth),
            ColorType::RGB(bits) => (Space::Rgb, 3, bits),
            ColorType::RGBA(bits) => (Space::Rgb, 4, bits),
            ColorType::YCbCr(bits) => (Space::YCbCr, 3, bits),
            ColorType::CMYK(bits) => (Space::Cmyk, 4, bits),
            ColorType::CMYKA(bits) => (Space::Cmyk, 5, bits),
            other => return Err(Failure::Unsupported(format!("colours of type {other:?}"))),
        };
        let samples = usize::from(samples);
        let first_extra = extra.first().copied();
        let may_be_alpha = match space {
            Space::Gray => matches!(first_extra, Some(ASSOCIATED_ALPHA | UNASSOCIATED_ALPHA)),
            _ => true,
        };
        let layout = Self {
            space,
            samples,
            bits,
            has_alpha: samples > space.channels() && may_be_alpha,
            is_premultiplied: first_extra == Some(ASSOCIATED_ALPHA),
            is_float: format == SampleFormat::IEEEFP,
        };
        let known = match format {
            SampleFormat::Uint if space == Space::YCbCr => bits == 8,
            SampleFormat::Uint => matches!(bits, 8 | 16 | 32) || (samples == 1 && matches!(bits, 1 | 2 | 4)),
            SampleFormat::IEEEFP => space != Space::YCbCr && matches!(bits, 16 | 32 | 64),
            _ => false,
        };
        if known {
            Ok(layout)
        } else {
            Err(Failure::Unsupported(format!("{bits} bits a sample of format {format:?} in {color:?}")))
        }
    }

    pub(super) fn depth(&self) -> SampleDepth {
        match self.bits {
            _ if self.is_float => SampleDepth::F32,
            0..=8 => SampleDepth::U8,
            9..=16 => SampleDepth::U16,
            _ => SampleDepth::F32,
        }
    }

    /// Bytes of one sample in the decoder's buffer.
    pub(super) fn sample_bytes(&self) -> u64 {
        u64::from(self.bits.div_ceil(8))
    }

    /// Row `y` of a chunk whose rows hold `count` samples, widened into `out`.
    pub(super) fn widen_row(
        &self,
        chunk: &DecodingResult,
        y: usize,
        count: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), Failure> {
        let span = y * count..(y + 1) * count;
        let short = || Failure::Truncated(format!("row {y} of a strip is missing"));
        out.clear();
        match chunk {
            DecodingResult::U8(bytes) if self.bits < 8 => {
                let row_bytes = (count * usize::from(self.bits)).div_ceil(8);
                let row = bytes.get(y * row_bytes..(y + 1) * row_bytes).ok_or_else(short)?;
                out.extend(unpacked(row, self.bits).take(count));
            }
            DecodingResult::U8(v) => {
                out.extend(v.get(span).ok_or_else(short)?.iter().map(|s| dequantise_u8(*s)))
            }
            DecodingResult::U16(v) => {
                out.extend(v.get(span).ok_or_else(short)?.iter().map(|s| dequantise_u16(*s)))
            }
            DecodingResult::U32(v) => out.extend(
                v.get(span).ok_or_else(short)?.iter().map(|s| (f64::from(*s) / f64::from(u32::MAX)) as f32),
            ),
            DecodingResult::F16(v) => out.extend(v.get(span).ok_or_else(short)?.iter().map(|s| s.to_f32())),
            DecodingResult::F32(v) => out.extend_from_slice(v.get(span).ok_or_else(short)?),
            DecodingResult::F64(v) => out.extend(v.get(span).ok_or_else(short)?.iter().map(|s| *s as f32)),
            _ => return Err(Failure::Unsupported("signed or 64-bit integer samples".to_owned())),
        }
        Ok(())
    }
}

impl Space {
    /// Colour samples of a pixel as they are stored.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

/// Samples of 1, 2 or 4 bits, the first in the high bits.
fn unpacked(row: &[u8], bits: u8) -> impl Iterator<Item = f32> + '_ {
    let largest = (1_u8 << bits) - 1;
    row.iter().flat_map(move |byte| {
        (0..8 / bits).map(move |index| {
            let sample = (byte >> (8 - bits * (index + 1))) & largest;
            f32::from(sample) / f32::from(largest)
        })
    })
}
