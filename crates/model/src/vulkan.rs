//! The devices that Vulkan shows, as Burn names them.

use burn::tensor::Device;
use esrgan_gpu::{DeviceInfo, DeviceKind, Gpu, devices};

use crate::error::ModelError;
use crate::layers::Half;

/// A device that Vulkan shows, opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VulkanDevice {
    number: usize,
}

impl VulkanDevice {
    /// All devices that can be opened, real GPUs first.
    pub fn all() -> Vec<Self> {
        devices().into_iter().filter_map(|known| Self::of(known.number).ok()).collect()
    }

    /// Opens device `number` of the list.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn of(number: usize) -> Result<Self, ModelError> {
        Gpu::open(number)?;
        Ok(Self { number })
    }

    /// The first real GPU that can be opened, if there is one.
    pub fn first_gpu() -> Option<Self> {
        let is_gpu = |kind: DeviceKind| kind != DeviceKind::Cpu;
        devices().into_iter().filter(|known| is_gpu(known.kind)).find_map(|known| Self::of(known.number).ok())
    }

    /// Its place in the list, by which it is asked for.
    pub fn number(self) -> usize {
        self.number
    }

    /// As the driver calls it.
    pub fn name(self) -> String {
        self.gpu().info().name.clone()
    }

    /// Whether it has units that multiply matrices of half precision.
    pub(crate) fn has_half_units(self) -> bool {
        let gpu = self.gpu();
        gpu.info().multiplies_bf16 || gpu.info().multiplies_f16
    }

    /// The half precision that it multiplies in: bfloat16 by units of its own, else IEEE half precision where it has that at all.
    pub(crate) fn half(self) -> Option<Half> {
        let gpu = self.gpu();
        match gpu.info() {
            DeviceInfo { multiplies_bf16: true, .. } => Some(Half::Bf16),
            DeviceInfo { has_f16: true, .. } => Some(Half::F16),
            _ => None,
        }
    }

    /// The device of tensors, without autodiff.
    pub(crate) fn tensors(self) -> Device {
        Device::new(self.gpu().cube_device().clone())
    }

    /// The device, which stays open from its first use on.
    fn gpu(self) -> Gpu {
        Gpu::open(self.number).expect("a device is opened before it is named")
    }
}
