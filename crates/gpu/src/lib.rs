//! Inference on GPUs.
//!
//! What lives here: the devices that Vulkan shows, convolution kernels in CubeCL with everything that is fused into them, and
//! networks that run there over whole pictures. What does not: tiles and files (the facade), autodiff (`esrgan-model`).
//!
//! Without the feature `vulkan` the crate is empty.
#![cfg(feature = "vulkan")]

mod device;
mod error;
mod kernels;
mod network;

pub use device::{DeviceInfo, Gpu, devices, refusals};
pub use error::GpuError;
pub use esrgan_core::DeviceKind;
pub use kernels::{MapBuffer, write_columns};
pub use network::GpuNetwork;
