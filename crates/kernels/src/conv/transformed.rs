//! The convolution over transformed tiles: 36 products of matrices, then the inverse transform with the fused epilogue.
//!
//! Component by component, the tiles of a segment are multiplied with the component's weights; the sums of all components
//! wait in a scratch array until the inverse transform reads them tile by tile.
//!
//! Dims: `P` tiles whose sums stay in registers, `G` output blocks at once.

use std::mem::MaybeUninit;

use super::tile::{Chunk, accumulate_width, finish_block};
use crate::block::ChannelBlock;
use crate::conv::Epilogue;
use crate::pack::PackedConv;
use crate::simd::Simd;
use crate::transform::{
    COMPONENTS, SEGMENT_TILES, TILE_REACH, TILE_SIDE, component_stride, joined_length, outputs_of_line,
};

/// Output blocks of a call at most: their sums fill 147 kB of the second-level cache.
pub(crate) const MAX_MEMBERS: usize = 2;

/// The sums of one output block: `[component][tile]`.
type Sums = [ChannelBlock; COMPONENTS * SEGMENT_TILES];

/// The centred 3x3 convolution of a segment of a row of tiles, for one or two output blocks; or of several rows of tiles, if
/// they are short enough to have no more tiles together than a segment may have.
///
/// # Shapes
/// - `inputs`: one transformed segment for each input block, as [`transform_segment`](crate::transform_segment) made it, in which
///   several rows of tiles are joined; or for each row of tiles, one after the other, one for each input block
/// - `outputs`: `rows` rows for each output block from `first_out_block` on, those of one block together; each of `pixels`
/// - residual rows: as `outputs`
///
/// # Values
/// Any; NaN and infinity pass through to the outputs of their tile.
#[derive(Debug)]
pub struct ConvSegment<'a, 'o> {
    /// The layer, packed by [`PackedConv::new_over_transformed`].
    pub weights: &'a PackedConv,
    /// The first output block to compute.
    pub first_out_block: usize,
    /// Input segments.
    pub inputs: &'a [&'a [ChannelBlock]],
    /// Pixels of the segment.
    pub pixels: usize,
    /// Rows of pixels: four for each row of tiles, or fewer for the last.
    pub rows: usize,
    /// What follows the sums.
    pub epilogue: Epilogue<'a>,
    /// Output rows.
    pub outputs: &'a mut [&'o mut [ChannelBlock]],
}

impl ConvSegment<'_, '_> {
    /// Rows of tiles that lie in each input segment.
    fn joined_rows(&self) -> usize {
        if self.inputs.len() == self.weights.input_block_channels().len() {
            self.rows.div_ceil(TILE_SIDE)
        } else {
            1
        }
    }

    /// Stops where the arguments do not hold together: the proof that the micro-kernel's pointers stay inside.
    pub(crate) fn assert_consistent(&self) {
        assert!(self.weights.is_over_transformed(), "weights packed for transformed rows");
        let tiles = self.pixels.div_ceil(TILE_SIDE);
        assert!((1..=SEGMENT_TILES).contains(&tiles), "a segment of {} pixels", self.pixels);
        let tile_rows = self.rows.div_ceil(TILE_SIDE);
        assert!((1..=SEGMENT_TILES).contains(&(tile_rows * tiles)), "{} rows of {tiles} tiles", self.rows);
        let blocks = self.weights.input_block_channels().len();
        assert!(
            [blocks, blocks * tile_rows].contains(&self.inputs.len()),
            "{} segments for {tile_rows} rows of tiles of {blocks} input blocks",
            self.inputs.len()
        );
        let needed = joined_length(self.pixels, self.joined_rows());
        assert!(
            self.inputs.iter().all(|segment| segment.len() >= needed),
            "an input segment is shorter than {needed} blocks"
        );
        let members = self.outputs.len() / self.rows;
        assert!(
            (1..=MAX_MEMBERS).contains(&members) && members * self.rows == self.outputs.len(),
            "{} output rows for {} rows",
            self.outputs.len(),
            self.rows
        );
        let out_blocks = self.weights.out_blocks();
        assert!(self.first_out_block + members <= out_blocks, "output block of {out_blocks}");
        let has_row = |row: &[ChannelBlock]| row.len() >= self.pixels;
        assert!(
            self.outputs.iter().all(|row| has_row(row)),
            "an output row is shorter than {} pixels",
            self.pixels
        );
        for residual in self.epilogue.residuals {
            assert_eq!(residual.rows.len(), self.outputs.len(), "a residual row for each output row");
            assert!(residual.rows.iter().all(|row| has_row(row)), "a residual row is too short");
        }
        assert!(
            self.epilogue.slopes.is_none_or(|slopes| slopes.len() == out_blocks),
            "a slope for each output channel"
        );
    }
}

/// Convolves a segment with tiles of at most `P` positions and groups of `G` output blocks.
///
/// Must be inlined into a function that enables the instruction set of `S`.
#[inline(always)]
pub(crate) fn run<S: Simd, const P: usize, const G: usize>(simd: S, call: &mut ConvSegment<'_, '_>) {
    let mut sums: MaybeUninit<[Sums; MAX_MEMBERS]> = MaybeUninit::uninit();
    let sums = sums.as_mut_ptr().cast::<ChannelBlock>();
    let members = call.outputs.len() / call.rows;
    for component in 0..COMPONENTS {
        let mut done = 0;
        while done < members {
            if G > 1 && members - done >= G {
                multiply_component::<S, P, G>(simd, call, component, done, sums);
                done += G;
            } else {
                multiply_component::<S, P, 1>(simd, call, component, done, sums);
                done += 1;
            }
        }
    }
    for member in 0..members {
        // SAFETY: every sum of the segment's tiles has been written for each of the members.
        unsafe { finish_member(simd, call, member, member_sums(sums, member)) };
    }
}

/// Where the sums of a member begin.
fn member_sums(sums: *mut ChannelBlock, member: usize) -> *mut ChannelBlock {
    sums.wrapping_add(member * COMPONENTS * SEGMENT_TILES)
}

/// Computes one component's sums of `G` members, from member `first` on. Those of a row of tiles follow the last row's.
#[inline(always)]
fn multiply_component<S: Simd, const P: usize, const G: usize>(
    simd: S,
    call: &ConvSegment<'_, '_>,
    component: usize,
    first: usize,
    sums: *mut ChannelBlock,
) {
    let count = call.joined_rows() * call.pixels.div_ceil(TILE_SIDE);
    let weights: [&[ChannelBlock]; G] =
        std::array::from_fn(|member| call.weights.panel(call.first_out_block + first + member, component));
    let channels = call.weights.input_block_channels();
    // Groups of nearly equal width: a narrow last one would wait for its own latencies.
    let groups = count.div_ceil(P);
    let (base, wider) = (count / groups, count % groups);
    let mut place = component * SEGMENT_TILES;
    for rows in call.inputs.chunks_exact(channels.len()) {
        let chunk = Chunk { rows, kernel_rows: 1, columns: 1, channels };
        let mut x = component * component_stride(count);
        for group in 0..groups {
            let width = base + usize::from(group < wider);
            let sums: [*mut ChannelBlock; G] =
                std::array::from_fn(|member| member_sums(sums, first + member).wrapping_add(place));
            // SAFETY: `assert_consistent` saw segments that hold component and tiles, and at most as many tiles and
            // members as there are sums; `true` has the sums written without being read.
            unsafe { accumulate_width::<S, P, G>(simd, &chunk, weights, (x, width), sums, true) };
            x += width;
            place += width;
        }
    }
}

/// Transforms the sums of one member back, and stores its pixels.
///
/// # Safety
/// - `sums` is valid for reads of the member's sums of all tiles
#[inline(always)]
unsafe fn finish_member<S: Simd>(
    simd: S,
    call: &mut ConvSegment<'_, '_>,
    member: usize,
    sums: *const ChannelBlock,
) {
    let tiles = call.pixels.div_ceil(TILE_SIDE);
    for first_row in (0..call.rows).step_by(TILE_SIDE) {
        for tile in 0..tiles {
            // SAFETY: the caller promises the sums of every component and tile.
            let columns = unsafe {
                let sums = sums.add(first_row / TILE_SIDE * tiles + tile);
                [
                    column_outputs(simd, sums),
                    column_outputs(simd, sums.add(SEGMENT_TILES)),
                    column_outputs(simd, sums.add(2 * SEGMENT_TILES)),
                    column_outputs(simd, sums.add(3 * SEGMENT_TILES)),
                    column_outputs(simd, sums.add(4 * SEGMENT_TILES)),
                    column_outputs(simd, sums.add(5 * SEGMENT_TILES)),
                ]
            };
            finish_tile(simd, call, member, (first_row, tile * TILE_SIDE), &columns);
        }
    }
}

/// Stores the pixels of one tile of one member, as far as they exist. No closures here: they would not be compiled for the
/// instruction set.
#[inline(always)]
fn finish_tile<S: Simd>(
    simd: S,
    call: &mut ConvSegment<'_, '_>,
    member: usize,
    (first_row, first_pixel): (usize, usize),
    columns: &[[S::Block; TILE_SIDE]; TILE_REACH],
) {
    let out_block = call.first_out_block + member;
    let bias = call.weights.bias(out_block);
    let [a, b, c, d, e, f] = columns;
    for row in 0..TILE_SIDE.min(call.rows - first_row) {
        let line = [a[row], b[row], c[row], d[row], e[row], f[row]];
        let index = member * call.rows + first_row + row;
        for (pixel, sum) in outputs_of_line(simd, line).into_iter().enumerate() {
            let at = first_pixel + pixel;
            if at < call.pixels {
                let block = finish_block(simd, &call.epilogue, (out_block, &bias), (index, at), sum);
                // SAFETY: the reference is to sixteen `f32`.
                unsafe { simd.store(call.outputs[index][at].0.as_mut_ptr(), block) };
            }
        }
    }
}

/// The four outputs of a column's six sums, which lie a row of components apart.
///
/// # Safety
/// - `sums` is valid for reads of a channel block at each multiple of `6 * SEGMENT_TILES` below `36 * SEGMENT_TILES`
#[inline(always)]
unsafe fn column_outputs<S: Simd>(simd: S, sums: *const ChannelBlock) -> [S::Block; TILE_SIDE] {
    const ROW: usize = TILE_REACH * SEGMENT_TILES;
    // SAFETY: the caller promises the six blocks.
    let line = unsafe {
        [
            simd.load(sums.cast()),
            simd.load(sums.add(ROW).cast()),
            simd.load(sums.add(2 * ROW).cast()),
            simd.load(sums.add(3 * ROW).cast()),
            simd.load(sums.add(4 * ROW).cast()),
            simd.load(sums.add(5 * ROW).cast()),
        ]
    };
    outputs_of_line(simd, line)
}
