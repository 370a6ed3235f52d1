//! What can go wrong, and who must act.

use esrgan_core::{Classify, Kind};
use esrgan_weights::{Family, SpecParts, WeightsError};

/// Why a network could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A tensor is not there.
    #[error("tensor `{name}`: missing, expected {shape:?}")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor has another shape.
    #[error("tensor `{name}`: expected {expected:?}, found {found:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What the network has.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// A tensor that the network has no place for.
    #[error("tensor `{name}`: the network has none of this name")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A network of a kind that is not trained here.
    #[error("a generator of the family {found:?}: expected {:?}", Family::Rrdb)]
    Family {
        /// What was given.
        found: Family,
    },
    /// A model that cannot be widened to the network that was asked for.
    #[error("to widen: expected x{}, at most {}; found x{}, {}", expected.scale, sizes(expected), found.scale, sizes(found))]
    Narrower {
        /// The network that was asked for.
        expected: Box<SpecParts>,
        /// The model.
        found: Box<SpecParts>,
    },
    /// A discriminator for a crop that it is not made for.
    #[error("a VGG-style discriminator for {found} px: expected 128 or 256")]
    DiscriminatorSize {
        /// Pixels of a side.
        found: usize,
    },
    /// A U-Net for a crop that cannot be halved three times.
    #[error("a U-Net discriminator for {found} px: expected a multiple of 8")]
    UnetSize {
        /// Pixels of a side.
        found: usize,
    },
    /// No layer of a feature network has this name.
    #[error("layer `{name}` of {network}: expected one of {known}")]
    Layer {
        /// What was asked for.
        name: String,
        /// The network.
        network: &'static str,
        /// Its convolutions.
        known: String,
    },
    /// Weights of the other feature network, which would fit as far as both are alike.
    #[error("tensor `{name}`: the weights are those of {found}, expected {expected}'s")]
    OtherFeatures {
        /// The first tensor that tells them apart.
        name: String,
        /// The network that was asked for.
        expected: &'static str,
        /// The network that it belongs to.
        found: &'static str,
    },
    /// There is no such device, or it could not be opened.
    #[cfg(feature = "vulkan")]
    #[error(transparent)]
    Gpu(#[from] esrgan_gpu::GpuError),
    /// The weights could not be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// What a network may differ in, in words.
fn sizes(parts: &SpecParts) -> String {
    let SpecParts { family, num_features, growth_channels, num_blocks, .. } = parts;
    format!("{num_features} features, {growth_channels} growth channels, {num_blocks} blocks ({family})")
}

impl Classify for ModelError {
    fn kind(&self) -> Kind {
        match self {
            Self::Weights(source) => source.kind(),
            #[cfg(feature = "vulkan")]
            Self::Gpu(source) => source.kind(),
            Self::Missing { .. }
            | Self::Shape { .. }
            | Self::Unexpected { .. }
            | Self::OtherFeatures { .. } => Kind::Malformed,
            Self::Narrower { .. } | Self::Family { .. } => Kind::Unsupported,
            Self::DiscriminatorSize { .. } | Self::UnetSize { .. } | Self::Layer { .. } => Kind::Argument,
        }
    }
}
