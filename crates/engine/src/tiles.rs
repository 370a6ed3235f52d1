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
pub const LARGEST_TILE_DEVIATION_LEVELS: usize = 56;
/// Input pixels on either side of a border between cells in which the two tiles are blended; at most half the halo.
const BLEND_LR_PX: usize = 8;

/// Enlarges one tile, a small picture whose edges are [`Tiling::tile_edge`]'s, and hands its rows over from the top.
pub type EnlargeTile<'a> =
    &'a mut dyn FnMut(&[Plane], &mut dyn RowSink, Progress<'_>) -> Result<(), EngineError>;

/// Sides of tiles that are worth trying for a picture where its whole does not fit, the largest first.
pub fn tile_sides((width, height): (usize, usize)) -> impl Iterator<Item = usize> {
    let first = MAX_TILE_LR_PX.min(width.max(height)).max(MIN_TILE_LR_PX);
    std::iter::successors(Some(first), |&side| smaller_tile(side))
}

/// The next smaller side that is worth trying, if there is one.
pub fn smaller_tile(side: usize) -> Option<usize> {
    (side > MIN_TILE_LR_PX).then(|| (side * 3 / 4).max(MIN_TILE_LR_PX))
}

/// A picture cut into cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    tile_lr_px: usize,
    halo_lr_px: usize,
    blend_lr_px: usize,
    columns: Vec<Range<usize>>,
    rows: Vec<Range<usize>>,
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
        Ok(Self {
            tile_lr_px,
            halo_lr_px: halo_lr_px.next_multiple_of(unit),
            blend_lr_px: BLEND_LR_PX.min(halo_lr_px / 2),
            columns: cells(width, tile_lr_px, unit),
            rows: cells(height, tile_lr_px, unit),
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
        let longest = |cells: &[Range<usize>], length: usize| {
            cells.iter().map(|cell| self.with_halo(cell, length).len()).max().unwrap_or(0)
        };
        (longest(&self.columns, self.lr_size.0), longest(&self.rows, self.lr_size.1))
    }

    /// Memory of the largest tile's copy of the picture, and of the rows that wait to be blended.
    pub fn bytes(&self) -> u64 {
        let (tile_width, tile_height) = self.largest_tile();
        let band = self.rows.iter().map(Range::len).max().unwrap_or(0) + 4 * self.blend_lr_px;
        let waiting = self.lr_size.0 * self.scale * band * self.scale * self.channels.1;
        let copy = tile_width * tile_height * self.channels.0;
        ((waiting + copy) * size_of::<f32>()) as u64
    }

    /// Enlarges a picture tile by tile, a row of tiles at a time.
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
        enlarge: EnlargeTile<'_>,
        sink: &mut dyn RowSink,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        check_planes(planes, self.channels.0, self.lr_size)?;
        TiledRun { tiling: self, planes, progress }.run(enlarge, sink)
    }

    /// A cell with its halo, as far as the picture reaches.
    fn with_halo(&self, cell: &Range<usize>, length: usize) -> Range<isize> {
        let (start, end) =
            (cell.start as isize - self.halo_lr_px as isize, (cell.end + self.halo_lr_px) as isize);
        if self.edge == Edge::Wrap { start..end } else { start.max(0)..end.min(length as isize) }
    }

    /// A cell with the blended borders, where it has neighbours.
    fn with_blend(&self, cells: &[Range<usize>], index: usize) -> Range<usize> {
        let cell = &cells[index];
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

/// Cuts a length into cells of nearly equal size, at most `most` each and on multiples of `unit`.
fn cells(length: usize, most: usize, unit: usize) -> Vec<Range<usize>> {
    let count = length.div_ceil(most);
    let size = length.div_ceil(count).next_multiple_of(unit);
    (0..length).step_by(size).map(|start| start..length.min(start + size)).collect()
}

/// One run in tiles.
struct TiledRun<'a> {
    tiling: &'a Tiling,
    planes: &'a [Plane],
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
    fn run(&self, enlarge: EnlargeTile<'_>, sink: &mut dyn RowSink) -> Result<(), EngineError> {
        let mut above: Option<Band> = None;
        for row in 0..self.tiling.rows.len() {
            let mut band = self.tile_row(row, enlarge)?;
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
    fn tile_row(&self, row: usize, enlarge: EnlargeTile<'_>) -> Result<Band, EngineError> {
        let scale = self.scale();
        let rows = self.tiling.with_blend(&self.tiling.rows, row);
        let width = self.planes[0].width();
        let channels = self.tiling.channels.1;
        let mut band = Band::new(rows.start * scale, rows.len() * scale, width * scale, channels);
        for column in 0..self.tiling.columns.len() {
            self.tile((row, column), &mut band, enlarge)?;
        }
        Ok(band)
    }

    /// Computes one tile into the band.
    fn tile(
        &self,
        (row, column): (usize, usize),
        band: &mut Band,
        enlarge: EnlargeTile<'_>,
    ) -> Result<(), EngineError> {
        let (width, height) = (self.planes[0].width(), self.planes[0].height());
        let cut_columns = self.tiling.with_halo(&self.tiling.columns[column], width);
        let cut_rows = self.tiling.with_halo(&self.tiling.rows[row], height);
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
        enlarge(&cut, &mut place, &progress).map_err(place_in_picture)
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
