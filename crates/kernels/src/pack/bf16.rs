//! Weights of bf16 convolutions, two input channels to an entry.

use super::{Kernel, PackShapeError, PackedConv, PackedKind, check, fold_phase, input_blocks, lanes};
use crate::arena::Arena;
use crate::bf16::{CHANNELS_PER_PAIRED_BLOCK, round_f64};
use crate::block::CHANNELS_PER_BLOCK;

impl PackedConv {
    /// Packs a convolution over paired rows, for [`conv_row_bf16`](crate::conv_row_bf16).
    ///
    /// # Shapes
    /// - `inputs`: channels of each input; their concatenation is what the weights see
    /// - `weights`: `[out_channels, sum(inputs), kernel.rows, kernel.columns]`
    /// - `biases`: `[out_channels]`, or none for zeros; they stay `f32`
    ///
    /// # Layout
    /// `[output block][input block][kernel row][kernel column][pair of input channels][16 output channels]`. An input block
    /// has at most 32 channels, each input starting a new one; only pairs that exist are held. The 32 bits of an entry are
    /// the weight of the pair's first channel (low half) and of its second (high half, zero where there is none).
    ///
    /// # Numerics
    /// Weights are rounded to the nearest bf16, ties to even; those below the smallest normal number to zero.
    ///
    /// # Errors
    /// [`PackShapeError`] where the number of values is another.
    pub fn new_bf16(
        kernel: Kernel,
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        Self::pack_bf16(kernel, inputs, out_channels, weights, biases)
    }

    /// Packs one phase of "enlarge `factor` times by repetition, then convolve 3x3" over paired rows, folded into one smaller
    /// kernel.
    ///
    /// Output pixel `(factor * y + phase.0, factor * x + phase.1)` of the enlarged picture is what the packed convolution
    /// gives at `(y, x)` of the small one: taps that fall on the same small pixel are summed beforehand. For factor 2 this
    /// leaves four of nine multiplications.
    ///
    /// # Shapes
    /// - `inputs`, `weights`, `biases`: as for [`PackedConv::new_bf16`] with a 3x3 kernel
    /// - `phase`: row and column, each below `factor`
    ///
    /// # Numerics
    /// Folded in f64, then rounded once.
    ///
    /// # Errors
    /// [`PackShapeError`] where the number of values is another.
    ///
    /// # Source
    /// The sub-pixel view of resize-convolution: Shi et al., "Is the deconvolution layer the same as a convolutional
    /// layer?", 2016.
    pub fn new_upsampled_bf16(
        factor: usize,
        phase: (usize, usize),
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        let (kernel, folded) = fold_phase(factor, phase, (inputs, out_channels), weights)?;
        Self::pack_bf16(kernel, inputs, out_channels, &folded, biases)
    }

    fn pack_bf16<T: Copy + Into<f64>>(
        kernel: Kernel,
        inputs: &[usize],
        out_channels: usize,
        weights: &[T],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        let in_channels: usize = inputs.iter().sum();
        let taps = kernel.rows * kernel.columns;
        check("weights", out_channels * in_channels * taps, weights.len())?;
        let weight = |out: usize, input: usize, tap: usize| {
            let index = (out * in_channels + input) * taps + tap;
            if out < out_channels { u32::from(round_f64(weights[index].into())) } else { 0 }
        };
        let pairs: usize = inputs.iter().map(|channels| channels.div_ceil(2)).sum();
        let arena = Arena::new(Self::weight_blocks(PackedKind::Bf16, kernel, inputs, out_channels));
        let mut panels = Vec::new();
        for first in (0..out_channels).step_by(CHANNELS_PER_BLOCK) {
            let mut packed = arena.take(pairs * taps);
            let blocks = input_blocks(inputs, CHANNELS_PER_PAIRED_BLOCK);
            for (block, tap) in blocks.iter().flat_map(|block| (0..taps).map(move |tap| (block, tap))) {
                let pair = |out: usize, input: usize| {
                    let second = if input + 1 < block.end { weight(out, input + 1, tap) } else { 0 };
                    f32::from_bits(weight(out, input, tap) | second << 16)
                };
                let inputs = block.clone().step_by(2);
                packed.extend(inputs.map(|input| lanes(|lane| pair(first + lane, input))));
            }
            panels.push(packed.finish());
        }
        Self::with_weights((PackedKind::Bf16, kernel), inputs, out_channels, (panels, biases))
    }
}
