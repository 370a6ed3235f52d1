//! The planes of a picture while a codec fills them, row by row.

use esrgan_core::{Picture, Plane, dequantise_u8, dequantise_u16};

use crate::error::Failure;
use crate::header::Stored;
use crate::memory;

/// A stored sample that has an exact meaning between 0 and 1.
pub(crate) trait Sample: Copy {
    fn widen(self) -> f32;
}

impl Sample for u8 {
    fn widen(self) -> f32 {
        dequantise_u8(self)
    }
}

impl Sample for u16 {
    fn widen(self) -> f32 {
        dequantise_u16(self)
    }
}

impl Sample for f32 {
    fn widen(self) -> f32 {
        self
    }
}

/// Planes in stored orientation. Memory is reserved at once but touched only as rows arrive.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    has_alpha: bool,
    planes: Vec<Vec<f32>>,
}

impl Canvas {
    pub(crate) fn new(stored: &Stored) -> Result<Self, Failure> {
        let (width, height) = (stored.width as usize, stored.height as usize);
        let samples = width.checked_mul(height).ok_or(Failure::OutOfMemory(u64::MAX))?;
        let planes = (0..stored.channels()).map(|_| memory::reserved(samples)).collect::<Result<_, _>>()?;
        Ok(Self { width, height, has_alpha: stored.has_alpha, planes })
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn channels(&self) -> usize {
        self.planes.len()
    }

    /// Writes pixels from column `x` of row `y` on; `samples` holds whole pixels of as many channels as the canvas has.
    pub(crate) fn put<S: Sample>(&mut self, x: usize, y: usize, samples: &[S]) {
        let channels = self.channels();
        for channel in 0..channels {
            let row = self.segment(channel, x, y, samples.len() / channels);
            for (out, pixel) in row.iter_mut().zip(samples.chunks_exact(channels)) {
                *out = pixel[channel].widen();
            }
        }
    }

    /// `count` samples of one channel from column `x` of row `y` on, to be written.
    pub(crate) fn segment(&mut self, channel: usize, x: usize, y: usize, count: usize) -> &mut [f32] {
        let plane = &mut self.planes[channel];
        let row_end = (y + 1) * self.width;
        if plane.len() < row_end {
            plane.resize(row_end, 0.0);
        }
        let start = y * self.width + x;
        &mut plane[start..(start + count).min(row_end)]
    }

    /// The whole picture, from `rows` interleaved without gaps.
    pub(crate) fn put_all<S: Sample>(&mut self, samples: &[S]) {
        let row_samples = self.width * self.channels();
        for (y, row) in samples.chunks_exact(row_samples).enumerate().take(self.height) {
            self.put(0, y, row);
        }
    }

    /// Turns premultiplied colours into straight ones; where alpha is 0 they stay.
    pub(crate) fn divide_by_alpha(&mut self) {
        let Some((alpha, colors)) = self.planes.split_last_mut() else {
            return;
        };
        for color in colors {
            for (sample, alpha) in color.iter_mut().zip(alpha.iter()) {
                if *alpha > 0.0 {
                    *sample /= *alpha;
                }
            }
        }
    }

    /// The finished picture, each plane passed through `turn`, which gives width and height as well.
    pub(crate) fn into_picture(
        self,
        mut turn: impl FnMut(Vec<f32>) -> Result<(usize, usize, Vec<f32>), Failure>,
    ) -> Result<Picture, Failure> {
        let expected = self.width * self.height;
        let mut planes = Vec::with_capacity(self.planes.len());
        for samples in self.planes {
            if samples.len() < expected {
                return Err(Failure::Truncated(format!(
                    "{} of {} rows are there",
                    samples.len() / self.width.max(1),
                    self.height
                )));
            }
            let (width, height, samples) = turn(samples)?;
            planes.push(
                Plane::new(width, height, samples).map_err(|error| Failure::malformed(error.to_string()))?,
            );
        }
        let alpha = if self.has_alpha { planes.pop() } else { None };
        Ok(Picture { color: planes, alpha })
    }
}
