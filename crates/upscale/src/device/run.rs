//! Runs on a device: what fails for lack of memory or of range is done again in smaller parts or in f32.

use std::sync::{Arc, Mutex, PoisonError};

use esrgan_core::{Notice, Plane};
use esrgan_engine::{Edge, EngineError, Precision, Progress, RowSink, RunOptions, TileRows};
use esrgan_weights::ModelSpec;

use super::plan::{DeviceMeans, DevicePlan};
use crate::runner::{Computation, PassPlan, PassReport, Runner, tile_warning};

/// A model on a device, in one precision.
pub(crate) trait DeviceNetwork: std::fmt::Debug + Send + Sync {
    /// In what it computes.
    fn precision(&self) -> Precision;

    /// Floating-point operations for a picture, as the network is published.
    fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64;

    /// Device memory of a run over so many pictures of one size together, and its largest single buffer.
    fn bytes(&self, pictures: usize, lr_size: (usize, usize), edge: Edge) -> (u64, u64);

    /// Gives back the memory that the last run left for the next.
    fn forget_maps(&self);

    /// Seconds of so many passes over a picture on the device alone.
    ///
    /// # Errors
    /// As [`DeviceNetwork::run`].
    fn seconds(&self, planes: &[Plane], passes: usize) -> Result<Vec<f64>, EngineError>;

    /// Enlarges pictures of one size together, each as a whole; rows come as [`esrgan_engine::EnlargeTiles`] wants them.
    ///
    /// # Errors
    /// [`EngineError::DeviceMemory`] where the device has no room, [`EngineError::Device`] where it fails otherwise; else as
    /// [`esrgan_engine::Engine::run`].
    fn run(
        &self,
        pictures: &[&[Plane]],
        edge: Edge,
        sink: TileRows<'_>,
        progress: Progress<'_>,
    ) -> Result<(), EngineError>;
}

/// A device, and the model that is brought to it.
pub(crate) trait Device: std::fmt::Debug + Send + Sync {
    /// The model there.
    type Network: DeviceNetwork;

    /// Brings the model there in a precision.
    ///
    /// # Errors
    /// [`EngineError::DeviceMemory`], [`EngineError::Device`], [`EngineError::Weights`].
    fn network(&self, precision: Precision) -> Result<Self::Network, EngineError>;
}

/// What is known of a device and its model before anything runs.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSetting {
    /// The device, as the user knows it.
    pub(crate) device: String,
    /// What computes there, as reports call it.
    pub(crate) interface: &'static str,
    pub(crate) spec: ModelSpec,
    /// Device memory that a run may take.
    pub(crate) usable_bytes: u64,
    pub(crate) largest_buffer_bytes: u64,
    pub(crate) shares_host_memory: bool,
    /// Memory of the model's tensors on the processor's side.
    pub(crate) model_bytes: u64,
}

/// Runs passes on a device. The model stays there for all pictures.
#[derive(Debug)]
pub(crate) struct DeviceRunner<D: Device> {
    device: D,
    setting: DeviceSetting,
    network: Arc<D::Network>,
    /// The model in f32 as well, once a picture has been too much for half precision.
    in_f32: Mutex<Option<Arc<D::Network>>>,
}

impl<D: Device> DeviceRunner<D> {
    /// Brings the model to the device.
    ///
    /// # Errors
    /// As [`Device::network`].
    pub(crate) fn new(device: D, setting: DeviceSetting, precision: Precision) -> Result<Self, EngineError> {
        let network = Arc::new(device.network(precision)?);
        Ok(Self { device, setting, network, in_f32: Mutex::new(None) })
    }

    /// The model in f32, brought to the device where it is not there yet.
    fn in_f32(&self) -> Result<Arc<D::Network>, EngineError> {
        let mut kept = self.in_f32.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = &*kept {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(self.device.network(Precision::F32)?);
        Ok(Arc::clone(kept.insert(network)))
    }

    /// Calls `plan` with what a plan for a network is made with.
    fn planned<R>(&self, network: &D::Network, plan: impl FnOnce(&DeviceMeans<'_>) -> R) -> R {
        let DeviceSetting { device, spec, usable_bytes, largest_buffer_bytes, .. } = &self.setting;
        plan(&DeviceMeans {
            device,
            spec,
            bytes: &|pictures, lr_size, edge| network.bytes(pictures, lr_size, edge),
            usable_bytes: *usable_bytes,
            largest_buffer_bytes: *largest_buffer_bytes,
            shares_host_memory: self.setting.shares_host_memory,
            model_bytes: self.setting.model_bytes,
        })
    }

    /// Runs a plan once.
    fn attempt(
        &self,
        network: &D::Network,
        plan: &DevicePlan,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let Some(tiling) = plan.tiling() else {
            let mut rows = |_: usize, y: usize, channels: &[&[f32]]| sink.row(y, channels);
            return network.run(&[planes], plan.edge(), &mut rows, progress);
        };
        let mut enlarge = |tiles: &[&[Plane]], rows: TileRows<'_>, progress: Progress<'_>| {
            network.run(tiles, tiling.tile_edge(), rows, progress)
        };
        tiling.run(planes, plan.at_once(), &mut enlarge, sink, progress)
    }

    /// What is tried after a lack of memory, and what is said about it.
    fn after_lack(&self, network: &D::Network, plan: &DevicePlan) -> Option<(DevicePlan, Notice)> {
        let tighter = self.planned(network, |means| plan.tighter(means))?;
        let (device, tried, now) = (&self.setting.device, plan.division(), tighter.division());
        let mut notice = format!("{device} ran out of memory over {tried}: went on in {now}");
        if plan.tiling() != tighter.tiling() {
            notice = format!("{notice}; {}", tile_warning());
        }
        Some((tighter, Notice::new(notice)))
    }
}

impl<D: Device> Runner for DeviceRunner<D> {
    fn spec(&self) -> &ModelSpec {
        &self.setting.spec
    }

    fn computation(&self) -> Computation {
        Computation {
            device: self.setting.device.clone(),
            isa: self.setting.interface,
            precision: self.network.precision(),
            // One thread feeds the device and takes its rows.
            threads: 1,
        }
    }

    fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        self.network.nominal_flop(lr_width, lr_height)
    }

    fn plan(&self, lr_size: (usize, usize), options: &RunOptions) -> Result<PassPlan, EngineError> {
        self.planned(&self.network, |means| DevicePlan::new(means, lr_size, options)).map(PassPlan::Device)
    }

    fn transposed(&self, plan: &PassPlan) -> Result<PassPlan, EngineError> {
        let PassPlan::Device(plan) = plan else { return Err(EngineError::Plan) };
        self.planned(&self.network, |means| plan.transposed(means)).map(PassPlan::Device)
    }

    fn prepare(&self, _: &PassPlan) {
        // A small picture has the driver translate the kernels. What fails here fails in the run, which says it.
        let blank = vec![Plane::filled(PREPARED_LR_PX, PREPARED_LR_PX, 0.5); self.setting.spec.in_channels()];
        let mut nowhere = |_: usize, _: usize, _: &[&[f32]]| {};
        let forward = |_: f64| std::ops::ControlFlow::Continue(());
        drop(self.network.run(&[&blank], Edge::Zero, &mut nowhere, &forward));
    }

    fn forward_seconds(&self, planes: &[Plane], passes: usize) -> Result<Option<Vec<f64>>, EngineError> {
        self.network.seconds(planes, passes).map(Some)
    }

    fn run(
        &self,
        plan: &PassPlan,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<PassReport, EngineError> {
        let PassPlan::Device(plan) = plan else { return Err(EngineError::Plan) };
        let found = planes.first().map_or((0, 0), |plane| (plane.width(), plane.height()));
        if found != plan.lr_size() {
            return Err(EngineError::Size { expected: plan.lr_size(), found });
        }
        let (mut plan, mut network) = (plan.clone(), Arc::clone(&self.network));
        let mut sink = ResumedSink { sink, next: 0 };
        let mut notices = Vec::new();
        loop {
            match self.attempt(&network, &plan, planes, &mut sink, progress) {
                Ok(()) => {
                    let mode = PassPlan::Device(plan).mode();
                    return Ok(PassReport { notices, mode });
                }
                Err(lack @ EngineError::DeviceMemory { .. }) => {
                    let (tighter, notice) = self.after_lack(&network, &plan).ok_or(lack)?;
                    plan = tighter;
                    notices.push(notice);
                }
                Err(EngineError::NotFinite { .. }) if network.precision() != Precision::F32 => {
                    notices.push(Notice::new(format!(
                        "{} is too narrow for this picture on {}: computed in f32 from row {} on",
                        network.precision().name(),
                        self.setting.device,
                        sink.next
                    )));
                    network.forget_maps();
                    network = self.in_f32()?;
                    plan = self.planned(&network, |means| plan.with(means))?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Side of the picture that is computed before time counts, in input pixels.
const PREPARED_LR_PX: usize = 64;

/// Hands rows on from the first that has not been handed on yet: a run that starts again repeats what others have added up.
struct ResumedSink<'s> {
    sink: &'s mut dyn RowSink,
    next: usize,
}

impl RowSink for ResumedSink<'_> {
    fn row(&mut self, y: usize, channels: &[&[f32]]) {
        if y >= self.next {
            self.sink.row(y, channels);
            self.next = y + 1;
        }
    }
}

#[cfg(test)]
mod tests;
