//! Sums of outer products in bf16 over pairs of pixels: the gradient of a convolution's weights.
//!
//! The instructions for bf16 multiply pairs and add both products to one sum. A gradient's sums run over pixels, so the pairs
//! are of pixels here, where the forward convolution's are of channels. Two layouts, of
//! [`ChannelBlock`]s used as plain memory:
//!
//! - *pixel pairs*: a block holds sixteen channels of two neighbouring pixels as bf16, lane `c`'s low half being channel `c` of
//!   the first pixel, its high half that of the second. This is a row of an AMX tile's right side, and what AVX-512 BF16
//!   takes as a vector.
//! - *transposed pairs*, in groups of sixteen blocks, which are 32 pixels: block `c` of a group holds channel `c`, lane `k` being
//!   the group's pair `k`. It is an AMX tile's left side, of which AVX-512 BF16 takes single lanes.
//!
//! A filter's columns see pixels one apart, which are pairs shifted by half a pair. The output's gradient is shifted against the
//! input: kept in pairs that begin with even pixels and in pairs that begin with odd ones, it serves every column by whole
//! blocks, which lie on cache lines, and the input, whose transposition costs more, is needed once.

use super::tile::zero;
use super::{Bf16Products, Block};
use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::simd::Simd;

/// Pixel pairs that are transposed together.
pub const PAIRS_OF_A_TILE: usize = CHANNELS_PER_BLOCK;

/// Sixteen times sixteen sums of products over pixels in bf16, several times with the same left side.
///
/// ```text
/// sums[r][i][o] += sum over pixels p of left[p][i] * rights[r][p][o]
/// ```
///
/// # Shapes
/// - `left`: transposed pairs, whole groups of 16 blocks: what [`transpose_pairs`](crate::transpose_pairs) makes
/// - `rights`: pixel pairs, as many blocks each: what [`pair_pixels`](crate::pair_pixels) makes
/// - `sums`: one for each of `rights`, a block of output channels for each input channel, `f32`
///
/// # Values
/// Any; NaN and infinity pass through to the sums of their channels. Pixels that fill up a group are zeros on both sides.
#[derive(Debug)]
pub struct OuterProductsBf16<'a, 'o> {
    /// The input.
    pub left: &'a [ChannelBlock],
    /// The output's gradient, as often as it is wanted: other blocks of channels, other shifts.
    pub rights: &'a [&'a [ChannelBlock]],
    /// What the products are added to.
    pub sums: &'o mut [[ChannelBlock; CHANNELS_PER_BLOCK]],
}

impl OuterProductsBf16<'_, '_> {
    /// Stops where the arguments do not hold together: the proof that the micro-kernels' pointers stay inside.
    pub(crate) fn assert_consistent(&self) {
        let pairs = self.left.len();
        assert!(pairs.is_multiple_of(PAIRS_OF_A_TILE), "{pairs} pairs in groups of {PAIRS_OF_A_TILE}");
        assert_eq!(self.rights.len(), self.sums.len(), "sums for each right side");
        assert!(self.rights.iter().all(|right| right.len() == pairs), "sides of one length");
    }
}

/// Adds up outer products with `P` rows of sums in registers, which divides sixteen; must be inlined into a function that
/// enables the instruction set of `T`.
#[inline(always)]
pub(crate) fn add<T: Bf16Products, const P: usize>(token: T, call: &mut OuterProductsBf16<'_, '_>) {
    const { assert!(CHANNELS_PER_BLOCK.is_multiple_of(P)) };
    for (right, sums) in call.rights.iter().zip(call.sums.iter_mut()) {
        for first in (0..CHANNELS_PER_BLOCK).step_by(P) {
            add_rows::<T, P>(token, (call.left, right), sums, first);
        }
    }
}

/// Sums of the input channels from `first` on.
#[inline(always)]
fn add_rows<T: Bf16Products, const P: usize>(
    token: T,
    (left, right): (&[ChannelBlock], &[ChannelBlock]),
    sums: &mut [ChannelBlock; CHANNELS_PER_BLOCK],
    first: usize,
) {
    let simd = token.floats();
    let mut rows = [zero(token); P];
    for (row, sum) in rows.iter_mut().zip(&sums[first..]) {
        // SAFETY: the reference is to sixteen `f32`.
        *row = unsafe { simd.load(sum.0.as_ptr()) };
    }
    let tiles = left.chunks_exact(PAIRS_OF_A_TILE).zip(right.chunks_exact(PAIRS_OF_A_TILE));
    for (channels, pairs) in tiles {
        for (pair, gradient) in pairs.iter().enumerate() {
            // SAFETY: the reference is to sixteen `f32`.
            let gradient = unsafe { simd.load(gradient.0.as_ptr()) };
            for (row, channel) in rows.iter_mut().zip(&channels[first..]) {
                // SAFETY: the reference is to one `f32`.
                let input = unsafe { simd.splat(&raw const channel.0[pair]) };
                *row = token.add_products(*row, gradient, input);
            }
        }
    }
    for (row, sum) in rows.into_iter().zip(&mut sums[first..]) {
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { simd.store(sum.0.as_mut_ptr(), row) };
    }
}

/// Rounds pixels to bf16 in pairs, followed by zeros.
///
/// Must be inlined into a function that enables the instruction set of `T`.
#[inline(always)]
pub(crate) fn pair_pixels<T: Bf16Products>(token: T, pixels: &[ChannelBlock], output: &mut [ChannelBlock]) {
    let (pairs, last) = pixels.as_chunks::<2>();
    let (whole, rest) = output.split_at_mut(pairs.len());
    for (target, [first, second]) in whole.iter_mut().zip(pairs) {
        store_pair(token, (first, second), target);
    }
    rest.fill(ChannelBlock::ZERO);
    if let (Some(first), Some(target)) = (last.first(), rest.first_mut()) {
        store_pair(token, (first, &ChannelBlock::ZERO), target);
    }
}

#[inline(always)]
fn store_pair<T: Bf16Products>(
    token: T,
    (first, second): (&ChannelBlock, &ChannelBlock),
    target: &mut ChannelBlock,
) {
    let simd = token.floats();
    // SAFETY: the references are to sixteen `f32` each.
    unsafe {
        let (first, second) = (simd.load(first.0.as_ptr()), simd.load(second.0.as_ptr()));
        token.store_pixel_pair(target.0.as_mut_ptr(), first, second);
    }
}

/// Transposes groups of sixteen blocks where they are, by exchanging the off-diagonal quarters of squares of 16, 8, 4 and 2
/// lanes.
///
/// Must be inlined into a function that enables the instruction set of `T`.
#[inline(always)]
pub(crate) fn transpose<T: Bf16Products>(token: T, pairs: &mut [ChannelBlock]) {
    let simd = token.floats();
    for tile in pairs.as_chunks_mut::<PAIRS_OF_A_TILE>().0 {
        let mut blocks = [zero(token); PAIRS_OF_A_TILE];
        for (block, source) in blocks.iter_mut().zip(tile.iter()) {
            // SAFETY: the reference is to sixteen `f32`.
            *block = unsafe { simd.load(source.0.as_ptr()) };
        }
        exchange::<T, 8>(token, &mut blocks);
        exchange::<T, 4>(token, &mut blocks);
        exchange::<T, 2>(token, &mut blocks);
        exchange::<T, 1>(token, &mut blocks);
        for (target, block) in tile.iter_mut().zip(blocks) {
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.store(target.0.as_mut_ptr(), block) };
        }
    }
}

/// Exchanges the upper right and the lower left quarter of every square of `2 * HALF` lanes.
#[inline(always)]
fn exchange<T: Bf16Products, const HALF: usize>(token: T, blocks: &mut [Block<T>; PAIRS_OF_A_TILE]) {
    let [of_above, of_below] = const { exchanged(HALF) };
    for square in 0..PAIRS_OF_A_TILE / (2 * HALF) {
        for row in 0..HALF {
            let above = square * 2 * HALF + row;
            let both = (blocks[above], blocks[above + HALF]);
            blocks[above] = token.select(both.0, both.1, of_above);
            blocks[above + HALF] = token.select(both.0, both.1, of_below);
        }
    }
}

/// Where the lanes of two rows come from when their quarters are exchanged: those of the upper row count from 0, those of the
/// lower from 16.
const fn exchanged(half: usize) -> [&'static [u32; CHANNELS_PER_BLOCK]; 2] {
    match half {
        8 => [
            &[0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
            &[8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31],
        ],
        4 => [
            &[0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27],
            &[4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31],
        ],
        2 => [
            &[0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29],
            &[2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31],
        ],
        _ => [
            &[0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30],
            &[1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31],
        ],
    }
}

/// Stops where pixels to be paired have no room.
pub(crate) fn assert_room(pixels: &[ChannelBlock], output: &[ChannelBlock]) {
    let (pixels, pairs) = (pixels.len(), output.len());
    assert!(pixels.div_ceil(2) <= pairs, "{pixels} pixels in {pairs} pairs");
}

#[cfg(test)]
pub(crate) mod tests;
