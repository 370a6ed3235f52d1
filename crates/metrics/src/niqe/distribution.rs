//! The asymmetric generalised Gaussian distribution, fitted by its moments.

use std::sync::OnceLock;

use libm::tgamma;

/// A fitted distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asymmetric {
    /// 1 for a Laplacian, 2 for a Gaussian.
    pub(crate) shape: f64,
    /// The scale of values below zero.
    pub(crate) left: f64,
    /// The scale of values above zero.
    pub(crate) right: f64,
}

/// Shapes that are tried, and for each the ratio of moments that it gives.
const LEAST_SHAPE: f64 = 0.2;
const STEP: f64 = 0.001;
const SHAPES: usize = 9801;

fn ratios() -> &'static [(f64, f64)] {
    static RATIOS: OnceLock<Vec<(f64, f64)>> = OnceLock::new();
    RATIOS.get_or_init(|| {
        let shapes = (0..SHAPES).map(|i| LEAST_SHAPE + STEP * i as f64);
        let ratio = |shape: f64| {
            let inverse = 1.0 / shape;
            tgamma(2.0 * inverse).powi(2) / (tgamma(inverse) * tgamma(3.0 * inverse))
        };
        shapes.map(|shape| (shape, ratio(shape))).collect()
    })
}

impl Asymmetric {
    /// The distribution whose moments are those of the values; not a number where there are none on one side of zero.
    ///
    /// # Source
    /// Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", 2009, section 3; the shapes
    /// that are tried are those of Mittal et al.'s published program.
    pub(crate) fn fit(values: impl Iterator<Item = f64>) -> Self {
        // Below zero, above zero: number and sum of squares.
        let (mut below, mut above) = ((0usize, 0.0), (0usize, 0.0));
        let (mut count, mut magnitudes) = (0usize, 0.0);
        for value in values {
            let side = if value < 0.0 { &mut below } else { &mut above };
            *side = (side.0 + usize::from(value != 0.0), side.1 + value * value);
            count += 1;
            magnitudes += value.abs();
        }
        let deviation = |(count, squares): (usize, f64)| (squares / count as f64).sqrt();
        let (left, right) = (deviation(below), deviation(above));
        let quotient = left / right;
        let ratio = (magnitudes / count as f64).powi(2) / ((below.1 + above.1) / count as f64);
        let wanted = ratio * (quotient.powi(3) + 1.0) * (quotient + 1.0) / (quotient.powi(2) + 1.0).powi(2);
        if !wanted.is_finite() {
            return Self { shape: f64::NAN, left: f64::NAN, right: f64::NAN };
        }
        // The ratio grows with the shape.
        let ratios = ratios();
        let next = ratios.partition_point(|(_, ratio)| *ratio < wanted).min(SHAPES - 1);
        let distance = |index: usize| (ratios[index].1 - wanted).abs();
        let nearest = if next > 0 && distance(next - 1) <= distance(next) { next - 1 } else { next };
        let shape = ratios[nearest].0;
        let scale = (tgamma(1.0 / shape) / tgamma(3.0 / shape)).sqrt();
        Self { shape, left: left * scale, right: right * scale }
    }

    /// Its mean.
    pub(crate) fn mean(&self) -> f64 {
        (self.right - self.left) * tgamma(2.0 / self.shape) / tgamma(1.0 / self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_grow_with_the_shape() {
        assert!(ratios().windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    /// A Laplacian's quantiles: shape 1, and a scale for each side.
    #[test]
    fn a_laplacian_is_recognised() {
        let count = 200_000;
        let values = (0..count).map(|i| {
            let quantile = (f64::from(i) + 0.5) / f64::from(count);
            // One third of the values below zero, with half the scale.
            if quantile < 1.0 / 3.0 { (3.0 * quantile).ln() } else { -2.0 * (1.5 * (1.0 - quantile)).ln() }
        });
        let fitted = Asymmetric::fit(values);
        assert!((fitted.shape - 1.0).abs() < 0.01, "{fitted:?}");
        assert!((fitted.left - 1.0).abs() < 0.02 && (fitted.right - 2.0).abs() < 0.04, "{fitted:?}");
        assert!((fitted.mean() - (fitted.right - fitted.left)).abs() < 0.02);
    }

    #[test]
    fn one_sided_values_have_no_fit() {
        assert!(Asymmetric::fit([1.0, 2.0].into_iter()).shape.is_nan());
        assert!(Asymmetric::fit([0.0; 3].into_iter()).shape.is_nan());
    }
}
