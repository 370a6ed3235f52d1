//! The threads, and the runs that they do.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use esrgan_core::Plane;
use esrgan_kernels::{Isa, multiply_add_in_registers, multiply_add_in_registers_bf16};

use crate::error::EngineError;
use crate::exact::exact;
use crate::execute::{Job, Progress, RowSink, check_planes, execute};
use crate::network::{Network, Precision};
use crate::packing::Weights;
use crate::picture::{PictureRows, ResultRows};
use crate::plan::{Method, Plan};
use crate::schedule::Schedule;
use crate::tiles::TileRows;

/// A pool of threads and an instruction set: made once, used for many pictures.
#[derive(Debug)]
pub struct Engine {
    threads: rayon::ThreadPool,
    isa: Isa,
}

impl Engine {
    /// Starts `threads` threads (all processors where `None`), to use `isa` (the fastest there is where `None`).
    ///
    /// # Errors
    /// [`EngineError::Threads`] and [`EngineError::Isa`].
    pub fn new(threads: Option<usize>, isa: Option<Isa>) -> Result<Self, EngineError> {
        let isa = isa.unwrap_or_else(Isa::detect);
        if !isa.is_available() {
            let available: Vec<&str> =
                Isa::ALL.iter().filter(|isa| isa.is_available()).map(|isa| isa.name()).collect();
            return Err(EngineError::Isa { isa, available: available.join(", ") });
        }
        let count = threads.unwrap_or(0);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("esrgan-{index}"))
            .build()
            .map_err(|source| EngineError::Threads { threads: count, source })?;
        Ok(Self { threads, isa })
    }

    /// The instruction set in use, the most that it may be: see [`Engine::isa_for`].
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// The instruction set that computes in a precision: for f32, what its bf16 instructions build on.
    pub fn isa_for(&self, precision: Precision) -> Isa {
        match precision {
            Precision::F32 => self.isa.for_f32(),
            Precision::Bf16 | Precision::F16 => self.isa,
        }
    }

    /// The precision that serves a wish, or no wish, best here. Without a wish, bf16 where it is faster than f32. A wish for it is met
    /// where the processor has instructions for it, or where plain Rust was chosen, which can show what they give; elsewhere f32 is
    /// faster and more exact. Half precision is for GPUs: who wishes for it gets what bf16 would be.
    pub fn precision_for(&self, wanted: Option<Precision>) -> Precision {
        match wanted {
            None if self.isa.has_fast_bf16() => Precision::Bf16,
            None | Some(Precision::F32) => Precision::F32,
            Some(Precision::Bf16 | Precision::F16) if self.isa == Isa::Portable => Precision::Bf16,
            _ if self.isa.has_native_bf16() => Precision::Bf16,
            _ => Precision::F32,
        }
    }

    /// The most operations of a precision that the engine's threads can do in a second, by a loop in registers: what a run is
    /// measured against. The best of many short measurements in 0.3 s: the shorter each is, the sooner one of them meets no
    /// other work on any thread; a few milliseconds are still long beside the threads' start.
    pub fn ceiling_flop_per_second(&self, precision: Precision) -> f64 {
        const WHOLE: Duration = Duration::from_millis(300);
        const MEASUREMENTS: usize = 5;
        const ROUNDS: u64 = 2_000_000;
        let isa = self.isa_for(precision);
        let work = || match precision {
            Precision::F32 => multiply_add_in_registers(isa, ROUNDS),
            Precision::Bf16 | Precision::F16 => multiply_add_in_registers_bf16(isa, ROUNDS),
        };
        let first = Instant::now();
        let mut best = 0.0f64;
        for number in 0.. {
            if number >= MEASUREMENTS && first.elapsed() >= WHOLE {
                break;
            }
            let start = Instant::now();
            let flop: u64 = self.threads.broadcast(|_| work()).into_iter().sum();
            best = best.max(flop as f64 / start.elapsed().as_secs_f64());
        }
        best
    }

    /// Packs the weights that a plan keeps, so that its first run need not.
    pub fn prepare(&self, network: &Network, plan: &Plan) {
        if plan.keeps_weights() {
            self.threads.install(|| network.packed());
        }
    }

    /// Enlarges a picture as planned.
    ///
    /// # Shapes
    /// - `planes`: the model's input channels, each of the planned size
    /// - `sink` gets the output's rows from the top, the model's output channels each
    ///
    /// # Numerics
    /// The bits depend on the model, the picture, the plan's edge mode and tiles, and the instruction set; not on the
    /// number of threads, nor on which of the exact ways is taken.
    ///
    /// # Errors
    /// - [`EngineError::Channels`], [`EngineError::Size`] where the picture is another than was planned for
    /// - [`EngineError::NotFinite`] where the network gives no number: rows before it have been handed over
    /// - [`EngineError::Cancelled`] where `progress` asked to stop
    pub fn run(
        &self,
        network: &Network,
        plan: &Plan,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        check_planes(planes, network.spec().in_channels(), (plan.lr_width, plan.lr_height))?;
        match &plan.method {
            Method::Exact(schedule) => {
                let weights = if plan.keeps_weights() {
                    self.kept_weights(network)
                } else {
                    network.forget_packed();
                    Weights::by_group(&network.layers, &schedule.groups)
                };
                self.run_exact((network, weights), schedule, planes, sink, progress)
            }
            Method::Tiled(tiling, means) => {
                // By the size of the tile: tiles have few sizes, and finding the more frugal way takes a walk over all rows.
                let mut schedules = HashMap::new();
                let mut enlarge = |tiles: &[&[Plane]], rows: TileRows<'_>, progress: Progress<'_>| {
                    let tile = tiles[0];
                    let size = (tile[0].width(), tile[0].height());
                    let schedule = schedules.entry(size).or_insert_with(|| exact(network, size, means).0);
                    let mut sink = |y: usize, channels: &[&[f32]]| rows(0, y, channels);
                    self.run_exact((network, self.kept_weights(network)), schedule, tile, &mut sink, progress)
                };
                tiling.run(planes, 1, &mut enlarge, sink, progress)
            }
        }
    }

    /// All weights, packed unless an earlier run has left them.
    pub(crate) fn kept_weights<'n>(&self, network: &'n Network) -> Weights<'n> {
        Weights::Kept(self.threads.install(|| network.packed()))
    }

    /// Enlarges a picture as a whole.
    pub(crate) fn run_exact(
        &self,
        (network, weights): (&Network, Weights<'_>),
        schedule: &Schedule,
        planes: &[Plane],
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let spec = network.spec();
        let (width, height) = (planes[0].width(), planes[0].height());
        let picture = PictureRows {
            planes,
            unshuffle: spec.unshuffle(),
            edge: schedule.edge,
            grid_width: schedule.grid_width,
            grid_height: schedule.grid_height,
        };
        let result = ResultRows {
            shuffle: network.result_shuffle,
            base: network.adds_picture.then_some((planes, spec.scale())),
            channels: spec.out_channels(),
            height: height * spec.scale(),
            buffer: vec![vec![0.0; width * spec.scale()]; spec.out_channels()],
        };
        let job = Job { graph: &network.graph, weights, schedule, isa: self.isa, picture, result, progress };
        // Always on the first thread: the system's allocator keeps a heap for each thread, and rows that one run has given
        // back to one heap would not serve a run on another.
        let job = Mutex::new(Some((job, sink)));
        let results = self.threads.broadcast(|context| match context.index() {
            0 => job.lock().ok()?.take().map(|(job, sink)| execute(job, sink)),
            _ => None,
        });
        results.into_iter().flatten().next().expect("a pool has a first thread, which runs the job once")
    }
}
