//! The 3x3 convolution on any device, as a product of matrices; see [`super::columns`].

use std::ops::Range;

use burn::tensor::{Tensor, activation};

use super::columns::{Shape, TAPS, Taps, columns, filter_gradient, slopes, straight_filters, turned_filters};
use super::product::{Half, multiply, narrowed, scaled, unscaled};
use crate::tensor_operation::TensorOperation;

/// Most values of a matrix of columns, unless one sample has more: 256 MB. A device's buffers have limits, some of 1 GB.
pub(super) const MOST_COLUMN_VALUES: usize = 1 << 26;

/// A convolution, see [`super::Map::conv3x3`], over `[sample][row][column][channel]`. Inputs are the map, weights and biases.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    /// Of the input.
    pub(super) shape: Shape,
    /// Channels of the output.
    pub(super) outputs: usize,
    /// How many times the map is enlarged by repetition first.
    pub(super) factor: usize,
    /// The slope of the leaky ReLU behind it, if there is one.
    pub(super) slope: Option<f32>,
    /// In what it multiplies, if not in `f32`.
    pub(super) half: Option<Half>,
    /// Most values of a matrix of columns, unless one sample has more.
    pub(super) most_values: usize,
}

impl Convolution {
    fn filters(&self, weights: &Tensor<1>) -> Tensor<3> {
        weights.clone().reshape([self.outputs, self.shape[1], TAPS])
    }

    /// The output's height and width.
    fn size(&self) -> (usize, usize) {
        (self.shape[2] * self.factor, self.shape[3] * self.factor)
    }

    /// Samples that are multiplied together, so that a matrix of so many channels' columns stays small.
    fn parts(&self, channels: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (samples, (height, width)) = (self.shape[0], self.size());
        let step = (self.most_values / (height * width * TAPS * channels)).clamp(1, samples.max(1));
        (0..samples).step_by(step).map(move |first| first..samples.min(first + step))
    }

    /// Samples of a map as the convolution sees them, enlarged.
    fn seen(&self, map: &Tensor<1>, part: Range<usize>) -> Tensor<4> {
        let [samples, channels, height, width] = self.shape;
        let (count, factor) = (part.len(), self.factor);
        let map = map.clone().reshape([samples, height, width, channels]).slice([part]);
        if factor == 1 {
            return map;
        }
        let map = map.reshape([count, height, 1, width, 1, channels]);
        let map = map.expand([count, height, factor, width, factor, channels]);
        map.reshape([count, height * factor, width * factor, channels])
    }

    /// The sums of the squares that pixels were repeated to.
    fn gathered(&self, enlarged: Tensor<2>, samples: usize) -> Tensor<1> {
        let [_, channels, height, width] = self.shape;
        let count = samples * height * width * channels;
        if self.factor == 1 {
            return enlarged.reshape([count]);
        }
        let squares = enlarged.reshape([samples * height, self.factor, width, self.factor, channels]);
        squares.sum_dim(3).sum_dim(1).reshape([count])
    }

    /// The gradient of the sums before the activation: rows of pixels.
    fn of_sums(&self, gradient: Tensor<1>, output: Option<&Tensor<1>>) -> Tensor<2> {
        let (height, width) = self.size();
        let rows = [self.shape[0] * height * width, self.outputs];
        let gradient = gradient.reshape(rows);
        match (self.slope, output) {
            (Some(slope), Some(output)) => gradient * slopes(output.clone().reshape(rows), slope),
            _ => gradient,
        }
    }
}

impl TensorOperation<3> for Convolution {
    fn forward(&self, [map, weights, biases]: [Tensor<1>; 3]) -> (Tensor<1>, Vec<Tensor<1>>) {
        let filters = narrowed(straight_filters(self.filters(&weights)), self.half);
        let biases = biases.reshape([1, self.outputs]);
        let parts = self.parts(self.shape[1]).map(|part| {
            let columns = columns(self.seen(&map, part), Taps::Straight, self.half);
            multiply(columns, filters.clone(), self.half) + biases.clone()
        });
        let output = joined(parts.collect());
        let output = match self.slope {
            Some(0.0) => activation::relu(output),
            Some(slope) => activation::leaky_relu(output, f64::from(slope)),
            None => output,
        };
        let count = output.shape().num_elements();
        let output = output.reshape([count]);
        let mut kept = vec![map, weights];
        kept.extend(self.slope.map(|_| output.clone()));
        (output, kept)
    }

    fn backward(
        &self,
        kept: Vec<Tensor<1>>,
        gradient: Tensor<1>,
        wants: [bool; 3],
    ) -> [Option<Tensor<1>>; 3] {
        let [map, weights, output @ ..] = kept.as_slice() else { return [None, None, None] };
        let gradient = self.of_sums(gradient, output.first());
        let (height, width) = self.size();
        let of_biases = wants[2].then(|| gradient.clone().sum_dim(0).reshape([self.outputs]));
        let (gradient, factor) = scaled(gradient, self.half);
        let filters = narrowed(turned_filters(self.filters(weights)), self.half);
        let mut of_map = Vec::new();
        let mut of_weights: Option<Tensor<1>> = None;
        for part in self.parts(self.outputs) {
            let samples = part.len();
            let rows = part.start * height * width..part.end * height * width;
            let gradient = gradient.clone().slice([rows]).reshape([samples, height, width, self.outputs]);
            let columns = columns(gradient, Taps::Turned, self.half);
            if wants[0] {
                let products = multiply(columns.clone(), filters.clone(), self.half);
                of_map.push(self.gathered(unscaled(products, &factor), samples));
            }
            if wants[1] {
                let seen = self.seen(map, part).reshape([samples * height * width, self.shape[1]]);
                let found = filter_gradient(columns, narrowed(seen, self.half), self.half);
                let found = unscaled(found, &factor);
                of_weights = Some(match of_weights {
                    Some(sum) => sum + found,
                    None => found,
                });
            }
        }
        [wants[0].then(|| joined(of_map)), of_weights, of_biases]
    }
}

/// Parts behind each other.
fn joined<const D: usize>(mut parts: Vec<Tensor<D>>) -> Tensor<D> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::reduction::to_host;

    /// However few samples are multiplied together, output and gradients are the same, but for the order of sums.
    #[test]
    fn parts_make_the_same_whole() {
        let tensor = |seed: usize, count: usize| {
            let value = |index: usize| ((index * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0;
            let values: Vec<f32> = (0..count).map(value).collect();
            Tensor::<1>::from_data(TensorData::new(values, [count]), &Device::flex())
        };
        let shape = [5, 3, 4, 6];
        let inputs = || [tensor(1, 5 * 3 * 4 * 6), tensor(2, 7 * 3 * 9), tensor(3, 7)];
        let gradient = || tensor(4, 5 * 7 * 8 * 12);
        let of_sample = 8 * 12 * 9 * 3;
        let found = [1, 2 * of_sample, 100 * of_sample].map(|most_values| {
            let layer =
                Convolution { shape, outputs: 7, factor: 2, slope: Some(0.2), half: None, most_values };
            let (output, kept) = layer.forward(inputs());
            let gradients = layer.backward(kept, gradient(), [true; 3]);
            let gradients = gradients.map(|found| to_host(found.expect("a gradient that is wanted")));
            std::iter::once(to_host(output)).chain(gradients).collect::<Vec<_>>()
        });
        for parts in &found[..2] {
            for (part, whole) in parts.iter().zip(&found[2]) {
                assert_eq!(part.len(), whole.len());
                let largest = whole.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                // Sums of up to 480 products, whose roundings add up as their root does.
                let bound = 32.0 * f32::EPSILON * largest;
                assert!(part.iter().zip(whole).all(|(part, whole)| (part - whole).abs() <= bound));
            }
        }
    }
}
