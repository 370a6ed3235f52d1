//! Networks that are trained: generator, discriminators, feature extractors.
//!
//! What lives here: the networks over Burn's tensors and autodiff, with the hand-written layers of `esrgan-gradients` as
//! operations; their parameters, and the way from and to files. What does not: losses, optimisers, loops.
//!
//! Parameters and maps are flat tensors; shapes are the layers' own. So the optimiser, the average and the checkpoint see a
//! list of named vectors.

mod arithmetic;
mod device;
mod discriminator;
mod error;
mod features;
mod generator;
mod gradient;
mod initial;
mod layers;
mod operation;
mod parameters;
mod reduction;
mod resident;
mod spectral_norm;
mod tensor_operation;
#[cfg(feature = "vulkan")]
mod vulkan;
mod widening;

pub use arithmetic::Arithmetic;
pub use device::ComputeDevice;
pub use discriminator::{Discriminator, ProjectedDiscriminator, UnetDiscriminator, VggDiscriminator, View};
pub use error::ModelError;
pub use features::{FeatureNetwork, Features};
pub use generator::Generator;
pub use gradient::NetworkGradient;
pub use layers::{Map, Seen};
pub use parameters::{Leaves, Parameter, Parameters};
pub use reduction::{mean, sum, to_host};
pub use resident::Resident;
#[cfg(feature = "vulkan")]
pub use vulkan::VulkanDevice;

pub use esrgan_gradients::{Edge, Isa, Precision};
