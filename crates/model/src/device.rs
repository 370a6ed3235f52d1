//! Where a network computes.

use burn::tensor::Device;

/// Where a network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComputeDevice {
    /// The processor, by our own layers.
    #[default]
    Processor,
    /// The processor, by the operations that a GPU computes: slow, what tests compare with.
    Reference,
    /// A device that Vulkan shows, by Burn's operations.
    #[cfg(feature = "vulkan")]
    Vulkan(crate::vulkan::VulkanDevice),
}

impl ComputeDevice {
    /// The device that the networks' tensors lie on, with autodiff.
    pub fn tensors(self) -> Device {
        match self {
            Self::Processor | Self::Reference => Device::flex().autodiff(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(device) => device.tensors().autodiff(),
        }
    }

    /// Whether it is a device with units that multiply matrices of half precision.
    pub(crate) fn has_half_units(self) -> bool {
        match self {
            #[cfg(feature = "vulkan")]
            Self::Vulkan(device) => device.has_half_units(),
            _ => false,
        }
    }

    /// Whether maps lie in the layout of our own layers, which then compute.
    pub(crate) fn is_blocked(self) -> bool {
        self == Self::Processor
    }
}
