//! Devices that Vulkan shows, and opening one.

use esrgan_engine::Precision;

use crate::error::GpuError;

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor, which shares its memory.
    Integrated,
    /// A share of a card in a virtual machine.
    Virtual,
    /// The processor, which a driver shows as a device: slow, for tests.
    Cpu,
    /// Something else.
    Other,
}

/// What is known of a device.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its place in the list, by which it is asked for.
    pub number: usize,
    /// As the driver calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its memory, where the driver says it.
    pub memory_bytes: Option<u64>,
    /// The largest single buffer.
    pub largest_buffer_bytes: u64,
    /// Whether it computes in IEEE half precision.
    pub has_f16: bool,
    /// Whether it multiplies matrices of half precision by units of their own.
    pub has_matrix_units: bool,
}

/// The devices that there are, real GPUs first; none where there is no driver.
pub fn devices() -> Vec<DeviceInfo> {
    Vec::new()
}

/// An opened device.
#[derive(Clone, Debug)]
pub struct Gpu {
    info: DeviceInfo,
}

impl Gpu {
    /// Opens device `number` of [`devices`].
    ///
    /// # Errors
    /// [`GpuError::NoDevice`], [`GpuError::Open`].
    pub fn open(number: usize) -> Result<Self, GpuError> {
        Err(GpuError::NoDevice { number, found: 0 })
    }

    /// What is known of it.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The precision that serves a wish, or no wish, best here.
    pub fn precision_for(&self, wanted: Option<Precision>) -> Precision {
        wanted.unwrap_or(Precision::F32)
    }
}
