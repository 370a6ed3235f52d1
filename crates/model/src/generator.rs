//! The generator: RRDBNet.
//!
//! Wang et al., "ESRGAN", 2018, section 3.1, with the names and the upsampling of BasicSR.

use burn::tensor::Tensor;
use esrgan_gradients::Edge;
use esrgan_weights::{Family, ModelSpec};

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::error::ModelError;
use crate::initial::{Initial, drawn};
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};

/// What a dense block and a whole RRDB are multiplied with before they are added (beta in the paper).
const RESIDUAL_SCALE: f32 = 0.2;
/// The slope of the leaky ReLU.
const SLOPE: f32 = 0.2;
/// What the weights of dense blocks are multiplied with before training (section 3.1; BasicSR's `default_init_weights`).
const DENSE_INITIAL_SCALE: f64 = 0.1;

/// An RRDBNet to be trained.
#[derive(Clone, Debug)]
pub struct Generator {
    spec: ModelSpec,
    arithmetic: Arithmetic,
    edge: Edge,
}

impl Generator {
    /// The generator of a specification.
    ///
    /// # Errors
    /// [`ModelError::Family`] for any family but RRDB.
    pub fn new(spec: ModelSpec) -> Result<Self, ModelError> {
        match spec.family() {
            Family::Rrdb => Ok(Self { spec, arithmetic: Arithmetic::default(), edge: Edge::Zero }),
            found => Err(ModelError::Family { found }),
        }
    }

    /// The same generator, computed in another way: by default in `f32` on the processor's fastest instruction set. The
    /// convolution of the picture always multiplies in `f32`.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// The same generator, every convolution of which sees something else beyond the edge: by default zeros.
    #[must_use]
    pub fn with_edge(self, edge: Edge) -> Self {
        Self { edge, ..self }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        self.arithmetic.device
    }

    /// What its convolutions see beyond the edge.
    pub fn edge(&self) -> Edge {
        self.edge
    }

    /// What it is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Names and shapes of its tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.spec.tensors()
    }

    /// Parameters before training: normal and small in dense blocks, their biases zero; PyTorch's elsewhere.
    pub fn initial(&self, seed: u64) -> Parameters {
        drawn(self.tensors(), seed, |name, is_weight, fan_in| match (name.contains(".rdb"), is_weight) {
            (true, true) => Initial::ScaledKaiming { fan_in, scale: DENSE_INITIAL_SCALE },
            (true, false) => Initial::Constant(0.0),
            (false, _) => Initial::Uniform { fan_in },
        })
    }

    /// Enlarges a batch.
    ///
    /// # Shapes
    /// `[sample][channel][row][column]` in and out, rows and columns times the scale.
    pub fn forward(&self, leaves: &Leaves<'_>, lr: Tensor<4>) -> Tensor<4> {
        let convolved = |map: Map, name: &str, factor: usize, slope: Option<f32>| {
            let (weights, biases) = leaves.convolution(name);
            map.conv3x3(weights, biases, factor, slope)
        };
        let picture =
            Map::of_images(unshuffled(lr, self.spec.unshuffle()), self.arithmetic).with_edge(self.edge);
        let first = convolved(picture, "conv_first", 1, None).computed_with(self.arithmetic);
        let mut trunk = first.clone();
        for block in 0..self.spec.num_blocks() {
            trunk = rrdb(leaves, trunk, block);
        }
        let mut map = first.plus(convolved(trunk, "conv_body", 1, None));
        for (index, factor) in self.spec.upsampling().iter().enumerate() {
            map = convolved(map, &format!("conv_up{}", index + 1), *factor, Some(SLOPE));
        }
        map = convolved(map, "conv_hr", 1, Some(SLOPE));
        convolved(map, "conv_last", 1, None).into_images()
    }
}

/// Three dense blocks and the residual around them.
fn rrdb(leaves: &Leaves<'_>, input: Map, block: usize) -> Map {
    let mut map = input.clone();
    for dense in 1..=3 {
        let convolutions: [_; 5] = std::array::from_fn(|conv| {
            leaves.convolution(&format!("body.{block}.rdb{dense}.conv{}", conv + 1))
        });
        let biases = convolutions.each_ref().map(|(_, biases)| biases.clone());
        map = map.dense_block(convolutions.map(|(weights, _)| weights), biases, RESIDUAL_SCALE);
    }
    let values = map.values.mul_scalar(RESIDUAL_SCALE) + input.values;
    Map { values, ..input }
}

/// Pixels of squares become channels: `[c][y * f + dy][x * f + dx]` to `[(c * f + dy) * f + dx][y][x]`.
fn unshuffled(images: Tensor<4>, factor: usize) -> Tensor<4> {
    if factor == 1 {
        return images;
    }
    let [samples, channels, height, width] = images.dims();
    let (rows, columns) = (height / factor, width / factor);
    images.reshape([samples, channels, rows, factor, columns, factor]).permute([0, 1, 3, 5, 2, 4]).reshape([
        samples,
        channels * factor * factor,
        rows,
        columns,
    ])
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use esrgan_weights::{Activation, SpecParts};

    use super::*;

    #[test]
    fn a_flat_picture_stays_flat_where_its_edge_is_repeated() {
        let parts = SpecParts {
            family: Family::Rrdb,
            scale: 4,
            in_channels: 3,
            out_channels: 3,
            num_features: 6,
            num_blocks: 1,
            growth_channels: 4,
            unshuffle: 1,
            upsampling: vec![2, 2],
            activation: Activation::LeakyRelu,
        };
        let generator = Generator::new(ModelSpec::new(parts).unwrap()).unwrap();
        let parameters = generator.initial(3);
        let range = |edge: Edge| {
            let leaves = parameters.frozen(ComputeDevice::Processor);
            let flat = TensorData::new(vec![0.75_f32; 5 * 7], [1, 1, 5, 7]);
            let flat = Tensor::<4>::from_data(flat, &ComputeDevice::Processor.tensors()).autodiff();
            let picture = flat.repeat_dim(1, 3);
            let enlarged = generator.clone().with_edge(edge).forward(&leaves, picture);
            assert_eq!(enlarged.dims(), [1, 3, 20, 28]);
            let values: Vec<f32> = enlarged.into_data().try_into_vec().unwrap();
            let range = values.chunks(20 * 28).map(|plane| {
                let most = plane.iter().copied().fold(f32::MIN, f32::max);
                most - plane.iter().copied().fold(f32::MAX, f32::min)
            });
            range.fold(0.0, f32::max)
        };
        assert!(range(Edge::Replicate) < 1e-6, "{}", range(Edge::Replicate));
        assert!(range(Edge::Zero) > 1e-3, "{}", range(Edge::Zero));
    }
}
