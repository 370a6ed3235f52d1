//! Devices that Vulkan shows, and opening one.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use cubecl::Device;
use cubecl::ir::features::{MmaConfig, TypeUsage};
use cubecl::ir::{DeviceProperties, ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use cubecl::wgpu::{RuntimeOptions, Vulkan, WgpuDeviceKind, WgpuSetup, try_init_setup, wgpu};
use esrgan_core::DeviceKind;
use esrgan_engine::Precision;

use crate::error::GpuError;
use crate::kernels::{MatrixUnits, Storage};

/// What is known of a device.
#[derive(Clone, Debug, PartialEq)]
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
    /// Whether it stores and computes IEEE half precision.
    pub has_f16: bool,
    /// Whether it multiplies matrices of IEEE half precision by units of their own, summing in `f32`.
    pub multiplies_f16: bool,
    /// Whether it does so with bfloat16.
    pub multiplies_bf16: bool,
}

/// Devices of a kind that are looked for at most.
const MOST_OF_A_KIND: usize = 64;

/// Devices of a kind by their number, and the kind.
type OfKind = (fn(usize) -> WgpuDeviceKind, DeviceKind);

/// The kinds in the order in which they are listed.
const KINDS: [OfKind; 5] = [
    (WgpuDeviceKind::DiscreteGpu, DeviceKind::Discrete),
    (WgpuDeviceKind::IntegratedGpu, DeviceKind::Integrated),
    (WgpuDeviceKind::VirtualGpu, DeviceKind::Virtual),
    (WgpuDeviceKind::Other, DeviceKind::Other),
    (|_| WgpuDeviceKind::Cpu, DeviceKind::Cpu),
];

/// What Vulkan shows, in the order of the list: asked once, as each question wakes every driver.
static FOUND: LazyLock<Vec<(Device, DeviceKind)>> = LazyLock::new(|| {
    let mut found = Vec::new();
    for (of_number, kind) in KINDS {
        // A driver shows the processor once.
        let most = if kind == DeviceKind::Cpu { 1 } else { MOST_OF_A_KIND };
        let devices = (0..most).map_while(|number| Device::vulkan(of_number(number)).ok());
        found.extend(devices.map(|device| (device, kind)));
    }
    found
});

/// The devices that there are, real GPUs first; none where there is no driver. One that cannot be opened is left out: see
/// [`refusals`].
pub fn devices() -> Vec<DeviceInfo> {
    (0..FOUND.len()).filter_map(|number| Gpu::open(number).ok()).map(|gpu| gpu.info).collect()
}

/// Why devices are left out of [`devices`].
pub fn refusals() -> Vec<GpuError> {
    (0..FOUND.len()).filter_map(|number| Gpu::open(number).err()).collect()
}

/// An opened device.
#[derive(Clone)]
pub struct Gpu {
    info: DeviceInfo,
    client: Client,
    device: Device,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What has been opened, or why it was not: a device is set up once in a process.
static OPENED: Mutex<Option<HashMap<Device, Result<Client, String>>>> = Mutex::new(None);

impl Gpu {
    /// Opens device `number` of [`devices`].
    ///
    /// # Errors
    /// [`GpuError::NoDevice`], [`GpuError::Open`].
    pub fn open(number: usize) -> Result<Self, GpuError> {
        let Some((device, kind)) = FOUND.get(number).cloned() else {
            return Err(GpuError::NoDevice { number, found: FOUND.len() });
        };
        let client = client(&device).map_err(|reason| GpuError::Open { number, reason })?;
        let properties = client.properties();
        let info = DeviceInfo {
            number,
            name: properties.identity.name.clone(),
            kind,
            memory_bytes: properties.memory.max_memory(),
            largest_buffer_bytes: properties.memory.max_page_size,
            has_f16: has_half(properties, FloatKind::F16),
            multiplies_f16: matrix_units(properties, kind, FloatKind::F16).is_some(),
            multiplies_bf16: matrix_units(properties, kind, FloatKind::BF16).is_some(),
        };
        Ok(Self { info, client, device })
    }

    /// What is known of it.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// As Burn and CubeCL call it.
    pub fn cube_device(&self) -> &Device {
        &self.device
    }

    /// What launches kernels on it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The precision that serves a wish, or no wish, best here: half precision where the device has it, unless `f32` is asked for.
    pub fn precision_for(&self, wanted: Option<Precision>) -> Precision {
        let has_bf16 = self.info.multiplies_bf16;
        match wanted {
            Some(Precision::F32) => Precision::F32,
            Some(Precision::Bf16) if has_bf16 => Precision::Bf16,
            _ if self.info.has_f16 => Precision::F16,
            _ if has_bf16 => Precision::Bf16,
            _ => Precision::F32,
        }
    }

    /// Whether the memory behind buffers could be had; `needed_bytes` are named where it could not.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], [`GpuError::Driver`].
    pub(crate) fn check<'a>(
        &self,
        handles: impl IntoIterator<Item = &'a Handle>,
        needed_bytes: u64,
    ) -> Result<(), GpuError> {
        self.client.check(handles).map_err(|error| GpuError::of_allocation(error, needed_bytes))
    }

    /// The matrix units that multiply numbers of a kind, if there are any.
    pub(crate) fn matrix_units(&self, storage: Storage) -> Option<MatrixUnits> {
        match storage {
            Storage::F32 => None,
            Storage::F16 => matrix_units(self.client.properties(), self.info.kind, FloatKind::F16),
            Storage::Bf16 => matrix_units(self.client.properties(), self.info.kind, FloatKind::BF16),
        }
    }
}

/// The client of a device, set up at its first use.
fn client(device: &Device) -> Result<Client, String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.get_or_insert_default().entry(device.clone()).or_insert_with(|| set_up(device)).clone()
}

fn set_up(device: &Device) -> Result<Client, String> {
    let Device::Wgpu(wgpu) = device else { return Err("it is no device of Vulkan's".to_owned()) };
    let options = RuntimeOptions::try_default().map_err(|error| error.to_string())?;
    // Set up here, where a driver that refuses is an error: CubeCL's own first use would panic.
    let setup = try_init_setup::<Vulkan>(wgpu, options).map_err(|error| error.to_string())?;
    check_shared_memory(&setup)?;
    Ok(device.client())
}

/// Whether kernels with shared memory can be had: CubeCL 0.11.3 writes invalid SPIR-V for devices without this extension, at which
/// a driver crashes (seen with llvmpipe of Mesa 22.3 and 25.0, which lack it; 26.2 has it, as all drivers of real GPUs do).
fn check_shared_memory(setup: &WgpuSetup) -> Result<(), String> {
    const NEEDED: &std::ffi::CStr = c"VK_KHR_workgroup_memory_explicit_layout";
    // SAFETY: the adapter is only asked for its extensions, and is not destroyed.
    let adapter = unsafe { setup.adapter.as_hal::<wgpu::hal::api::Vulkan>() };
    let has_it =
        adapter.is_some_and(|adapter| adapter.physical_device_capabilities().supports_extension(NEEDED));
    let driver = setup.adapter.get_info().driver_info;
    if has_it { Ok(()) } else { Err(format!("its driver ({driver}) lacks {}", NEEDED.to_string_lossy())) }
}

fn has_half(properties: &DeviceProperties, kind: FloatKind) -> bool {
    let usage = properties.type_usage(ElemType::Float(kind));
    usage.contains(TypeUsage::Buffer) && usage.contains(TypeUsage::Arithmetic)
}

/// The best shape of matrices whose planes have one size that is known.
fn matrix_units(properties: &DeviceProperties, device: DeviceKind, kind: FloatKind) -> Option<MatrixUnits> {
    let hardware = &properties.hardware;
    let (half, single) = (ElemType::Float(kind), ElemType::Float(FloatKind::F32));
    let fits = |config: &&MmaConfig| {
        (config.a_type, config.b_type, config.cd_type) == (half, half, single)
            && [8, 16].contains(&config.n)
            && [8, 16].contains(&config.k)
            && [8, 16, 32].contains(&config.m)
    };
    // The largest, so that the fewest instructions load the most.
    let best = properties
        .features
        .matmul
        .cmma
        .iter()
        .filter(fits)
        .max_by_key(|config| (config.m.min(16) * config.n * config.k, config.m == 16))?;
    Some(MatrixUnits {
        m: best.m,
        n: best.n,
        k: best.k,
        plane_units: hardware.plane_size_max,
        has_fixed_planes: hardware.plane_size_min == hardware.plane_size_max,
        unrolls_taps: device != DeviceKind::Cpu,
        shared_bytes: hardware.max_shared_memory_size,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Gpu, devices};
    use crate::error::GpuError;

    /// The first device there is, or nothing where there is none.
    pub(crate) fn gpu() -> Option<Gpu> {
        match Gpu::open(0) {
            Ok(gpu) => Some(gpu),
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                None
            }
        }
    }

    #[test]
    fn devices_are_listed_by_their_numbers() {
        let Some(first) = gpu() else { return };
        let listed = devices();
        assert_eq!(listed[0], *first.info());
        assert!(listed.iter().enumerate().all(|(number, info)| info.number == number), "{listed:?}");
        assert!(listed[0].largest_buffer_bytes >= 1 << 20, "{listed:?}");
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = Gpu::open(999).unwrap_err();
        assert!(matches!(error, GpuError::NoDevice { number: 999, .. }), "{error}");
    }
}
