//! What can go wrong between a checked model and a larger picture.

use esrgan_core::{Classify, Kind, format_bytes};

/// What can go wrong between a checked model and a larger picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The run would take more memory than it may.
    #[error(
        "a {lr_width}x{lr_height} picture needs {} of memory, but {} may be used; \
         give more by `--memory`, or allow tiles by `--tile auto`",
        format_bytes(*needed_bytes), format_bytes(*budget_bytes)
    )]
    Memory {
        /// The picture's width.
        lr_width: usize,
        /// The picture's height.
        lr_height: usize,
        /// The least that the run would take, weights included.
        needed_bytes: u64,
        /// What it may take.
        budget_bytes: u64,
    },
    /// The picture has another number of planes than the model reads.
    #[error("the model reads {expected} planes, found {found}")]
    Channels {
        /// Planes that the model reads.
        expected: usize,
        /// Planes that were given.
        found: usize,
    },
    /// A picture of another size than was planned for, or without a pixel.
    #[error("a picture of {}x{} pixels was expected, found {}x{}", expected.0, expected.1, found.0, found.1)]
    Size {
        /// Width and height of the plan; at least one pixel each.
        expected: (usize, usize),
        /// Width and height of the picture.
        found: (usize, usize),
    },
    /// A tile size that cannot be worked with.
    #[error("tiles of {found} px: at least {least} px are needed")]
    TileSize {
        /// The smallest that works.
        least: usize,
        /// What was asked for.
        found: usize,
    },
    /// The network gave a value that is no number, or infinite.
    #[error(
        "the model's output is {value} in channel {channel} at x {x}, y {y} (output pixels): no picture is made of it"
    )]
    NotFinite {
        /// The value.
        value: f32,
        /// The output channel, from zero.
        channel: usize,
        /// Output column.
        x: usize,
        /// Output row.
        y: usize,
    },
    /// A tensor that the specification promises is missing or misshapen: the model was not checked.
    #[error("the tensor `{name}` is missing or misshapen in a model that was said to be checked")]
    Weights {
        /// Its canonical name.
        name: String,
    },
    /// A precision that the processor does not compute in.
    #[error("networks are not computed in {precision} on the processor")]
    Precision {
        /// Its name.
        precision: &'static str,
    },
    /// Another engine than the processor has no room for the run.
    #[error(
        "{device}: {} needs {} of its memory, but {} may be used; allow tiles by `--tile auto`, or take the processor by \
         `--device cpu`",
        part(*lr_size), format_bytes(*needed_bytes), format_bytes(*usable_bytes)
    )]
    DeviceMemory {
        /// The device, as the user knows it.
        device: String,
        /// Width and height of the picture or of the tile; none where already the model does not fit.
        lr_size: Option<(usize, usize)>,
        /// What the run takes in all.
        needed_bytes: u64,
        /// What it may take.
        usable_bytes: u64,
    },
    /// Another engine than the processor failed.
    #[error("{device} failed: {reason}")]
    Device {
        /// The device, as the user knows it.
        device: String,
        /// What its driver said.
        reason: String,
    },
    /// A plan was made for another engine than the one that was to follow it.
    #[error("the plan was made for another device")]
    Plan,
    /// The threads could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// Threads that were asked for.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// An instruction set that this processor does not offer.
    #[error("this processor does not offer `{isa}`; it offers {available}")]
    Isa {
        /// The set that was asked for.
        isa: esrgan_kernels::Isa,
        /// The sets that are there.
        available: String,
    },
    /// The caller asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// What a device had no room for.
fn part(lr_size: Option<(usize, usize)>) -> String {
    match lr_size {
        Some((width, height)) => format!("a {width}x{height} picture"),
        None => "the model".to_owned(),
    }
}

impl Classify for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Memory { .. } | Self::DeviceMemory { .. } => Kind::Limit,
            Self::Channels { .. } | Self::Size { .. } | Self::TileSize { .. } | Self::Isa { .. } => {
                Kind::Argument
            }
            Self::NotFinite { .. } | Self::Precision { .. } => Kind::Unsupported,
            Self::Threads { .. } | Self::Device { .. } => Kind::Io,
            Self::Weights { .. } | Self::Plan | Self::Cancelled => Kind::Internal,
        }
    }
}
