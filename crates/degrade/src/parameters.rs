//! Everything that was drawn for one sample.

use serde::Serialize;

use crate::kernel::KernelShape;
use crate::noise::Noise;
use crate::resize::ResizeMode;
use esrgan_random::SampleKey;

/// The size that a resize leads to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The present size times a factor, rounded down.
    Present(f64),
    /// The final size times a factor, rounded down.
    Final(f64),
}

/// One step of a degradation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Step {
    /// A blur.
    Blur {
        /// The kernel's form.
        #[serde(flatten)]
        shape: KernelShape,
        /// Its odd side in px.
        size: usize,
    },
    /// Another size.
    Resize {
        /// Which.
        target: Target,
        /// How.
        mode: ResizeMode,
    },
    /// Noise.
    Noise(Noise),
    /// What JPEG leaves.
    Jpeg {
        /// 1..=100.
        quality: u8,
    },
    /// The plain antialiased downscale to the final size.
    Downscale,
}

/// Every random choice of one sample, in the order in which it is carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameters {
    /// What they were drawn from; noise is drawn from it as well.
    #[serde(flatten)]
    pub key: SampleKey,
    /// The factor between the sides of both pictures.
    pub scale: usize,
    /// What is done.
    pub steps: Vec<Step>,
}
