//! The spectral norm of a convolution's weights.
//!
//! Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, section 2.1 and algorithm 1; as PyTorch's
//! `torch.nn.utils.spectral_norm` has it, with one power iteration for each pass.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::operation::{Operation, apply, flat, values};

/// Below this, lengths are taken for this: PyTorch's.
const EPSILON: f64 = 1e-12;

/// One power iteration: `right` becomes the direction of `W' left`, `left` that of `W right`, `W` being the weights with a row for
/// each output. Sums are taken in f64.
pub(crate) fn moved_direction(weights: &[f32], left: &mut [f32], right: &mut [f32]) {
    let mut sums = vec![0.0_f64; right.len()];
    for (row, factor) in weights.chunks_exact(right.len()).zip(left.iter()) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(*weight) * f64::from(*factor));
    }
    set_direction(right, &sums);
    set_direction(left, &products(weights, right));
}

/// `W right`.
fn products(weights: &[f32], right: &[f32]) -> Vec<f64> {
    let product = |row: &[f32]| row.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    weights.chunks_exact(right.len()).map(product).collect()
}

fn set_direction(direction: &mut [f32], values: &[f64]) {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt().max(EPSILON);
    direction.iter_mut().zip(values).for_each(|(direction, value)| *direction = (value / length) as f32);
}

/// The weights divided by `left' W right`, through which the gradient flows; the directions are constants.
pub(crate) fn normalised(weights: Tensor<1>, left: &[f32], right: &[f32]) -> Tensor<1> {
    apply(Normalisation { left: left.to_vec(), right: right.to_vec() }, [weights])
}

/// Normalised weights, and the directions that they are normalised by, on any device and in `f32`.
pub(crate) struct Normed {
    /// The weights divided by `left' W right`, through which the gradient flows.
    pub(crate) weights: Tensor<1>,
    /// The direction that has been moved, without autodiff.
    pub(crate) left: Tensor<1>,
    /// The other one.
    pub(crate) right: Tensor<1>,
}

impl Normed {
    /// As [`moved_direction`] and [`normalised`] have it; `right` gives its length alone, as each iteration begins with `left`.
    pub(crate) fn of(weights: Tensor<1>, left: Tensor<1>, right: Tensor<1>) -> Self {
        let (rows, columns) = (left.dims()[0], right.dims()[0]);
        let matrix = weights.clone().without_autodiff().reshape([rows, columns]);
        let right = direction((matrix.clone() * left.reshape([rows, 1])).sum_dim(0));
        let left = direction((matrix * right.clone()).sum_dim(1));
        let products = weights.clone().reshape([rows, columns]) * (left.clone() * right.clone()).autodiff();
        let norm = products.sum_dim(1).sum_dim(0);
        let weights = weights / norm.reshape([1]);
        Self { weights, left: left.reshape([rows]), right: right.reshape([columns]) }
    }
}

/// A row or a column, divided by its length.
fn direction(values: Tensor<2>) -> Tensor<2> {
    let length = values.clone().powi_scalar(2).sum_dim(0).sum_dim(1).sqrt().clamp_min(EPSILON);
    values / length
}

#[derive(Clone, Debug)]
struct Normalisation {
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Operation<1> for Normalisation {
    /// The normalised weights and their norm.
    type State = (FlexTensor, f64);

    fn forward(&self, [weights]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, Self::State) {
        let weights = values(&weights);
        let products = products(weights, &self.right);
        let norm: f64 =
            products.iter().zip(&self.left).map(|(product, left)| product * f64::from(*left)).sum();
        let factor = 1.0 / norm;
        let output = flat(weights.iter().map(|weight| (f64::from(*weight) * factor) as f32).collect());
        (output.clone(), (output, norm))
    }

    /// With `N = W / s` and `s = left' W right`: `(G - <G, N> left right') / s`.
    fn backward(
        &self,
        (output, norm): &Self::State,
        gradient: &FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let (output, gradient) = (values(output), values(gradient));
        let along: f64 = output.iter().zip(gradient).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let rows = gradient.chunks_exact(self.right.len()).zip(&self.left);
        let found = rows.flat_map(|(row, left)| {
            let factor = along * f64::from(*left);
            let elements = row.iter().zip(&self.right);
            elements.map(move |(gradient, right)| {
                ((f64::from(*gradient) - factor * f64::from(*right)) / norm) as f32
            })
        });
        [Some(flat(found.collect()))]
    }
}
