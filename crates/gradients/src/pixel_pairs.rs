//! The gradients of weights in bf16: maps as pairs of pixels, and sums of their products.
//!
//! The rows of a batch follow each other in one run, with zeros between them: as many pixels for each row as the padded row
//! has, made even, and an empty row behind each sample. So what a tap sees of an output pixel lies at one distance from it in
//! the whole run, and what lies across an edge meets a zero. Rows being even, a tap's row is a distance in whole pairs; for
//! its column see the two pairings in `esrgan_kernels::OuterProductsBf16`.

use std::ops::Range;

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, ChannelBlock, Isa, OuterProductsBf16, PAIRS_OF_A_TILE, add_products_bf16,
    pair_pixels, transpose_pairs,
};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::map::FeatureMap;
use crate::method::{all_blocks, places};

/// Sides of a filter.
const SIDE: usize = 3;
/// Groups of pairs that a thread transposes at a time.
const GROUPS_OF_A_SHARE: usize = 64;

/// How some samples of a batch lie in a run.
#[derive(Clone)]
struct Frame {
    samples: Range<usize>,
    height: usize,
    /// Pairs of a row.
    row: usize,
}

impl Frame {
    /// Of samples of this height and width.
    fn new(samples: Range<usize>, height: usize, width: usize) -> Self {
        Self { samples, height, row: (width + 2).div_ceil(2) }
    }

    /// Pairs of a sample and the empty row behind it.
    fn sample(&self) -> usize {
        (self.height + 1) * self.row
    }

    /// Pairs of the run, filled up to whole groups.
    fn pairs(&self) -> usize {
        (self.samples.len() * self.sample()).next_multiple_of(PAIRS_OF_A_TILE)
    }

    /// Lays runs out, one for each block, with `before` zeros in front and `behind` at the end. `pair` writes the row of a
    /// sample, a block and a number.
    fn lay_out(
        &self,
        blocks: usize,
        (before, behind): (usize, usize),
        pair: impl Fn((usize, usize, usize), &mut [ChannelBlock]) + Sync,
    ) -> Buffer {
        let length = before + self.pairs() + behind;
        let mut runs = Buffer::to_overwrite(blocks * length);
        runs.par_chunks_exact_mut(length).enumerate().for_each(|(block, run)| {
            let (front, rest) = run.split_at_mut(before);
            let (rows, end) = rest.split_at_mut(self.samples.len() * self.sample());
            front.fill(ChannelBlock::ZERO);
            end.fill(ChannelBlock::ZERO);
            rows.par_chunks_exact_mut(self.row).enumerate().for_each(|(index, row)| {
                let (sample, y) = (index / (self.height + 1), index % (self.height + 1));
                if y < self.height {
                    pair((self.samples.start + sample, block, y), row);
                } else {
                    row.fill(ChannelBlock::ZERO);
                }
            });
        });
        runs
    }
}

/// What weights saw: transposed pairs, a run for each block. A row begins with the pixel in front of its first.
pub(crate) struct SeenPairs {
    length: usize,
    runs: Buffer,
}

impl SeenPairs {
    /// Some samples of a map, with `factor` above one enlarged by repetition.
    pub(crate) fn of(isa: Isa, map: &FeatureMap<'_>, samples: Range<usize>, factor: usize) -> Self {
        let [_, _, height, width] = map.shape();
        let frame = Frame::new(samples, height * factor, width * factor);
        let mut runs = frame.lay_out(map.blocks(), (0, 0), |(sample, block, y), row| {
            if factor == 1 {
                return pair_pixels(isa, map.row(sample, block, y), row);
            }
            let mut enlarged = vec![ChannelBlock::ZERO];
            let pixels = map.pixels(sample, block, y / factor).iter();
            enlarged.extend(pixels.flat_map(|pixel| std::iter::repeat_n(*pixel, factor)));
            pair_pixels(isa, &enlarged, row);
        });
        let share = GROUPS_OF_A_SHARE * PAIRS_OF_A_TILE;
        runs.par_chunks_mut(share).for_each(|pairs| transpose_pairs(isa, pairs));
        Self { length: frame.pairs(), runs }
    }

    fn runs(&self) -> impl Iterator<Item = &[ChannelBlock]> {
        self.runs.chunks_exact(self.length)
    }
}

/// The gradient of an output: pairs that begin with even pixels and pairs that begin with odd ones, a run for each block, with
/// zeros around for the farthest taps.
struct GradientPairs {
    frame: Frame,
    even: Buffer,
    odd: Buffer,
}

impl GradientPairs {
    fn of(isa: Isa, gradient: &FeatureMap<'_>, samples: Range<usize>) -> Self {
        let [_, _, height, width] = gradient.shape();
        let frame = Frame::new(samples, height, width);
        let (blocks, around) = (gradient.blocks(), (frame.row + 1, frame.row));
        let even = frame.lay_out(blocks, around, |(sample, block, y), row| {
            pair_pixels(isa, gradient.pixels(sample, block, y), row);
        });
        // Padding in front makes pairs of the pixel before.
        let odd = frame.lay_out(blocks, around, |(sample, block, y), row| {
            pair_pixels(isa, gradient.row(sample, block, y), row);
        });
        Self { frame, even, odd }
    }

    /// A block's gradient as long as what weights saw, where each pixel of that meets the gradient of the output that saw it
    /// through a tap. In pixels: what is seen at `q` is so at the output `q - (row - 1) * pixels of a row - column`.
    fn behind_tap(&self, block: usize, (row, column): (usize, usize)) -> &[ChannelBlock] {
        let Frame { row: row_pairs, .. } = self.frame;
        let pairs = self.frame.pairs();
        let length = row_pairs + 1 + pairs + row_pairs;
        let (runs, columns) = if column == 1 { (&self.odd, 0) } else { (&self.even, column / 2) };
        // The run's beginning, and one row behind it for the uppermost taps.
        let first = row_pairs + 1 + row_pairs - row * row_pairs - columns;
        &runs[block * length + first..][..pairs]
    }
}

/// Sums of products for each tap.
///
/// # Layout
/// `[input block][kernel row][gradient block][kernel column][input channel]`
struct PairSums {
    gradient_blocks: usize,
    sums: Vec<[ChannelBlock; CHANNELS_PER_BLOCK]>,
}

impl PairSums {
    fn new(input_blocks: usize, gradient_blocks: usize) -> Self {
        let count = input_blocks * SIDE * gradient_blocks * SIDE;
        Self { gradient_blocks, sums: vec![[ChannelBlock::ZERO; CHANNELS_PER_BLOCK]; count] }
    }

    /// Adds what some samples contribute.
    fn add(&mut self, isa: Isa, seen: &[&SeenPairs], gradient: &GradientPairs) {
        let runs: Vec<&[ChannelBlock]> = seen.iter().flat_map(|seen| seen.runs()).collect();
        let blocks = self.gradient_blocks;
        assert_eq!(self.sums.len(), runs.len() * SIDE * blocks * SIDE, "blocks of both sides");
        self.sums.par_chunks_exact_mut(SIDE).enumerate().for_each(|(index, sums)| {
            let (input, row, block) = (index / blocks / SIDE, index / blocks % SIDE, index % blocks);
            let rights: [_; SIDE] = std::array::from_fn(|column| gradient.behind_tap(block, (row, column)));
            add_products_bf16(isa, OuterProductsBf16 { left: runs[input], rights: &rights, sums });
        });
    }

    /// The gradient of a filter bank, `[output channel][input channel][3][3]`; `inputs` are the channels of each input.
    fn filter_gradient(&self, inputs: &[usize], out_channels: usize) -> Vec<f32> {
        let places = places(inputs);
        let mut gradient = vec![0.0; out_channels * places.len() * SIDE * SIDE];
        gradient.par_chunks_mut(places.len() * SIDE * SIDE).enumerate().for_each(|(out, filters)| {
            let (out_block, out_lane) = (out / CHANNELS_PER_BLOCK, out % CHANNELS_PER_BLOCK);
            for (filter, (block, lane)) in filters.chunks_exact_mut(SIDE * SIDE).zip(&places) {
                for (tap, value) in filter.iter_mut().enumerate() {
                    let of_row = (block * SIDE + tap / SIDE) * self.gradient_blocks + out_block;
                    *value = self.sums[of_row * SIDE + tap % SIDE][*lane].0[out_lane];
                }
            }
        });
        gradient
    }
}

/// The gradient of the weights that made of inputs, of `channels` each, what has this gradient.
pub(crate) fn weight_gradient(
    isa: Isa,
    seen: &[&SeenPairs],
    gradient: &FeatureMap<'_>,
    (inputs, out_channels): (&[usize], usize),
) -> Vec<f32> {
    let mut sums = PairSums::new(all_blocks(inputs), gradient.blocks());
    sums.add(isa, seen, &GradientPairs::of(isa, gradient, 0..gradient.shape()[0]));
    sums.filter_gradient(inputs, out_channels)
}

/// As [`weight_gradient`], of one map enlarged by repetition, so many samples after others that their pairs stay within a
/// cache that the cores share.
pub(crate) fn weight_gradient_of_map(
    isa: Isa,
    (input, factor): (&FeatureMap<'_>, usize),
    gradient: &FeatureMap<'_>,
    (in_channels, out_channels): (usize, usize),
) -> Vec<f32> {
    const CHUNK_BYTES: usize = 8 << 20;
    let [samples, _, height, width] = gradient.shape();
    let sample = Frame::new(0..1, height, width).sample() * size_of::<ChannelBlock>();
    let of_chunk = (CHUNK_BYTES / (sample * (input.blocks() + 2 * gradient.blocks())).max(1)).max(1);
    let mut sums = PairSums::new(input.blocks(), gradient.blocks());
    for first in (0..samples).step_by(of_chunk) {
        let chunk = first..samples.min(first + of_chunk);
        let seen = SeenPairs::of(isa, input, chunk.clone(), factor);
        sums.add(isa, &[&seen], &GradientPairs::of(isa, gradient, chunk));
    }
    sums.filter_gradient(&[in_channels], out_channels)
}
