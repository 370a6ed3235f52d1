//! A discriminator that looks at what a trained classifier sees.
//!
//! Sauer et al., "Projected GANs Converge Faster", 2021: the classifier stays as it is, and a small head is trained for each of
//! its layers. Here a head is two convolutions, without the paper's random mixing of layers and without spectral norm, and sees
//! each pixel's features at one length.

use burn::tensor::Tensor;

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::initial::{Initial, drawn};
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};

const SLOPE: f32 = 0.2;

/// Heads over a classifier's layers.
#[derive(Clone, Debug)]
pub struct ProjectedDiscriminator {
    features: usize,
    /// Name and channels of each layer.
    layers: Vec<(String, usize)>,
    arithmetic: Arithmetic,
}

impl ProjectedDiscriminator {
    /// Heads of `features` channels over layers of these names and channels ([`crate::Features::channels`]).
    pub fn new(features: usize, layers: Vec<(String, usize)>) -> Self {
        Self { features, layers, arithmetic: Arithmetic::default() }
    }

    /// The same discriminator, computed in another way; see [`super::Discriminator::computed_with`].
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        self.arithmetic.device
    }

    /// Names and shapes of its tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let of_layer = |(layer, channels): &(String, usize)| {
            let convolution = |number: usize, outputs: usize, inputs: usize| {
                let name = format!("{layer}.conv{number}");
                [
                    (format!("{name}.weight"), vec![outputs, inputs, 3, 3]),
                    (format!("{name}.bias"), vec![outputs]),
                ]
            };
            [convolution(0, self.features, *channels), convolution(1, 1, self.features)].concat()
        };
        self.layers.iter().flat_map(of_layer).collect()
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        drawn(self.tensors(), seed, |_, _, fan_in| Initial::Uniform { fan_in })
    }

    /// A logit for each pixel of each layer's map, `[sample][row * column]`.
    ///
    /// # Panics
    /// Where the maps are not those of the layers.
    pub fn forward(&self, leaves: &Leaves<'_>, maps: Vec<Map>) -> Vec<Tensor<2>> {
        assert_eq!(maps.len(), self.layers.len(), "a map for each layer");
        let head = |((layer, channels), map): (&(String, usize), Map)| {
            let [samples, found, height, width] = map.shape;
            assert_eq!(found, *channels, "channels of {layer}");
            let convolved = |map: Map, number: usize, slope: Option<f32>| {
                let (weights, biases) = leaves.convolution(&format!("{layer}.conv{number}"));
                map.conv3x3(weights, biases, 1, slope)
            };
            let map = convolved(map.computed_with(self.arithmetic).unit_vectors(), 0, Some(SLOPE));
            convolved(map, 1, None).into_images().reshape([samples, height * width])
        };
        self.layers.iter().zip(maps).map(head).collect()
    }
}
