//! The course of a bf16 row, which all variants share: output blocks in twos, segments of the row, chunks of input blocks.
//!
//! What differs between variants is how a chunk's products are added to the sums of a segment: [`AddProducts`], written
//! here for registers (over the micro-kernel of `conv::tile`), and in `x86_64::amx` for tiles.

use super::{Bf16Products, Block, ConvRowBf16, Paired};
use crate::block::ChannelBlock;
use crate::conv::tile::{CHUNK_WEIGHTS, Chunk, MAX_GROUP, accumulate_width, finish_block};
use crate::simd::Simd;

/// Pixels of a segment: a chunk's part of the input and its weights for two output blocks fill 43 of the 48 KiB of the L1
/// cache that processors with AMX have. A multiple of the pixels that AMX computes at once.
pub(crate) const SEGMENT_PIXELS: usize = 128;

/// The sums of a segment: `[member][pixel]`.
pub(crate) type Sums = [[ChannelBlock; SEGMENT_PIXELS]; MAX_GROUP];

/// A chunk of input blocks, of the same number of channels each, over a segment.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) chunk: Chunk<'a>,
    /// The chunk's weights for each output block.
    pub(crate) weights: [&'a [ChannelBlock]; MAX_GROUP],
    /// Output blocks that exist: one or two.
    pub(crate) members: usize,
    /// The segment's first pixel.
    pub(crate) start: usize,
    /// The segment's pixels.
    pub(crate) length: usize,
}

/// A way to add products.
pub(crate) trait AddProducts {
    /// Adds a part's products to the sums of its segment, of which those behind the last pixel may take any value.
    ///
    /// # Safety
    /// - Every row of the part's chunk has `start + length + columns - 1` pixels.
    /// - `weights` holds `kernel rows * columns` times the chunk's pairs, for each member.
    /// - `length` is at most [`SEGMENT_PIXELS`].
    unsafe fn add(&mut self, part: &Part<'_>, sums: &mut Sums);
}

/// Sums in registers: tiles of at most `P` pixels of `G` output blocks.
pub(crate) struct Registers<T, const P: usize, const G: usize>(pub(crate) T);

impl<T: Bf16Products, const P: usize, const G: usize> AddProducts for Registers<T, P, G> {
    #[inline(always)]
    unsafe fn add(&mut self, part: &Part<'_>, sums: &mut Sums) {
        // Tiles of nearly equal width: a narrow last tile would wait for its own latencies.
        let tiles = part.length.div_ceil(P);
        let (base, wider) = (part.length / tiles, part.length % tiles);
        let simd = Paired(self.0);
        let mut at = 0;
        for tile in 0..tiles {
            let width = base + usize::from(tile < wider);
            let place = (part.start + at, width);
            let [low, high] = &mut *sums;
            let targets = [&raw mut low[at], &raw mut high[at]];
            // SAFETY: the caller promises the rows' pixels and the weights; the sums hold a segment.
            unsafe {
                if G == MAX_GROUP && part.members == MAX_GROUP {
                    accumulate_width::<_, P, MAX_GROUP>(
                        simd,
                        &part.chunk,
                        part.weights,
                        place,
                        targets,
                        false,
                    );
                } else {
                    for (weights, target) in part.weights.into_iter().zip(targets).take(part.members) {
                        accumulate_width::<_, P, 1>(simd, &part.chunk, [weights], place, [target], false);
                    }
                }
            }
            at += width;
        }
    }
}

/// Runs a row that `ConvRowBf16::assert_consistent` has seen.
///
/// Must be inlined into a function that enables the instruction set of `T`.
#[inline(always)]
pub(crate) fn run<T: Bf16Products>(token: T, products: &mut impl AddProducts, row: &mut ConvRowBf16<'_, '_>) {
    let pairs: Vec<usize> =
        row.weights.input_block_channels().iter().map(|channels| channels.div_ceil(2)).collect();
    let mut sums: Sums = [[ChannelBlock::ZERO; SEGMENT_PIXELS]; MAX_GROUP];
    for first in (0..row.out_blocks()).step_by(MAX_GROUP) {
        let members = MAX_GROUP.min(row.out_blocks() - first);
        for start in (0..row.pixels).step_by(SEGMENT_PIXELS) {
            let segment = Segment { first, members, start, length: SEGMENT_PIXELS.min(row.pixels - start) };
            for sums in &mut sums[..members] {
                sums[..segment.length].fill(ChannelBlock::ZERO);
            }
            accumulate(products, row, &pairs, segment, &mut sums);
            finish(token, row, segment, &sums);
        }
    }
}

/// Some pixels of one or two output blocks.
#[derive(Clone, Copy)]
struct Segment {
    /// The first output block, counted from the call's first.
    first: usize,
    members: usize,
    start: usize,
    length: usize,
}

/// Adds every input block's products to the sums of a segment.
#[inline(always)]
fn accumulate(
    products: &mut impl AddProducts,
    row: &ConvRowBf16<'_, '_>,
    pairs: &[usize],
    segment: Segment,
    sums: &mut Sums,
) {
    let kernel = row.weights.kernel();
    let taps = kernel.rows * kernel.columns;
    let panels: [&[ChannelBlock]; MAX_GROUP] = std::array::from_fn(|member| {
        let member = member.min(segment.members - 1);
        row.weights.panel(row.first_out_block + segment.first + member, 0)
    });
    let (mut blocks_done, mut weights_done) = (0, 0);
    for alike in pairs.chunk_by(|a, b| a == b) {
        let blocks_per_chunk = (CHUNK_WEIGHTS / (taps * alike[0])).max(1);
        for channels in alike.chunks(blocks_per_chunk) {
            let rows = blocks_done * kernel.rows..(blocks_done + channels.len()) * kernel.rows;
            let rows = &row.inputs[rows];
            let chunk = Chunk { rows, kernel_rows: kernel.rows, columns: kernel.columns, channels };
            let weights = weights_done..weights_done + taps * alike[0] * channels.len();
            let weights = panels.map(|panel| &panel[weights.clone()]);
            let Segment { members, start, length, .. } = segment;
            // SAFETY: `assert_consistent` saw the row's pixels and the kernel's columns in each input row; the weights
            // were cut to their number just now; `run` made the segment short enough.
            unsafe { products.add(&Part { chunk, weights, members, start, length }, sums) };
            blocks_done += channels.len();
            weights_done += taps * alike[0] * channels.len();
        }
    }
}

/// Applies the epilogue to the sums of a segment, and stores them.
#[inline(always)]
fn finish<T: Bf16Products>(token: T, row: &mut ConvRowBf16<'_, '_>, segment: Segment, sums: &Sums) {
    let simd = token.floats();
    for (position, pixel) in (segment.start..segment.start + segment.length).enumerate() {
        let at = pixel * row.out_stride;
        let mut blocks: [Block<T>; MAX_GROUP] = [zero(token); MAX_GROUP];
        for (member, block) in blocks.iter_mut().enumerate().take(segment.members) {
            let out = segment.first + member;
            let out_block = row.first_out_block + out;
            let bias = row.weights.bias(out_block);
            // SAFETY: the reference is to sixteen `f32`.
            let sum = unsafe { simd.load(sums[member][position].0.as_ptr()) };
            *block = finish_block(simd, &row.epilogue, (out_block, &bias), (out, at), sum);
            if let Some(output) = row.outputs.get_mut(out) {
                // SAFETY: the pointer is of a reference to sixteen `f32`.
                unsafe { simd.store(output[at].0.as_mut_ptr(), *block) };
            }
        }
        if let Some(output) = row.paired_outputs.get_mut(segment.first / MAX_GROUP) {
            // SAFETY: the pointer is of a reference to sixteen `f32`.
            unsafe { token.store_paired(output[at].0.as_mut_ptr(), blocks[0], blocks[1]) };
        }
    }
}

/// Rounds one or two rows of pixels to one paired row.
///
/// Must be inlined into a function that enables the instruction set of `T`.
#[inline(always)]
pub(crate) fn pair<T: Bf16Products>(token: T, inputs: &[&[ChannelBlock]], output: &mut [ChannelBlock]) {
    for (at, target) in output.iter_mut().enumerate() {
        let mut blocks: [Block<T>; MAX_GROUP] = [zero(token); MAX_GROUP];
        for (block, row) in blocks.iter_mut().zip(inputs) {
            // SAFETY: the reference is to sixteen `f32`.
            *block = unsafe { token.floats().load(row[at].0.as_ptr()) };
        }
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { token.store_paired(target.0.as_mut_ptr(), blocks[0], blocks[1]) };
    }
}

/// All lanes zero.
#[inline(always)]
pub(super) fn zero<T: Bf16Products>(token: T) -> Block<T> {
    // SAFETY: the reference is to sixteen `f32`.
    unsafe { token.floats().load(ChannelBlock::ZERO.0.as_ptr()) }
}
