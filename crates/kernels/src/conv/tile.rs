//! The micro-kernel, written once over [`Simd`]; each variant instantiates it for its registers.
//!
//! A *tile* is `P` neighbouring pixels of `G` output blocks whose sums stay in registers while an input block is worked
//! off. Between input blocks the sums of a *segment* of the row wait in a small scratch array, so that the weights of one
//! input block (9 KiB for 3x3) serve the whole segment from the first-level cache.
//!
//! Dims: `P` pixels of a tile, `G` output blocks of a group.

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::conv::ConvRow;
use crate::simd::Simd;

/// Pixels of a segment. Tuned on AMD EPYC (Zen 3): 32 to 128 are alike, beyond that the sums leave the L1 cache.
const SEGMENT_PIXELS: usize = 96;
/// Output blocks of the largest group.
const MAX_GROUP: usize = 2;

/// The sums of a segment: `[group member][pixel]`.
type Sums = [[ChannelBlock; SEGMENT_PIXELS]; MAX_GROUP];

/// Runs a row with tiles of at most `P` pixels and groups of `G` output blocks.
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
    let mut sums: Sums = [[ChannelBlock::ZERO; SEGMENT_PIXELS]; MAX_GROUP];
    let mut start = 0;
    while start < row.pixels {
        let length = SEGMENT_PIXELS.min(row.pixels - start);
        for (member, sums) in sums.iter_mut().enumerate().take(G) {
            sums[..length].fill(row.weights.bias(row.first_out_block + first + member));
        }
        accumulate_segment::<S, P, G>(simd, row, first, start, &mut sums, length);
        for (member, sums) in sums.iter().enumerate().take(G) {
            finish_segment(simd, row, first + member, start, &sums[..length]);
        }
        start += length;
    }
}

/// Adds every input block's products to the sums of a segment.
#[inline(always)]
fn accumulate_segment<S: Simd, const P: usize, const G: usize>(
    simd: S,
    row: &ConvRow<'_, '_>,
    first: usize,
    start: usize,
    sums: &mut Sums,
    length: usize,
) {
    let kernel = row.weights.kernel();
    let panels: [&[ChannelBlock]; G] =
        std::array::from_fn(|member| row.weights.panel(row.first_out_block + first + member));
    let tiles = length.div_ceil(P);
    let mut consumed = 0;
    for (block, &channels) in row.weights.input_block_channels().iter().enumerate() {
        let taps = kernel.rows * kernel.columns * channels;
        let input = InputBlock {
            rows: &row.inputs[block * kernel.rows..(block + 1) * kernel.rows],
            columns: kernel.columns,
            channels,
        };
        let weights = panels.map(|panel| &panel[consumed..consumed + taps]);
        // Tiles of nearly equal width: a narrow last tile would wait for its own latencies.
        let (base, wider) = (length / tiles, length % tiles);
        let mut at = 0;
        for tile in 0..tiles {
            let width = base + usize::from(tile < wider);
            accumulate_width::<S, P, G>(simd, &input, weights, start + at, width, sums, at);
            at += width;
        }
        consumed += taps;
    }
}

/// One input block's rows under the kernel.
struct InputBlock<'a> {
    rows: &'a [&'a [ChannelBlock]],
    columns: usize,
    channels: usize,
}

/// Chooses the tile of exactly `width` pixels, `1 <= width <= P`.
#[expect(
    clippy::too_many_arguments,
    reason = "a micro-kernel: every value lives in a register"
)]
#[inline(always)]
fn accumulate_width<S: Simd, const P: usize, const G: usize>(
    simd: S,
    input: &InputBlock<'_>,
    weights: [&[ChannelBlock]; G],
    x: usize,
    width: usize,
    sums: &mut Sums,
    at: usize,
) {
    macro_rules! choose {
        ($($width:literal)+) => {
            match width {
                $($width if $width <= P => accumulate_tile::<S, $width, G>(simd, input, weights, x, sums, at),)+
                _ => {}
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Adds one input block's products to `P` pixels of `G` output blocks.
#[inline(always)]
fn accumulate_tile<S: Simd, const P: usize, const G: usize>(
    simd: S,
    input: &InputBlock<'_>,
    weights: [&[ChannelBlock]; G],
    x: usize,
    sums: &mut Sums,
    at: usize,
) {
    // SAFETY: `at + P <= SEGMENT_PIXELS`, as the tiles of a segment partition its length.
    let mut tile: [[S::Block; P]; G] = std::array::from_fn(|member| {
        std::array::from_fn(|pixel| unsafe { simd.load(sums[member].as_ptr().add(at + pixel).cast()) })
    });
    let mut weights: [*const f32; G] = weights.map(|panel| panel.as_ptr().cast());
    // All sixteen channels of neighbouring columns are one run of memory; of a narrower block each column is its own.
    let (runs, run_length) = if input.channels == CHANNELS_PER_BLOCK {
        (1, input.columns * CHANNELS_PER_BLOCK)
    } else {
        (input.columns, input.channels)
    };
    for row in input.rows {
        // SAFETY: `ConvRow::assert_consistent` saw `pixels + columns - 1` pixels in each row, and `x + P <= pixels`.
        let row = unsafe { row.as_ptr().add(x) }.cast::<f32>();
        for run in 0..runs {
            for step in 0..run_length {
                // SAFETY: the step's scalar lies in column `run + step / 16` of the row, for each of the `P` pixels; the
                // weights hold `rows * columns * channels` blocks, one of which each step consumes.
                unsafe {
                    let scalars = row.add(run * CHANNELS_PER_BLOCK + step);
                    let lanes: [S::Block; G] = weights.map(|weights| simd.load(weights));
                    for pixel in 0..P {
                        let scalar = simd.splat(scalars.add(pixel * CHANNELS_PER_BLOCK));
                        for member in 0..G {
                            tile[member][pixel] =
                                simd.multiply_add_splat(tile[member][pixel], lanes[member], scalar);
                        }
                    }
                    weights = weights.map(|weights| weights.add(CHANNELS_PER_BLOCK));
                }
            }
        }
    }
    for (member, tile) in tile.into_iter().enumerate() {
        for (pixel, block) in tile.into_iter().enumerate() {
            // SAFETY: as for the loads above.
            unsafe { simd.store(sums[member].as_mut_ptr().add(at + pixel).cast(), block) };
        }
    }
}

/// Applies the epilogue to the sums of a segment of one output block, and stores them.
#[inline(always)]
fn finish_segment<S: Simd>(
    simd: S,
    row: &mut ConvRow<'_, '_>,
    member: usize,
    start: usize,
    sums: &[ChannelBlock],
) {
    let slopes = row
        .epilogue
        .slopes
        .map(|slopes| slopes[row.first_out_block + member]);
    let output = &mut *row.outputs[member];
    for (pixel, sum) in sums.iter().enumerate() {
        let at = (start + pixel) * row.out_stride;
        // SAFETY: every pointer is a reference to one `ChannelBlock`, which is sixteen `f32`.
        unsafe {
            let mut block = simd.load(sum.0.as_ptr());
            if let Some(slopes) = &slopes {
                block = simd.leaky_relu(block, simd.load(slopes.0.as_ptr()));
            }
            for residual in row.epilogue.residuals {
                let scale = ChannelBlock::splat(residual.scale);
                let addend = simd.load(residual.rows[member][at].0.as_ptr());
                block = simd.multiply_add(block, simd.load(scale.0.as_ptr()), addend);
            }
            simd.store(output[at].0.as_mut_ptr(), block);
        }
    }
}
