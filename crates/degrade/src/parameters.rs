//! Everything that was drawn for one sample, and how it is written down.

use std::fmt;

use crate::kernel::{KernelShape, Profile};
use crate::noise::{Noise, NoiseKind};
use crate::random::SampleKey;
use crate::resize::ResizeMode;

/// The size that a resize leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The present size times a factor, rounded down.
    Present(f64),
    /// The final size times a factor, rounded down.
    Final(f64),
}

/// One step of a degradation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A blur.
    Blur {
        /// The kernel's form.
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

/// Every random choice of one sample, in the order in which it is carried out. `Display` writes one line of JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// What they were drawn from; noise is drawn from it as well.
    pub key: SampleKey,
    /// The factor between the sides of both pictures.
    pub scale: usize,
    /// What is done.
    pub steps: Vec<Step>,
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SampleKey { seed, step, sample } = self.key;
        write!(f, r#"{{"seed":{seed},"step":{step},"sample":{sample},"scale":{},"steps":["#, self.scale)?;
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "," })?;
        }
        f.write_str("]}")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blur { shape, size } => {
                write!(f, r#"{{"op":"blur","kernel":"{}","size":{size}"#, shape.name())?;
                write_shape(f, shape)?;
                f.write_str("}")
            }
            Self::Resize { target, mode } => {
                let (base, factor) = match target {
                    Target::Present(factor) => ("present", factor),
                    Target::Final(factor) => ("final", factor),
                };
                let mode = mode.name();
                write!(f, r#"{{"op":"resize","mode":"{mode}","of":"{base}","factor":{factor}}}"#)
            }
            Self::Noise(Noise { kind, is_gray }) => {
                let (name, field, value) = match kind {
                    NoiseKind::Gaussian { sigma } => ("gaussian", "sigma", sigma),
                    NoiseKind::Poisson { scale } => ("poisson", "scale", scale),
                };
                write!(f, r#"{{"op":"noise","kind":"{name}","{field}":{value},"gray":{is_gray}}}"#)
            }
            Self::Jpeg { quality } => write!(f, r#"{{"op":"jpeg","quality":{quality}}}"#),
            Self::Downscale => f.write_str(r#"{"op":"downscale"}"#),
        }
    }
}

fn write_shape(f: &mut fmt::Formatter<'_>, shape: &KernelShape) -> fmt::Result {
    let profile = match shape {
        KernelShape::Isotropic { profile, sigma } => {
            write!(f, r#","sigma":{sigma}"#)?;
            profile
        }
        KernelShape::Anisotropic { profile, sigma_x, sigma_y, theta } => {
            write!(f, r#","sigma_x":{sigma_x},"sigma_y":{sigma_y},"theta":{theta}"#)?;
            profile
        }
        KernelShape::Sinc { cutoff } => return write!(f, r#","cutoff":{cutoff}"#),
    };
    match profile {
        Profile::Gaussian => Ok(()),
        Profile::Generalized(beta) | Profile::Plateau(beta) => write!(f, r#","beta":{beta}"#),
    }
}
