//! The layers on any device: ordinary operations of Burn, over flat tensors of `[sample][row][column][channel]`.
//!
//! That is the order in which Burn's kernels convolve, so that its permutations move no values. Gradients are found by Burn's graph,
//! but for 3x3 convolutions and dense blocks, whose are written by hand (`convolution`, `dense`). Whole tensors are summed by
//! `reduction`, for the same bits on the same device.

use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation, module};
use esrgan_gradients::Edge;

use super::convolution::{Convolution, MOST_COLUMN_VALUES};
use super::dense::{CONVOLUTIONS, DenseBlock, SLOPE};
use super::{COSINE_EPSILON, DeviceStatistics, EPSILON, Seen, Statistics, UNIT_EPSILON};
use crate::arithmetic::Arithmetic;
use crate::reduction::sum;
use crate::tensor_operation::apply;

/// Channels last, as `[sample][channel][row][column]`: the order of Burn's layers, not that of memory.
fn spread(map: Tensor<1>, [samples, channels, height, width]: [usize; 4]) -> Tensor<4> {
    map.reshape([samples, height, width, channels]).permute([0, 3, 1, 2])
}

/// The reverse of [`spread`].
fn flat(map: Tensor<4>) -> Tensor<1> {
    let count = map.shape().num_elements();
    map.permute([0, 2, 3, 1]).reshape([count])
}

/// An image batch, as a map holds it.
pub(super) fn of_images(images: Tensor<4>) -> Tensor<1> {
    flat(images)
}

/// The image batch of a map, contiguous.
pub(super) fn into_images(map: Tensor<1>, shape: [usize; 4]) -> Tensor<4> {
    let count = shape.iter().product::<usize>();
    spread(map, shape).reshape([count]).reshape(shape)
}

/// [`super::Map::cosines`].
pub(super) fn cosines(
    found: Tensor<1>,
    other: Tensor<1>,
    [samples, channels, height, width]: [usize; 4],
) -> Tensor<1> {
    let pixels = [samples * height * width, channels];
    let dot = |a: &Tensor<1>, b: &Tensor<1>| (a.clone() * b.clone()).reshape::<2, _>(pixels).sum_dim(1);
    let lengths = dot(&found, &found) * dot(&other, &other) + COSINE_EPSILON;
    sum(dot(&found, &other) / lengths.sqrt())
}

/// [`super::Map::unit_vectors`].
pub(super) fn unit_vectors(map: Tensor<1>, [samples, channels, height, width]: [usize; 4]) -> Tensor<1> {
    let pixels = map.reshape([samples * height * width, channels]);
    let squares = pixels.clone().powi_scalar(2).sum_dim(1).div_scalar(channels as f64) + UNIT_EPSILON;
    (pixels / squares.sqrt()).reshape([samples * height * width * channels])
}

/// [`super::Map::conv3x3`].
pub(super) fn conv3x3(
    (map, shape): (Tensor<1>, [usize; 4]),
    (weights, biases): (Tensor<1>, Tensor<1>),
    (factor, slope, edge): (usize, Option<f32>, Edge),
    arithmetic: Arithmetic,
) -> Tensor<1> {
    let (outputs, half) = (biases.dims()[0], arithmetic.half());
    let (map, shape) = ringed((map, shape), edge);
    let operation = Convolution { shape, outputs, factor, slope, half, most_values: MOST_COLUMN_VALUES };
    let found = apply(operation, [map, weights, biases], arithmetic.device);
    let [samples, _, height, width] = shape;
    without_ring((found, [samples, outputs, height * factor, width * factor]), factor * edge.ring())
}

/// A map in the ring that convolutions see, and its shape with it.
fn ringed((map, shape): (Tensor<1>, [usize; 4]), edge: Edge) -> (Tensor<1>, [usize; 4]) {
    let [samples, channels, height, width] = shape;
    match edge {
        Edge::Zero => (map, shape),
        Edge::Replicate => {
            let rows = repeated_ends(map.reshape([samples, height, width, channels]), 1);
            let shape = [samples, channels, height + 2, width + 2];
            (repeated_ends(rows, 2).reshape([shape.iter().product::<usize>()]), shape)
        }
    }
}

/// With the first and the last place along a dimension twice.
fn repeated_ends(map: Tensor<4>, dimension: usize) -> Tensor<4> {
    let last = map.dims()[dimension] - 1;
    let end = |place: usize| map.clone().narrow(dimension, place, 1);
    Tensor::cat(vec![end(0), map.clone(), end(last)], dimension)
}

/// A map without so many pixels on each side.
fn without_ring((map, shape): (Tensor<1>, [usize; 4]), ring: usize) -> Tensor<1> {
    let [samples, channels, height, width] = shape;
    if ring == 0 {
        return map;
    }
    let (height, width) = (height - 2 * ring, width - 2 * ring);
    let map = map.reshape([samples, height + 2 * ring, width + 2 * ring, channels]);
    map.narrow(1, ring, height).narrow(2, ring, width).reshape([samples * height * width * channels])
}

/// [`super::Map::conv4x4`].
pub(super) fn conv4x4(
    (map, shape): (Tensor<1>, [usize; 4]),
    weights: Tensor<1>,
    outputs: usize,
) -> Tensor<1> {
    let weights = weights.reshape([outputs, shape[1], 4, 4]);
    let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
    flat(module::conv2d(spread(map, shape), weights, None, options))
}

/// [`super::Map::dense_block`].
pub(super) fn dense_block(
    (map, shape): (Tensor<1>, [usize; 4]),
    (weights, biases): ([Tensor<1>; 5], [Tensor<1>; 5]),
    (scale, edge): (f32, Edge),
    arithmetic: Arithmetic,
) -> Tensor<1> {
    if edge != Edge::Zero {
        return dense_block_by_layers((map, shape), (weights, biases), (scale, edge), arithmetic);
    }
    let (growth, half) = (biases[0].dims()[0], arithmetic.half());
    let [w1, w2, w3, w4, w5] = weights;
    let [b1, b2, b3, b4, b5] = biases;
    let inputs = [map, w1, w2, w3, w4, w5, b1, b2, b3, b4, b5];
    apply(DenseBlock { shape, growth, scale, half }, inputs, arithmetic.device)
}

/// As [`dense_block`], one convolution after the other: each map gets a ring of its own before it is read.
fn dense_block_by_layers(
    (map, shape): (Tensor<1>, [usize; 4]),
    (weights, biases): ([Tensor<1>; 5], [Tensor<1>; 5]),
    (scale, edge): (f32, Edge),
    arithmetic: Arithmetic,
) -> Tensor<1> {
    let [samples, channels, height, width] = shape;
    let pixels = samples * height * width;
    let mut maps = vec![map.clone().reshape([pixels, channels])];
    for (index, (weights, biases)) in weights.into_iter().zip(biases).enumerate() {
        let slope = (index + 1 < CONVOLUTIONS).then_some(SLOPE);
        let seen = Tensor::cat(maps.clone(), 1);
        let channels = [seen.dims()[1], biases.dims()[0]];
        let seen = (seen.reshape([pixels * channels[0]]), [samples, channels[0], height, width]);
        let found = conv3x3(seen, (weights, biases), (1, slope, edge), arithmetic);
        maps.push(found.reshape([pixels, channels[1]]));
    }
    let last = maps.swap_remove(CONVOLUTIONS);
    map + last.mul_scalar(scale).reshape([pixels * channels])
}

/// [`super::Map::batch_norm`].
pub(super) fn batch_norm(
    (map, [samples, channels, height, width]): (Tensor<1>, [usize; 4]),
    scales: Tensor<1>,
    shifts: Tensor<1>,
    slope: f32,
    seen: &Seen,
) -> Tensor<1> {
    let count = samples * height * width;
    let map = map.reshape([count, channels]);
    let means = map.clone().mean_dim(0);
    let centred = map - means.clone();
    let variances = centred.clone().powi_scalar(2).mean_dim(0);
    let of_channels = |values: Tensor<2>| values.without_autodiff().reshape([channels]);
    let (means, variances_seen) = (of_channels(means), of_channels(variances.clone()));
    seen.put(Statistics::Device(Box::new(DeviceStatistics { means, variances: variances_seen, count })));
    let factors = scales.reshape([1, channels]) / (variances + EPSILON).sqrt();
    let values = centred * factors + shifts.reshape([1, channels]);
    activation::leaky_relu(values, f64::from(slope)).reshape([count * channels])
}

/// What lies in an enlarged place of the nearer and of the farther source.
const NEAR: f32 = 0.75;
const FAR: f32 = 0.25;

/// Twice as many places along a dimension, by linear interpolation between the middles of pixels; beyond the edge lies the pixel
/// at it.
fn doubled(map: Tensor<4>, dimension: usize) -> Tensor<4> {
    let mut shape = map.dims();
    let count = shape[dimension];
    let first = map.clone().narrow(dimension, 0, 1);
    let last = map.clone().narrow(dimension, count - 1, 1);
    let (before, behind) = if count == 1 {
        (first, last)
    } else {
        (
            Tensor::cat(vec![first, map.clone().narrow(dimension, 0, count - 1)], dimension),
            Tensor::cat(vec![map.clone().narrow(dimension, 1, count - 1), last], dimension),
        )
    };
    let near = map.mul_scalar(NEAR);
    let pair = vec![near.clone() + before.mul_scalar(FAR), near + behind.mul_scalar(FAR)];
    shape[dimension] = 2 * count;
    Tensor::stack::<5>(pair, dimension + 1).reshape(shape)
}

/// [`super::Map::enlarged_bilinear`].
pub(super) fn enlarged_bilinear(map: Tensor<1>, [samples, channels, height, width]: [usize; 4]) -> Tensor<1> {
    let map = map.reshape([samples, height, width, channels]);
    doubled(doubled(map, 1), 2).reshape([samples * channels * 4 * height * width])
}

/// [`super::Map::max_pool`].
pub(super) fn pooled(map: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    flat(module::max_pool2d(spread(map, shape), MaxPoolOptions::new([2, 2])))
}
