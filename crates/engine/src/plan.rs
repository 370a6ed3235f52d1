//! What a run will do and take, before it starts.

use std::convert::Infallible;
use std::fmt;

use esrgan_core::format_bytes;
use esrgan_kernels::ChannelBlock;

use crate::edge::Edge;
use crate::error::EngineError;
use crate::graph::{FeatureId, Graph};
use crate::network::Network;
use crate::schedule::{Group, GroupRanges, Schedule, Step, Visitor, walk};
use crate::tiles::Tiling;

/// Trunk pixels in a band: enough to share out among threads, few enough to stay in the caches.
const BAND_PIXELS: usize = 8192;
/// Most rows in a band.
const MAX_BAND_ROWS: usize = 32;
/// Rows in a band while the tail's large maps, or all stages at once, are alive.
const NARROW_BAND_ROWS: usize = 4;
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
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            edge: Edge::Zero,
            tile: TilePolicy::Auto,
            tile_halo_lr_px: crate::tiles::DEFAULT_HALO_LR_PX,
            memory_budget_bytes: u64::MAX,
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
        };
        let fits = |bytes: u64| weights_bytes.saturating_add(bytes) <= options.memory_budget_bytes;
        let tiled = |tile: usize| Tiling::new(network, (lr_width, lr_height), tile, options);
        if let TilePolicy::LrPx(tile) = options.tile {
            let (tiling, bytes) = tiled(tile)?;
            return if fits(bytes) {
                Ok(make((Method::Tiled(tiling), bytes)))
            } else {
                Err(no_memory((lr_width, lr_height), weights_bytes + bytes, options))
            };
        }
        let (schedule, bytes) = exact(network, lr_width, lr_height, options.edge);
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
        let options = RunOptions { edge: self.edge, tile, tile_halo_lr_px, ..RunOptions::default() };
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

/// The more frugal of the two exact ways, and the memory of its feature maps: group after group with the trunk's map
/// kept whole, or all stages in one stream, whose memory grows with the width alone.
pub(crate) fn exact(network: &Network, lr_width: usize, lr_height: usize, edge: Edge) -> (Schedule, u64) {
    let unshuffle = network.spec().unshuffle();
    let (grid_width, grid_height) = (lr_width.div_ceil(unshuffle), lr_height.div_ceil(unshuffle));
    let graph = &network.graph;
    let band_rows = (BAND_PIXELS / grid_width).clamp(NARROW_BAND_ROWS, MAX_BAND_ROWS);
    let last = graph.group_ends.len() - 1;
    let groups = graph.groups().enumerate().map(|(index, stages)| Group {
        stages,
        band_rows: if index == last { NARROW_BAND_ROWS } else { band_rows },
    });
    let whole = Schedule { grid_width, grid_height, edge, groups: groups.collect() };
    let all = Group { stages: 0..graph.stages.len(), band_rows: NARROW_BAND_ROWS };
    let streamed = Schedule { groups: vec![all], ..whole.clone() };
    let whole_bytes = feature_bytes(graph, &whole);
    // Wrapping would compute the receptive field's rows twice over in one stream.
    if whole.groups.len() == 1 || edge == Edge::Wrap {
        return (whole, whole_bytes);
    }
    let streamed_bytes = feature_bytes(graph, &streamed);
    if streamed_bytes < whole_bytes { (streamed, streamed_bytes) } else { (whole, whole_bytes) }
}

/// Memory of all feature rows that a schedule will ever have alive, by walking it without computing.
fn feature_bytes(graph: &Graph, schedule: &Schedule) -> u64 {
    let features = graph.features.len();
    let mut count = Count {
        lengths: (0..features)
            .map(|feature| graph.get(FeatureId(feature)).row_length(schedule.grid_width))
            .collect(),
        alive: vec![(0, 0); features],
        graph,
        by_length: Vec::new(),
    };
    match walk(graph, schedule, &mut count) {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let rows = count.by_length.iter().map(|&(length, _, most)| (length * most) as u64);
    rows.sum::<u64>() * size_of::<ChannelBlock>() as u64
}

/// Counts the rows alive, by their length, as the pool of a run keeps them.
struct Count<'a> {
    graph: &'a Graph,
    lengths: Vec<usize>,
    /// For each feature, the first row alive and the end.
    alive: Vec<(isize, isize)>,
    /// Row length, rows alive now, most rows alive.
    by_length: Vec<(usize, usize, usize)>,
}

impl Count<'_> {
    fn of_length(&mut self, length: usize) -> &mut (usize, usize, usize) {
        let position =
            self.by_length.iter().position(|(known, _, _)| *known == length).unwrap_or_else(|| {
                self.by_length.push((length, 0, 0));
                self.by_length.len() - 1
            });
        &mut self.by_length[position]
    }
}

impl Visitor for Count<'_> {
    type Error = Infallible;

    fn begin(&mut self, feature: FeatureId, first: isize) {
        self.alive[feature.0] = (first, first);
    }

    fn compute(&mut self, _: &GroupRanges, step: &Step) -> Result<(), Infallible> {
        if let Some(output) = self.graph.stages[step.stage].output() {
            self.alive[output.0].1 = step.rows.end;
            let (_, now, most) = self.of_length(self.lengths[output.0]);
            *now += step.rows.len();
            *most = (*most).max(*now);
        }
        Ok(())
    }

    fn release(&mut self, feature: FeatureId, first: isize) {
        let (start, end) = self.alive[feature.0];
        let released = first.min(end) - start;
        if released > 0 {
            self.alive[feature.0].0 = start + released;
            self.of_length(self.lengths[feature.0]).1 -= released as usize;
        }
    }
}
