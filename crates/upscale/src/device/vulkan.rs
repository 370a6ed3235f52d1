//! Devices that Vulkan shows, as the facade runs them.

use esrgan_core::{Notice, Plane};
use esrgan_engine::{Edge, EngineError, Precision, Progress, TileRows};
use esrgan_gpu::{DeviceInfo, Gpu, GpuError, GpuNetwork};
use esrgan_weights::Model;

use super::DeviceFacts;
use super::run::{Device, DeviceNetwork, DeviceRunner, DeviceSetting};
use crate::error::UpscaleError;
use crate::runner::Runner;

/// Share of a device's memory that a run may take: the rest is for the driver, for what it rounds up, and for the screen.
const USABLE_SHARE: f64 = 0.9;

/// The devices that there are.
pub(super) fn devices() -> Vec<DeviceFacts> {
    esrgan_gpu::devices().iter().map(facts).collect()
}

/// Why others are left out.
pub(super) fn refused_devices() -> Vec<String> {
    esrgan_gpu::refusals().iter().map(ToString::to_string).collect()
}

fn facts(info: &DeviceInfo) -> DeviceFacts {
    DeviceFacts {
        number: info.number,
        name: info.name.clone(),
        kind: info.kind,
        memory_bytes: info.memory_bytes,
        largest_buffer_bytes: info.largest_buffer_bytes,
        has_f16: info.has_f16,
        has_bf16: info.multiplies_bf16,
        has_matrix_units: info.multiplies_f16 || info.multiplies_bf16,
    }
}

/// Opens a device, brings a model there, and says where it computes in another precision than was wished for.
///
/// # Errors
/// [`UpscaleError::NoDevice`], [`UpscaleError::Gpu`] where the device cannot be opened, [`UpscaleError::Start`] where the model finds no room.
pub(crate) fn runner_on(
    number: usize,
    model: &Model,
    wanted: Option<Precision>,
) -> Result<(Box<dyn Runner>, Option<Notice>), UpscaleError> {
    let gpu = Gpu::open(number).map_err(|error| match error {
        GpuError::NoDevice { number, found } => UpscaleError::NoDevice { number, found },
        other => UpscaleError::Gpu(other),
    })?;
    let facts = facts(gpu.info());
    let precision = gpu.precision_for(wanted);
    let notice = wanted.filter(|wanted| *wanted != precision).map(|wanted| {
        let (wanted, used) = (wanted.name(), precision.name());
        Notice::new(format!("{} does not compute in {wanted} here: computed in {used}", facts.title()))
    });
    let share = |bytes: u64| (bytes as f64 * USABLE_SHARE) as u64;
    let setting = DeviceSetting {
        device: facts.title(),
        interface: "vulkan",
        spec: model.spec.clone(),
        usable_bytes: facts.memory_bytes.map_or(u64::MAX, share),
        largest_buffer_bytes: facts.largest_buffer_bytes,
        shares_host_memory: facts.shares_host_memory(),
        model_bytes: model.weights.iter().map(|(_, tensor)| tensor.bytes().len() as u64).sum(),
    };
    let failure = Failure { device: facts.title(), usable_bytes: setting.usable_bytes };
    let device = VulkanDevice { gpu, model: model.clone(), failure };
    let runner = DeviceRunner::new(device, setting, precision).map_err(UpscaleError::Start)?;
    Ok((Box::new(runner), notice))
}

/// What is said where a device fails.
#[derive(Clone, Debug)]
struct Failure {
    device: String,
    usable_bytes: u64,
}

impl Failure {
    /// The failure of a run over a picture of a size, or of bringing the model there, in the engine's terms.
    fn over(&self, lr_size: Option<(usize, usize)>) -> impl Fn(GpuError) -> EngineError {
        move |error| match error {
            GpuError::Engine(error) => error,
            GpuError::OutOfMemory { needed_bytes } => EngineError::DeviceMemory {
                device: self.device.clone(),
                lr_size,
                needed_bytes,
                usable_bytes: self.usable_bytes,
            },
            other => EngineError::Device { device: self.device.clone(), reason: other.to_string() },
        }
    }
}

/// An open device and the model that runs there.
#[derive(Debug)]
struct VulkanDevice {
    gpu: Gpu,
    model: Model,
    failure: Failure,
}

impl Device for VulkanDevice {
    type Network = VulkanNetwork;

    fn network(&self, precision: Precision) -> Result<VulkanNetwork, EngineError> {
        let network = GpuNetwork::new(&self.gpu, &self.model, precision).map_err(self.failure.over(None))?;
        Ok(VulkanNetwork { network, failure: self.failure.clone() })
    }
}

/// A model on a device.
#[derive(Debug)]
struct VulkanNetwork {
    network: GpuNetwork,
    failure: Failure,
}

impl DeviceNetwork for VulkanNetwork {
    fn precision(&self) -> Precision {
        self.network.precision()
    }

    fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        self.network.nominal_flop(lr_width, lr_height)
    }

    fn bytes(&self, pictures: usize, lr_size: (usize, usize), edge: Edge) -> (u64, u64) {
        self.network.bytes(pictures, lr_size, edge)
    }

    fn forget_maps(&self) {
        self.network.forget_maps();
    }

    fn seconds(&self, planes: &[Plane], passes: usize) -> Result<Vec<f64>, EngineError> {
        let size = planes.first().map(|plane| (plane.width(), plane.height()));
        self.network.seconds(planes, passes).map_err(self.failure.over(size))
    }

    fn run(
        &self,
        pictures: &[&[Plane]],
        edge: Edge,
        sink: TileRows<'_>,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let plane = pictures.first().and_then(|planes| planes.first());
        let size = plane.map(|plane| (plane.width(), plane.height()));
        self.network.run_together(pictures, edge, sink, progress).map_err(self.failure.over(size))
    }
}
