//! The fallback for lack of memory: tiles with a halo, blended smoothly.
//!
//! A network's output depends on its input far beyond any practical halo (about 349 pixels for 23 RRDBs), so tiles deviate
//! from the exact picture. The picture is cut into cells; each is computed with a halo around it, and neighbours are
//! blended across their border, so that what deviation there is does not show as an edge.
//!
//! Who enlarges a tile is the caller's matter: this room's engine, or another one over the same tiles.

use std::fmt;
use std::ops::{ControlFlow, Range};

use esrgan_core::Plane;
use esrgan_weights::ModelSpec;

use crate::edge::Edge;
use crate::error::EngineError;
use crate::execute::{Progress, RowSink, check_planes};

/// The smallest tile that is tried before a picture is refused for lack of memory.
const MIN_TILE_LR_PX: usize = 32;
/// The largest tile that is tried: beyond it the seams are so few that smaller memory is worth more.
const MAX_TILE_LR_PX: usize = 1024;

/// Input pixels around a tile that are computed and thrown away, less the blended ones.
pub(crate) const DEFAULT_HALO_LR_PX: usize = 32;
/// The largest deviation from the exact result that tiles with the default halo have shown, in levels of 255: x4plus on five
/// pictures of Set14 in tiles of 48 px, 2026-11 (`docs/performance.md`).
pub const LARGEST_TILE_DEVIATION_LEVELS: usize = 29;
/// Input pixels on either side of a border between cells in which the two tiles are blended; at most half the halo.
const BLEND_LR_PX: usize = 8;

/// Takes rows of tiles that are enlarged together: the tile's number among them, the row's number in it, its channels.
pub type TileRows<'a> = &'a mut (dyn FnMut(usize, usize, &[&[f32]]) + Send);

/// Enlarges tiles of one size together, small pictures whose edges are [`Tiling::tile_edge`]'s. Rows come from the top: of each tile as
/// many as of the one before it, or fewer.
pub type EnlargeTiles<'a> =
    &'a mut dyn FnMut(&[&[Plane]], TileRows<'_>, Progress<'_>) -> Result<(), EngineError>;

/// Sides of tiles that are worth trying for a picture where its whole does not fit, the largest first.
pub fn tile_sides((width, height): (usize, usize)) -> impl Iterator<Item = usize> {
    let first = MAX_TILE_LR_PX.min(width.max(height)).max(MIN_TILE_LR_PX);
    std::iter::successors(Some(first), |&side| smaller_tile(side))
}

/// The next smaller side that is worth trying, if there is one.
pub fn smaller_tile(side: usize) -> Option<usize> {
    (side > MIN_TILE_LR_PX).then(|| (side * 3 / 4).max(MIN_TILE_LR_PX))
}

/// A cell along one side of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    /// The pixels that are the cell's.
    own: Range<usize>,
    /// The pixels of its tile: a halo around the cell, as far as the picture reaches, or beyond where it wraps.
    tile: Range<isize>,
}

/// A picture cut into cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    tile_lr_px: usize,
    halo_lr_px: usize,
    blend_lr_px: usize,
    columns: Vec<Cell>,
    rows: Vec<Cell>,
    lr_size: (usize, usize),
    edge: Edge,
    scale: usize,
    /// Of the model, in and out.
    channels: (usize, usize),
}

impl Tiling {
    /// Cuts a picture for a model into cells of at most `tile_lr_px` pixels, each to be computed with `halo_lr_px` around it.
    ///
    /// # Errors
    /// [`EngineError::TileSize`] for tiles too small to work with.
    pub fn new(
        spec: &ModelSpec,
        (width, height): (usize, usize),
        (tile_lr_px, halo_lr_px): (usize, usize),
        edge: Edge,
    ) -> Result<Self, EngineError> {
        if tile_lr_px < MIN_TILE_LR_PX {
            return Err(EngineError::TileSize { least: MIN_TILE_LR_PX, found: tile_lr_px });
        }
        // Cells start on whole grid pixels, so that a tile unshuffles as the whole picture would.
        let unit = spec.unshuffle();
        let halo_lr_px = halo_lr_px.next_multiple_of(unit);
        let cells = |length| cells(length, (tile_lr_px, halo_lr_px), unit, edge == Edge::Wrap);
        Ok(Self {
            tile_lr_px,
            halo_lr_px,
            blend_lr_px: BLEND_LR_PX.min(halo_lr_px / 2),
            columns: cells(width),
            rows: cells(height),
            lr_size: (width, height),
            edge,
            scale: spec.scale(),
            channels: (spec.in_channels(), spec.out_channels()),
        })
    }

    /// How many tiles there are.
    pub fn count(&self) -> usize {
        self.columns.len() * self.rows.len()
    }

    /// The cells' side in input pixels: no cell is larger.
    pub fn tile_lr_px(&self) -> usize {
        self.tile_lr_px
    }

    /// Input pixels around a cell that are computed and thrown away, less the blended ones.
    pub fn halo_lr_px(&self) -> usize {
        self.halo_lr_px
    }

    /// What a single tile sees beyond its edge: wrapping is done by the cut.
    pub fn tile_edge(&self) -> Edge {
        if self.edge == Edge::Wrap { Edge::Replicate } else { self.edge }
    }

    /// Width and height of the largest tile, halo included.
    pub fn largest_tile(&self) -> (usize, usize) {
        let longest = |cells: &[Cell]| cells.iter().map(|cell| cell.tile.len()).max().unwrap_or(0);
        (longest(&self.columns), longest(&self.rows))
    }

    /// The most tiles that can be enlarged together: those of a row.
    pub fn most_at_once(&self) -> usize {
        self.columns.len()
    }

    /// Memory of the copies of the picture for so many tiles at once, and of the rows that wait to be blended.
    pub fn bytes(&self, at_once: usize) -> u64 {
        let (tile_width, tile_height) = self.largest_tile();
        let band = self.rows.iter().map(|cell| cell.own.len()).max().unwrap_or(0) + 4 * self.blend_lr_px;
        let waiting = self.lr_size.0 * self.scale * band * self.scale * self.channels.1;
        let copy = tile_width * tile_height * self.channels.0;
        ((waiting + at_once * copy) * size_of::<f32>()) as u64
    }

    /// Enlarges a picture a row of tiles at a time, of each row at most `at_once` tiles together.
    ///
    /// # Shapes
    /// As [`Engine::run`](crate::Engine::run), over the picture and over each tile.
    ///
    /// # Errors
    /// Of `enlarge`, with places given in the whole picture; [`EngineError::Channels`], [`EngineError::Size`] where the picture is
    /// another than was cut.
    pub fn run(
        &self,
        planes: &[Plane],
        at_once: usize,
        enlarge: EnlargeTiles<'_>,
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        check_planes(planes, self.channels.0, self.lr_size)?;
        TiledRun { tiling: self, planes, at_once: at_once.max(1), progress }.run(enlarge, sink)
    }

    /// A cell with the blended borders, where it has neighbours.
    fn with_blend(&self, cells: &[Cell], index: usize) -> Range<usize> {
        let cell = &cells[index].own;
        let start = if index > 0 { cell.start - self.blend_lr_px.min(cell.start) } else { cell.start };
        let end = if index + 1 < cells.len() { cell.end + self.blend_lr_px } else { cell.end };
        start..end
    }
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tile_lr_px, halo_lr_px, .. } = self;
        write!(f, "{} tiles of {tile_lr_px} px with a halo of {halo_lr_px} px", self.count())
    }
}

/// Cuts a length into cells of nearly equal size, at most `most` each and on multiples of `unit`, with a halo around them.
///
/// Tiles reach further into the picture where that makes them as long as the others: tiles of one size share their memory, and can
/// be enlarged together.
fn cells(length: usize, (most, halo): (usize, usize), unit: usize, wraps: bool) -> Vec<Cell> {
    let count = length.div_ceil(most);
    let size = length.div_ceil(count).next_multiple_of(unit);
    let own = |start: usize| start..length.min(start + size);
    let with_halo = |own: &Range<usize>| {
        let (start, end) = (own.start as isize - halo as isize, (own.end + halo) as isize);
        if wraps { start..end } else { start.max(0)..end.min(length as isize) }
    };
    let starts = || (0..length).step_by(size);
    let longest = starts().map(|start| with_halo(&own(start)).len()).max().unwrap_or(0);
    let cell = |start| {
        let own = own(start);
        let Range { start, end } = with_halo(&own);
        let tile = if wraps {
            start..start + longest as isize
        } else {
            let start = start.min(((length - longest) / unit * unit) as isize);
            start..end.max((start + longest as isize).min(length as isize))
        };
        Cell { own, tile }
    };
    starts().map(cell).collect()
}

/// One run in tiles.
struct TiledRun<'a> {
    tiling: &'a Tiling,
    planes: &'a [Plane],
    at_once: usize,
    progress: Progress<'a>,
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
    fn run(&self, enlarge: EnlargeTiles<'_>, sink: &mut dyn RowSink) -> Result<(), EngineError> {
        let mut above: Option<Band> = None;
        for row in 0..self.tiling.rows.len() {
            let mut band = self.tile_row(row, enlarge)?;
            if let Some(above) = above {
                self.blend_rows(&above, &mut band, row);
            }
            let is_last = row + 1 == self.tiling.rows.len();
            let border = self.tiling.rows[row].own.end - if is_last { 0 } else { self.tiling.blend_lr_px };
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
        self.tiling.scale
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
        let border = self.tiling.rows[row].own.start;
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
    fn tile_row(&self, row: usize, enlarge: EnlargeTiles<'_>) -> Result<Band, EngineError> {
        let scale = self.scale();
        let rows = self.tiling.with_blend(&self.tiling.rows, row);
        let width = self.planes[0].width();
        let channels = self.tiling.channels.1;
        let mut band = Band::new(rows.start * scale, rows.len() * scale, width * scale, channels);
        let columns = &self.tiling.columns;
        let mut first = 0;
        while first < columns.len() {
            let is_alike = |cell: &&Cell| cell.tile.len() == columns[first].tile.len();
            let count = columns[first..].iter().take(self.at_once).take_while(is_alike).count();
            self.tiles((row, first..first + count), &mut band, enlarge)?;
            first += count;
        }
        Ok(band)
    }

    /// Computes tiles of one row together, into the band.
    fn tiles(
        &self,
        (row, columns): (usize, Range<usize>),
        band: &mut Band,
        enlarge: EnlargeTiles<'_>,
    ) -> Result<(), EngineError> {
        let tiling = self.tiling;
        let cut_rows = &tiling.rows[row].tile;
        let cuts: Vec<Vec<Plane>> =
            columns.clone().map(|column| self.cut(&tiling.columns[column].tile, cut_rows)).collect();
        let cuts: Vec<&[Plane]> = cuts.iter().map(Vec::as_slice).collect();
        // Rows that each tile has handed over.
        let mut handed = vec![0; cuts.len()];
        let mut take = |tile: usize, y: usize, values: &[&[f32]]| {
            handed[tile] = y + 1;
            let y = cut_rows.start * self.scale() as isize + y as isize;
            if y >= band.first as isize && y < band.end() as isize {
                self.place(columns.start + tile, y as usize, values, band);
            }
        };
        let before = row * tiling.columns.len() + columns.start;
        let (here, count) = (columns.len() as f64, tiling.count() as f64);
        let progress =
            |fraction: f64| -> ControlFlow<()> { (self.progress)((before as f64 + fraction * here) / count) };
        enlarge(&cuts, &mut take, &progress).map_err(|error| match error {
            EngineError::NotFinite { value, channel, x, y } => {
                // Rows come in order, so it is the first tile that has not got this one.
                let tile = handed.iter().position(|rows| *rows == y).unwrap_or(0);
                let in_picture = |cut: &Range<isize>, position: usize| {
                    (cut.start * self.scale() as isize + position as isize).max(0) as usize
                };
                let x = in_picture(&tiling.columns[columns.start + tile].tile, x);
                EngineError::NotFinite { value, channel, x, y: in_picture(cut_rows, y) }
            }
            other => other,
        })
    }

    /// Puts a row of a tile into the band, blended with that of the tile on its left.
    fn place(&self, column: usize, y: usize, values: &[&[f32]], band: &mut Band) {
        let scale = self.scale();
        let Cell { own, tile } = &self.tiling.columns[column];
        let blended = self.tiling.with_blend(&self.tiling.columns, column);
        let first_x = tile.start * scale as isize;
        for (channel, values) in values.iter().enumerate() {
            let target = band.row_mut(channel, y);
            for x in blended.start * scale..blended.end * scale {
                let value = values[(x as isize - first_x) as usize];
                let t = if column == 0 { 1.0 } else { self.takeover(own.start, x) };
                target[x] = if t == 1.0 { value } else { target[x] + (value - target[x]) * t };
            }
        }
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

#[cfg(test)]
mod tests;
