//! Means under a Gaussian window.

use crate::luma::Levels;

/// The weights of a Gaussian of `length` samples, which add up to one.
pub(crate) fn gaussian(length: usize, sigma: f64) -> Vec<f64> {
    let centre = (length as f64 - 1.0) / 2.0;
    let weights = (0..length).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * sigma * sigma)).exp());
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The mean under the window around every pixel at which the window lies inside of the picture.
pub(crate) fn valid_means(levels: &Levels, window: &[f64]) -> Levels {
    let (width, height) = (levels.width + 1 - window.len(), levels.height + 1 - window.len());
    let across = Levels::from_rows((width, levels.height), |y, target| {
        let row = levels.row(y);
        for (tap, weight) in window.iter().enumerate() {
            target.iter_mut().zip(&row[tap..]).for_each(|(sum, level)| *sum += weight * level);
        }
    });
    Levels::from_rows((width, height), |y, target| {
        for (tap, weight) in window.iter().enumerate() {
            target.iter_mut().zip(across.row(y + tap)).for_each(|(sum, level)| *sum += weight * level);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_sums_over_the_window() {
        let window = gaussian(3, 1.5);
        assert!((window.iter().sum::<f64>() - 1.0).abs() < 1e-15 && window[0] == window[2]);
        let levels = Levels::from_rows((5, 4), |y, row| {
            row.iter_mut().enumerate().for_each(|(x, level)| *level = ((x * 7 + y * y * 3) % 11) as f64);
        });
        let means = valid_means(&levels, &window);
        assert_eq!((means.width, means.height), (3, 2));
        let taps = (0..9).map(|tap| window[tap / 3] * window[tap % 3] * levels.row(1 + tap / 3)[2 + tap % 3]);
        assert!((means.row(1)[2] - taps.sum::<f64>()).abs() < 1e-12);
    }
}
