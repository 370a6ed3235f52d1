//! Resizing as training code does it: without antialiasing, half-pixel centres.
//!
//! Behaviour of PyTorch's `interpolate` with `align_corners=False`; area is adaptive average pooling.

use esrgan_core::Plane;
use esrgan_image::{Filter, resample};
use serde::Serialize;

/// How new samples are made of old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeMode {
    /// The mean of the samples that an output pixel touches.
    Area,
    /// Between the two nearest samples each way.
    Bilinear,
    /// Cubic over four samples each way, a = -0.75.
    Bicubic,
    /// The sample whose pixel holds the output pixel's centre.
    NearestExact,
    /// Windowed sinc, widened when shrinking.
    Lanczos,
}

/// Input positions and weights of each output position along one axis.
struct Taps {
    spans: Vec<Vec<(usize, f32)>>,
}

const CUBIC_A: f64 = -0.75;

/// Resizes a plane. `factor` is what the caller multiplied the sides by, where that decides coordinates rather than the sides.
pub(crate) fn resize(plane: &Plane, size: (usize, usize), factor: Option<f64>, mode: ResizeMode) -> Plane {
    if mode == ResizeMode::Lanczos {
        return resample(plane, size.0, size.1, Filter::Lanczos3);
    }
    let columns = Taps::new(plane.width(), size.0, factor, mode);
    let rows = Taps::new(plane.height(), size.1, factor, mode);
    let mut narrowed = Plane::filled(size.0, plane.height(), 0.0);
    for y in 0..plane.height() {
        let source = plane.row(y);
        for (sample, span) in narrowed.row_mut(y).iter_mut().zip(&columns.spans) {
            *sample = span.iter().map(|(x, weight)| weight * source[*x]).sum();
        }
    }
    let mut resized = Plane::filled(size.0, size.1, 0.0);
    for (y, span) in rows.spans.iter().enumerate() {
        let target = resized.row_mut(y);
        for (source, weight) in span {
            let line = narrowed.row(*source);
            target.iter_mut().zip(line).for_each(|(sample, value)| *sample += weight * value);
        }
    }
    resized
}

impl Taps {
    fn new(input: usize, output: usize, factor: Option<f64>, mode: ResizeMode) -> Self {
        let ratio = factor.map_or(input as f64 / output as f64, |factor| 1.0 / factor);
        let spans = (0..output).map(|position| match mode {
            ResizeMode::Area => area_span(position, input, output),
            ResizeMode::NearestExact => {
                vec![((((position as f64 + 0.5) * ratio) as usize).min(input - 1), 1.0)]
            }
            ResizeMode::Bilinear | ResizeMode::Lanczos => {
                let source = ((position as f64 + 0.5) * ratio - 0.5).max(0.0);
                let first = (source as usize).min(input - 1);
                let fraction = (source - first as f64).min(1.0) as f32;
                vec![(first, 1.0 - fraction), ((first + 1).min(input - 1), fraction)]
            }
            ResizeMode::Bicubic => cubic_span((position as f64 + 0.5) * ratio - 0.5, input),
        });
        Self { spans: spans.collect() }
    }
}

fn area_span(position: usize, input: usize, output: usize) -> Vec<(usize, f32)> {
    let start = position * input / output;
    let end = ((position + 1) * input).div_ceil(output);
    (start..end).map(|source| (source, 1.0 / (end - start) as f32)).collect()
}

fn cubic_span(source: f64, input: usize) -> Vec<(usize, f32)> {
    let first = source.floor();
    let t = source - first;
    let near = |x: f64| ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((CUBIC_A * x - 5.0 * CUBIC_A) * x + 8.0 * CUBIC_A) * x - 4.0 * CUBIC_A;
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    let positions = (-1..3).map(|offset| (first as isize + offset).clamp(0, input as isize - 1) as usize);
    positions.zip(weights.map(|weight| weight as f32)).collect()
}

#[cfg(test)]
mod tests;
