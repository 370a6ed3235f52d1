//! The micro-kernel, written once over [`Simd`]; each variant instantiates it for its registers.
//!
//! A *tile* is `P` neighbouring positions of `G` output blocks whose sums stay in registers while a few input blocks are
//! worked off. Between such chunks the sums of a *segment* of the row wait in a small scratch array, so that the weights
//! of a chunk serve the whole segment from the first-level cache. A position is an output pixel.
//!
//! Dims: `P` positions of a tile, `G` output blocks of a group.

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::conv::{ConvRow, Epilogue};
use crate::simd::Simd;
use crate::transform::zero;

/// Positions of a segment. Tuned on AMD EPYC (Zen 3), 2026-11: 32 to 128 are alike.
const SEGMENT_POSITIONS: usize = 96;
/// Weights of a chunk of input blocks, in channel blocks: 12 KiB, so that the input's part of 32 KiB stays in the L1 cache.
pub(crate) const CHUNK_WEIGHTS: usize = 192;
/// Output blocks of the largest group.
pub(crate) const MAX_GROUP: usize = 2;

/// The sums of a segment: `[group member][position]`.
type Sums = [[ChannelBlock; SEGMENT_POSITIONS]; MAX_GROUP];

/// Runs a row with tiles of at most `P` positions and groups of `G` output blocks.
///
/// Must be inlined into a function that enables the instruction set of `S`.
#[inline(always)]
pub(crate) fn run<S: Simd, const P: usize, const G: usize>(simd: S, row: &mut ConvRow<'_, '_>) {
    let mut done = 0;
    while done < row.outputs.len() {
        if G > 1 && row.outputs.len() - done >= G {
            run_group::<S, P, G>(simd, row, done);
            done += G;
        } else {
            run_group::<S, P, 1>(simd, row, done);
            done += 1;
        }
    }
}

/// Runs `G` output blocks, from member `first` of the row's outputs on.
#[inline(always)]
fn run_group<S: Simd, const P: usize, const G: usize>(simd: S, row: &mut ConvRow<'_, '_>, first: usize) {
    let mut sums: Sums = [[ChannelBlock::ZERO; SEGMENT_POSITIONS]; MAX_GROUP];
    let mut start = 0;
    while start < row.pixels {
        let length = SEGMENT_POSITIONS.min(row.pixels - start);
        accumulate_segment::<S, P, G>(simd, row, first, (start, length), &mut sums);
        for (member, sums) in sums.iter().enumerate().take(G) {
            finish_segment(simd, row, first + member, start, &sums[..length]);
        }
        start += length;
    }
}

/// Adds up every input block's products for the `length` positions from `start` on.
#[inline(always)]
fn accumulate_segment<S: Simd, const P: usize, const G: usize>(
    simd: S,
    row: &ConvRow<'_, '_>,
    first: usize,
    (start, length): (usize, usize),
    sums: &mut Sums,
) {
    let kernel = row.weights.kernel();
    let channels = row.weights.input_block_channels();
    let panels: [&[ChannelBlock]; G] =
        std::array::from_fn(|member| row.weights.panel(row.first_out_block + first + member, 0));
    let blocks_per_chunk = (CHUNK_WEIGHTS / (kernel.rows * kernel.columns * CHANNELS_PER_BLOCK)).max(1);
    // Tiles of nearly equal width: a narrow last tile would wait for its own latencies.
    let tiles = length.div_ceil(P);
    let (base, wider) = (length / tiles, length % tiles);
    let mut consumed = 0;
    for (index, channels) in channels.chunks(blocks_per_chunk).enumerate() {
        let first_row = index * blocks_per_chunk * kernel.rows;
        let chunk = Chunk {
            rows: &row.inputs[first_row..first_row + channels.len() * kernel.rows],
            kernel_rows: kernel.rows,
            columns: kernel.columns,
            channels,
        };
        let weights = panels.map(|panel| &panel[consumed..]);
        let mut at = 0;
        for tile in 0..tiles {
            let width = base + usize::from(tile < wider);
            let sums: [*mut ChannelBlock; G] = std::array::from_fn(|member| &raw mut sums[member][at]);
            // SAFETY: `ConvRow::assert_consistent` saw enough pixels in each row for every position of the row; the sums
            // hold a segment, and the first chunk wrote them.
            unsafe {
                accumulate_width::<S, P, G>(simd, &chunk, weights, (start + at, width), sums, index == 0)
            };
            at += width;
        }
        consumed += kernel.rows * kernel.columns * channels.iter().sum::<usize>();
    }
}

/// A few input blocks' rows under the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) rows: &'a [&'a [ChannelBlock]],
    pub(crate) kernel_rows: usize,
    pub(crate) columns: usize,
    /// Channels of each block; pairs of channels where they are bf16.
    pub(crate) channels: &'a [usize],
}

/// Chooses the tile of exactly `width` positions, `1 <= width <= P`, the first of which reads the rows from `x` on.
///
/// # Safety
/// - every row of the chunk holds the pixels `x..x + width + columns - 1`
/// - `sums` are valid for writes of `width` channel blocks each, and for reads unless `is_first`
#[inline(always)]
pub(crate) unsafe fn accumulate_width<S: Simd, const P: usize, const G: usize>(
    simd: S,
    chunk: &Chunk<'_>,
    weights: [&[ChannelBlock]; G],
    (x, width): (usize, usize),
    sums: [*mut ChannelBlock; G],
    is_first: bool,
) {
    macro_rules! choose {
        ($($width:literal)+) => {
            match width {
                // SAFETY: the caller promises rows and sums of this width.
                $($width if $width <= P => unsafe {
                    accumulate_tile::<S, $width, G>(simd, chunk, weights, x, sums, is_first)
                },)+
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Adds a chunk's products to `P` positions of `G` output blocks.
///
/// # Safety
/// As for [`accumulate_width`], `width` being `P`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "as in `multiply_add_step`")]
unsafe fn accumulate_tile<S: Simd, const P: usize, const G: usize>(
    simd: S,
    chunk: &Chunk<'_>,
    weights: [&[ChannelBlock]; G],
    x: usize,
    sums: [*mut ChannelBlock; G],
    is_first: bool,
) {
    // No closures around loads and stores: they would not be compiled for the instruction set, and each would stay a call.
    let mut tile = [[zero(simd); G]; P];
    if !is_first {
        for position in 0..P {
            for member in 0..G {
                // SAFETY: the caller promises readable sums.
                tile[position][member] = unsafe { simd.load(sums[member].add(position).cast()) };
            }
        }
    }
    let mut weights: [*const f32; G] = weights.map(|panel| panel.as_ptr().cast());
    for (rows, &channels) in chunk.rows.chunks_exact(chunk.kernel_rows).zip(chunk.channels) {
        // All sixteen channels of neighbouring columns are one run of memory; of a narrower block each column is its own.
        let (runs, run_length) = if channels == CHANNELS_PER_BLOCK {
            (1, chunk.columns * CHANNELS_PER_BLOCK)
        } else {
            (chunk.columns, channels)
        };
        for row in rows {
            // SAFETY: the caller promises that each row reaches beyond `x`.
            let row = unsafe { row.as_ptr().add(x) }.cast::<f32>();
            for run in 0..runs {
                for step in 0..run_length {
                    // SAFETY: the step's scalar lies in column `run + step / 16` of the row, for each of the `P`
                    // positions; the weights hold `rows * columns * channels` blocks, one of which each step consumes.
                    unsafe {
                        let scalars = row.add(run * CHANNELS_PER_BLOCK + step);
                        let mut lanes = [zero(simd); G];
                        for member in 0..G {
                            lanes[member] = simd.load(weights[member]);
                            weights[member] = weights[member].add(CHANNELS_PER_BLOCK);
                        }
                        multiply_add_step(simd, &mut tile, lanes, scalars);
                    }
                }
            }
        }
    }
    for position in 0..P {
        for member in 0..G {
            // SAFETY: the caller promises writable sums.
            unsafe { simd.store(sums[member].add(position).cast(), tile[position][member]) };
        }
    }
}

/// Adds one input channel's products to a tile.
///
/// # Safety
/// - `scalars` is valid for reads of one `f32` at each multiple of sixteen below `16 * P`.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "behind iterators the compiler stored each sum of a wide tile to the stack after each product, at half the speed"
)]
unsafe fn multiply_add_step<S: Simd, const P: usize, const G: usize>(
    simd: S,
    tile: &mut [[S::Block; G]; P],
    lanes: [S::Block; G],
    scalars: *const f32,
) {
    for position in 0..P {
        // SAFETY: the caller promises the scalar of each position.
        let scalar = unsafe { simd.splat(scalars.add(position * CHANNELS_PER_BLOCK)) };
        for member in 0..G {
            tile[position][member] = simd.multiply_add_splat(tile[position][member], lanes[member], scalar);
        }
    }
}

/// Stores the pixels of a segment of one output block.
#[inline(always)]
fn finish_segment<S: Simd>(
    simd: S,
    row: &mut ConvRow<'_, '_>,
    member: usize,
    start: usize,
    sums: &[ChannelBlock],
) {
    let out_block = row.first_out_block + member;
    let bias = row.weights.bias(out_block);
    for (position, sum) in sums.iter().enumerate() {
        let at = (start + position) * row.out_stride;
        // SAFETY: the reference is to sixteen `f32`.
        let sum = unsafe { simd.load(sum.0.as_ptr()) };
        let block = finish_block(simd, &row.epilogue, (out_block, &bias), (member, at), sum);
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { simd.store(row.outputs[member][at].0.as_mut_ptr(), block) };
    }
}

/// Adds the bias to a pixel of one output block, and applies the epilogue, whose residuals are found at `(row, pixel)`.
#[inline(always)]
pub(crate) fn finish_block<S: Simd>(
    simd: S,
    epilogue: &Epilogue<'_>,
    (out_block, bias): (usize, &ChannelBlock),
    (row, pixel): (usize, usize),
    sum: S::Block,
) -> S::Block {
    // SAFETY: every pointer is of a reference to sixteen `f32`.
    unsafe {
        let mut block = simd.add(sum, simd.load(bias.0.as_ptr()));
        if let Some(slopes) = epilogue.slopes {
            block = simd.leaky_relu(block, simd.load(slopes[out_block].0.as_ptr()));
        }
        for residual in epilogue.residuals {
            let scale = ChannelBlock::splat(residual.scale);
            let addend = simd.load(residual.rows[row][pixel].0.as_ptr());
            block = simd.multiply_add(block, simd.load(scale.0.as_ptr()), addend);
        }
        block
    }
}
