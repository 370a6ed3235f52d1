//! The fallback for lack of memory: tiles with a halo, blended smoothly.
//!
//! A network's output depends on its input far beyond any practical halo (about 349 pixels for 23 RRDBs), so tiles deviate
//! from the exact picture. The picture is cut into cells; each is computed with a halo around it, and neighbours are
//! blended across their border, so that what deviation there is does not show as an edge.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use esrgan_core::Plane;

use crate::edge::Edge;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::exact::{Means, exact};
use crate::execute::Progress;
use crate::execute::RowSink;
use crate::network::Network;
use crate::plan::{MIN_TILE_LR_PX, RunOptions};
use crate::schedule::Schedule;

/// Input pixels around a tile that are computed and thrown away, less the blended ones.
pub(crate) const DEFAULT_HALO_LR_PX: usize = 32;
/// The largest deviation from the exact result that tiles with the default halo have shown, in levels of 255: x4plus on five
/// pictures of Set14 in tiles of 48 px, 2026-11 (`docs/performance.md`).
pub const LARGEST_TILE_DEVIATION_LEVELS: usize = 56;
/// Input pixels on either side of a border between cells in which the two tiles are blended; at most half the halo.
const BLEND_LR_PX: usize = 8;

/// A picture cut into cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    pub(crate) tile_lr_px: usize,
    pub(crate) halo_lr_px: usize,
    blend_lr_px: usize,
    columns: Vec<Range<usize>>,
    rows: Vec<Range<usize>>,
    /// For a single tile.
    means: Means,
}

impl Tiling {
    /// Cuts a picture into cells of at most `tile` pixels, and tells the memory of working them off.
    pub(crate) fn new(
        network: &Network,
        (width, height): (usize, usize),
        tile: usize,
        (options, means): (&RunOptions, Means),
    ) -> Result<(Self, u64), EngineError> {
        if tile < MIN_TILE_LR_PX {
            return Err(EngineError::TileSize { least: MIN_TILE_LR_PX, found: tile });
        }
        let halo = options.tile_halo_lr_px;
        // Cells start on whole grid pixels, so that a tile unshuffles as the whole picture would.
        let unit = network.spec().unshuffle();
        let tiling = Self {
            tile_lr_px: tile,
            halo_lr_px: halo.next_multiple_of(unit),
            blend_lr_px: BLEND_LR_PX.min(halo / 2),
            columns: cells(width, tile, unit),
            rows: cells(height, tile, unit),
            means: Means { edge: tile_edge(options.edge), ..means },
        };
        let bytes = tiling.bytes(network, (width, height), options.edge);
        Ok((tiling, bytes))
    }

    /// How many tiles there are.
    pub(crate) fn count(&self) -> usize {
        self.columns.len() * self.rows.len()
    }

    /// A cell with its halo, as far as the picture reaches.
    fn with_halo(&self, cell: &Range<usize>, length: usize, edge: Edge) -> Range<isize> {
        let (start, end) =
            (cell.start as isize - self.halo_lr_px as isize, (cell.end + self.halo_lr_px) as isize);
        if edge == Edge::Wrap { start..end } else { start.max(0)..end.min(length as isize) }
    }

    /// A cell with the blended borders, where it has neighbours.
    fn with_blend(&self, cells: &[Range<usize>], index: usize) -> Range<usize> {
        let cell = &cells[index];
        let start = if index > 0 { cell.start - self.blend_lr_px.min(cell.start) } else { cell.start };
        let end = if index + 1 < cells.len() { cell.end + self.blend_lr_px } else { cell.end };
        start..end
    }

    /// Memory of the largest tile's feature maps, its copy of the picture, and the rows that wait to be blended.
    fn bytes(&self, network: &Network, (width, height): (usize, usize), edge: Edge) -> u64 {
        let longest = |cells: &[Range<usize>], length: usize| {
            cells.iter().map(|cell| self.with_halo(cell, length, edge).len()).max().unwrap_or(0)
        };
        let (tile_width, tile_height) = (longest(&self.columns, width), longest(&self.rows, height));
        let (_, features) = exact(network, (tile_width, tile_height), &self.means);
        let scale = network.spec().scale();
        let band = self.rows.iter().map(Range::len).max().unwrap_or(0) + 4 * self.blend_lr_px;
        let waiting = width * scale * band * scale * network.spec().out_channels();
        let copy = tile_width * tile_height * network.spec().in_channels();
        features + ((waiting + copy) * size_of::<f32>()) as u64
    }
}

/// The edge mode of a single tile: wrapping is done by the cut.
fn tile_edge(edge: Edge) -> Edge {
    if edge == Edge::Wrap { Edge::Replicate } else { edge }
}

/// Cuts a length into cells of nearly equal size, at most `most` each and on multiples of `unit`.
fn cells(length: usize, most: usize, unit: usize) -> Vec<Range<usize>> {
    let count = length.div_ceil(most);
    let size = length.div_ceil(count).next_multiple_of(unit);
    (0..length).step_by(size).map(|start| start..length.min(start + size)).collect()
}

/// Schedules by the size of the tile: tiles have few sizes, and finding the more frugal way takes a walk over all rows.
type Schedules = HashMap<(usize, usize), Schedule>;

/// One run in tiles.
pub(crate) struct TiledRun<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) network: &'a Network,
    pub(crate) tiling: &'a Tiling,
    pub(crate) planes: &'a [Plane],
    pub(crate) edge: Edge,
    pub(crate) progress: Progress<'a>,
}

/// Rows of the output, all channels: `[channel][row][x]`, from output row `first` on.
struct Band {
    first: usize,
    rows: usize,
    width: usize,
    channels: Vec<Vec<f32>>,
}

impl Band {
    fn new(first: usize, rows: usize, width: usize, channels: usize) -> Self {
        Self { first, rows, width, channels: vec![vec![0.0; rows * width]; channels] }
    }

    fn row(&self, channel: usize, y: usize) -> &[f32] {
        &self.channels[channel][(y - self.first) * self.width..][..self.width]
    }

    fn row_mut(&mut self, channel: usize, y: usize) -> &mut [f32] {
        &mut self.channels[channel][(y - self.first) * self.width..][..self.width]
    }

    fn end(&self) -> usize {
        self.first + self.rows
    }
}

impl TiledRun<'_> {
    /// Runs all tiles, a row of tiles at a time.
    ///
    /// # Errors
    /// As for an exact run, with places given in the whole picture.
    pub(crate) fn run(&self, sink: &mut dyn RowSink) -> Result<(), EngineError> {
        let mut above: Option<Band> = None;
        let mut schedules = Schedules::new();
        for row in 0..self.tiling.rows.len() {
            let mut band = self.tile_row(row, &mut schedules)?;
            if let Some(above) = above {
                self.blend_rows(&above, &mut band, row);
            }
            let is_last = row + 1 == self.tiling.rows.len();
            let border = self.tiling.rows[row].end - if is_last { 0 } else { self.tiling.blend_lr_px };
            let emitted = band.first..border * self.scale();
            for y in emitted.clone() {
                let channels: Vec<&[f32]> =
                    (0..band.channels.len()).map(|channel| band.row(channel, y)).collect();
                sink.row(y, &channels);
            }
            above = (!is_last).then(|| {
                let mut rest =
                    Band::new(emitted.end, band.end() - emitted.end, band.width, band.channels.len());
                for channel in 0..band.channels.len() {
                    (rest.first..rest.end())
                        .for_each(|y| rest.row_mut(channel, y).copy_from_slice(band.row(channel, y)));
                }
                rest
            });
        }
        Ok(())
    }

    fn scale(&self) -> usize {
        self.network.spec().scale()
    }

    /// How far the tile below or to the right has taken over at an output position in the zone around `border`: 0..=1.
    fn takeover(&self, border_lr: usize, position: usize) -> f32 {
        let zone = 2 * self.tiling.blend_lr_px.min(border_lr) * self.scale();
        let start = (border_lr - self.tiling.blend_lr_px.min(border_lr)) * self.scale();
        if position < start {
            return 0.0;
        }
        if position >= start + zone {
            return 1.0;
        }
        let t = (position - start) as f32 + 0.5;
        let t = t / zone as f32;
        t * t * (3.0 - 2.0 * t)
    }

    /// Blends the rows that two rows of tiles have in common.
    fn blend_rows(&self, above: &Band, band: &mut Band, row: usize) {
        let border = self.tiling.rows[row].start;
        for channel in 0..band.channels.len() {
            for y in above.first..above.end() {
                let t = self.takeover(border, y);
                let upper = above.row(channel, y);
                // Written as a step from the upper value, so that equal values stay equal to the bit.
                band.row_mut(channel, y)
                    .iter_mut()
                    .zip(upper)
                    .for_each(|(lower, &upper)| *lower = upper + (*lower - upper) * t);
            }
        }
    }

    /// Computes one row of tiles, blended from left to right.
    fn tile_row(&self, row: usize, schedules: &mut Schedules) -> Result<Band, EngineError> {
        let scale = self.scale();
        let rows = self.tiling.with_blend(&self.tiling.rows, row);
        let width = self.planes[0].width();
        let channels = self.network.spec().out_channels();
        let mut band = Band::new(rows.start * scale, rows.len() * scale, width * scale, channels);
        for column in 0..self.tiling.columns.len() {
            self.tile((row, column), &mut band, schedules)?;
        }
        Ok(band)
    }

    /// Computes one tile into the band.
    fn tile(
        &self,
        (row, column): (usize, usize),
        band: &mut Band,
        schedules: &mut Schedules,
    ) -> Result<(), EngineError> {
        let (width, height) = (self.planes[0].width(), self.planes[0].height());
        let cut_columns = self.tiling.with_halo(&self.tiling.columns[column], width, self.edge);
        let cut_rows = self.tiling.with_halo(&self.tiling.rows[row], height, self.edge);
        let cut = self.cut(&cut_columns, &cut_rows);
        let scale = self.scale() as isize;
        let columns = self.tiling.with_blend(&self.tiling.columns, column);
        let border = self.tiling.columns[column].start;
        let (first_x, first_y) = (cut_columns.start * scale, cut_rows.start * scale);
        let mut place = |y: usize, values: &[&[f32]]| {
            let y = first_y + y as isize;
            if y < band.first as isize || y >= band.end() as isize {
                return;
            }
            for (channel, values) in values.iter().enumerate() {
                let target = band.row_mut(channel, y as usize);
                for x in columns.start * self.scale()..columns.end * self.scale() {
                    let value = values[(x as isize - first_x) as usize];
                    let t = if column == 0 { 1.0 } else { self.takeover(border, x) };
                    target[x] = if t == 1.0 { value } else { target[x] + (value - target[x]) * t };
                }
            }
        };
        let size = (cut_columns.len(), cut_rows.len());
        let schedule =
            schedules.entry(size).or_insert_with(|| exact(self.network, size, &self.tiling.means).0);
        let index = row * self.tiling.columns.len() + column;
        let count = self.tiling.count() as f64;
        let progress =
            |fraction: f64| -> ControlFlow<()> { (self.progress)((index as f64 + fraction) / count) };
        let place_in_picture = |error| match error {
            EngineError::NotFinite { value, channel, x, y } => EngineError::NotFinite {
                value,
                channel,
                x: (first_x + x as isize).max(0) as usize,
                y: (first_y + y as isize).max(0) as usize,
            },
            other => other,
        };
        let weights = self.engine.kept_weights(self.network);
        self.engine
            .run_exact((self.network, weights), schedule, &cut, &mut place, &progress)
            .map_err(place_in_picture)
    }

    /// Copies a part of the picture, around its edges where it wraps.
    fn cut(&self, columns: &Range<isize>, rows: &Range<isize>) -> Vec<Plane> {
        let planes = self.planes.iter().map(|plane| {
            let wrapped = |index: isize, length: usize| index.rem_euclid(length as isize) as usize;
            let mut part = Plane::filled(columns.len(), rows.len(), 0.0);
            for (y, source_y) in rows.clone().enumerate() {
                let source = plane.row(wrapped(source_y, plane.height()));
                let target = part.row_mut(y).iter_mut().zip(columns.clone());
                target.for_each(|(target, x)| *target = source[wrapped(x, plane.width())]);
            }
            part
        });
        planes.collect()
    }
}
