//! Rows of one stage, shared out among threads.

use esrgan_kernels::{
    ChannelBlock, ConvRow, Epilogue, Isa, Residual, conv_row, transform_row, transformed_length,
};
use rayon::prelude::*;

use crate::edge::Edge;
use crate::execute::block_of;
use crate::graph::{Form, Layer};
use crate::rows::Row;

/// How rows are to be written.
#[derive(Clone, Copy)]
pub(crate) struct OutputRows {
    /// Pixels in a row.
    pub(crate) pixels: usize,
    /// Channel blocks of a pixel.
    pub(crate) blocks: usize,
    pub(crate) form: Form,
    /// The edge mode left and right.
    pub(crate) padding: Edge,
    pub(crate) isa: Isa,
}

impl OutputRows {
    /// Length of one block's part of a row.
    fn block_length(&self) -> usize {
        match self.form {
            Form::Pixels => self.pixels + 2,
            Form::Transformed => transformed_length(self.pixels),
        }
    }

    /// Fills the padding pixel at either end of a block's row.
    pub(crate) fn pad(&self, block: &mut [ChannelBlock]) {
        let width = block.len() - 2;
        let value =
            |index: isize| self.padding.resolve(index, width).map_or(ChannelBlock::ZERO, |x| block[1 + x]);
        let (left, right) = (value(-1), value(width as isize));
        block[0] = left;
        block[width + 1] = right;
    }
}

/// Some blocks of one output row: what a thread takes at a time.
struct Share<'r> {
    row: usize,
    first_block: usize,
    blocks: Vec<&'r mut [ChannelBlock]>,
}

/// Cuts rows into shares, ordered so that neighbouring ones use the same weights.
fn shares<'r>(rows: &'r mut [Row], output: &OutputRows) -> Vec<Share<'r>> {
    // AVX-512 has registers for two output blocks at once.
    let most = if output.isa.for_f32() == Isa::Avx512 { 2 } else { 1 };
    let mut shares = Vec::with_capacity(rows.len() * output.blocks);
    for (row, blocks) in rows.iter_mut().enumerate() {
        let mut blocks = blocks.chunks_mut(output.block_length());
        let mut first_block = 0;
        loop {
            let blocks: Vec<&mut [ChannelBlock]> = blocks.by_ref().take(most).collect();
            if blocks.is_empty() {
                break;
            }
            let count = blocks.len();
            shares.push(Share { row, first_block, blocks });
            first_block += count;
        }
    }
    shares.sort_by_key(|share| share.first_block);
    shares
}

/// Transforms rows of pixels.
pub(crate) fn transform_rows(pixels: &[&[ChannelBlock]], rows: &mut [Row], output: &OutputRows) {
    shares(rows, output).into_par_iter().for_each(|share| {
        for (index, target) in share.blocks.into_iter().enumerate() {
            transform_row(
                output.isa,
                block_of(pixels[share.row], share.first_block + index, output.blocks),
                target,
            );
        }
    });
}

/// Some rows of one convolution.
pub(crate) struct Convolution<'a> {
    pub(crate) layer: &'a Layer,
    /// For each output row: its input rows, by input block and kernel row; `None` for zeros.
    pub(crate) inputs: Vec<Vec<Option<&'a [ChannelBlock]>>>,
    /// For each output row: what is added to it.
    pub(crate) residuals: Vec<Vec<(f32, &'a [ChannelBlock])>>,
    pub(crate) first_row: isize,
    pub(crate) output: OutputRows,
}

impl Convolution<'_> {
    /// Computes all rows.
    pub(crate) fn run(&self, rows: &mut [Row]) {
        let input_pixels = self.output.pixels / self.layer.factor;
        let is_transformed = self.layer.phases[0].is_over_transformed();
        let zeros = if is_transformed { transformed_length(input_pixels) } else { input_pixels + 2 };
        let zeros = vec![ChannelBlock::ZERO; zeros];
        shares(rows, &self.output).into_par_iter().for_each(|share| match self.output.form {
            Form::Pixels => self.compute(share, &zeros),
            Form::Transformed => self.compute_transformed(share, &zeros),
        });
    }

    /// Computes a share's pixels aside, and stores them transformed.
    fn compute_transformed(&self, share: Share<'_>, zeros: &[ChannelBlock]) {
        let mut pixels = vec![ChannelBlock::ZERO; share.blocks.len() * (self.output.pixels + 2)];
        let blocks = pixels.chunks_mut(self.output.pixels + 2).collect();
        self.compute(Share { row: share.row, first_block: share.first_block, blocks }, zeros);
        for (pixels, target) in pixels.chunks(self.output.pixels + 2).zip(share.blocks) {
            transform_row(self.output.isa, pixels, target);
        }
    }

    /// Computes a share as padded rows of pixels.
    fn compute(&self, mut share: Share<'_>, zeros: &[ChannelBlock]) {
        let factor = self.layer.factor;
        let phase_row = (self.first_row + share.row as isize).rem_euclid(factor as isize) as usize;
        let added = &self.residuals[share.row];
        let blocks = share.first_block..share.first_block + share.blocks.len();
        let residual_rows: Vec<Vec<&[ChannelBlock]>> = added
            .iter()
            .map(|(_, row)| {
                blocks.clone().map(|block| &block_of(row, block, self.output.blocks)[1..]).collect()
            })
            .collect();
        let residuals: Vec<Residual<'_>> =
            added.iter().zip(&residual_rows).map(|(&(scale, _), rows)| Residual { scale, rows }).collect();
        for phase in 0..factor {
            let weights = &self.layer.phases[phase_row * factor + phase];
            let first =
                if weights.is_over_transformed() { 0 } else { (1 + weights.kernel().first_column) as usize };
            let inputs = self.inputs[share.row].iter().map(|row| &row.unwrap_or(zeros)[first..]);
            let inputs: Vec<&[ChannelBlock]> = inputs.collect();
            let mut outputs: Vec<&mut [ChannelBlock]> =
                share.blocks.iter_mut().map(|block| &mut block[1 + phase..]).collect();
            conv_row(
                self.output.isa,
                ConvRow {
                    weights,
                    first_out_block: share.first_block,
                    inputs: &inputs,
                    pixels: self.output.pixels / factor,
                    out_stride: factor,
                    epilogue: Epilogue { slopes: self.layer.slopes.as_deref(), residuals: &residuals },
                    outputs: &mut outputs,
                },
            );
        }
        share.blocks.iter_mut().for_each(|block| self.output.pad(block));
    }
}
