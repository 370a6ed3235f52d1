//! Planes of 8-bit levels, in f64: what most metrics are defined on.

use esrgan_core::{Picture, Plane};
use rayon::prelude::*;

use crate::error::MetricError;

/// Levels, nominally 0..=255.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Levels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `[y][x]`.
    pub(crate) values: Vec<f64>,
}

impl Levels {
    /// Levels made row by row, on all processors.
    pub(crate) fn from_rows(
        (width, height): (usize, usize),
        fill: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Self {
        let mut values = vec![0.0; width * height];
        if width > 0 {
            values.par_chunks_mut(width).enumerate().for_each(|(y, row)| fill(y, row));
        }
        Self { width, height, values }
    }

    pub(crate) fn row(&self, y: usize) -> &[f64] {
        &self.values[y * self.width..][..self.width]
    }

    /// A sum over all levels: of each row by itself, then of the rows in their order, so that threads change no bit.
    pub(crate) fn sum_of(&self, value: impl Fn(f64) -> f64 + Sync) -> f64 {
        let rows: Vec<f64> = self
            .values
            .par_chunks(self.width.max(1))
            .map(|row| row.iter().map(|level| value(*level)).sum())
            .collect();
        rows.into_iter().sum()
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum_of(|level| level) / self.values.len() as f64
    }
}

/// What two pictures are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Luma,
    Colors,
}

/// The planes of a picture without its border.
///
/// # Errors
/// [`MetricError::Channels`], [`MetricError::NotFinite`], [`MetricError::TooSmall`] where fewer than `least` pixels are left.
pub(crate) fn levels(
    picture: &Picture,
    channels: Channels,
    border_px: usize,
    (metric, least): (&'static str, usize),
) -> Result<Vec<Levels>, MetricError> {
    let [red, green, blue] = &picture.color[..] else {
        return Err(MetricError::Channels { found: picture.color.len() });
    };
    let left = |side: usize| side.saturating_sub(border_px.saturating_mul(2));
    let size = (left(picture.width()), left(picture.height()));
    if size.0 < least.max(1) || size.1 < least.max(1) {
        return Err(MetricError::TooSmall { metric, least: least.max(1), size, border_px });
    }
    let is_finite = |plane: &Plane| plane.samples().par_iter().all(|sample| sample.is_finite());
    if ![red, green, blue].into_iter().all(is_finite) {
        return Err(MetricError::NotFinite);
    }
    let row = |plane: &'_ Plane, y: usize| plane.row(border_px + y)[border_px..].to_vec();
    Ok(match channels {
        Channels::Luma => vec![Levels::from_rows(size, |y, target| {
            let colors = row(red, y).into_iter().zip(row(green, y)).zip(row(blue, y));
            target
                .iter_mut()
                .zip(colors)
                .for_each(|(level, ((red, green), blue))| *level = luma(red, green, blue));
        })],
        Channels::Colors => [red, green, blue]
            .map(|plane| {
                Levels::from_rows(size, |y, target| {
                    // To the level where there is one: samples are levels divided by 255, in f32.
                    let level = |sample: f32| f64::from(sample * 255.0);
                    target.iter_mut().zip(row(plane, y)).for_each(|(target, sample)| *target = level(sample));
                })
            })
            .into(),
    })
}

/// Luma of BT.601 on levels 16 to 235, in the steps and with the roundings to `f32` of BasicSR's `to_y_channel`, so that its
/// digits come out.
fn luma(red: f32, green: f32, blue: f32) -> f64 {
    let [red, green, blue] = [red, green, blue].map(f64::from);
    let luma = 24.966 * blue + 128.553 * green + 65.481 * red + 16.0;
    f64::from((luma / 255.0) as f32 * 255.0)
}

/// Both pictures' planes.
///
/// # Errors
/// As [`levels`], and [`MetricError::Size`].
pub(crate) fn both_levels(
    (reference, candidate): (&Picture, &Picture),
    channels: Channels,
    border_px: usize,
    metric: (&'static str, usize),
) -> Result<Vec<(Levels, Levels)>, MetricError> {
    let (a, b) = ((reference.width(), reference.height()), (candidate.width(), candidate.height()));
    if a != b {
        return Err(MetricError::Size { reference: a, candidate: b });
    }
    let reference = levels(reference, channels, border_px, metric)?;
    Ok(reference.into_iter().zip(levels(candidate, channels, border_px, metric)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BT.601, table 1: black is 16, white 235, and the three colours' shares add up.
    #[test]
    fn luma_of_known_colours() {
        for (color, expected) in [
            ([0.0, 0.0, 0.0], 16.0),
            ([1.0, 1.0, 1.0], 235.0),
            ([1.0, 0.0, 0.0], 81.481),
            ([0.0, 1.0, 0.0], 144.553),
            ([0.0, 0.0, 1.0], 40.966),
        ] {
            let [red, green, blue] = color;
            assert!((luma(red, green, blue) - expected).abs() < 3e-5, "{color:?}");
        }
    }
}
