//! What can go wrong, and who must act.

use std::path::PathBuf;

use esrgan_core::{Classify, Kind};
use esrgan_image::ImageError;

/// Why a picture could not be degraded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DegradeError {
    /// The scale is none that pictures are made at.
    #[error("scale {scale}: expected 1 to 16")]
    Scale {
        /// What was asked for.
        scale: usize,
    },
    /// The sides do not divide by the scale.
    #[error("a picture of {width}x{height}: expected sides that are multiples of the scale {scale}")]
    NotMultiple {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The scale.
        scale: usize,
    },
    /// There is nothing of the picture at the smaller size.
    #[error("`{}`: {width}x{height} is less than one pixel at scale {scale}", path.display())]
    TooSmall {
        /// The picture.
        path: PathBuf,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The scale.
        scale: usize,
    },
    /// The parameters were drawn for another scale.
    #[error("parameters for scale {found}: expected {expected}")]
    OtherScale {
        /// The degradation's scale.
        expected: usize,
        /// The parameters' scale.
        found: usize,
    },
    /// No preset has this name.
    #[error("preset `{name}`: expected `real-esrgan`, `mild` or `bicubic`")]
    Preset {
        /// What was asked for.
        name: String,
    },
    /// A contact sheet under the name of another format.
    #[error("`{}`: a contact sheet is a PNG: expected a name that ends in `.png`", path.display())]
    SheetFormat {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The picture could not be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl Classify for DegradeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Image(source) => source.kind(),
            Self::OtherScale { .. } => Kind::Internal,
            Self::Scale { .. }
            | Self::NotMultiple { .. }
            | Self::TooSmall { .. }
            | Self::Preset { .. }
            | Self::SheetFormat { .. } => Kind::Argument,
        }
    }
}
