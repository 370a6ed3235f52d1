//! NIQE: how natural a picture looks, without a true one beside it.

mod distribution;
mod gaussian_model;

use esrgan_core::Picture;
use rayon::prelude::*;

use crate::error::MetricError;
use crate::luma::{Channels, Levels, levels};
use crate::window::gaussian;
use distribution::Asymmetric;
use gaussian_model::{FEATURES, Model};

/// Pixels of a block along a side, on the first scale.
const BLOCK: usize = 96;
/// The window of local means and deviations: its side, and its standard deviation.
const WINDOW: usize = 7;
const SIGMA: f64 = 7.0 / 6.0;
/// Features of a block on one scale.
const FEATURES_OF_SCALE: usize = FEATURES / 2;
/// Pixels between the two whose products are looked at: right, below, below right, below left; as (row, column).
const SHIFTS: [(isize, isize); 4] = [(0, 1), (1, 0), (1, 1), (1, -1)];

/// NIQE of luma: the distance between how the picture's blocks and those of pristine photographs are distributed. Less is
/// more natural.
///
/// # Values
/// Samples in 0..1; Y of BT.601 on whole levels 16 to 235; `border_px` pixels are cut off at each side, and what is beyond
/// the last whole block of 96x96.
///
/// # Errors
/// [`MetricError::Channels`], [`MetricError::TooSmall`] below two blocks, [`MetricError::NotFinite`]; and
/// [`MetricError::Undefined`] for a picture without any texture.
///
/// # Source
/// Mittal, Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", 2013, with its published
/// parameters; BasicSR's `calculate_niqe`, whose digits it gives.
pub fn niqe(picture: &Picture, border_px: usize) -> Result<f64, MetricError> {
    let plane = levels(picture, Channels::Luma, border_px, ("NIQE", BLOCK))?.swap_remove(0);
    let (columns, rows) = (plane.width / BLOCK, plane.height / BLOCK);
    if columns * rows < 2 {
        let size = (plane.width, plane.height);
        return Err(MetricError::TooSmall { metric: "NIQE", least: 2 * BLOCK, size, border_px });
    }
    let whole = Levels::from_rows((columns * BLOCK, rows * BLOCK), |y, row| {
        row.iter_mut().zip(plane.row(y)).for_each(|(target, level)| *target = level.round_ties_even());
    });
    let coarse = block_features(&halved(&whole), BLOCK / 2);
    let fine = block_features(&whole, BLOCK);
    let features: Vec<[f64; FEATURES]> = fine
        .iter()
        .zip(&coarse)
        .map(|(fine, coarse)| std::array::from_fn(|i| *fine.iter().chain(coarse).nth(i).unwrap_or(&f64::NAN)))
        .collect();
    Model::of(&features)
        .and_then(|model| model.distance_to_pristine())
        .ok_or(MetricError::Undefined { metric: "NIQE", reason: "too few of its blocks have texture" })
}

/// The features of every block of a scale, column by column.
fn block_features(levels: &Levels, block: usize) -> Vec<[f64; FEATURES_OF_SCALE]> {
    let normalised = normalised(levels);
    let (columns, rows) = (levels.width / block, levels.height / block);
    let places: Vec<(usize, usize)> =
        (0..columns).flat_map(|column| (0..rows).map(move |row| (column, row))).collect();
    places
        .par_iter()
        .map(|(column, row)| features(&normalised, (column * block, row * block), block))
        .collect()
}

/// Eighteen features: two of the block's distribution, four of the products of neighbours in each direction.
fn features(levels: &Levels, (left, top): (usize, usize), side: usize) -> [f64; FEATURES_OF_SCALE] {
    let at = |y: isize, x: isize| {
        // Around the block's own edges.
        let side = side as isize;
        levels.row(top + y.rem_euclid(side) as usize)[left + x.rem_euclid(side) as usize]
    };
    let places = || (0..side as isize).flat_map(|y| (0..side as isize).map(move |x| (y, x)));
    let plain = Asymmetric::fit(places().map(|(y, x)| at(y, x)));
    let mut features = [0.0; FEATURES_OF_SCALE];
    features[..2].copy_from_slice(&[plain.shape, (plain.left + plain.right) / 2.0]);
    for ((down, right), target) in SHIFTS.into_iter().zip(features[2..].as_chunks_mut::<4>().0) {
        let products = Asymmetric::fit(places().map(|(y, x)| at(y, x) * at(y - down, x - right)));
        *target = [products.shape, products.mean(), products.left, products.right];
    }
    features
}

/// Each level less its local mean, over its local deviation and one.
///
/// Rounded to `f32` where BasicSR's program is: where the picture is flat, the deviation is what these roundings leave, and
/// the figure depends on it.
fn normalised(levels: &Levels) -> Levels {
    let means = nearest_means(levels);
    let squares = Levels::from_rows((levels.width, levels.height), |y, row| {
        row.iter_mut().zip(levels.row(y)).for_each(|(square, level)| *square = in_f32(level * level));
    });
    let mean_squares = nearest_means(&squares);
    Levels::from_rows((levels.width, levels.height), |y, row| {
        for (x, target) in row.iter_mut().enumerate() {
            let (mean, mean_square) = (means.row(y)[x] as f32, mean_squares.row(y)[x] as f32);
            let deviation = (mean_square - mean * mean).abs().sqrt();
            *target = f64::from((levels.row(y)[x] as f32 - mean) / (deviation + 1.0));
        }
    })
}

fn in_f32(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Means under the window, the edge pixel repeated beyond the edge.
fn nearest_means(levels: &Levels) -> Levels {
    let window = gaussian(WINDOW, SIGMA);
    let (width, height) = (levels.width, levels.height);
    let clamped =
        |index: usize, tap: usize, length: usize| (index + tap).saturating_sub(WINDOW / 2).min(length - 1);
    let across = Levels::from_rows((width, height), |y, row| {
        let source = levels.row(y);
        for (x, target) in row.iter_mut().enumerate() {
            let taps = window.iter().enumerate();
            *target = taps.map(|(tap, weight)| weight * source[clamped(x, tap, width)]).sum();
        }
    });
    Levels::from_rows((width, height), |y, row| {
        for (tap, weight) in window.iter().enumerate() {
            let source = across.row(clamped(y, tap, height));
            row.iter_mut().zip(source).for_each(|(sum, level)| *sum += weight * level);
        }
    })
}

/// Half as large by MATLAB's cubic, mirrored at the edges: for an even side always the same eight weights.
fn halved(levels: &Levels) -> Levels {
    // The cubic of Keys with a = -0.5 at 1/4, 3/4, 5/4 and 7/4, halved: what `imresize` gives for a half.
    const WEIGHTS: [f64; 4] = [0.433_593_75, 0.113_281_25, -0.035_156_25, -0.011_718_75];
    let mirrored = |index: isize, length: usize| {
        let folded = index.rem_euclid(2 * length as isize) as usize;
        folded.min(2 * length - 1 - folded)
    };
    let taps = |output: usize, length: usize| {
        WEIGHTS.into_iter().enumerate().map(move |(tap, weight)| {
            let (near, far) = (2 * output as isize - tap as isize, 2 * output as isize + 1 + tap as isize);
            (weight, mirrored(near, length), mirrored(far, length))
        })
    };
    let down = Levels::from_rows((levels.width, levels.height / 2), |y, row| {
        for (weight, near, far) in taps(y, levels.height) {
            let pairs = levels.row(near).iter().zip(levels.row(far));
            row.iter_mut().zip(pairs).for_each(|(sum, (near, far))| *sum += weight * (near + far));
        }
        row.iter_mut().for_each(|level| *level = in_f32(*level / 255.0));
    });
    Levels::from_rows((levels.width / 2, levels.height / 2), |y, row| {
        let source = down.row(y);
        for (x, target) in row.iter_mut().enumerate() {
            let taps = taps(x, levels.width);
            let sum: f64 = taps.map(|(weight, near, far)| weight * (source[near] + source[far])).sum();
            *target = f64::from(sum as f32 * 255.0);
        }
    })
}

#[cfg(test)]
mod tests {
    use esrgan_core::Plane;

    use super::*;

    #[test]
    fn halving_keeps_flat_levels_and_slopes() {
        let slope = Levels::from_rows((16, 12), |y, row| {
            row.iter_mut().enumerate().for_each(|(x, level)| *level = 3.0 * x as f64 - 2.0 * y as f64);
        });
        let half = halved(&slope);
        assert_eq!((half.width, half.height), (8, 6));
        // A new pixel lies between two old ones.
        assert!((half.row(3)[4] - (3.0 * 8.5 - 2.0 * 6.5)).abs() < 1e-12);
    }

    #[test]
    fn pictures_without_texture_or_too_small_are_refused() {
        let flat = |width: usize, height: usize| Picture {
            color: vec![Plane::filled(width, height, 0.5); 3],
            alpha: None,
        };
        assert!(matches!(niqe(&flat(300, 200), 4), Err(MetricError::Undefined { metric: "NIQE", .. })));
        assert!(matches!(niqe(&flat(100, 100), 0), Err(MetricError::TooSmall { .. })));
    }
}
