//! What a run will do and take, before it starts.

use std::fmt;

use esrgan_core::format_bytes;

use crate::edge::Edge;
use crate::error::EngineError;
use crate::exact::{Means, exact};
use crate::network::Network;
use crate::schedule::{Group, Schedule};
use crate::tiles::{Tiling, tile_sides};

/// Trunk pixels from which on packing the weights takes less than a hundredth of a run in f32.
const LARGE_TRUNK_PIXELS: usize = 512 * 512;

/// Whether a picture may be cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TilePolicy {
    /// The whole picture where the memory allows, else the largest tiles that it allows.
    #[default]
    Auto,
    /// The whole picture, or an error.
    Off,
    /// Tiles of this side, in input pixels.
    LrPx(usize),
}

/// What a run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// What layers see beyond the edge.
    pub edge: Edge,
    /// Whether tiles are allowed.
    pub tile: TilePolicy,
    /// Input pixels around a tile that are computed and thrown away.
    pub tile_halo_lr_px: usize,
    /// Memory that weights and feature maps may take together.
    pub memory_budget_bytes: u64,
    /// Whether packed weights may stay for the next run. Where they may not, and where the picture is so large that packing
    /// takes no time beside it, a run packs them group by group of the network and keeps none, which takes less memory.
    /// Changes no bit of the result.
    pub keep_weights: bool,
    /// Threads that the run will have: the more, the more rows are in work at once. Changes no bit of the result.
    pub threads: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            edge: Edge::Zero,
            tile: TilePolicy::Auto,
            tile_halo_lr_px: crate::tiles::DEFAULT_HALO_LR_PX,
            memory_budget_bytes: u64::MAX,
            keep_weights: true,
            threads: 1,
        }
    }
}

/// How the picture is worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As a whole.
    Exact(Schedule),
    /// In tiles, each as a whole by these means.
    Tiled(Tiling, Means),
}

/// What a run will do and take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) lr_width: usize,
    pub(crate) lr_height: usize,
    pub(crate) scale: usize,
    pub(crate) method: Method,
    pub(crate) edge: Edge,
    feature_bytes: u64,
    weights_bytes: u64,
    /// What the options allowed.
    keep_weights: bool,
    threads: usize,
}

impl Plan {
    /// Plans a run of `network` over a picture.
    ///
    /// # Errors
    /// - [`EngineError::Memory`] where even the most frugal way that the options allow takes more than the budget
    /// - [`EngineError::Size`] for a picture without pixels
    /// - [`EngineError::TileSize`] for tiles too small to work with
    pub fn new(
        network: &Network,
        lr_width: usize,
        lr_height: usize,
        options: &RunOptions,
    ) -> Result<Self, EngineError> {
        if lr_width == 0 || lr_height == 0 {
            return Err(EngineError::Size {
                expected: (lr_width.max(1), lr_height.max(1)),
                found: (lr_width, lr_height),
            });
        }
        let make = |method: Method, feature_bytes, keep_weights| {
            let mut plan = Self {
                lr_width,
                lr_height,
                scale: network.spec().scale(),
                method,
                edge: options.edge,
                feature_bytes,
                weights_bytes: 0,
                keep_weights,
                threads: options.threads,
            };
            plan.weights_bytes = network.weights_bytes(plan.groups_to_pack());
            plan
        };
        let fits = |plan: &Self| plan.peak_bytes() <= options.memory_budget_bytes;
        let means = |weights_bytes| Means {
            edge: options.edge,
            threads: options.threads,
            feature_bytes: options.memory_budget_bytes.saturating_sub(weights_bytes),
        };
        let all_weights = means(network.weights_bytes(None));
        let tiled = |tile: usize| {
            let (size, sides) = ((lr_width, lr_height), (tile, options.tile_halo_lr_px));
            let tiling = Tiling::new(network.spec(), size, sides, options.edge)?;
            let means = Means { edge: tiling.tile_edge(), ..all_weights };
            let bytes = tiling.bytes(1) + exact(network, tiling.largest_tile(), &means).1;
            Ok::<_, EngineError>(make(Method::Tiled(tiling, means), bytes, options.keep_weights))
        };
        if let TilePolicy::LrPx(tile) = options.tile {
            let plan = tiled(tile)?;
            return if fits(&plan) { Ok(plan) } else { Err(plan.no_memory(options)) };
        }
        let whole = |means, keep_weights| {
            let (schedule, bytes) = exact(network, (lr_width, lr_height), means);
            make(Method::Exact(schedule), bytes, keep_weights)
        };
        let mut frugal = whole(&all_weights, options.keep_weights);
        if !fits(&frugal) {
            // Time is better lost by packing than exactness by tiles.
            frugal = whole(&means(network.weights_bytes(Some(&[]))), false);
        }
        if fits(&frugal) {
            return Ok(frugal);
        }
        if options.tile == TilePolicy::Off {
            return Err(frugal.no_memory(options));
        }
        for tile in tile_sides((lr_width, lr_height)) {
            let plan = tiled(tile)?;
            if fits(&plan) {
                return Ok(plan);
            }
            if plan.peak_bytes() < frugal.peak_bytes() {
                frugal = plan;
            }
        }
        Err(frugal.no_memory(options))
    }

    fn no_memory(&self, options: &RunOptions) -> EngineError {
        let (lr_width, lr_height) = (self.lr_width, self.lr_height);
        let (needed_bytes, budget_bytes) = (self.peak_bytes(), options.memory_budget_bytes);
        EngineError::Memory { lr_width, lr_height, needed_bytes, budget_bytes }
    }

    /// Whether the run packs all weights, and leaves them for the next.
    pub fn keeps_weights(&self) -> bool {
        self.groups_to_pack().is_none()
    }

    /// The groups whose weights the run packs one by one, if it does so.
    fn groups_to_pack(&self) -> Option<&[Group]> {
        match &self.method {
            Method::Exact(schedule) if schedule.groups.len() > 1 => {
                let is_large = schedule.grid_width * schedule.grid_height >= LARGE_TRUNK_PIXELS;
                (is_large || !self.keep_weights).then_some(&schedule.groups)
            }
            // Tiles, and a stream through all layers, need all weights again and again.
            _ => None,
        }
    }

    /// The plan for the same picture with rows and columns exchanged.
    ///
    /// # Errors
    /// As [`Plan::new`]; the memory was this plan's, so there is no other limit.
    pub fn transposed(&self, network: &Network) -> Result<Self, EngineError> {
        let (tile, tile_halo_lr_px) = match self.tile_lr_px() {
            Some((tile, halo)) => (TilePolicy::LrPx(tile), halo),
            None => (TilePolicy::Off, 0),
        };
        let (edge, keep_weights, threads) = (self.edge, self.keep_weights, self.threads);
        let options =
            RunOptions { edge, tile, tile_halo_lr_px, keep_weights, threads, ..RunOptions::default() };
        Self::new(network, self.lr_height, self.lr_width, &options)
    }

    /// Width and height of the picture.
    pub fn lr_size(&self) -> (usize, usize) {
        (self.lr_width, self.lr_height)
    }

    /// Pixels in a row of the output.
    pub fn hr_width(&self) -> usize {
        self.lr_width * self.scale
    }

    /// Rows of the output.
    pub fn hr_height(&self) -> usize {
        self.lr_height * self.scale
    }

    /// Most memory that weights will take, packed and as the model has them.
    pub fn weights_bytes(&self) -> u64 {
        self.weights_bytes
    }

    /// Most memory that weights and feature maps will take together.
    pub fn peak_bytes(&self) -> u64 {
        self.weights_bytes + self.feature_bytes
    }

    /// Whether the result is what the network gives for the whole picture at once.
    pub fn is_exact(&self) -> bool {
        matches!(self.method, Method::Exact(_))
    }

    /// The tiles' side in input pixels and the halo around them, if there are tiles.
    pub fn tile_lr_px(&self) -> Option<(usize, usize)> {
        match &self.method {
            Method::Exact(_) => None,
            Method::Tiled(tiling, _) => Some((tiling.tile_lr_px(), tiling.halo_lr_px())),
        }
    }

    /// One word for machines: `whole`, `streamed`, `tiled`.
    pub fn mode(&self) -> &'static str {
        match &self.method {
            Method::Exact(schedule) if schedule.groups.len() > 1 => "whole",
            Method::Exact(_) => "streamed",
            Method::Tiled(..) => "tiled",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} -> {}x{}, ", self.lr_width, self.lr_height, self.hr_width(), self.hr_height())?;
        match &self.method {
            Method::Exact(_) => write!(f, "exact")?,
            Method::Tiled(tiling, _) => write!(f, "{tiling}")?,
        }
        write!(f, ", {} for weights and features", format_bytes(self.peak_bytes()))
    }
}
