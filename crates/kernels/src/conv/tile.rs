//! The micro-kernel, written once over [`Simd`]; each variant instantiates it for its registers.
//!
//! A *tile* is `P` neighbouring positions of `G` output blocks whose sums stay in registers while a few input blocks are
//! worked off. Between such chunks the sums of a *segment* of the row wait in a small scratch array, so that the weights
//! of a chunk serve the whole segment from the first-level cache. A position is an output pixel, or over transformed rows
//! a group of four, with six sums.
//!
//! Dims: `P` positions of a tile, `G` output blocks of a group.

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::conv::{ConvRow, Epilogue};
use crate::pack::PackedConv;
use crate::simd::Simd;
use crate::transform::{COMPONENTS, GROUP_OUTPUTS, outputs_of_group};

/// Sums of a segment: 96 pixels of a direct convolution fill half of them, 32 groups with six sums each all.
pub(crate) const SEGMENT_SUMS: usize = 192;
/// Positions of a direct convolution's segment. Tuned on AMD EPYC (Zen 3), 2026-11: 32 to 128 are alike.
const DIRECT_POSITIONS: usize = 96;
/// Groups of a segment over transformed rows.
const TRANSFORMED_POSITIONS: usize = SEGMENT_SUMS / COMPONENTS;
/// Weights of a chunk of input blocks, in channel blocks: 12 KiB, so that the input's part of 32 KiB stays in the L1 cache.
pub(crate) const CHUNK_WEIGHTS: usize = 192;
/// Output blocks of the largest group.
pub(crate) const MAX_GROUP: usize = 2;

/// The sums of a segment: `[group member][component * positions + position]`.
pub(crate) type Sums = [[ChannelBlock; SEGMENT_SUMS]; MAX_GROUP];

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

/// Some positions of the row.
#[derive(Clone, Copy)]
struct Segment {
    start: usize,
    length: usize,
    /// All positions of the row: the length of each component of a transformed row.
    row_positions: usize,
}

/// Runs `G` output blocks, from member `first` of the row's outputs on.
#[inline(always)]
fn run_group<S: Simd, const P: usize, const G: usize>(simd: S, row: &mut ConvRow<'_, '_>, first: usize) {
    let mut sums: Sums = [[ChannelBlock::ZERO; SEGMENT_SUMS]; MAX_GROUP];
    let transformed = row.weights.is_over_transformed();
    let row_positions = if transformed { row.pixels.div_ceil(GROUP_OUTPUTS) } else { row.pixels };
    let most = if transformed { TRANSFORMED_POSITIONS } else { DIRECT_POSITIONS };
    let mut start = 0;
    while start < row_positions {
        let length = most.min(row_positions - start);
        let segment = Segment { start, length, row_positions };
        for sums in sums.iter_mut().take(G) {
            sums[..length * row.weights.components()].fill(ChannelBlock::ZERO);
        }
        for component in 0..row.weights.components() {
            accumulate_segment::<S, P, G>(simd, row, (first, component), segment, &mut sums);
        }
        for (member, sums) in sums.iter().enumerate().take(G) {
            if transformed {
                finish_transformed(simd, row, first + member, segment, sums);
            } else {
                finish_direct(simd, row, first + member, segment, sums);
            }
        }
        start += length;
    }
}

/// Adds every input block's products to one component's sums of a segment.
#[inline(always)]
fn accumulate_segment<S: Simd, const P: usize, const G: usize>(
    simd: S,
    row: &ConvRow<'_, '_>,
    (first, component): (usize, usize),
    segment: Segment,
    sums: &mut Sums,
) {
    let kernel = row.weights.kernel();
    let channels = row.weights.input_block_channels();
    let panels: [&[ChannelBlock]; G] =
        std::array::from_fn(|member| row.weights.panel(row.first_out_block + first + member, component));
    let blocks_per_chunk = (CHUNK_WEIGHTS / (kernel.rows * kernel.columns * CHANNELS_PER_BLOCK)).max(1);
    // Tiles of nearly equal width: a narrow last tile would wait for its own latencies.
    let tiles = segment.length.div_ceil(P);
    let (base, wider) = (segment.length / tiles, segment.length % tiles);
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
            let place = Place {
                x: component * segment.row_positions + segment.start + at,
                sum: component * segment.length + at,
            };
            accumulate_width::<S, P, G>(simd, &chunk, weights, place, width, sums);
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

/// Where a tile lies: in the input rows, and among the sums.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) x: usize,
    pub(crate) sum: usize,
}

/// Chooses the tile of exactly `width` positions, `1 <= width <= P`.
#[inline(always)]
pub(crate) fn accumulate_width<S: Simd, const P: usize, const G: usize>(
    simd: S,
    chunk: &Chunk<'_>,
    weights: [&[ChannelBlock]; G],
    place: Place,
    width: usize,
    sums: &mut [[ChannelBlock; SEGMENT_SUMS]],
) {
    macro_rules! choose {
        ($($width:literal)+) => {
            match width {
                $($width if $width <= P => accumulate_tile::<S, $width, G>(simd, chunk, weights, place, sums),)+
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Adds a chunk's products to `P` positions of `G` output blocks.
#[inline(always)]
fn accumulate_tile<S: Simd, const P: usize, const G: usize>(
    simd: S,
    chunk: &Chunk<'_>,
    weights: [&[ChannelBlock]; G],
    place: Place,
    sums: &mut [[ChannelBlock; SEGMENT_SUMS]],
) {
    let mut tile: [[S::Block; G]; P] = std::array::from_fn(|position| {
        std::array::from_fn(|member| {
            let sum = &sums[member][place.sum + position];
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.load(sum.0.as_ptr()) }
        })
    });
    let mut weights: [*const f32; G] = weights.map(|panel| panel.as_ptr().cast());
    for (rows, &channels) in chunk.rows.chunks_exact(chunk.kernel_rows).zip(chunk.channels) {
        // All sixteen channels of neighbouring columns are one run of memory; of a narrower block each column is its own.
        let (runs, run_length) = if channels == CHANNELS_PER_BLOCK {
            (1, chunk.columns * CHANNELS_PER_BLOCK)
        } else {
            (chunk.columns, channels)
        };
        for row in rows {
            // SAFETY: `assert_consistent` saw enough pixels in each row for every tile of the row.
            let row = unsafe { row.as_ptr().add(place.x) }.cast::<f32>();
            for run in 0..runs {
                for step in 0..run_length {
                    // SAFETY: the step's scalar lies in column `run + step / 16` of the row, for each of the `P`
                    // positions; the weights hold `rows * columns * channels` blocks, one of which each step consumes.
                    unsafe {
                        let scalars = row.add(run * CHANNELS_PER_BLOCK + step);
                        let lanes: [S::Block; G] = weights.map(|weights| simd.load(weights));
                        multiply_add_step(simd, &mut tile, lanes, scalars);
                        weights = weights.map(|weights| weights.add(CHANNELS_PER_BLOCK));
                    }
                }
            }
        }
    }
    for (position, members) in tile.into_iter().enumerate() {
        for (member, block) in members.into_iter().enumerate() {
            let sum = &mut sums[member][place.sum + position];
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.store(sum.0.as_mut_ptr(), block) };
        }
    }
}

/// Adds one input channel's products to a tile.
///
/// # Safety
/// - `scalars` is valid for reads of one `f32` at each multiple of sixteen below `16 * P`.
#[inline(always)]
unsafe fn multiply_add_step<S: Simd, const P: usize, const G: usize>(
    simd: S,
    tile: &mut [[S::Block; G]; P],
    lanes: [S::Block; G],
    scalars: *const f32,
) {
    for (position, members) in tile.iter_mut().enumerate() {
        // SAFETY: the caller promises the scalar of each position.
        let scalar = unsafe { simd.splat(scalars.add(position * CHANNELS_PER_BLOCK)) };
        for (sum, weights) in members.iter_mut().zip(lanes) {
            *sum = simd.multiply_add_splat(*sum, weights, scalar);
        }
    }
}

/// Stores the sums of a segment of one output block, each a pixel.
#[inline(always)]
fn finish_direct<S: Simd>(
    simd: S,
    row: &mut ConvRow<'_, '_>,
    member: usize,
    segment: Segment,
    sums: &[ChannelBlock],
) {
    for (position, sum) in sums[..segment.length].iter().enumerate() {
        // SAFETY: the reference is to sixteen `f32`.
        let sum = unsafe { simd.load(sum.0.as_ptr()) };
        finish_pixel(simd, row, member, segment.start + position, sum);
    }
}

/// Stores the sums of a segment of one output block, six for each group of four pixels.
#[inline(always)]
fn finish_transformed<S: Simd>(
    simd: S,
    row: &mut ConvRow<'_, '_>,
    member: usize,
    segment: Segment,
    sums: &[ChannelBlock],
) {
    for position in 0..segment.length {
        let components: [S::Block; COMPONENTS] = std::array::from_fn(|component| {
            let sum = &sums[component * segment.length + position];
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.load(sum.0.as_ptr()) }
        });
        let first = (segment.start + position) * GROUP_OUTPUTS;
        for (pixel, sum) in outputs_of_group(simd, components).into_iter().enumerate() {
            if first + pixel < row.pixels {
                finish_pixel(simd, row, member, first + pixel, sum);
            }
        }
    }
}

/// Adds the bias, applies the epilogue, and stores one pixel of one output block.
#[inline(always)]
fn finish_pixel<S: Simd>(simd: S, row: &mut ConvRow<'_, '_>, member: usize, pixel: usize, sum: S::Block) {
    let at = pixel * row.out_stride;
    let place = OutPlace { out_block: row.first_out_block + member, member, at };
    let block = apply_epilogue(simd, row.weights, &row.epilogue, place, sum);
    // SAFETY: the pointer is of a reference to sixteen `f32`.
    unsafe { simd.store(row.outputs[member][at].0.as_mut_ptr(), block) };
}

/// A pixel of the output: its block in the layer and in the call, and where it lies in the block's row.
#[derive(Clone, Copy)]
pub(crate) struct OutPlace {
    pub(crate) out_block: usize,
    pub(crate) member: usize,
    pub(crate) at: usize,
}

/// Adds the bias to a sum, and applies the epilogue.
#[inline(always)]
pub(crate) fn apply_epilogue<S: Simd>(
    simd: S,
    weights: &PackedConv,
    epilogue: &Epilogue<'_>,
    place: OutPlace,
    sum: S::Block,
) -> S::Block {
    let bias = weights.bias(place.out_block);
    // SAFETY: every pointer is of a reference to sixteen `f32`.
    unsafe {
        let mut block = simd.add(sum, simd.load(bias.0.as_ptr()));
        if let Some(slopes) = epilogue.slopes {
            block = simd.leaky_relu(block, simd.load(slopes[place.out_block].0.as_ptr()));
        }
        for residual in epilogue.residuals {
            let scale = ChannelBlock::splat(residual.scale);
            let addend = simd.load(residual.rows[place.member][place.at].0.as_ptr());
            block = simd.multiply_add(block, simd.load(scale.0.as_ptr()), addend);
        }
        block
    }
}
