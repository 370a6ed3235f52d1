//! The VGG-style discriminator of the paper.
//!
//! Wang et al., "ESRGAN", 2018, section 3.2, after Ledig et al., "SRGAN", 2017; names and shapes of BasicSR's
//! `VGGStyleDiscriminator`.

use burn::tensor::{Tensor, activation};

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::error::ModelError;
use crate::initial::{Initial, drawn};
use crate::layers::{Map, Seen, Statistics};
use crate::parameters::{Leaves, Parameters};

const SLOPE: f32 = 0.2;
const HIDDEN: usize = 100;
/// Pixels of a side before the linear layers.
const LAST_SIDE: usize = 4;
/// How fast running statistics follow: PyTorch's default.
const MOMENTUM: f32 = 0.1;

/// A discriminator for crops of one size.
#[derive(Clone, Debug)]
pub struct VggDiscriminator {
    features: usize,
    input_px: usize,
    arithmetic: Arithmetic,
}

/// One convolution: its number, channels, whether it halves the sides.
struct Stage {
    name: String,
    inputs: usize,
    outputs: usize,
    is_strided: bool,
}

impl VggDiscriminator {
    /// A discriminator for RGB crops of `input_px` x `input_px` pixels, `features` channels in its first stage (64 in the paper).
    ///
    /// # Errors
    /// [`ModelError::DiscriminatorSize`] for other sides than 128 and 256.
    pub fn new(features: usize, input_px: usize) -> Result<Self, ModelError> {
        match input_px {
            128 | 256 => Ok(Self { features, input_px, arithmetic: Arithmetic::default() }),
            found => Err(ModelError::DiscriminatorSize { found }),
        }
    }

    /// The same discriminator, computed in another way; see [`super::Discriminator::computed_with`]. Normalisations and linear
    /// layers are computed in `f32`.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        self.arithmetic.device
    }

    /// Stages of two convolutions each.
    fn stages(&self) -> usize {
        (self.input_px / LAST_SIDE).ilog2() as usize
    }

    fn convolutions(&self) -> Vec<Stage> {
        let width = |stage: usize| self.features << stage.min(3);
        let mut convolutions = Vec::new();
        for stage in 0..self.stages() {
            let inputs = if stage == 0 { 3 } else { width(stage - 1) };
            let outputs = width(stage);
            let name = |part: usize| format!("conv{stage}_{part}");
            convolutions.push(Stage { name: name(0), inputs, outputs, is_strided: false });
            convolutions.push(Stage { name: name(1), inputs: outputs, outputs, is_strided: true });
        }
        convolutions
    }

    /// Names and shapes of its tensors; running statistics, which are not trained, are those of [`VggDiscriminator::statistics`].
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        let mut last = 0;
        for Stage { name, inputs, outputs, is_strided } in self.convolutions() {
            let side = if is_strided { 4 } else { 3 };
            tensors.push((format!("{name}.weight"), vec![outputs, inputs, side, side]));
            match norm(&name) {
                None => tensors.push((format!("{name}.bias"), vec![outputs])),
                Some(norm) => {
                    tensors.push((format!("{norm}.weight"), vec![outputs]));
                    tensors.push((format!("{norm}.bias"), vec![outputs]));
                }
            }
            last = outputs;
        }
        tensors.push(("linear1.weight".to_owned(), vec![HIDDEN, last * LAST_SIDE * LAST_SIDE]));
        tensors.push(("linear1.bias".to_owned(), vec![HIDDEN]));
        tensors.push(("linear2.weight".to_owned(), vec![1, HIDDEN]));
        tensors.push(("linear2.bias".to_owned(), vec![1]));
        tensors
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        drawn(self.tensors(), seed, |name, _, fan_in| {
            match (name.starts_with("bn"), name.ends_with(".weight")) {
                (true, is_scale) => Initial::Constant(f32::from(u8::from(is_scale))),
                (false, _) => Initial::Uniform { fan_in },
            }
        })
    }

    /// Running statistics before training.
    pub fn statistics(&self) -> Parameters {
        let mut parameters = Parameters::new();
        for Stage { name, outputs, .. } in self.convolutions() {
            if let Some(norm) = norm(&name) {
                parameters.push(format!("{norm}.running_mean"), vec![outputs], vec![0.0; outputs]);
                parameters.push(format!("{norm}.running_var"), vec![outputs], vec![1.0; outputs]);
            }
        }
        parameters
    }

    /// One logit for each sample, normalised with the batch's own statistics, which `running` is moved towards.
    ///
    /// # Shapes
    /// `[sample][3][input_px][input_px]` in, `[sample][1]` out.
    ///
    /// # Panics
    /// Where crops are of another size.
    pub fn forward(&self, leaves: &Leaves<'_>, running: &mut Parameters, images: Tensor<4>) -> Tensor<2> {
        let [samples, _, height, width] = images.dims();
        assert_eq!([height, width], [self.input_px; 2], "crops of the discriminator's size");
        let mut map = Map::of_images(images, self.arithmetic);
        let mut seen = Vec::new();
        for stage in self.convolutions() {
            map = layer(leaves, map, &stage, &mut seen).computed_with(self.arithmetic);
        }
        move_towards(running, &seen, self.arithmetic.device);
        let count = map.count() / samples;
        let flat = map.into_images().reshape([samples, count]);
        let hidden = activation::leaky_relu(linear(leaves, "linear1", flat, HIDDEN), f64::from(SLOPE));
        linear(leaves, "linear2", hidden, 1)
    }
}

/// A convolution, its normalisation and activation.
fn layer(leaves: &Leaves<'_>, map: Map, stage: &Stage, seen: &mut Vec<Seen>) -> Map {
    let weights = leaves.get(&format!("{}.weight", stage.name));
    let Some(norm) = norm(&stage.name) else {
        return map.conv3x3(weights, leaves.get(&format!("{}.bias", stage.name)), 1, Some(SLOPE));
    };
    let map = if stage.is_strided {
        map.conv4x4(weights, stage.outputs)
    } else {
        map.conv3x3_without_biases(weights, stage.outputs, None)
    };
    let statistics = Seen::default();
    seen.push(statistics.clone());
    let (scales, shifts) = leaves.convolution(&norm);
    map.batch_norm(scales, shifts, SLOPE, &statistics)
}

/// The name of the normalisation behind a convolution; the first has none.
fn norm(convolution: &str) -> Option<String> {
    (convolution != "conv0_0").then(|| convolution.replacen("conv", "bn", 1))
}

fn linear(leaves: &Leaves<'_>, name: &str, input: Tensor<2>, outputs: usize) -> Tensor<2> {
    let inputs = input.dims()[1];
    let (weights, biases) = leaves.convolution(name);
    input.matmul(weights.reshape([outputs, inputs]).transpose()) + biases.reshape([1, outputs])
}

/// What makes of a variance one that is divided by one less.
fn unbiased(count: usize) -> f32 {
    count as f32 / (count.max(2) - 1) as f32
}

/// Moves running means and variances towards those of a batch, as PyTorch does: the variance divided by one less.
fn move_towards(running: &mut Parameters, seen: &[Seen], device: ComputeDevice) {
    if !device.is_blocked() {
        return move_on_device(running, seen, device);
    }
    let mut values = running.values_mut();
    for statistics in seen {
        let (Some(means), Some(variances)) = (values.next(), values.next()) else { return };
        let Some(Statistics::Host(batch)) = statistics.take() else { continue };
        let unbiased = unbiased(batch.count);
        let follow = |running: &mut Vec<f32>, found: &[f32], factor: f32| {
            for (running, found) in running.iter_mut().zip(found) {
                *running += MOMENTUM * (found * factor - *running);
            }
        };
        follow(means, &batch.means, 1.0);
        follow(variances, &batch.variances, unbiased);
    }
}

/// As [`move_towards`], without a way to the host.
fn move_on_device(running: &mut Parameters, seen: &[Seen], device: ComputeDevice) {
    let batch = seen.iter().filter_map(|statistics| match statistics.take() {
        Some(Statistics::Device(found)) => {
            Some([found.means, found.variances.mul_scalar(unbiased(found.count))])
        }
        _ => None,
    });
    let moved = running.tensors(device).into_iter().zip(batch.flatten()).map(|(running, found)| {
        let step = (found - running.clone()).mul_scalar(MOMENTUM);
        running + step
    });
    let moved = moved.collect();
    running.put_tensors(moved, device);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminator_of_the_paper_has_its_parameters() {
        let count = |px| {
            let tensors = VggDiscriminator::new(64, px).unwrap().tensors();
            tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
        };
        assert_eq!(count(128), 14_499_401);
        assert_eq!(count(256), 14_499_401 + 512 * 512 * (9 + 16) + 4 * 512);
        assert!(matches!(VggDiscriminator::new(64, 96), Err(ModelError::DiscriminatorSize { found: 96 })));
    }
}
