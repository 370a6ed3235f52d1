//! What is minimised: pixel, perceptual and adversarial loss, weighted and summed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The terms of the generator's loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Losses {
    /// Distance of samples.
    pub pixel: Pixel,
    /// Distance of a network's features; stage `gan` needs it.
    pub perceptual: Option<Perceptual>,
    /// What the discriminator says; for stage `gan` alone.
    pub adversarial: Option<Adversarial>,
    /// A pattern of as many pixels as the scale, which is no texture; for stage `gan` alone.
    pub checkerboard: Option<Pattern>,
    /// A pattern that comes again after some pixels, more than the truth's do; for stage `gan` alone.
    pub autocorrelation: Option<Pattern>,
}

/// Distance of samples, the mean over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixel {
    /// How it is measured. ESRGAN, Real-ESRGAN: `l1`.
    #[serde(default)]
    pub kind: PixelKind,
    /// Its factor in the sum. PSNR stage: 1; ESRGAN (eta): 0.01; Real-ESRGAN: 1.
    pub weight: f64,
}

/// Distances of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PixelKind {
    /// Absolute difference.
    #[default]
    L1,
    /// Square root of the squared difference and a small constant.
    Charbonnier,
    /// Squared difference.
    Mse,
}

/// Distance of the features that a classifier sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perceptual {
    /// The classifier. ESRGAN, Real-ESRGAN: `vgg19`.
    #[serde(default)]
    pub network: PerceptualNetwork,
    /// File of its convolutions, with torchvision's names.
    pub weights_file: PathBuf,
    /// How features are compared. ESRGAN, Real-ESRGAN: `l1`.
    #[serde(default)]
    pub criterion: FeatureCriterion,
    /// Its factor in the sum. ESRGAN, Real-ESRGAN: 1.
    #[serde(default = "default_perceptual_weight")]
    pub weight: f64,
    /// Layers and each one's factor: `conv5_4` before its activation, `relu5_4` behind it. ESRGAN: `conv5_4` alone; Real-ESRGAN:
    /// five.
    #[serde(default = "default_layers")]
    pub layers: BTreeMap<String, f64>,
}

fn default_perceptual_weight() -> f64 {
    1.0
}

fn default_layers() -> BTreeMap<String, f64> {
    BTreeMap::from([("conv5_4".to_owned(), 1.0)])
}

/// Classifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PerceptualNetwork {
    /// 16 convolutions.
    #[default]
    Vgg19,
    /// 13 convolutions.
    Vgg16,
}

impl PerceptualNetwork {
    /// Its layers, in their order.
    pub fn layers(self) -> Vec<String> {
        let deep = if self == Self::Vgg19 { 4 } else { 3 };
        let stages = [2, 2, deep, deep, deep].into_iter().zip(1..);
        stages
            .flat_map(|(count, stage)| (1..=count).map(move |layer| format!("{stage}_{layer}")))
            .flat_map(|place| [format!("conv{place}"), format!("relu{place}")])
            .collect()
    }
}

/// Distances of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureCriterion {
    /// Absolute difference, the mean over all of a layer's.
    #[default]
    L1,
    /// Squared difference, the mean over all of a layer's.
    L2,
    /// Squared distance of the features at each pixel, brought to unit length: of one size whichever weights the network has.
    Cosine,
}

/// What the discriminator says of results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adversarial {
    /// Which game is played. ESRGAN: `relativistic`; Real-ESRGAN: `vanilla`.
    #[serde(default)]
    pub kind: AdversarialKind,
    /// Its factor in the generator's sum. ESRGAN (lambda): 0.005; Real-ESRGAN: 0.1.
    pub weight: f64,
}

/// A loss of patterns that no picture has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Its factor in the sum.
    pub weight: f64,
}

/// Adversarial games.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialKind {
    /// Relativistic average: real ones more real than results on average (ESRGAN, section 3.2).
    #[default]
    Relativistic,
    /// Cross-entropy.
    Vanilla,
    /// Squares.
    Lsgan,
    /// Hinge.
    Hinge,
}

#[cfg(test)]
mod tests {
    use super::PerceptualNetwork;

    #[test]
    fn networks_have_their_layers() {
        for (network, count, last) in
            [(PerceptualNetwork::Vgg19, 32, "relu5_4"), (PerceptualNetwork::Vgg16, 26, "relu5_3")]
        {
            let layers = network.layers();
            assert_eq!((layers.len(), layers[count - 1].as_str()), (count, last));
            assert_eq!(layers[..4], ["conv1_1", "relu1_1", "conv1_2", "relu1_2"]);
        }
    }
}
