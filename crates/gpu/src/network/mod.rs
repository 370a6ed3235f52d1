//! Networks on a device.
//!
//! A network is a *trunk* at the size of the picture, whose maps are kept in full, and a *tail* of a few convolutions behind it at
//! growing sizes, which is worked off in strips of rows: each strip reads as many rows of the trunk as its layers reach, so the
//! result is that of the whole. So memory grows by about a kilobyte for each pixel of the picture, not by the enlarged maps.

mod build;
mod picture;
mod record;
mod run;
mod strips;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use esrgan_core::Plane;
use esrgan_engine::{Edge, EngineError, Precision, Progress, RowSink, TileRows};
use esrgan_weights::{Model, ModelSpec};

use crate::device::Gpu;
use crate::error::GpuError;
use crate::kernels::{Convolution, Map, Storage};
use run::Workspace;

/// Bytes that the maps of a strip take together, where a strip is not the whole.
const STRIP_BYTES: u64 = 256 << 20;

/// A model on a device, in one precision.
pub struct GpuNetwork {
    gpu: Gpu,
    spec: ModelSpec,
    precision: Precision,
    trunk: Trunk,
    tail: Vec<TailLayer>,
    /// For one pixel of the trunk.
    multiply_adds: u64,
    /// Bytes that the maps of a strip of the tail take together, where a strip is not the whole.
    strip_bytes: u64,
    /// The memory of the last run, for the next one of its size.
    kept: Mutex<Option<Workspace>>,
}

/// The layers at the picture's size.
enum Trunk {
    /// RRDBNet and ESRGAN+: the first convolution, and three dense blocks for each RRDB.
    Rrdb { first: Convolution, dense: Vec<DenseBlock> },
    /// A compact network: convolutions behind each other.
    Compact { first: Convolution, body: Vec<Convolution> },
}

/// A dense block's convolutions.
struct DenseBlock {
    growth: Vec<Convolution>,
    last: Convolution,
    /// ESRGAN+ adds a projection of the input to the second growth map.
    pointwise: Option<Convolution>,
}

/// A layer behind the trunk.
struct TailLayer {
    convolution: Convolution,
    /// Enlargement by repetition before it.
    factor: usize,
    /// Whether the first convolution's output is added.
    adds_first: bool,
    /// Output channels.
    outputs: usize,
}

impl std::fmt::Debug for GpuNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuNetwork")
            .field("gpu", &self.gpu)
            .field("spec", &self.spec)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}

impl GpuNetwork {
    /// Brings a model's weights to a device.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`], [`GpuError::Driver`]; [`GpuError::Engine`] where a tensor is missing.
    pub fn new(gpu: &Gpu, model: &Model, precision: Precision) -> Result<Self, GpuError> {
        let built = build::Builder::new(gpu, model, storage(precision)).build()?;
        let network = Self {
            gpu: gpu.clone(),
            spec: model.spec.clone(),
            precision,
            trunk: built.trunk,
            tail: built.tail,
            multiply_adds: built.multiply_adds,
            strip_bytes: STRIP_BYTES,
            kept: Mutex::new(None),
        };
        let handles = network.convolutions().flat_map(Convolution::handles).collect::<Vec<_>>();
        network.gpu.check(handles, network.weights_bytes())?;
        Ok(network)
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// In what it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Where it computes.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Multiplications and additions of a pass over a picture, as the network is published.
    pub fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        let (height, width) = self.grid(lr_width, lr_height);
        2.0 * self.multiply_adds as f64 * (height * width) as f64
    }

    /// Device memory of a run over so many whole pictures of one size together: weights, feature maps, the results' rows. And its
    /// largest single buffer.
    pub fn bytes(&self, pictures: usize, (lr_width, lr_height): (usize, usize), edge: Edge) -> (u64, u64) {
        let needs = run::Needs::new(self, pictures, self.grid(lr_width, lr_height), edge);
        let sizes = needs.sizes();
        (sizes.iter().sum::<u64>() + self.weights_bytes(), sizes.into_iter().max().unwrap_or(0))
    }

    /// Enlarges a picture as a whole. All device memory is taken before the first row is handed over.
    ///
    /// # Shapes
    /// As [`esrgan_engine::Engine::run`].
    ///
    /// # Numerics
    /// The same device and driver give the same bits.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] before the first row, [`GpuError::Driver`], and as [`esrgan_engine::Engine::run`].
    pub fn run(
        &self,
        planes: &[Plane],
        edge: Edge,
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), GpuError> {
        let mut rows = |_: usize, y: usize, channels: &[&[f32]]| sink.row(y, channels);
        self.run_together(&[planes], edge, &mut rows, progress)
    }

    /// Enlarges pictures of one size together, which for small ones is faster than one after the other: they fill the device.
    ///
    /// Each picture's result is that of [`GpuNetwork::run`], to the bit. Rows come as [`esrgan_engine::EnlargeTiles`] wants them.
    ///
    /// # Errors
    /// As [`GpuNetwork::run`]; [`EngineError::Size`] where there is no picture, or another has another size.
    pub fn run_together(
        &self,
        pictures: &[&[Plane]],
        edge: Edge,
        sink: TileRows<'_>,
        progress: Progress<'_>,
    ) -> Result<(), GpuError> {
        let workspace = self.workspace_for(pictures, edge)?;
        let result = run::Run { network: self, workspace: &workspace, pictures, edge, progress }.all(sink);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace);
        result
    }

    /// Seconds of passes over a picture on the device alone: without the ways of picture and result between host and device, and
    /// without compiling kernels.
    ///
    /// # Errors
    /// As [`GpuNetwork::run`].
    pub fn seconds(&self, planes: &[Plane], passes: usize) -> Result<Vec<f64>, GpuError> {
        let (pictures, edge) = (&[planes], Edge::Zero);
        let workspace = self.workspace_for(pictures, edge)?;
        let progress = &|_| std::ops::ControlFlow::Continue(());
        run::Run { network: self, workspace: &workspace, pictures, edge, progress }.seconds(passes)
    }

    /// The memory for pictures, which are such as the network reads, all of one size.
    fn workspace_for(&self, pictures: &[&[Plane]], edge: Edge) -> Result<Workspace, GpuError> {
        let expected = self.spec.in_channels();
        if let Some(other) = pictures.iter().find(|planes| planes.len() != expected) {
            return Err(EngineError::Channels { expected, found: other.len() }.into());
        }
        let size = |plane: &Plane| (plane.width(), plane.height());
        let expected = pictures.first().map_or((0, 0), |planes| size(&planes[0]));
        let is_other = |found: &(usize, usize)| *found != expected || found.0 * found.1 == 0;
        let sizes = pictures.iter().flat_map(|planes| planes.iter().map(size));
        // Without a picture there is no pixel, which is found like any other size without one.
        if let Some(found) = std::iter::once(expected).chain(sizes).find(is_other) {
            let expected = (expected.0.max(1), expected.1.max(1));
            return Err(EngineError::Size { expected, found }.into());
        }
        self.workspace(pictures.len(), self.grid(expected.0, expected.1), edge)
    }

    /// Gives back the memory of feature maps that the last run left for the next.
    pub fn forget_maps(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last run's memory where it fits, else new.
    fn workspace(&self, pictures: usize, grid: (usize, usize), edge: Edge) -> Result<Workspace, GpuError> {
        let needs = run::Needs::new(self, pictures, grid, edge);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept.filter(|kept| kept.needs == needs) {
            Some(kept) => Ok(kept),
            None => Workspace::new(self, needs),
        }
    }

    /// Height and width of the trunk's maps.
    fn grid(&self, lr_width: usize, lr_height: usize) -> (usize, usize) {
        (lr_height.div_ceil(self.spec.unshuffle()), lr_width.div_ceil(self.spec.unshuffle()))
    }

    fn weights_bytes(&self) -> u64 {
        self.convolutions().map(Convolution::bytes).sum()
    }

    fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        let (first, dense, body): (_, &[DenseBlock], &[Convolution]) = match &self.trunk {
            Trunk::Rrdb { first, dense } => (first, dense, &[]),
            Trunk::Compact { first, body } => (first, &[], body),
        };
        let dense = dense
            .iter()
            .flat_map(|block| block.growth.iter().chain([&block.last]).chain(block.pointwise.as_ref()));
        let tail = self.tail.iter().map(|layer| &layer.convolution);
        std::iter::once(first).chain(dense).chain(body).chain(tail)
    }
}

/// How maps are stored that later convolutions read.
fn storage(precision: Precision) -> Storage {
    match precision {
        Precision::F32 => Storage::F32,
        Precision::F16 => Storage::F16,
        Precision::Bf16 => Storage::Bf16,
    }
}

/// What the trunk gives: the map that the tail reads, and the first convolution's output, if it is to be added.
struct TrunkMaps<'a> {
    last: &'a Map,
    first: Option<&'a Map>,
}
