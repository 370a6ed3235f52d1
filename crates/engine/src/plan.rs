//! What a run will do and take, before it starts.

use std::fmt;

use esrgan_core::format_bytes;

use crate::edge::Edge;
use crate::error::EngineError;
use crate::exact::{Means, exact};
use crate::network::Network;
use crate::schedule::Schedule;
use crate::tiles::Tiling;

/// The smallest tile that is tried before a picture is refused for lack of memory.
pub(crate) const MIN_TILE_LR_PX: usize = 32;
/// The largest tile that is tried: beyond it the seams are so few that smaller memory is worth more.
const MAX_TILE_LR_PX: usize = 1024;

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
            threads: 1,
        }
    }
}

/// How the picture is worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As a whole.
    Exact(Schedule),
    /// In tiles.
    Tiled(Tiling),
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
        let weights_bytes = network.weights_bytes();
        let make = |(method, feature_bytes)| Self {
            lr_width,
            lr_height,
            scale: network.spec().scale(),
            method,
            edge: options.edge,
            feature_bytes,
            weights_bytes,
            threads: options.threads,
        };
        let fits = |bytes: u64| weights_bytes.saturating_add(bytes) <= options.memory_budget_bytes;
        let means = Means {
            edge: options.edge,
            threads: options.threads,
            feature_bytes: options.memory_budget_bytes.saturating_sub(weights_bytes),
        };
        let tiled = |tile: usize| Tiling::new(network, (lr_width, lr_height), tile, (options, means));
        if let TilePolicy::LrPx(tile) = options.tile {
            let (tiling, bytes) = tiled(tile)?;
            return if fits(bytes) {
                Ok(make((Method::Tiled(tiling), bytes)))
            } else {
                Err(no_memory((lr_width, lr_height), weights_bytes + bytes, options))
            };
        }
        let (schedule, bytes) = exact(network, (lr_width, lr_height), &means);
        if fits(bytes) {
            return Ok(make((Method::Exact(schedule), bytes)));
        }
        if options.tile == TilePolicy::Off {
            return Err(no_memory((lr_width, lr_height), weights_bytes + bytes, options));
        }
        let mut least = bytes;
        let mut tile = MAX_TILE_LR_PX.min(lr_width.max(lr_height)).max(MIN_TILE_LR_PX);
        loop {
            let (tiling, bytes) = tiled(tile)?;
            if fits(bytes) {
                return Ok(make((Method::Tiled(tiling), bytes)));
            }
            least = least.min(bytes);
            if tile == MIN_TILE_LR_PX {
                return Err(no_memory((lr_width, lr_height), weights_bytes + least, options));
            }
            tile = (tile * 3 / 4).max(MIN_TILE_LR_PX);
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
        let (edge, threads) = (self.edge, self.threads);
        let options = RunOptions { edge, tile, tile_halo_lr_px, threads, ..RunOptions::default() };
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

    /// Most memory that packed weights and feature maps will take together.
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
            Method::Tiled(tiling) => Some((tiling.tile_lr_px, tiling.halo_lr_px)),
        }
    }

    /// One word for machines: `whole`, `streamed`, `tiled`.
    pub fn mode(&self) -> &'static str {
        match &self.method {
            Method::Exact(schedule) if schedule.groups.len() > 1 => "whole",
            Method::Exact(_) => "streamed",
            Method::Tiled(_) => "tiled",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} -> {}x{}, ", self.lr_width, self.lr_height, self.hr_width(), self.hr_height())?;
        match &self.method {
            Method::Exact(_) => write!(f, "exact")?,
            Method::Tiled(tiling) => write!(
                f,
                "{} tiles of {} px with a halo of {} px",
                tiling.count(),
                tiling.tile_lr_px,
                tiling.halo_lr_px
            )?,
        }
        write!(f, ", {} for weights and features", format_bytes(self.peak_bytes()))
    }
}

fn no_memory((lr_width, lr_height): (usize, usize), needed_bytes: u64, options: &RunOptions) -> EngineError {
    EngineError::Memory { lr_width, lr_height, needed_bytes, budget_bytes: options.memory_budget_bytes }
}
