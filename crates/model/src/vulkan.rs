//! The devices that Vulkan shows, as Burn names them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use esrgan_gpu::{DeviceKind, Gpu, devices};

use crate::error::ModelError;

/// A device that Vulkan shows, opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VulkanDevice {
    number: usize,
}

/// Devices that have been opened, by their number.
static OPENED: Mutex<BTreeMap<usize, Gpu>> = Mutex::new(BTreeMap::new());

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
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.contains_key(&number) {
            opened.insert(number, Gpu::open(number)?);
        }
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

    /// The device of tensors, without autodiff.
    pub(crate) fn tensors(self) -> Device {
        Device::new(self.gpu().cube_device().clone())
    }

    fn gpu(self) -> Gpu {
        let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(&self.number).expect("a device is opened before it is named").clone()
    }
}
