//! What can go wrong when results are measured.

use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind, SampleDepth};
use esrgan_image::ImageError;
use esrgan_metrics::MetricError;
use esrgan_upscale::{EngineError, UpscaleError};
use esrgan_weights::WeightsError;

/// What can go wrong when results are measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A picture could not be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Weights of a metric could not be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A picture could not be enlarged.
    #[error(transparent)]
    Upscale(#[from] UpscaleError),
    /// A picture in memory could not be enlarged.
    #[error("{}: {source}", path.display())]
    Engine {
        /// The true picture.
        path: PathBuf,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// A metric could not be computed.
    #[error("{}: {source}", path.display())]
    Metric {
        /// The true picture, or the weights.
        path: PathBuf,
        /// Why.
        #[source]
        source: MetricError,
    },
    /// The result has another size than the true picture.
    #[error(
        "{}: {}x{} pixels, but the true picture {} has {}x{}",
        sr.display(), sr_size.0, sr_size.1, hr.display(), hr_size.0, hr_size.1
    )]
    Size {
        /// The true picture.
        hr: PathBuf,
        /// Its width and height.
        hr_size: (usize, usize),
        /// The result, or the small picture that it comes from.
        sr: PathBuf,
        /// Its width and height, enlarged.
        sr_size: (usize, usize),
    },
    /// A true picture has no partner.
    #[error("{}: no picture in {} belongs to it: `{}` was looked for, with any extension, and with `x{scale}` behind", hr.display(), folder.display(), stem)]
    Partner {
        /// The true picture.
        hr: PathBuf,
        /// Where its partner was looked for.
        folder: PathBuf,
        /// Its name without extension.
        stem: String,
        /// The scale.
        scale: usize,
    },
    /// Metrics are not defined for what can be seen through.
    #[error("{}: partly transparent: no metric is defined for that", path.display())]
    Transparent {
        /// The picture.
        path: PathBuf,
    },
    /// A result was rounded to other levels than the true picture.
    #[error(
        "{} has {} samples, but the true picture {} has {}: convert one of them first",
        sr.display(), name(*sr_depth), hr.display(), name(*hr_depth)
    )]
    Depth {
        /// The true picture.
        hr: PathBuf,
        /// Its depth.
        hr_depth: SampleDepth,
        /// The result.
        sr: PathBuf,
        /// Its depth.
        sr_depth: SampleDepth,
    },
    /// A folder holds no picture.
    #[error("{} holds no picture", path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
    },
    /// A metric needs weights that were not given.
    #[error("`{metric}` needs weights: the backbone's by `--lpips-backbone`, the heads' by `--lpips-heads`")]
    NoWeights {
        /// The metric.
        metric: &'static str,
    },
    /// Two networks of LPIPS, but one file of weights for them.
    #[error("`{first}` and `{second}` need a backbone each: measure them one after the other")]
    TwoNetworks {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A file or folder could not be looked at, or not written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl EvaluateError {
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl Classify for EvaluateError {
    fn kind(&self) -> Kind {
        match self {
            Self::Image(source) => source.kind(),
            Self::Weights(source) => source.kind(),
            Self::Upscale(source) => source.kind(),
            Self::Engine { source, .. } => source.kind(),
            Self::Metric { source, .. } => source.kind(),
            Self::Io { .. } => Kind::Io,
            Self::Transparent { .. } => Kind::Unsupported,
            Self::Size { .. }
            | Self::Partner { .. }
            | Self::Depth { .. }
            | Self::NoPictures { .. }
            | Self::NoWeights { .. }
            | Self::TwoNetworks { .. } => Kind::Argument,
        }
    }
}

fn name(depth: SampleDepth) -> &'static str {
    match depth {
        SampleDepth::U8 => "8-bit",
        SampleDepth::U16 => "16-bit",
        SampleDepth::F32 => "floating-point",
    }
}
