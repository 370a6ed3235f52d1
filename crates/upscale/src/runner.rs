//! What runs the passes of a picture: the processor's engine, or a device.

use std::fmt;

use esrgan_core::{Notice, Plane};
use esrgan_engine::{
    Engine, EngineError, LARGEST_TILE_DEVIATION_LEVELS, Network, Plan, Precision, Progress, RowSink,
    RunOptions, Tiling,
};
use esrgan_weights::{Model, ModelSpec};

use crate::device::DevicePlan;
use crate::upscaler::ModelOptions;

/// How one pass of the network goes over a picture.
#[derive(Clone, Debug)]
pub enum PassPlan {
    /// On the processor.
    Cpu(Plan),
    /// On a device.
    Device(DevicePlan),
}

impl PassPlan {
    /// Width and height of the picture.
    pub fn lr_size(&self) -> (usize, usize) {
        match self {
            Self::Cpu(plan) => plan.lr_size(),
            Self::Device(plan) => plan.lr_size(),
        }
    }

    /// Pixels in a row of the network's output.
    pub fn hr_width(&self) -> usize {
        match self {
            Self::Cpu(plan) => plan.hr_width(),
            Self::Device(plan) => plan.lr_size().0 * plan.scale(),
        }
    }

    /// The tiles' side in input pixels and the halo around them, if there are tiles.
    pub fn tile_lr_px(&self) -> Option<(usize, usize)> {
        match self {
            Self::Cpu(plan) => plan.tile_lr_px(),
            Self::Device(plan) => plan.tiling().map(|tiling| (tiling.tile_lr_px(), tiling.halo_lr_px())),
        }
    }

    /// One word for machines: `whole`, `streamed`, `tiled`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Cpu(plan) => plan.mode(),
            Self::Device(plan) => plan.tiling().map_or("whole", |_: &Tiling| "tiled"),
        }
    }

    /// Most memory of the processor that weights will take.
    pub(crate) fn weights_bytes(&self) -> u64 {
        match self {
            Self::Cpu(plan) => plan.weights_bytes(),
            Self::Device(plan) => plan.model_bytes(),
        }
    }

    /// Most memory of the processor that the pass will take, weights included.
    pub(crate) fn peak_bytes(&self) -> u64 {
        match self {
            Self::Cpu(plan) => plan.peak_bytes(),
            Self::Device(plan) => plan.peak_bytes(),
        }
    }
}

impl fmt::Display for PassPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(plan) => plan.fmt(f),
            Self::Device(plan) => plan.fmt(f),
        }
    }
}

/// How a pass went.
#[derive(Debug)]
pub(crate) struct PassReport {
    /// What the user should know.
    pub(crate) notices: Vec<Notice>,
    /// How the picture was worked off in the end: see [`PassPlan::mode`].
    pub(crate) mode: &'static str,
}

/// What tiles cost, in words.
pub(crate) fn tile_warning() -> String {
    format!(
        "such tiles have deviated from the exact result by up to {LARGEST_TILE_DEVIATION_LEVELS} of 255 levels"
    )
}

/// By what a network is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computation {
    /// `cpu`, or a device's number and name, such as `vulkan:0 NAME`.
    pub device: String,
    /// The processor's instruction set; on a device the interface by which it is reached, such as `vulkan`.
    pub isa: &'static str,
    /// In what products are computed.
    pub precision: Precision,
    /// Threads of the processor that take part.
    pub threads: usize,
}

impl fmt::Display for Computation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, precision) = (&self.device, self.precision.name());
        match self.device.as_str() {
            "cpu" => write!(f, "{device}, {} on {} threads, {precision}", self.isa, self.threads),
            _ => write!(f, "{device}, {precision}"),
        }
    }
}

/// Runs passes of one model.
pub(crate) trait Runner: fmt::Debug + Send + Sync {
    /// What the model is.
    fn spec(&self) -> &ModelSpec;

    /// By what it is computed.
    fn computation(&self) -> Computation;

    /// Floating-point operations for a picture: see [`Network::nominal_flop`].
    fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64;

    /// Plans a pass; the options' number of threads is replaced by the runner's.
    ///
    /// # Errors
    /// As [`Plan::new`] and [`DevicePlan::new`].
    fn plan(&self, lr_size: (usize, usize), options: &RunOptions) -> Result<PassPlan, EngineError>;

    /// The plan for the same picture with rows and columns exchanged.
    ///
    /// # Errors
    /// As [`Runner::plan`], and [`EngineError::Plan`] for a plan of another runner's.
    fn transposed(&self, plan: &PassPlan) -> Result<PassPlan, EngineError>;

    /// Does what a first run would have to do once.
    fn prepare(&self, plan: &PassPlan);

    /// Seconds of so many passes over a picture as a whole on the device alone, without the ways between it and the processor;
    /// nothing where the processor computes.
    ///
    /// # Errors
    /// As [`Runner::run`].
    fn forward_seconds(&self, planes: &[Plane], passes: usize) -> Result<Option<Vec<f64>>, EngineError> {
        let _ = (planes, passes);
        Ok(None)
    }

    /// Enlarges a picture as planned: see [`Engine::run`].
    ///
    /// # Errors
    /// As [`Engine::run`]; [`EngineError::Plan`] for a plan of another runner's; [`EngineError::DeviceMemory`],
    /// [`EngineError::Device`].
    fn run(
        &self,
        plan: &PassPlan,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<PassReport, EngineError>;
}

/// Runs passes on the processor.
#[derive(Debug)]
pub(crate) struct CpuRunner {
    engine: Engine,
    network: Network,
}

impl CpuRunner {
    /// Makes the network and starts the threads, and says where another precision is computed than was wished for.
    ///
    /// # Errors
    /// [`EngineError::Threads`], [`EngineError::Isa`], [`EngineError::Weights`].
    pub(crate) fn new(model: &Model, options: &ModelOptions) -> Result<(Self, Option<Notice>), EngineError> {
        let engine = Engine::new(options.threads, options.isa)?;
        let precision = engine.precision_for(options.precision);
        let network = Network::new(model, precision)?;
        let notice = options.precision.filter(|wanted| *wanted != precision);
        let notice = notice.map(|wanted| replaced_precision(&engine, (wanted, precision)));
        Ok((Self { engine, network }, notice))
    }
}

/// Why a precision was replaced.
fn replaced_precision(engine: &Engine, (wanted, used): (Precision, Precision)) -> Notice {
    let lack = format!("this processor has no instructions for bf16 ({} is its best set)", engine.isa());
    Notice::new(match (wanted, used) {
        (Precision::F16, Precision::F32) => {
            format!("f16 is for GPUs, and {lack}: computed in f32, which is faster here")
        }
        (Precision::F16, _) => format!("f16 is for GPUs: computed in {}", used.name()),
        _ => format!("{lack}: computed in f32, which is faster here"),
    })
}

impl Runner for CpuRunner {
    fn spec(&self) -> &ModelSpec {
        self.network.spec()
    }

    fn computation(&self) -> Computation {
        let precision = self.network.precision();
        let isa = self.engine.isa_for(precision).name();
        Computation { device: "cpu".to_owned(), isa, precision, threads: self.engine.threads() }
    }

    fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        self.network.nominal_flop(lr_width, lr_height)
    }

    fn plan(&self, (width, height): (usize, usize), options: &RunOptions) -> Result<PassPlan, EngineError> {
        let options = RunOptions { threads: self.engine.threads(), ..*options };
        Plan::new(&self.network, width, height, &options).map(PassPlan::Cpu)
    }

    fn transposed(&self, plan: &PassPlan) -> Result<PassPlan, EngineError> {
        let PassPlan::Cpu(plan) = plan else { return Err(EngineError::Plan) };
        plan.transposed(&self.network).map(PassPlan::Cpu)
    }

    fn prepare(&self, plan: &PassPlan) {
        if let PassPlan::Cpu(plan) = plan {
            self.engine.prepare(&self.network, plan);
        }
    }

    fn run(
        &self,
        plan: &PassPlan,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<PassReport, EngineError> {
        let PassPlan::Cpu(plan) = plan else { return Err(EngineError::Plan) };
        self.engine.run(&self.network, plan, planes, sink, progress)?;
        Ok(PassReport { notices: Vec::new(), mode: plan.mode() })
    }
}
