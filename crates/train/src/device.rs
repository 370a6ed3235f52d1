//! Where a run is computed, as it is asked for.

use std::fmt;
use std::str::FromStr;

use esrgan_model::{ComputeDevice, Isa};

use crate::error::TrainError;

/// Where a run is computed, as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first real GPU that Vulkan shows, where this program was built with it; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A device that Vulkan shows, by its number, or the first real GPU.
    Vulkan(Option<usize>),
}

/// A device that there cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto`, `cpu`, `vulkan` or `vulkan:` and a number, not `{found}`")]
pub struct UnknownDeviceError {
    /// What was asked for.
    pub found: String,
}

impl FromStr for DeviceChoice {
    type Err = UnknownDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownDeviceError { found: text.to_owned() };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "vulkan" => Ok(Self::Vulkan(None)),
            _ => {
                let number = text.strip_prefix("vulkan:").and_then(|number| number.parse().ok());
                number.map(|number| Self::Vulkan(Some(number))).ok_or_else(unknown)
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Vulkan(None) => formatter.write_str("vulkan"),
            Self::Vulkan(Some(number)) => write!(formatter, "vulkan:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The device itself.
    #[cfg(feature = "vulkan")]
    pub(crate) fn found(self) -> Result<ComputeDevice, TrainError> {
        use esrgan_model::VulkanDevice;

        let device = match self {
            Self::Cpu => None,
            Self::Auto => VulkanDevice::first_gpu(),
            Self::Vulkan(None) => Some(VulkanDevice::first_gpu().ok_or(TrainError::NoGpu)?),
            Self::Vulkan(Some(number)) => Some(VulkanDevice::of(number)?),
        };
        Ok(device.map_or(ComputeDevice::Processor, ComputeDevice::Vulkan))
    }

    /// The device itself: the processor.
    #[cfg(not(feature = "vulkan"))]
    pub(crate) fn found(self) -> Result<ComputeDevice, TrainError> {
        match self {
            Self::Auto | Self::Cpu => Ok(ComputeDevice::Processor),
            Self::Vulkan(_) => Err(TrainError::NoVulkan),
        }
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
    fn devices_are_read_as_they_are_written() {
        for (text, expected) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("vulkan", DeviceChoice::Vulkan(None)),
            ("vulkan:3", DeviceChoice::Vulkan(Some(3))),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for text in ["", "gpu", "vulkan:", "vulkan:-1", "vulkan:x", "cpu:0"] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("vulkan:"), "{error}");
        }
    }

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(DeviceChoice::Cpu.found().unwrap(), ComputeDevice::Processor);
        assert!(DeviceChoice::Auto.found().is_ok());
        assert!(DeviceChoice::Vulkan(Some(1_000)).found().is_err());
    }
}
