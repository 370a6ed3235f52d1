//! The dense block on any device, as products of matrices.
//!
//! The columns of a map ([`super::columns`]) serve every convolution that reads it, side by side: five products in all instead of one
//! for each of fifteen pairs of map and convolution, and the map itself is never put behind others. Backwards, the columns of each
//! convolution's gradient serve the gradients of all its inputs and of its weights.

use burn::tensor::{Tensor, activation};

use super::columns::{Shape, TAPS, Taps, columns, filter_gradient, slopes, straight_filters, turned_filters};
use super::product::{Half, multiply, narrowed, scaled, unscaled};
use crate::tensor_operation::TensorOperation;

/// Convolutions of a block.
pub(super) const CONVOLUTIONS: usize = 5;
/// The slope of the leaky ReLU behind all but the last.
pub(super) const SLOPE: f32 = 0.2;

/// A residual dense block, see [`super::Map::dense_block`], over `[sample][row][column][channel]`. Inputs are the map, then weights,
/// then biases.
#[derive(Clone, Debug)]
pub(super) struct DenseBlock {
    /// Samples, channels, height, width.
    pub(super) shape: Shape,
    /// Channels that each of the first four convolutions adds.
    pub(super) growth: usize,
    /// What the last convolution is multiplied with.
    pub(super) scale: f32,
    /// In what it multiplies, if not in `f32`.
    pub(super) half: Option<Half>,
}

impl DenseBlock {
    fn pixels(&self) -> usize {
        self.shape[0] * self.shape[2] * self.shape[3]
    }

    /// Channels of map `index`: the input, then the features.
    fn channels(&self, index: usize) -> usize {
        if index == 0 { self.shape[1] } else { self.growth }
    }

    /// Channels of the maps before map `index`.
    fn first_channel(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.shape[1] + (index - 1) * self.growth }
    }

    /// Channels that convolution `index` gives.
    fn outputs(&self, index: usize) -> usize {
        if index + 1 == CONVOLUTIONS { self.shape[1] } else { self.growth }
    }

    /// A convolution's weights, `[output][input][tap]`.
    fn filters(&self, weights: &Tensor<1>, index: usize) -> Tensor<3> {
        weights.clone().reshape([self.outputs(index), self.first_channel(index + 1), TAPS])
    }

    /// What each pixel of a map sees.
    fn columns(&self, map: Tensor<2>, taps: Taps) -> Tensor<2> {
        let [samples, _, height, width] = self.shape;
        let channels = map.dims()[1];
        columns(map.reshape([samples, height, width, channels]), taps, self.half)
    }

    /// The weights with which convolutions `index` and all behind it see map `index`, side by side.
    fn weights_of_map(&self, weights: &[Tensor<1>], index: usize) -> Tensor<2> {
        let (first, count) = (self.first_channel(index), self.channels(index));
        let of_convolution = |convolution: usize| {
            straight_filters(self.filters(&weights[convolution], convolution).narrow(1, first, count))
        };
        Tensor::cat((index..CONVOLUTIONS).map(of_convolution).collect(), 1)
    }

    /// The sums of convolutions over maps that are made on the way: the features, and the last convolution's sum.
    fn features(
        &self,
        map: &Tensor<2>,
        weights: &[Tensor<1>],
        biases: Tensor<2>,
    ) -> (Vec<Tensor<2>>, Tensor<2>) {
        let mut features: Vec<Tensor<2>> = Vec::with_capacity(CONVOLUTIONS - 1);
        let mut sums = biases;
        for index in 0..CONVOLUTIONS {
            let seen = features.last().unwrap_or(map).clone();
            let columns = self.columns(seen, Taps::Straight);
            let filters = narrowed(self.weights_of_map(weights, index), self.half);
            sums = multiply(columns, filters, self.half) + sums;
            if index + 1 < CONVOLUTIONS {
                let own = sums.clone().narrow(1, 0, self.growth);
                features.push(activation::leaky_relu(own, f64::from(SLOPE)));
                sums = sums.clone().narrow(1, self.growth, sums.dims()[1] - self.growth);
            }
        }
        (features, sums)
    }
}

impl TensorOperation<11> for DenseBlock {
    fn forward(&self, inputs: [Tensor<1>; 11]) -> (Tensor<1>, Vec<Tensor<1>>) {
        let (pixels, channels) = (self.pixels(), self.shape[1]);
        let [map, parameters @ ..] = inputs;
        let (weights, biases) = parameters.split_at(CONVOLUTIONS);
        let input = map.clone().reshape([pixels, channels]);
        let biases = Tensor::cat(biases.to_vec(), 0);
        let width = biases.dims()[0];
        let (features, sum) = self.features(&input, weights, biases.reshape([1, width]));
        let output = map.clone() + sum.mul_scalar(self.scale).reshape([pixels * channels]);
        let features = features.into_iter().map(|feature| feature.reshape([pixels * self.growth]));
        let kept = std::iter::once(map).chain(features).chain(weights.iter().cloned());
        (output, kept.collect())
    }

    /// All gradients: those who train a block train its parameters.
    fn backward(&self, kept: Vec<Tensor<1>>, gradient: Tensor<1>, _: [bool; 11]) -> [Option<Tensor<1>>; 11] {
        let pixels = self.pixels();
        let (maps, weights) = kept.split_at(CONVOLUTIONS);
        let maps: Vec<Tensor<2>> = maps
            .iter()
            .enumerate()
            .map(|(index, map)| map.clone().reshape([pixels, self.channels(index)]))
            .collect();
        let seen = narrowed(Tensor::cat(maps.clone(), 1), self.half);
        let mut sum = gradient.clone().reshape([pixels, self.shape[1]]).mul_scalar(self.scale);
        // The gradients of the maps before the convolution that comes next, as far as those behind it see them.
        let mut of_maps: Option<Tensor<2>> = None;
        let (mut of_weights, mut of_biases) = (Vec::new(), Vec::new());
        for index in (0..CONVOLUTIONS).rev() {
            let (inputs, outputs) = (self.first_channel(index + 1), self.outputs(index));
            if let Some(found) = of_maps.take() {
                // Map `index + 1` is this convolution's, and no other convolution is left that sees it.
                let own = found.clone().narrow(1, inputs, outputs);
                sum = own * slopes(maps[index + 1].clone(), SLOPE);
                of_maps = Some(found.narrow(1, 0, inputs));
            }
            of_biases.push(sum.clone().sum_dim(0).reshape([outputs]));
            let (gradient, factor) = scaled(sum.clone(), self.half);
            let columns = self.columns(gradient, Taps::Turned);
            let filters = narrowed(turned_filters(self.filters(&weights[index], index)), self.half);
            let products = unscaled(multiply(columns.clone(), filters, self.half), &factor);
            of_maps = Some(match of_maps {
                Some(found) => found + products,
                None => products,
            });
            let of_weight = filter_gradient(columns, seen.clone().narrow(1, 0, inputs), self.half);
            of_weights.push(unscaled(of_weight, &factor));
        }
        let of_map = of_maps.map(|found| found.reshape([pixels * self.shape[1]]));
        let of_map = of_map.map_or(gradient.clone(), |found| gradient + found);
        let found =
            std::iter::once(of_map).chain(of_weights.into_iter().rev()).chain(of_biases.into_iter().rev());
        let found: Vec<_> = found.map(Some).collect();
        found.try_into().unwrap_or_else(|_| unreachable!("a gradient for each input"))
    }
}
