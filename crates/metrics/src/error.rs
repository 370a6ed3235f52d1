//! Why a metric cannot be computed.

use esrgan_core::{Classify, Kind};

/// Why a metric cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Two pictures of different sizes.
    #[error("pictures of {}x{} and {}x{} pixels cannot be compared", reference.0, reference.1, candidate.0, candidate.1)]
    Size {
        /// Width and height of the true picture.
        reference: (usize, usize),
        /// Width and height of the other.
        candidate: (usize, usize),
    },
    /// A picture that is not in three colours.
    #[error("pictures of three colours are compared, not of {found}")]
    Channels {
        /// Its planes.
        found: usize,
    },
    /// A picture too small for the metric.
    #[error("{metric} needs {least} pixels a side: {}x{} are left without the border of {border_px}", size.0, size.1)]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// Pixels that it needs.
        least: usize,
        /// Width and height without the border.
        size: (usize, usize),
        /// What is cut off at each side.
        border_px: usize,
    },
    /// A sample that is no number, or an infinite one.
    #[error("a sample that is no finite number")]
    NotFinite,
    /// A picture in which the metric finds nothing to measure.
    #[error("{metric} is not defined for this picture: {reason}")]
    Undefined {
        /// The metric.
        metric: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A tensor of a metric's network that is missing.
    #[error("the weights have no tensor `{name}`, of shape {expected:?}")]
    MissingTensor {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}`: shape {expected:?} expected, found {found:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// The network's.
        expected: Vec<usize>,
        /// The file's.
        found: Vec<usize>,
    },
}

impl Classify for MetricError {
    fn kind(&self) -> Kind {
        match self {
            Self::Size { .. } | Self::TooSmall { .. } => Kind::Argument,
            Self::Channels { .. } | Self::Undefined { .. } => Kind::Unsupported,
            Self::NotFinite | Self::MissingTensor { .. } | Self::TensorShape { .. } => Kind::Malformed,
        }
    }
}
