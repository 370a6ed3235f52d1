//! Peak signal-to-noise ratio.

use esrgan_core::Picture;

use crate::error::MetricError;
use crate::luma::{Channels, Levels, both_levels};

/// PSNR of red, green and blue together, in dB.
///
/// ```text
/// 10 * log10(255^2 / mean over pixels and colours of (reference - candidate)^2)
/// ```
///
/// # Values
/// Samples in 0..1 as 8-bit levels in f64, not rounded. `border_px` pixels are cut off at each side. Equal pictures give
/// infinity.
///
/// # Errors
/// [`MetricError::Size`], [`MetricError::Channels`], [`MetricError::TooSmall`], [`MetricError::NotFinite`].
///
/// # Source
/// BasicSR's `calculate_psnr`, whose digits it gives.
pub fn psnr_rgb_db(reference: &Picture, candidate: &Picture, border_px: usize) -> Result<f64, MetricError> {
    psnr_db((reference, candidate), Channels::Colors, border_px)
}

/// PSNR of luma, in dB: as [`psnr_rgb_db`], of Y of BT.601 on levels 16 to 235, which is what the papers print.
///
/// # Errors
/// As [`psnr_rgb_db`].
///
/// # Source
/// BasicSR's `calculate_psnr` with `test_y_channel`; luma as MATLAB's `rgb2ycbcr`, not rounded.
pub fn psnr_y_db(reference: &Picture, candidate: &Picture, border_px: usize) -> Result<f64, MetricError> {
    psnr_db((reference, candidate), Channels::Luma, border_px)
}

fn psnr_db(pictures: (&Picture, &Picture), channels: Channels, border_px: usize) -> Result<f64, MetricError> {
    let planes = both_levels(pictures, channels, border_px, ("PSNR", 1))?;
    let count: usize = planes.iter().map(|(plane, _)| plane.values.len()).sum();
    let squares: f64 = planes.iter().map(|(reference, candidate)| squared_error(reference, candidate)).sum();
    Ok(10.0 * (255.0 * 255.0 / (squares / count as f64)).log10())
}

fn squared_error(reference: &Levels, candidate: &Levels) -> f64 {
    let squares = Levels::from_rows((reference.width, reference.height), |y, target| {
        let pairs = reference.row(y).iter().zip(candidate.row(y));
        target.iter_mut().zip(pairs).for_each(|(square, (a, b))| *square = (a - b).powi(2));
    });
    squares.sum_of(|square| square)
}

#[cfg(test)]
mod tests {
    use esrgan_core::Plane;

    use super::*;

    fn flat(level: f32) -> Picture {
        Picture { color: vec![Plane::filled(12, 10, level / 255.0); 3], alpha: None }
    }

    #[test]
    fn a_step_everywhere_has_a_known_psnr() {
        // Every sample is off by 5: 20 log10(255 / 5).
        let found = psnr_rgb_db(&flat(100.0), &flat(105.0), 2).unwrap();
        assert!((found - 20.0 * 51f64.log10()).abs() < 1e-6, "{found}");
        // Luma's range is 219 of 255 levels.
        let found = psnr_y_db(&flat(100.0), &flat(105.0), 0).unwrap();
        assert!((found - 20.0 * (51.0f64 * 255.0 / 219.0).log10()).abs() < 1e-4, "{found}");
        assert_eq!(psnr_y_db(&flat(3.0), &flat(3.0), 1), Ok(f64::INFINITY));
    }

    #[test]
    fn the_border_is_not_seen() {
        let mut other = flat(100.0);
        other.color[0].samples_mut()[0] = 1.0;
        assert!(psnr_rgb_db(&flat(100.0), &other, 0).unwrap().is_finite());
        assert_eq!(psnr_rgb_db(&flat(100.0), &other, 1), Ok(f64::INFINITY));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let gray = Picture { color: vec![Plane::filled(12, 10, 0.5)], alpha: None };
        assert_eq!(psnr_y_db(&gray, &gray, 0), Err(MetricError::Channels { found: 1 }));
        let small = Picture { color: vec![Plane::filled(12, 9, 0.5); 3], alpha: None };
        let expected = MetricError::Size { reference: (12, 10), candidate: (12, 9) };
        assert_eq!(psnr_y_db(&flat(1.0), &small, 0), Err(expected));
        let error = psnr_y_db(&flat(1.0), &flat(1.0), 5).unwrap_err();
        assert!(matches!(error, MetricError::TooSmall { size: (2, 0), .. }), "{error}");
        let mut broken = flat(1.0);
        broken.color[2].samples_mut()[5] = f32::NAN;
        assert_eq!(psnr_rgb_db(&flat(1.0), &broken, 0), Err(MetricError::NotFinite));
    }
}
