//! Sharpening of the true pictures, as Real-ESRGAN does before it degrades them.
//!
//! Wang et al., "Real-ESRGAN", 2021, section 4.1; the numbers are those of its `USMSharp`: an unsharp mask that leaves flat parts and
//! noise alone.

use esrgan_core::Plane;

/// Samples of the blur to each side.
const RADIUS: usize = 25;
/// OpenCV's for a kernel of 51 samples: `0.3 * ((51 - 1) / 2 - 1) + 0.8`.
const SIGMA: f64 = 8.0;
/// How much of the difference to the blurred picture is added.
const AMOUNT: f32 = 0.5;
/// Differences up to this many steps of 8 bits are left alone.
const THRESHOLD: f32 = 10.0 / 255.0;

/// A sharpened plane; pixels beyond the edge mirror those before it, without the edge itself.
///
/// # Values
/// 0..1 in and out.
pub fn sharpen(plane: &Plane) -> Plane {
    let weights = weights();
    let soft = blurred(plane, &weights);
    let with = |other: &Plane, combine: &dyn Fn(f32, f32) -> f32| {
        let mut result = plane.clone();
        let pairs = result.samples_mut().iter_mut().zip(other.samples());
        pairs.for_each(|(sample, other)| *sample = combine(*sample, *other));
        result
    };
    let is_edge = with(&soft, &|sample, soft| if (sample - soft).abs() > THRESHOLD { 1.0 } else { 0.0 });
    let mask = blurred(&is_edge, &weights);
    let mut result = with(&soft, &|sample, soft| (sample + AMOUNT * (sample - soft)).clamp(0.0, 1.0));
    let samples = result.samples_mut().iter_mut().zip(plane.samples()).zip(mask.samples());
    samples.for_each(|((sharp, sample), mask)| *sharp = mask * *sharp + (1.0 - mask) * sample);
    result
}

/// A Gaussian's samples, whose sum is 1.
fn weights() -> [f64; 2 * RADIUS + 1] {
    let value = |index: usize| (-((index as f64 - RADIUS as f64) / SIGMA).powi(2) / 2.0).exp();
    let sum: f64 = (0..=2 * RADIUS).map(value).sum();
    std::array::from_fn(|index| value(index) / sum)
}

/// The blurred plane: along rows, then along columns, in f64.
fn blurred(plane: &Plane, weights: &[f64]) -> Plane {
    let (width, height) = (plane.width(), plane.height());
    let along = |count: usize, at: usize, value: &dyn Fn(usize) -> f64| -> f64 {
        let terms = weights.iter().enumerate();
        terms
            .map(|(tap, weight)| {
                weight * value(mirrored(at as isize + tap as isize - RADIUS as isize, count))
            })
            .sum()
    };
    let rows: Vec<f64> = (0..width * height)
        .map(|at| along(width, at % width, &|x| f64::from(plane.samples()[at / width * width + x])))
        .collect();
    let samples = (0..width * height)
        .map(|at| along(height, at / width, &|y| rows[y * width + at % width]) as f32)
        .collect();
    Plane::new(width, height, samples).expect("as many samples as before")
}

/// The place within `0..count` that a place beyond the edges mirrors.
fn mirrored(at: isize, count: usize) -> usize {
    let last = count as isize - 1;
    if last == 0 {
        return 0;
    }
    let at = at.rem_euclid(2 * last);
    (if at > last { 2 * last - at } else { at }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{golden, largest_difference, planes};

    /// Two blurs of f32 samples in f64, rounded; where a difference lies on the threshold the mask may fall to the other side.
    const TOLERANCE: f32 = 4e-6;

    #[test]
    fn crops_are_sharpened_as_opencv_and_real_esrgan_do() {
        let golden = golden();
        let pictures = planes(&golden["sharpen.before"], 1.0);
        let found: Vec<Plane> = pictures.iter().map(sharpen).collect();
        assert!(
            largest_difference(&pictures, &planes(&golden["sharpen.after"], 1.0)) > 0.05,
            "something changes"
        );
        let off = largest_difference(&found, &planes(&golden["sharpen.after"], 1.0));
        assert!(off <= TOLERANCE, "off by {off:e}");
    }

    #[test]
    fn places_beyond_the_edges_are_mirrored() {
        let found: Vec<usize> = (-4..7).map(|at| mirrored(at, 3)).collect();
        assert_eq!(found, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert!((-9..9).all(|at| mirrored(at, 1) == 0));
        assert_eq!(sharpen(&Plane::filled(3, 2, 0.5)).samples(), [0.5; 6], "a flat part stays");
    }
}
