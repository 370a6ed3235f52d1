//! Degradation: low-resolution pictures made of good ones by blur, resizing, noise and JPEG, as training needs them.
//!
//! What lives here: the random choices ([`Degradation::sample`]), what they do to a picture ([`Degradation::apply`]), drawn by
//! counter. What does not: the generator, reading data sets, crops, flags.
//! Theory: Wang et al., "Real-ESRGAN", 2021, section 3.

mod bessel;
mod contact_sheet;
mod degradation;
mod draw;
mod error;
mod files;
mod filter;
#[cfg(test)]
mod golden;
mod jpeg;
mod kernel;
mod noise;
mod parameters;
mod resize;
mod sharpen;

pub use contact_sheet::contact_sheet;
pub use degradation::Degradation;
pub use draw::Preset;
pub use error::DegradeError;
pub use esrgan_random::{Purpose, RandomStream, SampleKey};
pub use files::{DegradeReport, degrade_file};
pub use jpeg::quantisation_tables;
pub use kernel::{Kernel, KernelShape, Profile};
pub use noise::{Noise, NoiseKind};
pub use parameters::{Parameters, Step, Target};
pub use resize::ResizeMode;
pub use sharpen::sharpen;
