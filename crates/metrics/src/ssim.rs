//! Structural similarity, on one scale and on five.

use esrgan_core::Picture;

use crate::error::MetricError;
use crate::luma::{Channels, Levels, both_levels};
use crate::window::{gaussian, valid_means};

/// The window's side, and its standard deviation (Wang, Bovik, Sheikh and Simoncelli 2004, section III.C).
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// The constants that keep quotients of small numbers stable: K1 and K2 there, for levels up to 255.
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
/// The scales' exponents (Wang, Simoncelli and Bovik 2003, section 3.2).
const EXPONENTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// SSIM of luma.
///
/// # Values
/// Samples in 0..1 as 8-bit levels, Y of BT.601 on levels 16 to 235; `border_px` pixels are cut off at each side. Equal
/// pictures give 1.
///
/// # Numerics
/// f64, a Gaussian window of 11x11 with standard deviation 1.5, over the pixels around which it lies inside of the picture.
///
/// # Errors
/// [`MetricError::Size`], [`MetricError::Channels`], [`MetricError::TooSmall`], [`MetricError::NotFinite`].
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004,
/// equation 13; BasicSR's `calculate_ssim` with `test_y_channel`, whose digits it gives.
pub fn ssim_y(reference: &Picture, candidate: &Picture, border_px: usize) -> Result<f64, MetricError> {
    ssim((reference, candidate), Channels::Luma, border_px)
}

/// The mean of the SSIM of red, of green and of blue: see [`ssim_y`].
///
/// # Errors
/// As [`ssim_y`].
///
/// # Source
/// BasicSR's `calculate_ssim`.
pub fn ssim_rgb(reference: &Picture, candidate: &Picture, border_px: usize) -> Result<f64, MetricError> {
    ssim((reference, candidate), Channels::Colors, border_px)
}

fn ssim(pictures: (&Picture, &Picture), channels: Channels, border_px: usize) -> Result<f64, MetricError> {
    let planes = both_levels(pictures, channels, border_px, ("SSIM", WINDOW))?;
    let sum: f64 = planes.iter().map(|(reference, candidate)| similarity(reference, candidate).whole).sum();
    Ok(sum / planes.len() as f64)
}

/// SSIM of luma over five scales: contrast and structure of all, brightness of the coarsest.
///
/// # Values
/// As [`ssim_y`]. A mean of contrast and structure below zero counts as zero.
///
/// # Numerics
/// From scale to scale, means of 2x2 pixels; an odd last column or row is left out.
///
/// # Errors
/// As [`ssim_y`]; at least 176 pixels a side are needed, so that the window fits into the coarsest scale.
///
/// # Source
/// Wang, Simoncelli and Bovik, "Multiscale Structural Similarity for Image Quality Assessment", 2003, equation 7.
pub fn ms_ssim_y(reference: &Picture, candidate: &Picture, border_px: usize) -> Result<f64, MetricError> {
    let least = WINDOW << (EXPONENTS.len() - 1);
    let planes = both_levels((reference, candidate), Channels::Luma, border_px, ("MS-SSIM", least))?;
    let mut product = 1.0;
    for (mut a, mut b) in planes {
        for (scale, exponent) in EXPONENTS.iter().enumerate() {
            let similarity = similarity(&a, &b);
            let is_coarsest = scale + 1 == EXPONENTS.len();
            let factor = if is_coarsest { similarity.whole } else { similarity.contrast };
            product *= factor.max(0.0).powf(*exponent);
            (a, b) = (halved(&a), halved(&b));
        }
    }
    Ok(product)
}

/// Means over a picture.
struct Similarity {
    /// Of SSIM.
    whole: f64,
    /// Of its factors contrast and structure.
    contrast: f64,
}

fn similarity(a: &Levels, b: &Levels) -> Similarity {
    let window = gaussian(WINDOW, SIGMA);
    let size = (a.width, a.height);
    let mean_of = |value: &(dyn Fn(f64, f64) -> f64 + Sync)| {
        let values = Levels::from_rows(size, |y, target| {
            let pairs = a.row(y).iter().zip(b.row(y));
            target.iter_mut().zip(pairs).for_each(|(target, (a, b))| *target = value(*a, *b));
        });
        valid_means(&values, &window)
    };
    let (mean_a, mean_b) = (mean_of(&|a, _| a), mean_of(&|_, b| b));
    let (squares_a, squares_b) = (mean_of(&|a, _| a * a), mean_of(&|_, b| b * b));
    let products = mean_of(&|a, b| a * b);
    let size = (mean_a.width, mean_a.height);
    let contrast = Levels::from_rows(size, |y, target| {
        for (x, target) in target.iter_mut().enumerate() {
            let (mean_a, mean_b) = (mean_a.row(y)[x], mean_b.row(y)[x]);
            let variances = squares_a.row(y)[x] - mean_a * mean_a + squares_b.row(y)[x] - mean_b * mean_b;
            let covariance = products.row(y)[x] - mean_a * mean_b;
            *target = (2.0 * covariance + C2) / (variances + C2);
        }
    });
    let whole = Levels::from_rows(size, |y, target| {
        for (x, target) in target.iter_mut().enumerate() {
            let (mean_a, mean_b) = (mean_a.row(y)[x], mean_b.row(y)[x]);
            let brightness = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
            *target = brightness * contrast.row(y)[x];
        }
    });
    Similarity { whole: whole.mean(), contrast: contrast.mean() }
}

/// Means of 2x2 levels.
fn halved(levels: &Levels) -> Levels {
    Levels::from_rows((levels.width / 2, levels.height / 2), |y, target| {
        let (upper, lower) = (levels.row(2 * y), levels.row(2 * y + 1));
        for (x, target) in target.iter_mut().enumerate() {
            *target = (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]) / 4.0;
        }
    })
}

#[cfg(test)]
mod tests {
    use esrgan_core::Plane;

    use super::*;

    fn flat(side: usize, level: f32) -> Picture {
        Picture { color: vec![Plane::filled(side, side, level / 255.0); 3], alpha: None }
    }

    #[test]
    fn flat_pictures_differ_in_brightness_alone() {
        // Without variance SSIM is its factor of brightness.
        let expected = (2.0 * 100.0 * 150.0 + C1) / (100.0f64.powi(2) + 150.0f64.powi(2) + C1);
        let found = ssim_rgb(&flat(30, 100.0), &flat(30, 150.0), 3).unwrap();
        assert!((found - expected).abs() < 1e-5, "{found}");
        // Of which MS-SSIM sees the coarsest scale only.
        let luma = |level: f64| 16.0 + 219.0 * level / 255.0;
        let (a, b) = (luma(100.0), luma(150.0));
        let expected = ((2.0 * a * b + C1) / (a * a + b * b + C1)).powf(EXPONENTS[4]);
        let found = ms_ssim_y(&flat(180, 100.0), &flat(180, 150.0), 0).unwrap();
        assert!((found - expected).abs() < 1e-5, "{found}");
    }

    #[test]
    fn small_pictures_are_refused() {
        let error = ssim_y(&flat(14, 1.0), &flat(14, 1.0), 2).unwrap_err();
        assert!(matches!(error, MetricError::TooSmall { least: 11, size: (10, 10), .. }), "{error}");
        assert!(matches!(ms_ssim_y(&flat(175, 1.0), &flat(175, 1.0), 0), Err(MetricError::TooSmall { .. })));
        assert_eq!(ms_ssim_y(&flat(176, 1.0), &flat(176, 1.0), 0), Ok(1.0));
    }
}
