//! What can go wrong with a picture, and who must act.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};

use crate::PictureFormat;

/// The cause that a codec gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A limit of [`crate::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitName {
    /// Width times height.
    Pixels,
    /// The longer side.
    Side,
    /// Memory while decoding.
    Memory,
}

impl LimitName {
    fn unit(self) -> &'static str {
        match self {
            Self::Pixels => "pixels",
            Self::Side => "pixels a side",
            Self::Memory => "bytes of memory",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Pixels => "`--max-pixels 0` lifts the limit",
            Self::Side => "`--max-side` raises the limit",
            Self::Memory => "`--memory` raises the limit",
        }
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unit())
    }
}

/// Why a picture could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The operating system refused.
    #[error("`{}`: cannot {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, such as `open`.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The first bytes belong to no format that is read.
    #[error("`{}` is {}: expected png, jpg, webp, tiff, bmp, gif, qoi, exr, pnm, tga, hdr or ico",
            path.display(), looks_like.unwrap_or("not a known kind of picture"))]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the bytes are, where that is known.
        looks_like: Option<&'static str>,
    },
    /// The bytes are not what their format says.
    #[error("`{}` is a damaged {format}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: PictureFormat,
        /// What the codec found.
        source: Cause,
    },
    /// The file ends before its picture does.
    #[error("`{}` is a truncated {format}: {detail}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: PictureFormat,
        /// What is missing.
        detail: String,
    },
    /// The file is well formed, but uses a feature that is not handled.
    #[error("`{}`: this kind of {format} is not supported: {feature}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: PictureFormat,
        /// The feature.
        feature: String,
    },
    /// A limit would be exceeded. Nothing was allocated.
    #[error("`{}` needs {found} {limit}, the limit is {allowed}: {}", path.display(), limit.hint())]
    LimitExceeded {
        /// The file.
        path: PathBuf,
        /// Which limit.
        limit: LimitName,
        /// Its value.
        allowed: u64,
        /// What the picture needs.
        found: u64,
    },
    /// The system has not the memory that the picture needs, although the limits allow it.
    #[error("`{}`: the system does not give the {bytes} bytes that the picture needs", path.display())]
    OutOfMemory {
        /// The file.
        path: PathBuf,
        /// How many bytes were asked for.
        bytes: u64,
    },
    /// A sample of a floating-point file is NaN or infinite.
    #[error("`{}`: the sample at column {x}, row {y}, channel {channel} is {value}, expected a finite number",
            path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Column, after orientation.
        x: usize,
        /// Row, after orientation.
        y: usize,
        /// Channel, from 0; alpha is last.
        channel: usize,
        /// The sample.
        value: f32,
    },
    /// A decoder broke its own rules on these bytes.
    #[error("`{}`: the decoder gave up on this file: {message}", path.display())]
    DecoderPanicked {
        /// The file.
        path: PathBuf,
        /// The panic's message.
        message: String,
    },
    /// The format can be read but not written.
    #[error("`{}`: {format} can be read but not written: choose png, jpg, webp, tiff, bmp, qoi, exr, pnm or tga",
            path.display())]
    ReadOnlyFormat {
        /// The output.
        path: PathBuf,
        /// The format asked for.
        format: PictureFormat,
    },
    /// The output is larger than its format can hold.
    #[error("`{}`: {format} holds at most {allowed} {what}, found {found}: choose png or tiff", path.display())]
    TooLargeForFormat {
        /// The output.
        path: PathBuf,
        /// The format asked for.
        format: PictureFormat,
        /// What is counted, such as `pixels a side`.
        what: &'static str,
        /// What the format holds.
        allowed: u64,
        /// What the picture has.
        found: u64,
    },
    /// The raster's samples do not fit its size and channels.
    #[error("`{}`: a raster of {width} x {height} x {channels} samples was expected, found {found} samples",
            path.display())]
    RasterSize {
        /// The output.
        path: PathBuf,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Channels, 1 to 4.
        channels: usize,
        /// Samples in the raster.
        found: usize,
    },
    /// An encoder failed on a valid raster.
    #[error("`{}`: cannot encode {format}: {source}", path.display())]
    Encoding {
        /// The output.
        path: PathBuf,
        /// Its format.
        format: PictureFormat,
        /// What the codec said.
        source: Cause,
    },
}

impl ImageError {
    /// The file that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::UnknownFormat { path, .. }
            | Self::Malformed { path, .. }
            | Self::Truncated { path, .. }
            | Self::Unsupported { path, .. }
            | Self::LimitExceeded { path, .. }
            | Self::OutOfMemory { path, .. }
            | Self::NotFinite { path, .. }
            | Self::DecoderPanicked { path, .. }
            | Self::ReadOnlyFormat { path, .. }
            | Self::TooLargeForFormat { path, .. }
            | Self::RasterSize { path, .. }
            | Self::Encoding { path, .. } => path,
        }
    }
}

impl Classify for ImageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Io,
            Self::Malformed { .. }
            | Self::Truncated { .. }
            | Self::NotFinite { .. }
            | Self::DecoderPanicked { .. } => Kind::Malformed,
            Self::UnknownFormat { .. } | Self::Unsupported { .. } => Kind::Unsupported,
            Self::LimitExceeded { .. } | Self::OutOfMemory { .. } => Kind::Limit,
            Self::ReadOnlyFormat { .. } | Self::TooLargeForFormat { .. } => Kind::Argument,
            Self::RasterSize { .. } | Self::Encoding { .. } => Kind::Internal,
        }
    }
}

/// A codec's failure before it is known which file it belongs to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The codec's own error.
    Codec(Cause),
    /// The bytes end too early.
    Truncated(String),
    /// A feature that is not handled.
    Unsupported(String),
    /// Memory was refused.
    OutOfMemory(u64),
    /// A memory limit inside the codec: what it allowed, what was needed.
    Memory { allowed: u64, found: u64 },
}

impl Failure {
    /// A fault in the bytes, in our own words.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Codec(what.into().into())
    }

    /// Names the file that was read.
    pub(crate) fn reading(self, path: &Path, format: PictureFormat) -> ImageError {
        let path = path.to_owned();
        match self {
            Self::Codec(source) => match file_fault(source) {
                Ok(Some(source)) => ImageError::Io { path, action: "read", source },
                Ok(None) => ImageError::Truncated {
                    path,
                    format,
                    detail: "the bytes end inside the picture".to_owned(),
                },
                Err(source) => ImageError::Malformed { path, format, source },
            },
            Self::Truncated(detail) => ImageError::Truncated { path, format, detail },
            Self::Unsupported(feature) => ImageError::Unsupported { path, format, feature },
            Self::OutOfMemory(bytes) => ImageError::OutOfMemory { path, bytes },
            Self::Memory { allowed, found } => {
                ImageError::LimitExceeded { path, limit: LimitName::Memory, allowed, found }
            }
        }
    }

    /// Names the file that was written.
    pub(crate) fn writing(self, path: &Path, format: PictureFormat) -> ImageError {
        let path = path.to_owned();
        let source = match self {
            Self::Codec(source) => source,
            Self::Truncated(text) | Self::Unsupported(text) => text.into(),
            Self::OutOfMemory(bytes) => return ImageError::OutOfMemory { path, bytes },
            Self::Memory { found, .. } => return ImageError::OutOfMemory { path, bytes: found },
        };
        match io_error(&*source) {
            Some(fault) => ImageError::Io { path, action: "write", source: copy_io_error(fault) },
            None => ImageError::Encoding { path, format, source },
        }
    }
}

/// `Ok(None)`: the file ended; `Ok(Some)`: the system failed; `Err`: neither, the cause is given back.
fn file_fault(source: Cause) -> Result<Option<io::Error>, Cause> {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match io_error(&*source) {
        Some(fault) if fault.kind() == UnexpectedEof => Ok(None),
        // Codecs wrap their own complaints about the bytes into these kinds.
        Some(fault) if !matches!(fault.kind(), InvalidData | InvalidInput | Other) => {
            Ok(Some(copy_io_error(fault)))
        }
        _ => Err(source),
    }
}

/// The first I/O error in a chain of causes.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

fn copy_io_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

macro_rules! from_codec {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Codec(Box::new(error))
            }
        })+
    };
}

from_codec!(io::Error, image_webp::EncodingError, png::EncodingError);

impl From<png::DecodingError> for Failure {
    fn from(error: png::DecodingError) -> Self {
        match error {
            png::DecodingError::LimitsExceeded => Self::Memory {
                allowed: crate::limits::MAX_METADATA_BYTES,
                found: crate::limits::MAX_METADATA_BYTES + 1,
            },
            png::DecodingError::IoError(error) => error.into(),
            error => Self::Codec(Box::new(error)),
        }
    }
}

impl From<image_webp::DecodingError> for Failure {
    fn from(error: image_webp::DecodingError) -> Self {
        match error {
            image_webp::DecodingError::IoError(error) => error.into(),
            error => Self::Codec(Box::new(error)),
        }
    }
}

impl From<gif::DecodingError> for Failure {
    fn from(error: gif::DecodingError) -> Self {
        match error {
            gif::DecodingError::Io(error) => error.into(),
            gif::DecodingError::UnexpectedEof => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
            error => Self::Codec(Box::new(error)),
        }
    }
}

impl From<tiff::TiffError> for Failure {
    fn from(error: tiff::TiffError) -> Self {
        match error {
            tiff::TiffError::UnsupportedError(feature) => Self::Unsupported(feature.to_string()),
            error => Self::Codec(Box::new(error)),
        }
    }
}

impl From<image::ImageError> for Failure {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Unsupported(feature) => Self::Unsupported(feature.to_string()),
            image::ImageError::IoError(error) => error.into(),
            error => Self::Codec(Box::new(error)),
        }
    }
}

impl From<zune_jpeg::errors::DecodeErrors> for Failure {
    fn from(error: zune_jpeg::errors::DecodeErrors) -> Self {
        use zune_jpeg::errors::DecodeErrors::{ExhaustedData, Unsupported};
        match error {
            Unsupported(feature) => Self::Unsupported(format!("{feature:?}")),
            ExhaustedData => Self::Truncated("the bytes end inside the picture".to_owned()),
            error => Self::malformed(error.to_string()),
        }
    }
}
