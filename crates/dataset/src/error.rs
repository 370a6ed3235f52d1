//! What can go wrong with training data, and who must act.

use std::io;
use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};
use esrgan_degrade::DegradeError;
use esrgan_image::ImageError;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A picture could not be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A picture could not be degraded.
    #[error(transparent)]
    Degrade(#[from] DegradeError),
    /// A folder could not be read.
    #[error("`{}`: cannot read the folder", path.display())]
    Folder {
        /// The folder, or what lies in it.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no picture in a folder.
    #[error("`{}`: expected pictures in it or in its folders, found none", path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
    },
    /// No folder was named.
    #[error("expected at least one folder of pictures, found none")]
    NoFolders,
    /// A number is out of range.
    #[error("{name} {found}: expected {min} to {max}")]
    OutOfRange {
        /// What the number is.
        name: &'static str,
        /// What was asked for.
        found: usize,
        /// The smallest.
        min: usize,
        /// The largest.
        max: usize,
    },
    /// The crops' side does not divide by the scale.
    #[error("crops of {hr_crop_px} px: expected a multiple of the scale {scale}, at least {scale}")]
    CropNotMultiple {
        /// What was asked for.
        hr_crop_px: usize,
        /// The scale.
        scale: usize,
    },
    /// A batch would hold more samples than are allowed.
    #[error(
        "{batch} crops of {hr_crop_px} px: expected batches of at most {allowed} samples, channels counted"
    )]
    BatchTooLarge {
        /// Crops in a batch.
        batch: usize,
        /// Their side.
        hr_crop_px: usize,
        /// The most.
        allowed: u64,
    },
    /// A picture is smaller than the crops.
    #[error("`{}`: {width}x{height} is too small for crops of {hr_crop_px}x{hr_crop_px}", path.display())]
    TooSmall {
        /// The picture.
        path: PathBuf,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The crops' side.
        hr_crop_px: usize,
    },
    /// A low-resolution picture is not its partner's size divided by the scale.
    #[error(
        "`{}`: {}x{} pixels at scale {scale} do not fit `{}`, which has {}x{}",
        lr.display(), lr_size.0, lr_size.1, hr.display(), hr_size.0, hr_size.1
    )]
    PairSize {
        /// The high-resolution picture.
        hr: PathBuf,
        /// Its width and height.
        hr_size: (usize, usize),
        /// The low-resolution picture.
        lr: PathBuf,
        /// Its width and height.
        lr_size: (usize, usize),
        /// The scale.
        scale: usize,
    },
    /// A picture has no partner.
    #[error(
        "`{}` has no low-resolution partner: expected `{}`, or that with x{scale} or _x{scale} behind it, as a picture",
        hr.display(), partner.display()
    )]
    NoPartner {
        /// The high-resolution picture.
        hr: PathBuf,
        /// Where the partner should be, without its extension.
        partner: PathBuf,
        /// The scale.
        scale: usize,
    },
    /// Two pictures have the same partner.
    #[error(
        "`{}` is the low-resolution partner of both `{}` and `{}`: expected one of its own for each",
        lr.display(), first.display(), second.display()
    )]
    SharedPartner {
        /// The low-resolution picture.
        lr: PathBuf,
        /// A high-resolution picture.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// The system gives no thread.
    #[error("cannot start thread {number} of {threads} for batches")]
    Thread {
        /// Which, from 1.
        number: usize,
        /// How many were asked for.
        threads: usize,
        /// The system's answer.
        source: io::Error,
    },
    /// The preparation of a batch broke its own rules.
    #[error("the preparation of batch {step} gave up: {message}")]
    Panicked {
        /// The batch's step.
        step: u64,
        /// The panic's message.
        message: String,
    },
}

impl DatasetError {
    /// A fault of the system at a folder.
    pub(crate) fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Folder { path: path.to_owned(), source }
    }

    /// The file or folder that it is about, where it is about one: of a pair, the picture that is at fault.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Image(source) => Some(source.path()),
            Self::Folder { path, .. } | Self::NoPictures { path } | Self::TooSmall { path, .. } => Some(path),
            Self::NoPartner { hr, .. } => Some(hr),
            Self::PairSize { lr, .. } | Self::SharedPartner { lr, .. } => Some(lr),
            Self::Degrade(_)
            | Self::NoFolders
            | Self::OutOfRange { .. }
            | Self::CropNotMultiple { .. }
            | Self::BatchTooLarge { .. }
            | Self::Thread { .. }
            | Self::Panicked { .. } => None,
        }
    }
}

impl Classify for DatasetError {
    fn kind(&self) -> Kind {
        match self {
            Self::Image(source) => source.kind(),
            Self::Degrade(source) => source.kind(),
            Self::Folder { .. } | Self::Thread { .. } => Kind::Io,
            Self::BatchTooLarge { .. } => Kind::Limit,
            Self::Panicked { .. } => Kind::Internal,
            Self::NoPictures { .. }
            | Self::NoFolders
            | Self::OutOfRange { .. }
            | Self::CropNotMultiple { .. }
            | Self::TooSmall { .. }
            | Self::PairSize { .. }
            | Self::NoPartner { .. }
            | Self::SharedPartner { .. } => Kind::Argument,
        }
    }
}
