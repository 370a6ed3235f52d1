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
/// Inputs and outputs of the head over crops, in units of its first convolution's outputs, and the side of each filter; those of
/// 4x4 halve the map and have no biases.
const PATCH_LAYERS: [(Width, Width, usize); 6] = [
    (Width::Fixed(3), Width::Times(1), 3),
    (Width::Times(1), Width::Times(2), 4),
    (Width::Times(2), Width::Times(2), 3),
    (Width::Times(2), Width::Times(4), 4),
    (Width::Times(4), Width::Times(4), 3),
    (Width::Times(4), Width::Fixed(1), 3),
];

/// Channels of a map of the head over crops.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// So many.
    Fixed(usize),
    /// So many times the outputs of its first convolution.
    Times(usize),
}

impl Width {
    fn of(self, features: usize) -> usize {
        match self {
            Self::Fixed(count) => count,
            Self::Times(factor) => factor * features,
        }
    }
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

    /// The same discriminator with a head over the crops, `features` channels in its first convolution, whose maps a logit for each
    /// 4x4 pixels comes of.
    #[must_use]
    pub fn with_patches(self, features: usize) -> Self {
        Self { patch_features: Some(features), ..self }
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
        let of_patches = |features: usize| {
            PATCH_LAYERS.into_iter().enumerate().flat_map(move |(number, (inputs, outputs, side))| {
                let (inputs, outputs) = (inputs.of(features), outputs.of(features));
                let weights = (format!("patch.conv{number}.weight"), vec![outputs, inputs, side, side]);
                let biases = (side == 3).then(|| (format!("patch.conv{number}.bias"), vec![outputs]));
                [weights].into_iter().chain(biases)
            })
        };
        let of_layers = self.layers.iter().flat_map(of_layer);
        of_layers.chain(self.patch_features.into_iter().flat_map(of_patches)).collect()
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
        for (number, (_, outputs, side)) in PATCH_LAYERS.into_iter().enumerate() {
            let name = format!("patch.conv{number}");
            map = if side == 4 {
                map.conv4x4(leaves.get(&format!("{name}.weight")), outputs.of(features)).leaky_relu(SLOPE)
            } else {
                let (weights, biases) = leaves.convolution(&name);
                let is_last = number + 1 == PATCH_LAYERS.len();
                map.conv3x3(weights, biases, 1, (!is_last).then_some(SLOPE))
            };
            map = map.computed_with(self.arithmetic);
        }
        map.into_images().reshape([samples, height * width / (PATCH_MULTIPLE * PATCH_MULTIPLE)])
    }
}
