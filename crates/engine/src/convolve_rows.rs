//! Convolutions that read rows of pixels, in `f32` or in bf16, shared out among threads by rows.

use esrgan_kernels::{
    ChannelBlock, ConvRow, ConvRowBf16, Epilogue, Isa, PackedConv, PackedKind, Residual, conv_row,
    conv_row_bf16,
};
use rayon::prelude::*;

use crate::convolve::{BLOCKS_OF_A_SHARE, Convolution};
use crate::execute::block_of;
use crate::output_rows::{OutputRows, Targets};
use crate::rows::Row;

/// Some blocks of one output row: what a thread computes at a time.
struct Share<'r> {
    row: usize,
    first_block: usize,
    /// Blocks in `f32`, if they are wanted.
    pixels: Vec<&'r mut [ChannelBlock]>,
    /// The same in bf16, if they are wanted.
    paired: Vec<&'r mut [ChannelBlock]>,
}

impl Convolution<'_> {
    /// Computes all rows.
    pub(crate) fn run_rows(&self, targets: Targets<'_>) {
        let output = targets.output();
        let zeros = vec![ChannelBlock::ZERO; output.pixels / self.layer.factor + 2];
        let shares = self.shares(targets, output.isa);
        shares.into_par_iter().for_each(|share| self.compute_rows(&output, share, &zeros));
    }

    /// Cuts rows into blocks, those of one block together: they use the same weights.
    fn shares<'r>(&self, targets: Targets<'r>, isa: Isa) -> Vec<Share<'r>> {
        // AVX-512 has registers for two output blocks at once; a block of bf16 holds two.
        let most = if self.layer.is_bf16() || isa.for_f32() == Isa::Avx512 { BLOCKS_OF_A_SHARE } else { 1 };
        let mut shares = Vec::with_capacity(self.inputs.len());
        let mut pixels = targets.pixels.map(blocks_of_rows);
        let mut paired = targets.paired.map(blocks_of_rows);
        for row in 0..self.inputs.len() {
            let mut pixels = pixels.as_mut().and_then(Iterator::next).into_iter().flatten();
            let mut paired = paired.as_mut().and_then(Iterator::next).into_iter().flatten();
            for first_block in (0..self.phases[0].out_blocks()).step_by(most) {
                let pixels = pixels.by_ref().take(most).collect();
                let paired = paired.by_ref().take(1).collect();
                shares.push(Share { row, first_block, pixels, paired });
            }
        }
        shares.sort_by_key(|share| share.first_block);
        shares
    }

    /// Computes padded rows of pixels.
    fn compute_rows(&self, output: &OutputRows, mut share: Share<'_>, zeros: &[ChannelBlock]) {
        let factor = self.layer.factor;
        let phase_row = (self.first_row + share.row as isize).rem_euclid(factor as isize) as usize;
        let added = &self.residuals[share.row];
        let of_layer = self.phases[0].out_blocks();
        let count = if share.paired.is_empty() { share.pixels.len() } else { BLOCKS_OF_A_SHARE };
        let blocks = share.first_block..of_layer.min(share.first_block + count);
        let residual_rows: Vec<Vec<&[ChannelBlock]>> = added
            .iter()
            .map(|(_, row)| blocks.clone().map(|block| &block_of(row, block, of_layer)[1..]).collect())
            .collect();
        let residuals: Vec<Residual<'_>> =
            added.iter().zip(&residual_rows).map(|(&(scale, _), rows)| Residual { scale, rows }).collect();
        let epilogue = Epilogue { slopes: self.layer.slopes.as_deref(), residuals: &residuals };
        for phase in 0..factor {
            let weights = &self.phases[phase_row * factor + phase];
            let first = (1 + weights.kernel().first_column) as usize;
            let inputs = self.inputs[share.row].iter().map(|row| &row.unwrap_or(zeros)[first..]);
            let inputs: Vec<&[ChannelBlock]> = inputs.collect();
            let call = Call { weights, inputs: &inputs, epilogue, phase, factor };
            call.run(output, &mut share);
        }
        share.pixels.iter_mut().chain(&mut share.paired).for_each(|block| output.pad(block));
    }
}

/// One phase of a share.
struct Call<'a> {
    weights: &'a PackedConv,
    inputs: &'a [&'a [ChannelBlock]],
    epilogue: Epilogue<'a>,
    phase: usize,
    factor: usize,
}

impl Call<'_> {
    fn run(&self, output: &OutputRows, share: &mut Share<'_>) {
        let from = 1 + self.phase;
        let mut outputs: Vec<&mut [ChannelBlock]> =
            share.pixels.iter_mut().map(|block| &mut block[from..]).collect();
        let mut paired_outputs: Vec<&mut [ChannelBlock]> =
            share.paired.iter_mut().map(|block| &mut block[from..]).collect();
        let (weights, inputs, epilogue) = (self.weights, self.inputs, self.epilogue);
        let (first_out_block, outputs) = (share.first_block, &mut outputs[..]);
        let (pixels, out_stride) = (output.pixels / self.factor, self.factor);
        if weights.kind() == PackedKind::Bf16 {
            let paired_outputs = &mut paired_outputs[..];
            let row = ConvRowBf16 {
                weights,
                first_out_block,
                inputs,
                pixels,
                out_stride,
                epilogue,
                outputs,
                paired_outputs,
            };
            conv_row_bf16(output.isa, row);
        } else {
            let row = ConvRow { weights, first_out_block, inputs, pixels, out_stride, epilogue, outputs };
            conv_row(output.isa, row);
        }
    }
}

/// The blocks of each row.
fn blocks_of_rows<'r>(
    (output, rows): (OutputRows, &'r mut [Row]),
) -> impl Iterator<Item = std::slice::ChunksMut<'r, ChannelBlock>> {
    rows.iter_mut().map(move |row| row.chunks_mut(output.block_length()))
}
