//! A discriminator that looks at what a trained classifier sees.
//!
//! Sauer et al., "Projected GANs Converge Faster", 2021: the classifier stays as it is, and a small head is trained for each of
//! its layers. Here a head is two convolutions, without the paper's random mixing of layers and without spectral norm, and sees
//! each pixel's features at one length. Beside them there may be a head that sees the crop itself, a PatchGAN (Isola et al.,
//! "Image-to-Image Translation with Conditional Adversarial Networks", 2017): what a classifier pools away is seen there.

use burn::tensor::Tensor;

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::initial::{Initial, drawn};
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};

use super::View;

const SLOPE: f32 = 0.2;
/// The head over crops halves them twice.
const PATCH_MULTIPLE: usize = 4;
/// Inputs, outputs and filters' side of each convolution of the head over crops; those of 4x4 halve the map and have no biases.
fn patch_layers(features: usize) -> [(usize, usize, usize); 6] {
    let (twice, four_times) = (2 * features, 4 * features);
    [
        (3, features, 3),
        (features, twice, 4),
        (twice, twice, 3),
        (twice, four_times, 4),
        (four_times, four_times, 3),
        (four_times, 1, 3),
    ]
}

/// Heads over a classifier's layers.
#[derive(Clone, Debug)]
pub struct ProjectedDiscriminator {
    features: usize,
    /// Name and channels of each layer.
    layers: Vec<(String, usize)>,
    /// Channels of the first convolution of the head over crops, where there is one.
    patch_features: Option<usize>,
    arithmetic: Arithmetic,
}

impl ProjectedDiscriminator {
    /// Heads of `features` channels over layers of these names and channels ([`crate::Features::channels`]).
    pub fn new(features: usize, layers: Vec<(String, usize)>) -> Self {
        Self { features, layers, patch_features: None, arithmetic: Arithmetic::default() }
    }

    /// The same discriminator with a head over the crops, a logit for each 4x4 pixels, of so many channels in its first convolution;
    /// without one where there are none.
    #[must_use]
    pub fn with_patches(self, patch_features: Option<usize>) -> Self {
        Self { patch_features, ..self }
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
        let of_patches = |(number, (inputs, outputs, side)): (usize, (usize, usize, usize))| {
            let weights = (format!("patch.conv{number}.weight"), vec![outputs, inputs, side, side]);
            let biases = (side == 3).then(|| (format!("patch.conv{number}.bias"), vec![outputs]));
            [weights].into_iter().chain(biases)
        };
        let patches = self
            .patch_features
            .into_iter()
            .flat_map(|features| patch_layers(features).into_iter().enumerate());
        self.layers.iter().flat_map(of_layer).chain(patches.flat_map(of_patches)).collect()
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        drawn(self.tensors(), seed, |_, _, fan_in| Initial::Uniform { fan_in })
    }

    /// A logit for each pixel of each layer's map, `[sample][row * column]`, and last one for each 4x4 pixels of the crops, where
    /// there is a head over them.
    ///
    /// # Panics
    /// Where the maps are not those of the layers, and where the sides of crops that a head sees are no multiples of 4.
    pub fn forward(&self, leaves: &Leaves<'_>, view: View) -> Vec<Tensor<2>> {
        let View { crops, features: maps } = view;
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
        let of_patches = self.patch_features.map(|features| self.of_patches(leaves, crops, features));
        self.layers.iter().zip(maps).map(head).chain(of_patches).collect()
    }

    fn of_patches(&self, leaves: &Leaves<'_>, crops: Tensor<4>, features: usize) -> Tensor<2> {
        let [samples, _, height, width] = crops.dims();
        assert!(
            height.is_multiple_of(PATCH_MULTIPLE) && width.is_multiple_of(PATCH_MULTIPLE),
            "crops with sides of multiples of {PATCH_MULTIPLE}"
        );
        let mut map = Map::of_images(crops, self.arithmetic);
        let layers = patch_layers(features);
        for (number, (_, outputs, side)) in layers.into_iter().enumerate() {
            let name = format!("patch.conv{number}");
            map = if side == 4 {
                map.conv4x4(leaves.get(&format!("{name}.weight")), outputs).leaky_relu(SLOPE)
            } else {
                let (weights, biases) = leaves.convolution(&name);
                let is_last = number + 1 == layers.len();
                map.conv3x3(weights, biases, 1, (!is_last).then_some(SLOPE))
            };
            map = map.computed_with(self.arithmetic);
        }
        map.into_images().reshape([samples, height * width / (PATCH_MULTIPLE * PATCH_MULTIPLE)])
    }
}
