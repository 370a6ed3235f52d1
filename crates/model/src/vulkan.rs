//! The devices that Vulkan shows, as Burn names them.

use std::sync::OnceLock;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, DeviceType};
use cubecl::wgpu::WgpuDeviceKind;

use crate::error::ModelError;

/// A device that Vulkan shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VulkanDevice {
    number: usize,
}

/// All devices, asked for once: each question makes an instance of Vulkan.
fn known() -> &'static [Device] {
    static KNOWN: OnceLock<Vec<Device>> = OnceLock::new();
    KNOWN.get_or_init(|| Device::enumerate(DeviceType::Vulkan).into_vec())
}

impl VulkanDevice {
    /// All devices, real GPUs first.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..known().len()).map(|number| Self { number })
    }

    /// Device `number` of the list.
    ///
    /// # Errors
    /// [`ModelError::NoDevice`].
    pub fn of(number: usize) -> Result<Self, ModelError> {
        let found = known().len();
        if number < found { Ok(Self { number }) } else { Err(ModelError::NoDevice { number, found }) }
    }

    /// The first real GPU, if there is one.
    pub fn first_gpu() -> Option<Self> {
        Self::all().find(|device| !device.is_processor())
    }

    /// Its place in the list, by which it is asked for.
    pub fn number(self) -> usize {
        self.number
    }

    /// As the driver calls it. Opens the device.
    pub fn name(self) -> String {
        self.tensors().identity().map_or_else(|| format!("vulkan:{}", self.number), |known| known.name)
    }

    /// Whether it is the processor, which a driver shows as a device.
    pub fn is_processor(self) -> bool {
        match self.tensors().as_dispatch() {
            DispatchDevice::Cube(cubecl::Device::Wgpu(device)) => device.kind == WgpuDeviceKind::Cpu,
            _ => true,
        }
    }

    /// The device of tensors, without autodiff.
    pub(crate) fn tensors(self) -> Device {
        known()[self.number].clone()
    }
}
