//! What can go wrong on a GPU.

use esrgan_core::{Classify, Kind, format_bytes};
use esrgan_engine::EngineError;

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
    #[error("cannot open `{name}`: {reason}")]
    Open {
        /// The device.
        name: String,
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
