//! The U-Net discriminator with spectral norm.
//!
//! Wang et al., "Real-ESRGAN", 2021, section 3.4, after Schonfeld et al., "A U-Net Based Discriminator for GANs", 2020; spectral
//! norm: Miyato et al., "Spectral Normalization for GANs", 2018. Names and shapes of Real-ESRGAN's `UNetDiscriminatorSN`.

use burn::tensor::Tensor;

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::error::ModelError;
use crate::initial::{Initial, drawn};
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};
use crate::spectral_norm::{Normed, moved_direction, normalised};

const SLOPE: f32 = 0.2;
/// A crop is halved three times.
const SIDE_MULTIPLE: usize = 8;

/// A discriminator that gives a logit for each pixel.
#[derive(Clone, Debug)]
pub struct UnetDiscriminator {
    features: usize,
    arithmetic: Arithmetic,
}

/// One convolution.
struct Layer {
    number: usize,
    inputs: usize,
    outputs: usize,
    side: usize,
}

impl Layer {
    /// The first and the last convolution have biases; the others a spectral norm.
    fn is_normed(&self) -> bool {
        (1..=8).contains(&self.number)
    }
}

impl UnetDiscriminator {
    /// A discriminator for RGB crops of `crop_px` x `crop_px` pixels, `features` channels in its first convolution (64 in the
    /// paper).
    ///
    /// # Errors
    /// [`ModelError::UnetSize`] for sides that are no multiple of 8.
    pub fn new(features: usize, crop_px: usize) -> Result<Self, ModelError> {
        if crop_px == 0 || !crop_px.is_multiple_of(SIDE_MULTIPLE) {
            return Err(ModelError::UnetSize { found: crop_px });
        }
        Ok(Self { features, arithmetic: Arithmetic::default() })
    }

    /// The same discriminator, computed in another way; see [`super::Discriminator::computed_with`]. The spectral norm is computed
    /// in `f32`.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        self.arithmetic.device
    }

    fn layers(&self) -> impl Iterator<Item = Layer> {
        let width = self.features;
        let channels = [
            (3, width, 3),
            (width, 2 * width, 4),
            (2 * width, 4 * width, 4),
            (4 * width, 8 * width, 4),
            (8 * width, 4 * width, 3),
            (4 * width, 2 * width, 3),
            (2 * width, width, 3),
            (width, width, 3),
            (width, width, 3),
            (width, 1, 3),
        ];
        let layer = |(number, (inputs, outputs, side))| Layer { number, inputs, outputs, side };
        channels.into_iter().enumerate().map(layer)
    }

    /// Names and shapes of its tensors; the directions of the spectral norm are those of [`UnetDiscriminator::statistics`].
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        for layer in self.layers() {
            let Layer { number, inputs, outputs, side } = layer;
            let shape = vec![outputs, inputs, side, side];
            if layer.is_normed() {
                tensors.push((format!("conv{number}.weight_orig"), shape));
            } else {
                tensors.push((format!("conv{number}.weight"), shape));
                tensors.push((format!("conv{number}.bias"), vec![outputs]));
            }
        }
        tensors
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        drawn(self.tensors(), seed, |_, _, fan_in| Initial::Uniform { fan_in })
    }

    /// Directions of the spectral norm before training.
    pub fn statistics(&self, seed: u64) -> Parameters {
        let directions = self.layers().filter(Layer::is_normed).flat_map(|layer| {
            let Layer { number, inputs, outputs, side } = layer;
            let direction =
                |letter: char, count: usize| (format!("conv{number}.weight_{letter}"), vec![count]);
            [direction('u', outputs), direction('v', inputs * side * side)]
        });
        drawn(directions.collect(), !seed, |_, _, _| Initial::Direction)
    }

    /// A logit for each pixel of each sample. The directions of the spectral norm are moved by one power iteration first.
    ///
    /// # Shapes
    /// `[sample][3][row][column]` in, `[sample][row * column]` out.
    ///
    /// # Panics
    /// Where sides are no multiples of 8.
    pub fn forward(&self, leaves: &Leaves<'_>, directions: &mut Parameters, images: Tensor<4>) -> Tensor<2> {
        let [samples, _, height, width] = images.dims();
        assert!(
            height.is_multiple_of(SIDE_MULTIPLE) && width.is_multiple_of(SIDE_MULTIPLE),
            "crops with sides of multiples of {SIDE_MULTIPLE}"
        );
        let layers: Vec<Layer> = self.layers().collect();
        let weights = self.normed_weights(leaves, directions);
        let down = |map: Map, number: usize| {
            map.conv4x4(weights[number - 1].clone(), layers[number].outputs).leaky_relu(SLOPE)
        };
        let along = |map: Map, number: usize| {
            map.conv3x3_without_biases(weights[number - 1].clone(), layers[number].outputs, Some(SLOPE))
        };
        let biased = |map: Map, name: &str, slope: Option<f32>| {
            let (weights, biases) = leaves.convolution(name);
            map.conv3x3(weights, biases, 1, slope)
        };
        let picture = Map::of_images(images, self.arithmetic);
        let whole = biased(picture, "conv0", Some(SLOPE)).computed_with(self.arithmetic);
        let half = down(whole.clone(), 1);
        let quarter = down(half.clone(), 2);
        let eighth = down(quarter.clone(), 3);
        let map = along(eighth.enlarged_bilinear(), 4).plus(quarter);
        let map = along(map.enlarged_bilinear(), 5).plus(half);
        let map = along(map.enlarged_bilinear(), 6).plus(whole);
        let map = along(along(map, 7), 8);
        biased(map, "conv9", None).into_images().reshape([samples, height * width])
    }

    /// The weights of all normed convolutions, divided by their spectral norm.
    fn normed_weights(&self, leaves: &Leaves<'_>, directions: &mut Parameters) -> Vec<Tensor<1>> {
        if self.arithmetic.device != ComputeDevice::Processor {
            return self.normed_on_device(leaves, directions);
        }
        let mut values = directions.values_mut();
        let mut weights = Vec::new();
        for layer in self.layers().filter(Layer::is_normed) {
            let name = format!("conv{}.weight_orig", layer.number);
            let (Some(left), Some(right)) = (values.next(), values.next()) else { break };
            moved_direction(leaves.values(&name), left, right);
            weights.push(normalised(leaves.get(&name), left, right));
        }
        weights
    }

    /// As [`UnetDiscriminator::normed_weights`], without a way to the host.
    fn normed_on_device(&self, leaves: &Leaves<'_>, directions: &mut Parameters) -> Vec<Tensor<1>> {
        let device = self.arithmetic.device;
        let mut known = directions.tensors(device).into_iter();
        let (mut weights, mut moved) = (Vec::new(), Vec::new());
        for layer in self.layers().filter(Layer::is_normed) {
            let (Some(left), Some(right)) = (known.next(), known.next()) else { break };
            let normed = Normed::of(leaves.get(&format!("conv{}.weight_orig", layer.number)), left, right);
            weights.push(normed.weights);
            moved.extend([normed.left, normed.right]);
        }
        directions.put_tensors(moved, device);
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminator_of_real_esrgan_has_its_parameters() {
        let network = UnetDiscriminator::new(64, 256).unwrap();
        let count: usize = network.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(count, 4_376_897);
        assert_eq!(network.statistics(1).iter().len(), 16);
        assert!(matches!(UnetDiscriminator::new(64, 100), Err(ModelError::UnetSize { found: 100 })));
    }
}
