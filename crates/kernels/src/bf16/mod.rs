//! Convolution in bf16 with sums in `f32`: its arguments, and the paired rows that it reads.
//!
//! What lives here: what all variants share. What does not: the instructions (`portable`, `x86_64`) and the packing of
//! weights (`pack`).
//!
//! A *paired row* is a row of [`ChannelBlock`]s used as plain memory: a block holds 32 channels of one pixel as bf16, lane
//! `i`'s low half being channel `2 * i`, its high half channel `2 * i + 1`. Lanes beyond the last channel hold zero. It is
//! the order in which instructions for bf16 take pairs ("VNNI" in Intel's "Architecture Instruction Set Extensions
//! Programming Reference").

pub(crate) mod products;
mod round;
mod simd;
pub(crate) mod tile;

#[cfg(test)]
mod tests;

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::conv::Epilogue;
use crate::pack::{PackedConv, PackedKind};

pub use products::{OuterProductsBf16, PAIRS_OF_A_TILE};
pub(crate) use round::{round, round_f64};
pub(crate) use simd::{Bf16Products, Block, Paired};

/// Channels that lie together in a block of a paired row.
pub const CHANNELS_PER_PAIRED_BLOCK: usize = 32;

/// Paired blocks that `channels` channels need: the quotient by 32, rounded up.
pub const fn paired_blocks_for(channels: usize) -> usize {
    channels.div_ceil(CHANNELS_PER_PAIRED_BLOCK)
}

/// The convolution of one output row over paired rows, for some of the output blocks.
///
/// ```text
/// sum = bias[o] + sum over i, ky, kx of weight[o][i][ky][kx] * inputs[i, ky][x + kx]
/// outputs[o][x * out_stride] = residuals(activation(sum))
/// paired_outputs[o][x * out_stride] = rounded to bf16(residuals(activation(sum)))
/// ```
///
/// # Shapes
/// - `inputs`: `input blocks * kernel rows` paired rows, kernel rows of one block together; each of at least
///   `pixels + kernel columns - 1` pixels, the first being what the first output pixel's first column sees
/// - `outputs`: none, or a row of `f32` for each output block of 16 channels from `first_out_block` on; each of at least
///   `(pixels - 1) * out_stride + 1`
/// - `paired_outputs`: none, or a paired row for each two output blocks of the call, as long; then `first_out_block` is
///   even, and where the call ends with one block of two, it is the layer's last, and the other is written as zeros
/// - residual rows: `f32`, one for each output block of the call, read at the positions that are written
///
/// Of `outputs` and `paired_outputs`, at least one has rows; where both have, they are of the same output blocks.
///
/// # Layout
/// A paired row is `[pixels]` [`ChannelBlock`]s used as plain memory: a block holds 32 channels of a pixel as bf16, lane
/// `i`'s low half being channel `2 * i`, its high half channel `2 * i + 1`; [`pair_row`](crate::pair_row) makes one.
///
/// # Values
/// Lanes of the inputs beyond the last channel hold zero. Otherwise any; NaN and infinity pass through to the output.
#[derive(Debug)]
pub struct ConvRowBf16<'a, 'o> {
    /// The layer, packed by [`PackedConv::new_bf16`] or [`PackedConv::new_upsampled_bf16`].
    pub weights: &'a PackedConv,
    /// The first output block to compute.
    pub first_out_block: usize,
    /// Input rows.
    pub inputs: &'a [&'a [ChannelBlock]],
    /// Output pixels to compute.
    pub pixels: usize,
    /// Distance between output pixels: 1, or the factor of an upsampling phase.
    pub out_stride: usize,
    /// What follows the sums.
    pub epilogue: Epilogue<'a>,
    /// Output rows in `f32`.
    pub outputs: &'a mut [&'o mut [ChannelBlock]],
    /// Output rows in bf16.
    pub paired_outputs: &'a mut [&'o mut [ChannelBlock]],
}

impl ConvRowBf16<'_, '_> {
    /// Output blocks that the call computes.
    pub(crate) fn out_blocks(&self) -> usize {
        if self.outputs.is_empty() {
            let left = self.weights.out_blocks().saturating_sub(self.first_out_block);
            left.min(2 * self.paired_outputs.len())
        } else {
            self.outputs.len()
        }
    }

    /// Stops where the arguments do not hold together: the proof that the micro-kernels' pointers stay inside.
    pub(crate) fn assert_consistent(&self) {
        assert_eq!(self.weights.kind(), PackedKind::Bf16, "weights packed for the bf16 kernels");
        let kernel = self.weights.kernel();
        let blocks = self.weights.input_block_channels().len();
        assert!(
            self.pixels > 0 && self.out_stride > 0,
            "a row of {} pixels, stride {}",
            self.pixels,
            self.out_stride
        );
        assert_eq!(self.inputs.len(), blocks * kernel.rows, "input rows: input blocks times kernel rows");
        let needed = self.pixels + kernel.columns - 1;
        assert!(
            self.inputs.iter().all(|row| row.len() >= needed),
            "an input row is shorter than {needed} pixels"
        );
        self.assert_outputs_consistent();
        let reach = (self.pixels - 1) * self.out_stride + 1;
        for residual in self.epilogue.residuals {
            assert_eq!(residual.rows.len(), self.out_blocks(), "a residual row for each output block");
            assert!(
                residual.rows.iter().all(|row| row.len() >= reach),
                "a residual row is shorter than {reach} pixels"
            );
        }
        assert!(
            self.epilogue.slopes.is_none_or(|slopes| slopes.len() == self.weights.out_blocks()),
            "a slope for each output channel"
        );
    }

    fn assert_outputs_consistent(&self) {
        let of_layer = self.weights.out_blocks();
        let of_call = self.out_blocks();
        let last = self.first_out_block + of_call;
        assert!(of_call > 0, "a call has outputs");
        assert!(last <= of_layer, "output block {last} of {of_layer}");
        if !self.paired_outputs.is_empty() {
            assert!(self.first_out_block.is_multiple_of(2), "paired outputs start with an even output block");
            assert_eq!(self.paired_outputs.len(), of_call.div_ceil(2), "a paired row for two output blocks");
            assert!(
                of_call.is_multiple_of(2) || last == of_layer,
                "a paired row without its second output block"
            );
        }
        let reach = (self.pixels - 1) * self.out_stride + 1;
        assert!(
            self.outputs.iter().chain(self.paired_outputs.iter()).all(|row| row.len() >= reach),
            "an output row is shorter than {reach} pixels"
        );
    }
}

/// Stops where rows to be paired do not fit each other.
pub(crate) fn assert_pairable(inputs: &[&[ChannelBlock]], output: &[ChannelBlock]) {
    assert!(matches!(inputs.len(), 1 | 2), "{} rows of {CHANNELS_PER_BLOCK} channels to pair", inputs.len());
    assert!(inputs.iter().all(|row| row.len() == output.len()), "rows to pair are as long as the paired row");
}
