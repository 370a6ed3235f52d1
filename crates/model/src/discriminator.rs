//! Discriminators: what tells true crops from made ones.

mod projected;
mod unet;
mod vgg;

use burn::tensor::Tensor;

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};

pub use projected::ProjectedDiscriminator;
pub use unet::UnetDiscriminator;
pub use vgg::VggDiscriminator;

/// What a discriminator looks at.
#[derive(Clone, Debug)]
pub struct View {
    /// Crops, `[sample][3][row][column]`, RGB in 0..1.
    pub crops: Tensor<4>,
    /// Their features, where [`Discriminator::sees_features`].
    pub features: Vec<Map>,
}

impl View {
    /// The same values, through which no gradient flows.
    #[must_use]
    pub fn detached(self) -> Self {
        let features = self.features.into_iter().map(Map::detached).collect();
        Self { crops: self.crops.detach(), features }
    }
}

/// A discriminator of any kind.
#[derive(Clone, Debug)]
pub enum Discriminator {
    /// The paper's: one logit for a crop.
    Vgg(VggDiscriminator),
    /// Real-ESRGAN's: a logit for each pixel.
    Unet(UnetDiscriminator),
    /// One head for each layer of a classifier, a logit for each pixel of its map.
    Projected(ProjectedDiscriminator),
}

impl Discriminator {
    /// The same discriminator, computed in another way: by default in `f32` on the fastest instruction set. The convolution of
    /// the picture always multiplies in `f32`.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        match self {
            Self::Vgg(network) => Self::Vgg(network.computed_with(arithmetic)),
            Self::Unet(network) => Self::Unet(network.computed_with(arithmetic)),
            Self::Projected(network) => Self::Projected(network.computed_with(arithmetic)),
        }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        match self {
            Self::Vgg(network) => network.device(),
            Self::Unet(network) => network.device(),
            Self::Projected(network) => network.device(),
        }
    }

    /// Names and shapes of its tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Vgg(network) => network.tensors(),
            Self::Unet(network) => network.tensors(),
            Self::Projected(network) => network.tensors(),
        }
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        match self {
            Self::Vgg(network) => network.initial(seed),
            Self::Unet(network) => network.initial(seed),
            Self::Projected(network) => network.initial(seed),
        }
    }

    /// What [`Discriminator::forward`] moves, before training: running statistics, or directions of the spectral norm.
    pub fn statistics(&self, seed: u64) -> Parameters {
        match self {
            Self::Vgg(network) => network.statistics(),
            Self::Unet(network) => network.statistics(seed),
            Self::Projected(_) => Parameters::new(),
        }
    }

    /// Whether it looks at a classifier's features instead of at crops.
    pub fn sees_features(&self) -> bool {
        matches!(self, Self::Projected(_))
    }

    /// The logits of a batch, `[sample][logit]`, of each head.
    ///
    /// # Panics
    /// Where crops are of a size that the network is not for, and where features are missing.
    pub fn forward(&self, leaves: &Leaves<'_>, running: &mut Parameters, view: View) -> Vec<Tensor<2>> {
        match self {
            Self::Vgg(network) => vec![network.forward(leaves, running, view.crops)],
            Self::Unet(network) => vec![network.forward(leaves, running, view.crops)],
            Self::Projected(network) => network.forward(leaves, view),
        }
    }
}
