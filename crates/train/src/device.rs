//! Where a run is computed.

use std::fmt;

use esrgan_model::{ComputeDevice, Isa};
use esrgan_upscale::DeviceChoice;

use crate::error::TrainError;

/// The device that a wish gets. Unlike an enlargement, a training does not fall back where a GPU is asked for: it takes days.
///
/// # Errors
/// [`TrainError::NoGpu`], and [`TrainError::Model`] for a number that there is not.
#[cfg(feature = "vulkan")]
pub(crate) fn chosen(wish: DeviceChoice) -> Result<ComputeDevice, TrainError> {
    use esrgan_model::VulkanDevice;

    let device = match wish {
        DeviceChoice::Cpu => None,
        DeviceChoice::Auto => VulkanDevice::first_gpu(),
        DeviceChoice::Vulkan(None) => Some(VulkanDevice::first_gpu().ok_or(TrainError::NoGpu)?),
        DeviceChoice::Vulkan(Some(number)) => Some(VulkanDevice::of(number)?),
    };
    Ok(device.map_or(ComputeDevice::Processor, ComputeDevice::Vulkan))
}

/// The device that a wish gets: the processor.
///
/// # Errors
/// [`TrainError::NoVulkan`] where a GPU is asked for.
#[cfg(not(feature = "vulkan"))]
pub(crate) fn chosen(wish: DeviceChoice) -> Result<ComputeDevice, TrainError> {
    match wish {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(ComputeDevice::Processor),
        DeviceChoice::Vulkan(_) => Err(TrainError::NoVulkan),
    }
}

/// Why `f32` is computed where bf16 is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsteadOfBf16 {
    /// The processor's instruction set has no instructions for bf16.
    InstructionSet(Isa),
    /// The GPU has no units that multiply matrices of half precision.
    Gpu,
}

impl fmt::Display for InsteadOfBf16 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstructionSet(isa) => write!(
                formatter,
                "{isa} has no instructions for bf16: computed in f32, which is faster on it, and more exact"
            ),
            Self::Gpu => formatter.write_str(
                "the GPU has no units that multiply matrices of half precision: computed in f32, which is more exact",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(chosen(DeviceChoice::Cpu).unwrap(), ComputeDevice::Processor);
        assert!(chosen(DeviceChoice::Auto).is_ok());
        assert!(chosen(DeviceChoice::Vulkan(Some(1_000))).is_err());
    }
}
