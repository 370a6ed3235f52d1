//! Plans for devices with memory of their own: the whole picture, or the largest tiles that fit.

use std::fmt;

use esrgan_core::format_bytes;
use esrgan_engine::{Edge, EngineError, RunOptions, TilePolicy, Tiling, smaller_tile, tile_sides};
use esrgan_weights::ModelSpec;

/// What a plan is made with.
pub struct DeviceMeans<'a> {
    /// The device, as the user knows it.
    pub device: &'a str,
    /// The model.
    pub spec: &'a ModelSpec,
    /// Device memory of a run over so many pictures of this width and height together, and its largest single buffer.
    pub bytes: &'a dyn Fn(usize, (usize, usize), Edge) -> (u64, u64),
    /// Device memory that a run may take.
    pub usable_bytes: u64,
    /// The largest single buffer that the device gives.
    pub largest_buffer_bytes: u64,
    /// Whether device memory is taken from the processor's.
    pub shares_host_memory: bool,
    /// Memory of the model's tensors on the processor's side.
    pub model_bytes: u64,
}

/// Input pixels that keep a device busy: tiles that have fewer are enlarged together.
const BUSY_LR_PX: usize = 512 * 512;

/// How a network goes over a picture on a device, and what that takes.
#[derive(Clone, Debug)]
pub struct DevicePlan {
    lr_size: (usize, usize),
    scale: usize,
    tiling: Option<Tiling>,
    /// Tiles that are enlarged together.
    at_once: usize,
    options: RunOptions,
    device_bytes: u64,
    largest_buffer_bytes: u64,
    model_bytes: u64,
    host_bytes: u64,
}

impl DevicePlan {
    /// Plans a run over a picture of `lr_size`: of the options' memory budget, what the processor's side takes is counted.
    ///
    /// # Errors
    /// - [`EngineError::DeviceMemory`] where even the smallest tiles that the options allow do not fit
    /// - [`EngineError::Memory`] where they do, but what waits on the processor's side does not
    /// - [`EngineError::Size`] for a picture without pixels, [`EngineError::TileSize`]
    pub fn new(
        means: &DeviceMeans<'_>,
        lr_size: (usize, usize),
        options: &RunOptions,
    ) -> Result<Self, EngineError> {
        if lr_size.0 == 0 || lr_size.1 == 0 {
            let expected = (lr_size.0.max(1), lr_size.1.max(1));
            return Err(EngineError::Size { expected, found: lr_size });
        }
        let mut plan = match options.tile {
            TilePolicy::LrPx(side) => Self::of(means, lr_size, options, Some(side))?,
            TilePolicy::Auto | TilePolicy::Off => Self::of(means, lr_size, options, None)?,
        };
        if options.tile == TilePolicy::Auto {
            let mut sides = tile_sides(lr_size);
            while plan.lack(means).is_some() {
                let Some(side) = sides.next() else { break };
                plan = Self::of(means, lr_size, options, Some(side))?;
            }
        }
        plan.lack(means).map_or(Ok(plan), Err)
    }

    /// The plan for a picture as a whole, or in tiles of a side, whether it fits or not: as many of them together as keep the device
    /// busy and have room.
    fn of(
        means: &DeviceMeans<'_>,
        lr_size: (usize, usize),
        options: &RunOptions,
        tile: Option<usize>,
    ) -> Result<Self, EngineError> {
        let Some(tile) = tile else { return Ok(Self::in_parts(means, lr_size, options, None)) };
        let sides = (tile, options.tile_halo_lr_px);
        let tiling = Tiling::new(means.spec, lr_size, sides, options.edge)?;
        let (width, height) = tiling.largest_tile();
        let most = (BUSY_LR_PX / (width * height).max(1)).clamp(1, tiling.most_at_once());
        let mut plan = Self::in_parts(means, lr_size, options, Some((tiling, most)));
        while plan.lack(means).is_some()
            && let Some(fewer) = plan.with_fewer(means)
        {
            plan = fewer;
        }
        Ok(plan)
    }

    /// The plan with fewer tiles at once, where it has several.
    fn with_fewer(&self, means: &DeviceMeans<'_>) -> Option<Self> {
        let tiling = self.tiling.as_ref().filter(|_| self.at_once > 1)?;
        Some(Self::in_parts(means, self.lr_size, &self.options, Some((tiling.clone(), self.at_once / 2))))
    }

    /// The plan for a picture as a whole, or in so many tiles at once.
    fn in_parts(
        means: &DeviceMeans<'_>,
        lr_size: (usize, usize),
        options: &RunOptions,
        tiles: Option<(Tiling, usize)>,
    ) -> Self {
        let (tiling, at_once) = tiles.map_or((None, 1), |(tiling, at_once)| (Some(tiling), at_once));
        let part = tiling.as_ref().map_or(lr_size, Tiling::largest_tile);
        let edge = tiling.as_ref().map_or(options.edge, Tiling::tile_edge);
        let (device_bytes, largest_buffer_bytes) = (means.bytes)(at_once, part, edge);
        let copy = (lr_size.0 * lr_size.1 * means.spec.in_channels() * size_of::<f32>()) as u64;
        let shared = if means.shares_host_memory { device_bytes } else { 0 };
        let waiting = tiling.as_ref().map_or(copy, |tiling| tiling.bytes(at_once));
        Self {
            lr_size,
            scale: means.spec.scale(),
            options: *options,
            device_bytes,
            largest_buffer_bytes,
            model_bytes: means.model_bytes,
            host_bytes: shared.saturating_add(waiting),
            tiling,
            at_once,
        }
    }

    /// What the plan lacks, as an error.
    fn lack(&self, means: &DeviceMeans<'_>) -> Option<EngineError> {
        let lr_size = Some(self.tiling.as_ref().map_or(self.lr_size, Tiling::largest_tile));
        let device = || means.device.to_owned();
        let lack = |needed_bytes, usable_bytes| {
            (needed_bytes > usable_bytes).then(|| EngineError::DeviceMemory {
                device: device(),
                lr_size,
                needed_bytes,
                usable_bytes,
            })
        };
        let budget_bytes = self.options.memory_budget_bytes;
        let host = (self.peak_bytes() > budget_bytes).then(|| EngineError::Memory {
            lr_width: self.lr_size.0,
            lr_height: self.lr_size.1,
            needed_bytes: self.peak_bytes(),
            budget_bytes,
        });
        lack(self.device_bytes, means.usable_bytes)
            .or_else(|| lack(self.largest_buffer_bytes, means.largest_buffer_bytes))
            .or(host)
    }

    /// The plan with fewer tiles at once, or the next smaller ones that take less memory on the device; none where there are none, or
    /// where tiles are not allowed.
    pub fn tighter(&self, means: &DeviceMeans<'_>) -> Option<Self> {
        if self.options.tile == TilePolicy::Off {
            return None;
        }
        if let Some(fewer) = self.with_fewer(means) {
            return Some(fewer);
        }
        let first = match &self.tiling {
            Some(tiling) => smaller_tile(tiling.tile_lr_px()),
            None => tile_sides(self.lr_size).next(),
        };
        let sides = std::iter::successors(first, |&side| smaller_tile(side));
        let with_tiles = |side| Self::of(means, self.lr_size, &self.options, Some(side)).ok();
        let with_fewer = |plan| std::iter::successors(Some(plan), |plan: &Self| plan.with_fewer(means));
        let mut plans = sides.filter_map(with_tiles).flat_map(with_fewer);
        plans.find(|plan| plan.device_bytes < self.device_bytes)
    }

    /// The plan for another network on the same device, which may take more: as this one where that fits, else anew.
    ///
    /// # Errors
    /// As [`DevicePlan::new`].
    pub fn with(&self, means: &DeviceMeans<'_>) -> Result<Self, EngineError> {
        let tile = self.tiling.as_ref().map(Tiling::tile_lr_px);
        let mut plan = Self::of(means, self.lr_size, &self.options, tile)?;
        while let Some(lack) = plan.lack(means) {
            plan = plan.tighter(means).ok_or(lack)?;
        }
        Ok(plan)
    }

    /// The plan for the same picture with rows and columns exchanged.
    ///
    /// # Errors
    /// As [`DevicePlan::new`].
    pub fn transposed(&self, means: &DeviceMeans<'_>) -> Result<Self, EngineError> {
        let tile = self.tiling.as_ref().map(Tiling::tile_lr_px);
        Self::of(means, (self.lr_size.1, self.lr_size.0), &self.options, tile)
    }

    /// What layers see beyond the edge.
    pub fn edge(&self) -> Edge {
        self.options.edge
    }

    /// The tiles, if there are any.
    pub fn tiling(&self) -> Option<&Tiling> {
        self.tiling.as_ref()
    }

    /// Tiles that are enlarged together.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// The parts that the picture is worked off in, in words.
    pub fn division(&self) -> String {
        match (&self.tiling, self.at_once) {
            (None, _) => "the whole picture".to_owned(),
            (Some(tiling), 1) => tiling.to_string(),
            (Some(tiling), at_once) => format!("{tiling}, {at_once} at once"),
        }
    }

    /// Width and height of the picture.
    pub fn lr_size(&self) -> (usize, usize) {
        self.lr_size
    }

    /// The model's scale.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Memory of the device that the run takes.
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// Memory of the model's tensors on the processor's side.
    pub fn model_bytes(&self) -> u64 {
        self.model_bytes
    }

    /// Most memory that the run takes on the processor's side, the device's included where they share one.
    pub fn peak_bytes(&self) -> u64 {
        self.model_bytes.saturating_add(self.host_bytes)
    }
}

impl fmt::Display for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.lr_size;
        write!(f, "{width}x{height} -> {}x{}, ", width * self.scale, height * self.scale)?;
        match &self.tiling {
            None => write!(f, "whole")?,
            Some(_) => f.write_str(&self.division())?,
        }
        write!(f, ", {} of the device's memory", format_bytes(self.device_bytes))
    }
}

#[cfg(test)]
mod tests;
