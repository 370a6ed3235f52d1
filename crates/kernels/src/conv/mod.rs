//! The convolution of one output row: its arguments, and the micro-kernel that all variants share.

pub(crate) mod tile;
pub(crate) mod transformed;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod transformed_tests;

pub use transformed::ConvSegment;

use crate::block::ChannelBlock;
use crate::pack::{PackedConv, PackedKind};

/// A row that is added to the output: `output = output * scale + residual`.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The factor of what was there before (beta, 0.2 in RRDB; 1 for a plain sum).
    pub scale: f32,
    /// One row for each output block of the call.
    pub rows: &'a [&'a [ChannelBlock]],
}

/// What happens to the sums before they are stored: first the activation, then the residuals in their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Leaky or parametric ReLU: the slope for negative values, per output channel, for all output blocks of the layer.
    pub slopes: Option<&'a [ChannelBlock]>,
    /// Rows to be added.
    pub residuals: &'a [Residual<'a>],
}

/// The convolution of one output row, for some of the output blocks.
///
/// ```text
/// sum = bias[o] + sum over i, ky, kx of weight[o][i][ky][kx] * inputs[i, ky][x + kx]
/// output[o][x * out_stride] = residuals(activation(sum))
/// ```
///
/// # Shapes
/// - `inputs`: `input blocks * kernel rows` rows, kernel rows of one block together; each of at least
///   `pixels + kernel columns - 1` pixels, the first being what the first output pixel's first column sees
/// - `outputs`: a row for each output block from `first_out_block` on; each of at least `(pixels - 1) * out_stride + 1`
/// - residual rows: as `outputs`, read at the positions that are written
///
/// # Values
/// Any; NaN and infinity pass through to the output.
#[derive(Debug)]
pub struct ConvRow<'a, 'o> {
    /// The layer.
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
    /// Output rows.
    pub outputs: &'a mut [&'o mut [ChannelBlock]],
}

impl ConvRow<'_, '_> {
    /// Stops where the arguments do not hold together: the proof that the micro-kernel's pointers stay inside.
    pub(crate) fn assert_consistent(&self) {
        assert_eq!(self.weights.kind(), PackedKind::Direct, "weights packed for rows of pixels");
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
        let out_blocks = self.weights.out_blocks();
        let last = self.first_out_block + self.outputs.len();
        assert!(last <= out_blocks, "output block {last} of {out_blocks}");
        let reach = (self.pixels - 1) * self.out_stride + 1;
        assert!(
            self.outputs.iter().all(|row| row.len() >= reach),
            "an output row is shorter than {reach} pixels"
        );
        for residual in self.epilogue.residuals {
            assert_eq!(residual.rows.len(), self.outputs.len(), "a residual row for each output row");
            assert!(
                residual.rows.iter().all(|row| row.len() >= reach),
                "a residual row is shorter than {reach} pixels"
            );
        }
        assert!(
            self.epilogue.slopes.is_none_or(|slopes| slopes.len() == out_blocks),
            "a slope for each output channel"
        );
    }
}
