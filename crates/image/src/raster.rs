//! Quantised samples on their way into a file, and the conversions between depths.

use std::borrow::Cow;
use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth, dequantise_u8, dequantise_u16, quantise_u8, quantise_u16};

use crate::canvas::Sample;
use crate::error::Failure;
use crate::{ImageError, memory};

/// Interleaved samples, row by row without gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// 0..=255.
    U8(Vec<u8>),
    /// 0..=65,535.
    U16(Vec<u16>),
    /// Nominally 0..1.
    F32(Vec<f32>),
}

impl Samples {
    /// Their depth.
    pub fn depth(&self) -> SampleDepth {
        match self {
            Self::U8(_) => SampleDepth::U8,
            Self::U16(_) => SampleDepth::U16,
            Self::F32(_) => SampleDepth::F32,
        }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As bytes in the machine's byte order.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::U8(v) => v,
            Self::U16(v) => bytemuck::cast_slice(v),
            Self::F32(v) => bytemuck::cast_slice(v),
        }
    }
}

/// A picture as a file will store it.
#[derive(Clone, Debug, PartialEq)]
pub struct Raster {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. Alpha is straight.
    pub channels: usize,
    /// `width * height * channels` samples.
    pub samples: Samples,
}

/// A type that samples are stored as.
trait Target: Sample {
    fn narrow(value: f32) -> Self;
}

impl Target for u8 {
    fn narrow(value: f32) -> Self {
        quantise_u8(value)
    }
}

impl Target for u16 {
    fn narrow(value: f32) -> Self {
        quantise_u16(value)
    }
}

impl Target for f32 {
    fn narrow(value: f32) -> Self {
        value
    }
}

impl Raster {
    /// Quantises a picture's planes, once, with rounding to nearest.
    pub fn from_picture(picture: &Picture, depth: SampleDepth) -> Self {
        let planes: Vec<&[f32]> =
            picture.color.iter().chain(&picture.alpha).map(|plane| plane.samples()).collect();
        let samples = match depth {
            SampleDepth::U8 => Samples::U8(interleaved(&planes)),
            SampleDepth::U16 => Samples::U16(interleaved(&planes)),
            SampleDepth::F32 => Samples::F32(interleaved(&planes)),
        };
        Self { width: picture.width(), height: picture.height(), channels: planes.len(), samples }
    }

    /// The planes that a decoder would make of the samples.
    ///
    /// # Panics
    /// Where the samples are not `width * height * channels`.
    pub fn to_picture(&self) -> Picture {
        assert_eq!(self.samples.len(), self.width * self.height * self.channels, "samples of the raster");
        let of = |channel: usize| {
            let places = (0..self.width * self.height).map(|pixel| pixel * self.channels + channel);
            let samples = match &self.samples {
                Samples::U8(samples) => places.map(|place| dequantise_u8(samples[place])).collect(),
                Samples::U16(samples) => places.map(|place| dequantise_u16(samples[place])).collect(),
                Samples::F32(samples) => places.map(|place| samples[place]).collect(),
            };
            Plane::new(self.width, self.height, samples).expect("a sample for each pixel")
        };
        let colors = if self.is_gray() { 1 } else { 3 };
        Picture { color: (0..colors).map(of).collect(), alpha: self.has_alpha().then(|| of(colors)) }
    }

    /// Whether there is one colour channel.
    pub fn is_gray(&self) -> bool {
        self.channels <= 2
    }

    /// Whether there is an alpha channel.
    pub fn has_alpha(&self) -> bool {
        self.channels.is_multiple_of(2)
    }

    /// Refuses a raster whose samples do not fit its size.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ImageError> {
        let expected =
            self.width.checked_mul(self.height).and_then(|pixels| pixels.checked_mul(self.channels));
        let is_sound = (1..=4).contains(&self.channels)
            && self.width > 0
            && self.height > 0
            && expected == Some(self.samples.len());
        if is_sound {
            return Ok(());
        }
        Err(ImageError::RasterSize {
            path: path.to_owned(),
            width: self.width,
            height: self.height,
            channels: self.channels,
            found: self.samples.len(),
        })
    }

    /// The raster in another depth and with other channels: gray is repeated, missing alpha is opaque, alpha that goes is
    /// blended on white. Every sample is rounded once, from the original.
    pub(crate) fn converted(&self, channels: usize, depth: SampleDepth) -> Result<Cow<'_, Self>, Failure> {
        if channels == self.channels && depth == self.samples.depth() {
            return Ok(Cow::Borrowed(self));
        }
        let (from, to) = (self.channels, channels);
        let samples = match &self.samples {
            Samples::U8(v) => convert(v, from, to, depth)?,
            Samples::U16(v) => convert(v, from, to, depth)?,
            Samples::F32(v) => convert(v, from, to, depth)?,
        };
        Ok(Cow::Owned(Self { channels, samples, ..*self }))
    }
}

fn interleaved<T: Target>(planes: &[&[f32]]) -> Vec<T> {
    let count = planes.first().map_or(0, |plane| plane.len());
    let mut samples = Vec::with_capacity(count * planes.len());
    for index in 0..count {
        samples.extend(planes.iter().map(|plane| T::narrow(plane[index])));
    }
    samples
}

fn convert<S: Sample>(samples: &[S], from: usize, to: usize, depth: SampleDepth) -> Result<Samples, Failure> {
    Ok(match depth {
        SampleDepth::U8 => Samples::U8(convert_to(samples, from, to)?),
        SampleDepth::U16 => Samples::U16(convert_to(samples, from, to)?),
        SampleDepth::F32 => Samples::F32(convert_to(samples, from, to)?),
    })
}

fn convert_to<S: Sample, T: Target>(samples: &[S], from: usize, to: usize) -> Result<Vec<T>, Failure> {
    let (from_colors, to_colors) =
        (from - usize::from(from.is_multiple_of(2)), to - usize::from(to.is_multiple_of(2)));
    let mut out = memory::reserved(samples.len() / from * to)?;
    for pixel in samples.chunks_exact(from) {
        let alpha = pixel.get(from_colors).map_or(1.0, |alpha| alpha.widen());
        for channel in 0..to_colors {
            let color = pixel[channel.min(from_colors - 1)].widen();
            let seen = if to == to_colors && alpha < 1.0 { color * alpha + (1.0 - alpha) } else { color };
            out.push(T::narrow(seen));
        }
        if to > to_colors {
            out.push(T::narrow(alpha));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(channels: usize, samples: Samples) -> Raster {
        Raster { width: samples.len() / channels, height: 1, channels, samples }
    }

    #[test]
    fn sixteen_bits_become_eight_by_rounding() {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        let wide = raster(1, Samples::U16(all.clone()));
        let narrow = wide.converted(1, SampleDepth::U8).expect("memory");
        let expected: Vec<u8> = all.iter().map(|v| ((u32::from(*v) * 255 + 32_767) / 65_535) as u8).collect();
        assert_eq!(narrow.samples, Samples::U8(expected));
    }

    #[test]
    fn depths_that_hold_more_bring_every_sample_back() {
        let all: Vec<u8> = (0..=255).collect();
        let original = raster(1, Samples::U8(all));
        for depth in [SampleDepth::U16, SampleDepth::F32] {
            let wide = original.converted(1, depth).expect("memory");
            let back = wide.converted(1, SampleDepth::U8).expect("memory");
            assert_eq!(*back, original, "{depth:?}");
        }
    }

    #[test]
    fn alpha_that_goes_is_blended_on_white() {
        let translucent = raster(4, Samples::U8(vec![255, 0, 100, 0, 255, 0, 100, 255, 0, 0, 0, 128]));
        let seen = translucent.converted(3, SampleDepth::U8).expect("memory");
        assert_eq!(seen.samples, Samples::U8(vec![255, 255, 255, 255, 0, 100, 127, 127, 127]));
    }

    #[test]
    fn gray_is_repeated_and_missing_alpha_is_opaque() {
        let gray = raster(1, Samples::U8(vec![7, 9]));
        let rgba = gray.converted(4, SampleDepth::U8).expect("memory");
        assert_eq!(rgba.samples, Samples::U8(vec![7, 7, 7, 255, 9, 9, 9, 255]));
    }
}
