//! Discriminators: what tells true crops from made ones.

mod unet;
mod vgg;

use burn::tensor::Tensor;

use crate::arithmetic::Arithmetic;
use crate::device::ComputeDevice;
use crate::parameters::{Leaves, Parameters};

pub use unet::UnetDiscriminator;
pub use vgg::VggDiscriminator;

/// A discriminator of either kind.
#[derive(Clone, Debug)]
pub enum Discriminator {
    /// The paper's: one logit for a crop.
    Vgg(VggDiscriminator),
    /// Real-ESRGAN's: a logit for each pixel.
    Unet(UnetDiscriminator),
}

impl Discriminator {
    /// The same discriminator, computed in another way: by default in `f32` on the fastest instruction set. The convolution of
    /// the picture always multiplies in `f32`.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        match self {
            Self::Vgg(network) => Self::Vgg(network.computed_with(arithmetic)),
            Self::Unet(network) => Self::Unet(network.computed_with(arithmetic)),
        }
    }

    /// Where it is computed.
    pub fn device(&self) -> ComputeDevice {
        match self {
            Self::Vgg(network) => network.device(),
            Self::Unet(network) => network.device(),
        }
    }

    /// Names and shapes of its tensors.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Vgg(network) => network.tensors(),
            Self::Unet(network) => network.tensors(),
        }
    }

    /// Parameters before training: PyTorch's.
    pub fn initial(&self, seed: u64) -> Parameters {
        match self {
            Self::Vgg(network) => network.initial(seed),
            Self::Unet(network) => network.initial(seed),
        }
    }

    /// What [`Discriminator::forward`] moves, before training: running statistics, or directions of the spectral norm.
    pub fn statistics(&self, seed: u64) -> Parameters {
        match self {
            Self::Vgg(network) => network.statistics(),
            Self::Unet(network) => network.statistics(seed),
        }
    }

    /// The logits of a batch, `[sample][logit]`.
    ///
    /// # Shapes
    /// `images`: `[sample][3][row][column]`
    ///
    /// # Panics
    /// Where crops are of a size that the network is not for.
    pub fn forward(&self, leaves: &Leaves<'_>, running: &mut Parameters, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Vgg(network) => network.forward(leaves, running, images),
            Self::Unet(network) => network.forward(leaves, running, images),
        }
    }
}
