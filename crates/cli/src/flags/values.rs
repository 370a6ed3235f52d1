//! Values of flags.

use std::str::FromStr;

use clap::ValueEnum;
use esrgan_upscale::{AlphaMode, Boundary, Edge, PictureFormat, Precision, TilePolicy};

/// `--precision`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionFlag {
    /// bf16 where the processor multiplies matrices of it (AMX), f16 on a GPU that has it, f32 elsewhere
    #[default]
    Auto,
    /// 32-bit floating point
    F32,
    /// Products of bfloat16, sums in 32-bit floating point; f32 where the processor has no such instructions
    Bf16,
    /// Half precision, on GPUs; a processor takes bf16 or f32 for it
    F16,
}

impl PrecisionFlag {
    /// The precision that is asked for; none where any is good.
    pub(crate) fn wanted(self) -> Option<Precision> {
        self.into()
    }
}

impl From<PrecisionFlag> for Option<Precision> {
    fn from(flag: PrecisionFlag) -> Self {
        match flag {
            PrecisionFlag::Auto => None,
            PrecisionFlag::F32 => Some(Precision::F32),
            PrecisionFlag::Bf16 => Some(Precision::Bf16),
            PrecisionFlag::F16 => Some(Precision::F16),
        }
    }
}

/// `--alpha`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlphaFlag {
    /// Enlarge transparency by the model, as a gray picture
    #[default]
    Model,
    /// Enlarge transparency by a Lanczos filter, which is faster
    Resample,
    /// Drop transparency and keep the colours
    Drop,
}

impl From<AlphaFlag> for AlphaMode {
    fn from(flag: AlphaFlag) -> Self {
        match flag {
            AlphaFlag::Model => Self::Model,
            AlphaFlag::Resample => Self::Resample,
            AlphaFlag::Drop => Self::Drop,
        }
    }
}

/// `--edge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EdgeFlag {
    /// Zeros, as most networks were trained
    Zero,
    /// The edge pixel, repeated
    Replicate,
    /// The picture, mirrored
    Reflect,
    /// The opposite edge: tileable textures stay tileable
    Wrap,
}

impl From<EdgeFlag> for Edge {
    fn from(flag: EdgeFlag) -> Self {
        match flag {
            EdgeFlag::Zero => Self::Zero,
            EdgeFlag::Replicate => Self::Replicate,
            EdgeFlag::Reflect => Self::Reflect,
            EdgeFlag::Wrap => Self::Wrap,
        }
    }
}

/// `--edge` of `downscale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BoundaryFlag {
    /// The edge pixel, repeated: as the LR pictures of Set5 and Set14 were made
    #[default]
    Replicate,
    /// The picture, mirrored: as later versions of MATLAB do
    Symmetric,
}

impl From<BoundaryFlag> for Boundary {
    fn from(flag: BoundaryFlag) -> Self {
        match flag {
            BoundaryFlag::Replicate => Self::Replicate,
            BoundaryFlag::Symmetric => Self::Symmetric,
        }
    }
}

/// `--tile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TileFlag(pub(crate) TilePolicy);

impl FromStr for TileFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self(TilePolicy::Auto)),
            "off" => Ok(Self(TilePolicy::Off)),
            _ => match text.parse() {
                Ok(pixels) => Ok(Self(TilePolicy::LrPx(pixels))),
                Err(_) => Err("expected `auto`, `off`, or a tile's side in input pixels".to_owned()),
            },
        }
    }
}

/// `--format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormatFlag(pub(crate) Option<PictureFormat>);

impl FromStr for FormatFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "keep" {
            return Ok(Self(None));
        }
        let writable = || PictureFormat::ALL.iter().filter(|format| format.can_encode());
        match PictureFormat::from_extension(text).filter(|format| format.can_encode()) {
            Some(format) => Ok(Self(Some(format))),
            None => {
                let names: Vec<&str> = writable().map(|format| format.extension()).collect();
                Err(format!("expected `keep` or one of {}", names.join(", ")))
            }
        }
    }
}

/// A share between 0 and 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        assert_eq!("256".parse(), Ok(TileFlag(TilePolicy::LrPx(256))));
        assert_eq!("off".parse(), Ok(TileFlag(TilePolicy::Off)));
        assert!("-3".parse::<TileFlag>().is_err());
        assert_eq!("keep".parse(), Ok(FormatFlag(None)));
        assert_eq!("jpg".parse(), Ok(FormatFlag(Some(PictureFormat::Jpeg))));
        assert!("gif".parse::<FormatFlag>().is_err());
    }
}
