//! Widening: a generator that computes what a narrower one does, and has room to learn more.
//!
//! What lives here: where a narrower network's weights lie in a wider one. What does not: deeper networks, as an RRDB that
//! does nothing would have to undo its own residual.

use esrgan_weights::{Model, SpecParts};

use crate::error::ModelError;
use crate::generator::Generator;
use crate::parameters::Parameters;

impl Generator {
    /// Parameters with which this network computes what a narrower model does, but for the rounding of sums in another order.
    ///
    /// The channels that are new begin as [`Generator::initial`] draws them. Weights by which the known channels read them are
    /// zero: nothing changes before training, and every new weight has a gradient after the first step.
    ///
    /// # Errors
    /// [`ModelError::Narrower`] where the model is wider, or differs in more than its channels.
    ///
    /// # Source
    /// Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", 2016. Differs: new channels are drawn, not copied.
    pub fn widened(&self, model: &Model, seed: u64) -> Result<Parameters, ModelError> {
        let (wide, narrow) = (self.spec().to_parts(), model.spec.to_parts());
        let same_channels = SpecParts {
            num_features: wide.num_features,
            growth_channels: wide.growth_channels,
            ..narrow.clone()
        };
        let is_narrower =
            narrow.num_features <= wide.num_features && narrow.growth_channels <= wide.growth_channels;
        if !is_narrower || same_channels != wide {
            return Err(ModelError::Narrower { expected: Box::new(wide), found: Box::new(narrow) });
        }
        let mut parameters = self.initial(seed);
        for ((name, shape), values) in self.tensors().iter().zip(parameters.values_mut()) {
            let Some(known) = model.weights.get(name) else {
                return Err(ModelError::Missing { name: name.clone(), shape: shape.clone() });
            };
            let is_dense = name.contains(".rdb");
            let place = |input: usize| match input.checked_sub(narrow.num_features) {
                Some(added) if is_dense => {
                    let (convolution, channel) =
                        (added / narrow.growth_channels, added % narrow.growth_channels);
                    wide.num_features + convolution * wide.growth_channels + channel
                }
                _ => input,
            };
            lay(&known.to_f32(), &known.shape, values, shape, place);
        }
        Ok(parameters)
    }
}

/// Lays a narrower convolution's weights `[output][input][row][column]`, or its biases `[output]`, into a wider one's; `place` says
/// which input of the wider one is the narrower one's.
fn lay(
    known: &[f32],
    known_shape: &[usize],
    values: &mut [f32],
    shape: &[usize],
    place: impl Fn(usize) -> usize,
) {
    let [outputs, known_inputs, ..] = *known_shape else {
        values[..known.len()].copy_from_slice(known);
        return;
    };
    let taps: usize = shape[2..].iter().product();
    values[..outputs * shape[1] * taps].fill(0.0);
    for output in 0..outputs {
        for input in 0..known_inputs {
            let from = (output * known_inputs + input) * taps;
            let to = (output * shape[1] + place(input)) * taps;
            values[to..to + taps].copy_from_slice(&known[from..from + taps]);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};
    use esrgan_weights::{Activation, Family, ModelSpec};

    use super::*;
    use crate::device::ComputeDevice;

    fn generator(num_features: usize, growth_channels: usize, num_blocks: usize) -> Generator {
        let parts = SpecParts {
            family: Family::Rrdb,
            scale: 2,
            in_channels: 3,
            out_channels: 3,
            num_features,
            num_blocks,
            growth_channels,
            unshuffle: 2,
            upsampling: vec![2, 2],
            activation: Activation::LeakyRelu,
        };
        Generator::new(ModelSpec::new(parts).unwrap()).unwrap()
    }

    fn model(generator: &Generator, seed: u64) -> Model {
        Model::in_memory(generator.spec().clone(), generator.initial(seed).to_weights().unwrap()).unwrap()
    }

    /// What a network makes of a picture of 12x8 pixels.
    fn enlarged(generator: &Generator, parameters: &Parameters) -> Vec<f32> {
        let device = ComputeDevice::Processor.tensors();
        let values: Vec<f32> = (0..3 * 8 * 12).map(|index| ((index * 37) % 101) as f32 / 101.0).collect();
        let picture = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 8, 12]), &device).autodiff();
        let leaves = parameters.frozen(ComputeDevice::Processor);
        generator.forward(&leaves, picture).into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_wider_network_computes_what_the_narrower_does() {
        let narrow = generator(5, 3, 2);
        let model = model(&narrow, 1);
        let expected = enlarged(&narrow, &narrow.initial(1));
        for (features, growth) in [(5, 3), (5, 4), (8, 3), (16, 7)] {
            let wide = generator(features, growth, 2);
            let parameters = wide.widened(&model, 2).unwrap();
            assert_eq!(parameters.count(), wide.initial(2).count());
            let found = enlarged(&wide, &parameters);
            let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let off = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // 38 convolutions one behind the other, whose roundings add up at worst.
            assert!(off <= 38.0 * f32::EPSILON * largest.max(1.0), "{features}/{growth}: {off}");
        }
    }

    #[test]
    fn new_channels_are_drawn_and_nobody_reads_them_yet() {
        let model = model(&generator(2, 1, 1), 1);
        let wide = generator(3, 2, 1);
        let parameters = wide.widened(&model, 2).unwrap();
        // Of `conv3`: features 0 and 1, the new one, then the first channel of each convolution before, behind it its new one.
        let [known, new] = [0, 1].map(|output| {
            let values = &parameters.get("body.0.rdb1.conv3.weight").unwrap().values;
            let taps_of = |input: usize| &values[(output * 7 + input) * 9..][..9];
            (0..7).map(|input| taps_of(input).iter().all(|weight| *weight != 0.0)).collect::<Vec<_>>()
        });
        assert_eq!(known, [true, true, false, true, false, true, false]);
        assert_eq!(new, [true; 7]);
    }

    #[test]
    fn what_is_not_narrower_is_refused() {
        let model = model(&generator(4, 3, 1), 1);
        for (features, growth, blocks) in [(3, 3, 1), (4, 2, 1), (8, 4, 2)] {
            let refusal = generator(features, growth, blocks).widened(&model, 1).unwrap_err().to_string();
            let expected = format!("{features} features, {growth} growth channels, {blocks} blocks");
            assert!(refusal.contains(&expected), "{refusal}");
            assert!(refusal.contains("4 features, 3 growth channels, 1 blocks"), "{refusal}");
        }
    }
}
