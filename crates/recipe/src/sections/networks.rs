//! The networks: generator and discriminator.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The generator: RRDBNet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// Channels of the trunk. ESRGAN: 64.
    pub features: usize,
    /// RRDBs in the trunk. ESRGAN: 23.
    pub blocks: usize,
    /// Channels that each convolution of a dense block adds. ESRGAN: 32.
    pub growth: usize,
    /// Model file to start from, any that `esrgan upscale` takes; none: fresh weights.
    pub start: Option<PathBuf>,
    /// Whether `start` is of a network with fewer features or growth channels, to be widened: it begins by computing the same.
    pub widen: bool,
    /// What every convolution sees beyond the edge of a crop.
    pub edge: Edge,
}

/// What convolutions see beyond the edge. Whoever enlarges with the model should have them see the same (`esrgan upscale --edge`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// Zeros, as the paper's networks.
    #[default]
    Zero,
    /// The edge pixel, repeated: flat pictures stay flat up to their border.
    Replicate,
}

impl Default for Generator {
    /// The paper's network, from fresh weights.
    fn default() -> Self {
        Self { features: 64, blocks: 23, growth: 32, start: None, widen: false, edge: Edge::Zero }
    }
}

/// The network that tells results from real pictures; for stage `gan` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminator {
    /// Its architecture.
    pub kind: DiscriminatorKind,
    /// Channels of its first convolution, or of each head's. ESRGAN and Real-ESRGAN: 64.
    #[serde(default = "default_features")]
    pub features: usize,
    /// Channels of the first convolution of one more head of kind `projected`, which sees the crop itself (PatchGAN); none: no such
    /// head. Not for the others.
    pub patch_features: Option<usize>,
    /// Side in pixels of what kind `vgg` sees, 128 or 256: `data.crop_px`. Not for the others, which see any size.
    pub input_px: Option<usize>,
    /// Discriminator file to start from; none: fresh weights.
    pub start: Option<PathBuf>,
}

fn default_features() -> usize {
    64
}

/// Architectures of discriminators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscriminatorKind {
    /// Convolutions down to 4x4, then one figure for the picture (ESRGAN).
    Vgg,
    /// A U-Net with spectral normalisation and a figure for each pixel (Real-ESRGAN).
    Unet,
    /// A small head for each layer of the perceptual loss, a figure for each pixel of its features (Projected GAN).
    Projected,
}
