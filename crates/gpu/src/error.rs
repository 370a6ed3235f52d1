//! What can go wrong on a GPU.

use cubecl::server::{IoError, ServerError};
use esrgan_core::{Classify, Kind, format_bytes};
use esrgan_engine::EngineError;

/// Words of a driver's message that are kept: some go on for pages.
const MOST_WORDS: usize = 60;

/// What can go wrong on a GPU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// There is no such device.
    #[error("there is no Vulkan device {number}: {} found; `esrgan devices` lists them", found_devices(*found))]
    NoDevice {
        /// The number that was asked for.
        number: usize,
        /// How many there are.
        found: usize,
    },
    /// The driver refused to open a device.
    #[error("cannot open the Vulkan device {number}: {reason}")]
    Open {
        /// The device.
        number: usize,
        /// What the driver said.
        reason: String,
    },
    /// The device has no room.
    #[error("the device is out of memory: {} were asked for", format_bytes(*needed_bytes))]
    OutOfMemory {
        /// What the run needed in all.
        needed_bytes: u64,
    },
    /// The driver failed otherwise: a kernel that it does not compile, a device that was lost.
    #[error("the device failed: {reason}")]
    Driver {
        /// What it said.
        reason: String,
    },
    /// As on the CPU: sizes, values that are no numbers, a stop on request.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl GpuError {
    /// What CubeCL says of a failure; without its backtrace, which is of no use to a user.
    pub(crate) fn driver(error: ServerError) -> Self {
        let text = error.to_string();
        let reason: Vec<&str> =
            text.split("Backtrace:").next().unwrap_or(&text).split_whitespace().take(MOST_WORDS).collect();
        Self::Driver { reason: reason.join(" ") }
    }

    /// What CubeCL says of a failure of memory, of which a run needs so much in all.
    pub(crate) fn of_allocation(error: ServerError, needed_bytes: u64) -> Self {
        if is_out_of_memory(&error) { Self::OutOfMemory { needed_bytes } } else { Self::driver(error) }
    }
}

fn is_out_of_memory(error: &ServerError) -> bool {
    match error {
        ServerError::Io(IoError::BufferTooBig { .. } | IoError::OutOfMemory { .. }) => true,
        ServerError::Unwritten { root, .. } => is_out_of_memory(root),
        ServerError::Several { errors, .. } => errors.iter().any(is_out_of_memory),
        _ => false,
    }
}

fn found_devices(found: usize) -> String {
    match found {
        0 => "none was".to_owned(),
        1 => "one was".to_owned(),
        _ => format!("{found} were"),
    }
}

impl Classify for GpuError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoDevice { .. } => Kind::Argument,
            Self::Open { .. } | Self::Driver { .. } => Kind::Io,
            Self::OutOfMemory { .. } => Kind::Limit,
            Self::Engine(error) => error.kind(),
        }
    }
}
