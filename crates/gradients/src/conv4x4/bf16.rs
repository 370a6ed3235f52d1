//! The gradient of the weights in bf16: pixels of the whole batch behind each other, in pairs.

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, ChannelBlock, Isa, OuterProductsBf16, PAIRS_OF_A_TILE, add_products_bf16,
    pair_pixels, transpose_pairs,
};
use rayon::prelude::*;

use super::{Gather, PIXELS_OF_A_PART, offset};
use crate::buffer::Buffer;
use crate::map::FeatureMap;

// Parts begin with whole groups of pairs.
const _: () = assert!(PIXELS_OF_A_PART.is_multiple_of(2 * PAIRS_OF_A_TILE));

/// The gradient of an output as pairs of pixels, a run for each block, filled up to whole groups.
pub(super) struct GradientPairs {
    pixels: usize,
    length: usize,
    runs: Buffer,
}

impl GradientPairs {
    pub(super) fn of(isa: Isa, gradient: &FeatureMap<'_>) -> Self {
        let [samples, _, height, width] = gradient.shape();
        let pixels = samples * height * width;
        let length = pixels.div_ceil(2).next_multiple_of(PAIRS_OF_A_TILE);
        let mut runs = Buffer::to_overwrite(gradient.blocks() * length);
        let gather = Gather { map: gradient, size: (height, width), stride: 1 };
        runs.par_chunks_mut(length.max(1)).enumerate().for_each(|(block, run)| {
            let mut row = vec![ChannelBlock::ZERO; pixels];
            gather.row(block, (0, 0), 0..pixels, &mut row);
            pair_pixels(isa, &row, run);
        });
        Self { pixels, length, runs }
    }
}

/// Sums of products of one tap and input block with all blocks of the gradient.
pub(super) fn tap_products(
    isa: Isa,
    gather: Gather<'_>,
    gradient: &GradientPairs,
    (tap, block): (usize, usize),
) -> Vec<[ChannelBlock; CHANNELS_PER_BLOCK]> {
    let runs: Vec<&[ChannelBlock]> = gradient.runs.chunks_exact(gradient.length.max(1)).collect();
    let mut sums = vec![[ChannelBlock::ZERO; CHANNELS_PER_BLOCK]; runs.len()];
    let mut seen = vec![ChannelBlock::ZERO; PIXELS_OF_A_PART];
    let mut pairs = vec![ChannelBlock::ZERO; PIXELS_OF_A_PART / 2];
    for first in (0..gradient.pixels).step_by(PIXELS_OF_A_PART) {
        let pixels = first..gradient.pixels.min(first + PIXELS_OF_A_PART);
        let seen = &mut seen[..pixels.len()];
        let left = &mut pairs[..pixels.len().div_ceil(2).next_multiple_of(PAIRS_OF_A_TILE)];
        gather.row(block, offset(tap), pixels, seen);
        pair_pixels(isa, seen, left);
        transpose_pairs(isa, left);
        let rights: Vec<&[ChannelBlock]> = runs.iter().map(|run| &run[first / 2..][..left.len()]).collect();
        add_products_bf16(isa, OuterProductsBf16 { left, rights: &rights, sums: &mut sums });
    }
    sums
}
