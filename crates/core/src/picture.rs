//! Pictures between the rooms: planes of `f32`, 0..1, one per channel.

use std::fmt;

/// How samples were, or are to be, stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleDepth {
    /// Eight bits a sample or fewer.
    U8,
    /// Nine to sixteen bits a sample.
    U16,
    /// Floating point.
    F32,
}

/// A plane's data did not have `width * height` samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneSizeError {
    /// Samples that the size asks for.
    pub expected: usize,
    /// Samples that were given.
    pub found: usize,
}

impl fmt::Display for PlaneSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a plane of {} samples was expected, found {}", self.expected, self.found)
    }
}

impl std::error::Error for PlaneSizeError {}

/// One channel of a picture, row by row without gaps.
///
/// # Values
/// Nominally 0..1, encoded as the file had it (no linearisation). Values outside are kept until quantisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    width: usize,
    height: usize,
    samples: Vec<f32>,
}

impl Plane {
    /// Takes `width * height` samples, row by row.
    ///
    /// # Errors
    /// [`PlaneSizeError`] where their number is another.
    pub fn new(width: usize, height: usize, samples: Vec<f32>) -> Result<Self, PlaneSizeError> {
        match width.checked_mul(height) {
            Some(expected) if expected == samples.len() => Ok(Self { width, height, samples }),
            expected => {
                Err(PlaneSizeError { expected: expected.unwrap_or(usize::MAX), found: samples.len() })
            }
        }
    }

    /// A plane of one value.
    pub fn filled(width: usize, height: usize, value: f32) -> Self {
        Self { width, height, samples: vec![value; width * height] }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y`, `width` samples.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.samples[y * self.width..(y + 1) * self.width]
    }

    /// Row `y`, to be written.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        &mut self.samples[y * self.width..(y + 1) * self.width]
    }

    /// All samples, row by row.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// All samples, to be written.
    pub fn samples_mut(&mut self) -> &mut [f32] {
        &mut self.samples
    }
}

/// A picture: one colour plane (gray) or three (red, green, blue), and perhaps alpha, all of one size.
///
/// Alpha is straight (not premultiplied): 0 transparent, 1 opaque.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// One plane for gray, three for RGB.
    pub color: Vec<Plane>,
    /// Straight alpha, if the picture has any.
    pub alpha: Option<Plane>,
}

impl Picture {
    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.color.first().map_or(0, Plane::width)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.color.first().map_or(0, Plane::height)
    }

    /// Whether it has one colour plane.
    pub fn is_gray(&self) -> bool {
        self.color.len() == 1
    }
}

/// `round(255 x)`, halves away from zero, clamped to 0..=255. NaN becomes 0; callers check for it before.
pub fn quantise_u8(value: f32) -> u8 {
    (value * 255.0).round().clamp(0.0, 255.0) as u8
}

/// `round(65535 x)`, halves away from zero, clamped to 0..=65535. NaN becomes 0; callers check for it before.
pub fn quantise_u16(value: f32) -> u16 {
    (value * 65535.0).round().clamp(0.0, 65535.0) as u16
}

/// `x / 255`.
pub fn dequantise_u8(sample: u8) -> f32 {
    f32::from(sample) / 255.0
}

/// `x / 65535`.
pub fn dequantise_u16(sample: u16) -> f32 {
    f32::from(sample) / 65535.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_the_round_trip() {
        assert!((0..=u8::MAX).all(|v| quantise_u8(dequantise_u8(v)) == v));
        assert!((0..=u16::MAX).all(|v| quantise_u16(dequantise_u16(v)) == v));
    }

    #[test]
    fn out_of_range_is_clamped() {
        assert_eq!(quantise_u8(-0.2), 0);
        assert_eq!(quantise_u8(1.2), 255);
        assert_eq!(quantise_u16(f32::INFINITY), 65535);
    }

    #[test]
    fn a_plane_needs_all_its_samples() {
        let error = Plane::new(3, 2, vec![0.0; 5]).unwrap_err();
        assert_eq!(error, PlaneSizeError { expected: 6, found: 5 });
        assert!(Plane::new(usize::MAX, 2, vec![]).is_err());
    }
}
