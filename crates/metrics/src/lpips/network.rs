//! The three networks: VGG16, AlexNet and SqueezeNet 1.1, as far as LPIPS looks.

use esrgan_kernels::{Kernel, PackedConv};
use esrgan_weights::WeightMap;

use super::LpipsNetwork;
use super::map::{Conv, Map};
use crate::error::MetricError;

/// A step of a network, by the number that torchvision's `features` has for it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A convolution with ReLU behind it: number, output channels, side of the kernel, zeros around the input.
    Conv(usize, usize, usize, usize),
    /// SqueezeNet's module: number, channels between, and channels of each of its two outputs.
    Fire(usize, usize, usize),
    /// The largest of squares of this side, every two pixels; and whether a last square may lack pixels.
    Pool(usize, bool),
    /// What there is now is compared.
    Compare,
}

use Step::{Compare, Fire, Pool};

/// Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, table 1, column D.
const VGG: &[Step] = &[
    Step::Conv(0, 64, 3, 1),
    Step::Conv(2, 64, 3, 1),
    Compare,
    Pool(2, false),
    Step::Conv(5, 128, 3, 1),
    Step::Conv(7, 128, 3, 1),
    Compare,
    Pool(2, false),
    Step::Conv(10, 256, 3, 1),
    Step::Conv(12, 256, 3, 1),
    Step::Conv(14, 256, 3, 1),
    Compare,
    Pool(2, false),
    Step::Conv(17, 512, 3, 1),
    Step::Conv(19, 512, 3, 1),
    Step::Conv(21, 512, 3, 1),
    Compare,
    Pool(2, false),
    Step::Conv(24, 512, 3, 1),
    Step::Conv(26, 512, 3, 1),
    Step::Conv(28, 512, 3, 1),
    Compare,
];

/// Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, footnote 1.
const ALEX: &[Step] = &[
    Step::Conv(0, 64, 11, 2),
    Compare,
    Pool(3, false),
    Step::Conv(3, 192, 5, 2),
    Compare,
    Pool(3, false),
    Step::Conv(6, 384, 3, 1),
    Compare,
    Step::Conv(8, 256, 3, 1),
    Compare,
    Step::Conv(10, 256, 3, 1),
    Compare,
];

/// Iandola et al., "SqueezeNet", 2016, in its version 1.1.
const SQUEEZE: &[Step] = &[
    Step::Conv(0, 64, 3, 0),
    Compare,
    Pool(3, true),
    Fire(3, 16, 64),
    Fire(4, 16, 64),
    Compare,
    Pool(3, true),
    Fire(6, 32, 128),
    Fire(7, 32, 128),
    Compare,
    Pool(3, true),
    Fire(9, 48, 192),
    Compare,
    Fire(10, 48, 192),
    Compare,
    Fire(11, 64, 256),
    Compare,
    Fire(12, 64, 256),
    Compare,
];

/// A step with its weights.
#[derive(Debug)]
enum Layer {
    Conv(Conv),
    /// What squeezes, and the two that expand: of one pixel, and of 3x3.
    Fire(Box<[Conv; 3]>),
    Pool(usize, bool),
    Compare,
}

/// A network.
#[derive(Debug)]
pub(crate) struct Network {
    kind: LpipsNetwork,
    layers: Vec<Layer>,
    compared_channels: Vec<usize>,
}

impl Network {
    /// Takes the weights.
    ///
    /// # Errors
    /// [`MetricError::MissingTensor`], [`MetricError::TensorShape`].
    pub(crate) fn new(kind: LpipsNetwork, weights: &WeightMap) -> Result<Self, MetricError> {
        let steps = match kind {
            LpipsNetwork::Vgg => VGG,
            LpipsNetwork::Alex => ALEX,
            LpipsNetwork::Squeeze => SQUEEZE,
        };
        let (mut layers, mut compared_channels) = (Vec::new(), Vec::new());
        let mut channels = 3;
        for &step in steps {
            layers.push(match step {
                Step::Conv(number, out_channels, side, padding) => {
                    let stride = if number == 0 { first_stride(kind) } else { 1 };
                    let shape = [out_channels, channels, side, side];
                    channels = out_channels;
                    Layer::Conv(conv(weights, &format!("features.{number}"), shape, (padding, stride))?)
                }
                Fire(number, between, out_channels) => {
                    let part = |name: &str, shape: [usize; 4]| {
                        conv(weights, &format!("features.{number}.{name}"), shape, (shape[2] / 2, 1))
                    };
                    let squeeze = part("squeeze", [between, channels, 1, 1])?;
                    let expand_1x1 = part("expand1x1", [out_channels, between, 1, 1])?;
                    let expand_3x3 = part("expand3x3", [out_channels, between, 3, 3])?;
                    channels = 2 * out_channels;
                    Layer::Fire(Box::new([squeeze, expand_1x1, expand_3x3]))
                }
                Pool(side, keeps_rest) => Layer::Pool(side, keeps_rest),
                Compare => {
                    compared_channels.push(channels);
                    Layer::Compare
                }
            });
        }
        Ok(Self { kind, layers, compared_channels })
    }

    /// Channels of each layer that is compared.
    pub(crate) fn compared_channels(&self) -> Vec<usize> {
        self.compared_channels.clone()
    }

    /// The least side of a picture of which every layer has pixels.
    pub(crate) fn least_side(&self) -> usize {
        match self.kind {
            LpipsNetwork::Vgg => 16,
            LpipsNetwork::Alex => 31,
            LpipsNetwork::Squeeze => 25,
        }
    }

    /// What is compared of three planes.
    pub(crate) fn features(&self, planes: &[Vec<f32>], (width, height): (usize, usize)) -> Vec<Map> {
        let (side, padding) = match self.kind {
            LpipsNetwork::Vgg => (3, 1),
            LpipsNetwork::Alex => (11, 2),
            LpipsNetwork::Squeeze => (3, 0),
        };
        let stride = first_stride(self.kind);
        // The first convolution's outputs, and what its kernel over squares sees beyond them.
        let squares = |length: usize| (length + 2 * padding - side) / stride + usize::div_ceil(side, stride);
        let mut map = Map::of_planes(planes, width, (padding, stride), (squares(width), squares(height)));
        let mut compared = Vec::new();
        for layer in &self.layers {
            match layer {
                Layer::Conv(conv) => map = map.convolved(conv),
                Layer::Fire(convs) => {
                    let [squeeze, expand_1x1, expand_3x3] = &**convs;
                    let between = map.convolved(squeeze);
                    map = between.convolved(expand_1x1).beside(&between.convolved(expand_3x3));
                }
                Layer::Pool(side, keeps_rest) => map = map.pooled(*side, *keeps_rest),
                Layer::Compare => compared.push(map.clone()),
            }
        }
        compared
    }
}

/// The stride of the first convolution; the others have none.
fn first_stride(kind: LpipsNetwork) -> usize {
    match kind {
        LpipsNetwork::Vgg => 1,
        LpipsNetwork::Alex => 4,
        LpipsNetwork::Squeeze => 2,
    }
}

/// A convolution of shape `[out, in, rows, columns]`. The first one, whose input lies in squares and has its zeros already, is
/// turned into one over squares.
fn conv(
    weights: &WeightMap,
    name: &str,
    shape: [usize; 4],
    (padding, stride): (usize, usize),
) -> Result<Conv, MetricError> {
    let [out_channels, in_channels, side, _] = shape;
    let values = tensor(weights, &format!("{name}.weight"), &shape)?;
    let biases = tensor(weights, &format!("{name}.bias"), &[out_channels])?;
    let is_first = in_channels == 3;
    let of_squares = side.div_ceil(stride);
    let kernel = Kernel { rows: of_squares, columns: of_squares, first_row: 0, first_column: 0 };
    let values = if stride == 1 { values } else { over_squares(&values, shape, stride) };
    let in_channels = in_channels * stride * stride;
    let packed = PackedConv::new(kernel, &[in_channels], out_channels, &values, Some(&biases));
    let packed = packed.expect("as many values as the checked shapes have");
    Ok(Conv { weights: packed, padding: if is_first { 0 } else { padding } })
}

/// Weights for an input of which each square of `stride * stride` pixels is one: `[out][in][row of the square][column]`, and
/// the squares that the kernel covers, zero where it ends within one.
fn over_squares(values: &[f32], [out_channels, in_channels, side, _]: [usize; 4], stride: usize) -> Vec<f32> {
    let covered = side.div_ceil(stride);
    let mut squares = Vec::with_capacity(out_channels * in_channels * (covered * stride).pow(2));
    for filter in values.chunks(side * side) {
        for (dy, dx) in (0..stride * stride).map(|place| (place / stride, place % stride)) {
            for (row, column) in (0..covered * covered).map(|tap| (tap / covered, tap % covered)) {
                let (y, x) = (row * stride + dy, column * stride + dx);
                squares.push(if y < side && x < side { filter[y * side + x] } else { 0.0 });
            }
        }
    }
    squares
}

/// A tensor of a known shape.
///
/// # Errors
/// [`MetricError::MissingTensor`], [`MetricError::TensorShape`].
pub(crate) fn tensor(weights: &WeightMap, name: &str, expected: &[usize]) -> Result<Vec<f32>, MetricError> {
    match weights.get(name) {
        Some(tensor) if tensor.shape == expected => Ok(tensor.to_f32()),
        Some(tensor) => Err(MetricError::TensorShape {
            name: name.to_owned(),
            expected: expected.to_vec(),
            found: tensor.shape.clone(),
        }),
        None => Err(MetricError::MissingTensor { name: name.to_owned(), expected: expected.to_vec() }),
    }
}
