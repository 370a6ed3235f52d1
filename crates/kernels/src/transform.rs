//! Winograd's minimal filtering F(4x4, 3x3): sixteen outputs of a 3x3 filter from 36 products, a quarter of the 144 that the
//! direct sum takes.
//!
//! A *tile* is 4x4 outputs, and the 6x6 inputs that they see. The transform of an input tile is made once and serves every
//! convolution that reads the map: in a dense block the first features are read by five. Transformed rows are rows of tiles:
//! four rows of pixels become one, cut into *segments* of at most 32 tiles, so that threads can share a row.
//!
//! The interpolation points are 0, ±√½, ±√2 and infinity instead of the usual 0, ±1, ±2 and infinity: the same number of
//! operations, half the rounding error (measured over 192 channels: 4.1 times that of the direct sum instead of 8.8).
//!
//! # Source
//! Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2016, section 4; on the choice of points Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and
//! Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020. The matrices follow from the points by
//! the Toom-Cook construction (Lavin and Gray, section 4.4).

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::simd::Simd;

/// Output pixels of a tile along a side: rows of pixels that become one row of tiles.
pub const TILE_SIDE: usize = 4;
/// Input pixels that a tile sees along a side.
pub const TILE_REACH: usize = TILE_SIDE + 2;
/// Products of a tile.
pub const COMPONENTS: usize = TILE_REACH * TILE_REACH;
/// Tiles of a segment at most.
pub const SEGMENT_TILES: usize = 32;

/// Distance between the components of a segment of `tiles` tiles, in channel blocks: odd, so that the 36 components of a
/// tile do not fall into the same few sets of the cache.
pub const fn component_stride(tiles: usize) -> usize {
    tiles | 1
}

/// The segments of a row of `pixels` pixels: ranges of pixels that begin on whole tiles, of nearly equal length.
pub fn segments(pixels: usize) -> impl Iterator<Item = Range<usize>> {
    let length = full_segment_tiles(pixels) * TILE_SIDE;
    (0..pixels).step_by(length.max(1)).map(move |start| start..pixels.min(start + length))
}

/// Channel blocks that a segment of `pixels` pixels takes once transformed, for each block of its channels.
pub const fn segment_length(pixels: usize) -> usize {
    joined_length(pixels, 1)
}

/// Channel blocks that all segments of a row of `pixels` pixels take, for each block of its channels.
pub const fn transformed_length(pixels: usize) -> usize {
    let full = full_segment_tiles(pixels) * TILE_SIDE;
    if full == 0 {
        return 0;
    }
    let rest = pixels % full;
    pixels / full * segment_length(full) + if rest > 0 { segment_length(rest) } else { 0 }
}

/// Tiles of every segment but the last.
const fn full_segment_tiles(pixels: usize) -> usize {
    let tiles = pixels.div_ceil(TILE_SIDE);
    if tiles == 0 { 0 } else { tiles.div_ceil(tiles.div_ceil(SEGMENT_TILES)) }
}

/// Channel blocks that `rows` rows of tiles of `pixels` pixels take together once transformed, one behind the other as one
/// segment, for each block of its channels.
pub const fn joined_length(pixels: usize, rows: usize) -> usize {
    COMPONENTS * component_stride(pixels.div_ceil(TILE_SIDE) * rows)
}

/// The transform of one segment of a row of tiles, for one block of channels.
#[derive(Debug)]
pub struct TransformSegment<'a, 'o> {
    /// The six rows of padded pixels `[1 + width + 1]` that the tiles see; `None` for zeros. Where the map is enlarged, these
    /// are rows of the small map.
    pub rows: [Option<&'a [ChannelBlock]>; TILE_REACH],
    /// Enlargement by repetition on the way, 1 for none: pixel `x` of the enlarged row is pixel `x / factor` of the small one.
    pub factor: usize,
    /// The segment's pixels, of the enlarged row. Starts on a whole tile.
    pub pixels: Range<usize>,
    /// Where the segment's first tile lies among those of the output: 0 unless rows of tiles are joined.
    pub first_tile: usize,
    /// `[36][stride]`, [`segment_length`] of the segment's pixels, or [`joined_length`].
    pub output: &'o mut [ChannelBlock],
}

impl TransformSegment<'_, '_> {
    /// Stops where the arguments do not hold together.
    pub(crate) fn assert_consistent(&self) {
        assert!(self.factor > 0 && !self.pixels.is_empty(), "a segment of {:?}", self.pixels);
        assert!(self.pixels.start.is_multiple_of(TILE_SIDE), "a segment starts on a whole tile");
        assert_tiles_fit(self.pixels.len(), self.first_tile, self.output.len());
    }
}

/// Stops where an output of some length has no place for the components of a segment's tiles from `first_tile` on.
pub(crate) fn assert_tiles_fit(pixels: usize, first_tile: usize, length: usize) {
    let tiles = pixels.div_ceil(TILE_SIDE);
    let stride = length / COMPONENTS;
    let fits =
        length.is_multiple_of(COMPONENTS) && first_tile.checked_add(tiles).is_some_and(|end| end <= stride);
    assert!(fits, "36 components of each tile: {tiles} tiles from {first_tile} on in {length} blocks");
}

/// Transforms a segment; must be inlined into a function that enables the instruction set of `S`.
#[inline(always)]
pub(crate) fn run<S: Simd>(simd: S, segment: &mut TransformSegment<'_, '_>) {
    let tiles = segment.pixels.len().div_ceil(TILE_SIDE);
    let stride = segment.output.len() / COMPONENTS;
    for tile in 0..tiles {
        let first = segment.pixels.start + tile * TILE_SIDE;
        // No closures here: they would not be compiled for the instruction set, and each operation would stay a call.
        let place = (first, segment.factor);
        let [a, b, c, d, e, f] = segment.rows;
        let lines = [
            row_line(simd, a, place),
            row_line(simd, b, place),
            row_line(simd, c, place),
            row_line(simd, d, place),
            row_line(simd, e, place),
            row_line(simd, f, place),
        ];
        for column in 0..TILE_REACH {
            let [a, b, c, d, e, f] = &lines;
            let line = [a[column], b[column], c[column], d[column], e[column], f[column]];
            for (row, block) in transform_line(simd, line).into_iter().enumerate() {
                let target =
                    &mut segment.output[(row * TILE_REACH + column) * stride + segment.first_tile + tile];
                // SAFETY: the reference is to sixteen `f32`.
                unsafe { simd.store(target.0.as_mut_ptr(), block) };
            }
        }
    }
}

/// A row of a tile, transformed.
#[inline(always)]
fn row_line<S: Simd>(
    simd: S,
    row: Option<&[ChannelBlock]>,
    (first, factor): (usize, usize),
) -> [S::Block; TILE_REACH] {
    match row {
        Some(row) => transform_line(simd, tile_row(simd, row, first, factor)),
        None => [zero(simd); TILE_REACH],
    }
}

/// The six pixels of a tile in one row; those beyond the padding are zero and reach only outputs that do not exist.
#[inline(always)]
fn tile_row<S: Simd>(simd: S, row: &[ChannelBlock], first: usize, factor: usize) -> [S::Block; TILE_REACH] {
    // Padded position 0 is pixel -1.
    let mut line = [zero(simd); TILE_REACH];
    let near = if factor == 1 { row.get(first..first + TILE_REACH) } else { None };
    if let Some(pixels) = near {
        for (block, pixel) in line.iter_mut().zip(pixels) {
            // SAFETY: the reference is to sixteen `f32`.
            *block = unsafe { simd.load(pixel.0.as_ptr()) };
        }
        return line;
    }
    for (tap, block) in line.iter_mut().enumerate() {
        if let Some(pixel) = row.get((first + tap).div_ceil(factor)) {
            // SAFETY: the reference is to sixteen `f32`.
            *block = unsafe { simd.load(pixel.0.as_ptr()) };
        }
    }
    line
}

/// A value of sixteen filters.
pub(crate) type Lanes = [f64; CHANNELS_PER_BLOCK];

/// The 36 components of sixteen filters from their nine taps: G g G', in f64, rounded once. Every instruction set gives the
/// same bits.
#[inline(always)]
pub(crate) fn transform_filters(taps: &[Lanes; 9], components: &mut [ChannelBlock; COMPONENTS]) {
    let mut rows = [[[0.0; CHANNELS_PER_BLOCK]; TILE_REACH]; 3];
    for (row, taps) in rows.iter_mut().zip(taps.as_chunks::<3>().0) {
        filter_lines(taps, row);
    }
    let mut lines = [[0.0; CHANNELS_PER_BLOCK]; TILE_REACH];
    for column in 0..TILE_REACH {
        filter_lines(&[rows[0][column], rows[1][column], rows[2][column]], &mut lines);
        for (row, line) in lines.iter().enumerate() {
            let component = &mut components[row * TILE_REACH + column].0;
            component.iter_mut().zip(line).for_each(|(component, value)| *component = *value as f32);
        }
    }
}

/// The matrix G: the polynomial of the taps at each point, over the product of the point's distances from the others.
#[inline(always)]
fn filter_lines(taps: &[Lanes; 3], lines: &mut [Lanes; TILE_REACH]) {
    for lane in 0..CHANNELS_PER_BLOCK {
        let (a, b, c) = (taps[0][lane], taps[1][lane], taps[2][lane]);
        let near = b * std::f64::consts::FRAC_1_SQRT_2;
        let far = b * std::f64::consts::SQRT_2;
        let (even_near, even_far) = (a + c / 2.0, a + c * 2.0);
        lines[0][lane] = a;
        lines[1][lane] = (even_near + near) * (-2.0 / 3.0);
        lines[2][lane] = (even_near - near) * (-2.0 / 3.0);
        lines[3][lane] = (even_far + far) * (1.0 / 6.0);
        lines[4][lane] = (even_far - far) * (1.0 / 6.0);
        lines[5][lane] = c;
    }
}

/// The matrix B transposed.
#[inline(always)]
fn transform_line<S: Simd>(simd: S, d: [S::Block; TILE_REACH]) -> [S::Block; TILE_REACH] {
    let (minus_two, minus_half) = (constant(simd, -2.0), constant(simd, -0.5));
    let middle = constant(simd, -2.5);
    let (even_near, odd_near) =
        (simd.multiply_add(d[2], minus_two, d[4]), simd.multiply_add(d[1], minus_two, d[3]));
    let (even_far, odd_far) =
        (simd.multiply_add(d[2], minus_half, d[4]), simd.multiply_add(d[1], minus_half, d[3]));
    [
        simd.multiply_add(d[2], middle, simd.add(d[0], d[4])),
        simd.multiply_add(odd_near, constant(simd, FRAC_1_SQRT_2), even_near),
        simd.multiply_add(odd_near, constant(simd, -FRAC_1_SQRT_2), even_near),
        simd.multiply_add(odd_far, constant(simd, SQRT_2), even_far),
        simd.multiply_add(odd_far, constant(simd, -SQRT_2), even_far),
        simd.multiply_add(d[3], middle, simd.add(d[1], d[5])),
    ]
}

/// The matrix A transposed: the four outputs of six sums.
#[inline(always)]
pub(crate) fn outputs_of_line<S: Simd>(simd: S, m: [S::Block; TILE_REACH]) -> [S::Block; TILE_SIDE] {
    let (near_sum, near_difference) = (simd.add(m[1], m[2]), simd.subtract(m[1], m[2]));
    let (far_sum, far_difference) = (simd.add(m[3], m[4]), simd.subtract(m[3], m[4]));
    [
        simd.add(m[0], simd.add(near_sum, far_sum)),
        simd.multiply_add(
            far_difference,
            constant(simd, SQRT_2),
            simd.multiply(near_difference, constant(simd, FRAC_1_SQRT_2)),
        ),
        simd.multiply_add(far_sum, constant(simd, 2.0), simd.multiply(near_sum, constant(simd, 0.5))),
        simd.add(
            simd.multiply_add(
                far_difference,
                constant(simd, 2.0 * SQRT_2),
                simd.multiply(near_difference, constant(simd, 0.5 * FRAC_1_SQRT_2)),
            ),
            m[5],
        ),
    ]
}

#[inline(always)]
pub(crate) fn constant<S: Simd>(simd: S, value: f32) -> S::Block {
    let block = ChannelBlock::splat(value);
    // SAFETY: the reference is to sixteen `f32`.
    unsafe { simd.load(block.0.as_ptr()) }
}

#[inline(always)]
pub(crate) fn zero<S: Simd>(simd: S) -> S::Block {
    constant(simd, 0.0)
}
