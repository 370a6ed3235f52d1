//! Multivariate Gaussians: that of pristine photographs, and the one that a picture's blocks give.

/// Features of a block, of both scales.
pub(crate) const FEATURES: usize = 36;

/// The published model, `f64` in little-endian order: 36 means, then the 666 covariances `[row][column <= row]`. Written by
/// `data/make_pristine.py`.
const PRISTINE: &[u8] = include_bytes!("../../data/niqe_pristine.bin");

/// Mean and covariance.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    mean: [f64; FEATURES],
    covariance: [[f64; FEATURES]; FEATURES],
}

impl Model {
    /// The model of some blocks; `None` where fewer than two have all features. A feature's mean is that of all blocks that
    /// have it.
    pub(crate) fn of(blocks: &[[f64; FEATURES]]) -> Option<Self> {
        let mean = std::array::from_fn(|feature| {
            let present = blocks.iter().map(|block| block[feature]).filter(|value| !value.is_nan());
            let (count, sum) = present.fold((0usize, 0.0), |(count, sum), value| (count + 1, sum + value));
            sum / count as f64
        });
        let whole: Vec<_> = blocks.iter().filter(|block| block.iter().all(|value| !value.is_nan())).collect();
        if whole.len() < 2 {
            return None;
        }
        let centre: [f64; FEATURES] = std::array::from_fn(|feature| {
            whole.iter().map(|block| block[feature]).sum::<f64>() / whole.len() as f64
        });
        let covariance = |a: usize, b: usize| {
            let products = whole.iter().map(|block| (block[a] - centre[a]) * (block[b] - centre[b]));
            products.sum::<f64>() / (whole.len() - 1) as f64
        };
        let covariance = std::array::from_fn(|a| std::array::from_fn(|b| covariance(a, b)));
        Some(Self { mean, covariance })
    }

    /// That of pristine photographs.
    fn pristine() -> Self {
        let mut numbers = PRISTINE.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let mut next = || numbers.next().expect("the model is whole: `data/make_pristine.py` wrote it");
        let mean = std::array::from_fn(|_| next());
        let triangle: Vec<Vec<f64>> = (0..FEATURES).map(|row| (0..=row).map(|_| next()).collect()).collect();
        let covariance = std::array::from_fn(|row| {
            std::array::from_fn(|column| triangle[row.max(column)][row.min(column)])
        });
        Self { mean, covariance }
    }

    /// The distance to pristine photographs; `None` where a covariance is degenerate.
    ///
    /// ```text
    /// sqrt((m1 - m2)' inverse((c1 + c2) / 2) (m1 - m2))
    /// ```
    pub(crate) fn distance_to_pristine(&self) -> Option<f64> {
        let pristine = Self::pristine();
        let difference: [f64; FEATURES] = std::array::from_fn(|i| pristine.mean[i] - self.mean[i]);
        let covariance: [[f64; FEATURES]; FEATURES] = std::array::from_fn(|row| {
            std::array::from_fn(|column| {
                (pristine.covariance[row][column] + self.covariance[row][column]) / 2.0
            })
        });
        // With the factor L of the covariance, the form is the square of inverse(L) (m1 - m2).
        let factor = cholesky(&covariance)?;
        let mut solved: Vec<f64> = Vec::with_capacity(FEATURES);
        for (row, difference) in factor.iter().zip(difference) {
            let sum: f64 = row.iter().zip(&solved).map(|(factor, solved)| factor * solved).sum();
            solved.push((difference - sum) / row[solved.len()]);
        }
        Some(solved.iter().map(|value| value * value).sum::<f64>().sqrt())
    }
}

/// The lower triangular factor of a positive definite matrix; `None` for another.
fn cholesky<const N: usize>(matrix: &[[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let mut factor = [[0.0; N]; N];
    for row in 0..N {
        for column in 0..=row {
            let sum: f64 = (0..column).map(|i| factor[row][i] * factor[column][i]).sum();
            let rest = matrix[row][column] - sum;
            factor[row][column] = if row == column {
                if rest > 0.0 { rest.sqrt() } else { return None }
            } else {
                rest / factor[column][column]
            };
        }
    }
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_model_is_whole_and_near_itself() {
        assert_eq!(PRISTINE.len(), 8 * (FEATURES + FEATURES * (FEATURES + 1) / 2));
        let pristine = Model::pristine();
        assert_eq!(pristine.distance_to_pristine(), Some(0.0));
        let mut moved = pristine.clone();
        moved.mean[0] += 1.0;
        assert!(moved.distance_to_pristine().unwrap() > 0.1);
    }

    #[test]
    fn a_factor_times_itself_is_the_matrix() {
        let matrix = [[4.0, 2.0, 1.0], [2.0, 5.0, 3.0], [1.0, 3.0, 6.0]];
        let factor = cholesky(&matrix).unwrap();
        for row in 0..3 {
            for column in 0..3 {
                let product: f64 = (0..3).map(|i| factor[row][i] * factor[column][i]).sum();
                assert!((product - matrix[row][column]).abs() < 1e-12);
            }
        }
        assert!(cholesky(&[[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
