//! Rows of one stage, shared out among threads.

use std::ops::Range;

use esrgan_kernels::{
    ChannelBlock, ConvRow, ConvSegment, Epilogue, Isa, Residual, TILE_REACH, TILE_SIDE, TransformSegment,
    conv_row, conv_segment, segment_length, segments, transform_segment, transformed_length,
};
use rayon::prelude::*;

use crate::edge::Edge;
use crate::execute::block_of;
use crate::graph::{Form, Layer};
use crate::rows::Row;

/// Output blocks that a share computes, so that what it reads of the input serves both.
const BLOCKS_OF_A_SHARE: usize = 2;

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
        self.pad_left(block);
        self.pad_right(&mut block[1..], width);
    }

    /// Fills the padding pixel before the first.
    fn pad_left(&self, block: &mut [ChannelBlock]) {
        let source = self.padding.resolve(-1, self.pixels);
        block[0] = source.map_or(ChannelBlock::ZERO, |x| block[1 + x]);
    }

    /// Fills the padding pixel behind the last of `pixels`, which end the row.
    fn pad_right(&self, end: &mut [ChannelBlock], pixels: usize) {
        let first = self.pixels - pixels;
        let source = self.padding.resolve(self.pixels as isize, self.pixels);
        end[pixels] = source.map_or(ChannelBlock::ZERO, |x| end[x - first]);
    }
}

/// A layer's input transformed: rows of tiles from rows of pixels.
pub(crate) struct Transform<'a> {
    /// For each row of tiles: the rows of pixels that it sees; `None` for zeros.
    pub(crate) inputs: Vec<[Option<&'a [ChannelBlock]>; TILE_REACH]>,
    /// Enlargement on the way.
    pub(crate) factor: usize,
    pub(crate) output: OutputRows,
}

impl Transform<'_> {
    /// Computes all rows.
    pub(crate) fn run(&self, rows: &mut [Row]) {
        let mut shares = Vec::new();
        for (inputs, row) in self.inputs.iter().zip(rows) {
            for (block, mut rest) in row.chunks_mut(self.output.block_length()).enumerate() {
                for pixels in segments(self.output.pixels) {
                    let (output, behind) = rest.split_at_mut(segment_length(pixels.len()));
                    rest = behind;
                    let rows = inputs.map(|row| row.map(|row| block_of(row, block, self.output.blocks)));
                    shares.push(TransformSegment { rows, factor: self.factor, pixels, output });
                }
            }
        }
        shares.into_par_iter().for_each(|share| transform_segment(self.output.isa, share));
    }
}

/// Some rows of one convolution.
pub(crate) struct Convolution<'a> {
    pub(crate) layer: &'a Layer,
    /// For each output row, or each four that lie in a row of tiles: the input rows, by input block and kernel row; `None`
    /// for zeros.
    pub(crate) inputs: Vec<Vec<Option<&'a [ChannelBlock]>>>,
    /// For each output row: what is added to it.
    pub(crate) residuals: Vec<Vec<(f32, &'a [ChannelBlock])>>,
    pub(crate) first_row: isize,
    pub(crate) output: OutputRows,
}

/// A part of some output rows that a thread computes at a time.
struct Share<'r> {
    /// The first of the output rows.
    row: usize,
    first_block: usize,
    /// Where the pixels lie in the row.
    pixels: Range<usize>,
    /// Where the segment begins in each block's part of a transformed input row.
    segment: usize,
    /// For each block: the pixels in each row, with the padding pixel where the row begins or ends.
    parts: Vec<&'r mut [ChannelBlock]>,
}

impl Convolution<'_> {
    /// Computes all rows.
    pub(crate) fn run(&self, rows: &mut [Row]) {
        if self.layer.is_over_transformed() {
            let shares = self.segment_shares(rows);
            shares.into_par_iter().for_each(|share| self.compute_segment(share));
            if self.output.padding == Edge::Wrap {
                // Either end is copied from the other, which another share may have computed.
                let length = self.output.block_length();
                rows.iter_mut()
                    .flat_map(|row| row.chunks_mut(length))
                    .for_each(|block| self.output.pad(block));
            }
        } else {
            let zeros = vec![ChannelBlock::ZERO; self.output.pixels / self.layer.factor + 2];
            let shares = self.row_shares(rows);
            shares.into_par_iter().for_each(|share| self.compute_row(share, &zeros));
        }
    }

    /// Cuts rows into segments of tiles and pairs of blocks, those of one pair together: they use the same weights.
    fn segment_shares<'r>(&self, rows: &'r mut [Row]) -> Vec<Share<'r>> {
        let output = &self.output;
        let pairs = output.blocks.div_ceil(BLOCKS_OF_A_SHARE);
        let mut shares: Vec<Vec<Share<'r>>> = (0..pairs).map(|_| Vec::new()).collect();
        for (index, rows) in rows.chunks_mut(TILE_SIDE).enumerate() {
            let count = rows.len();
            let mut rests: Vec<_> =
                rows.iter_mut().flat_map(|row| row.chunks_mut(output.block_length())).collect();
            let mut segment = 0;
            for pixels in segments(output.pixels) {
                let padding = usize::from(pixels.start == 0) + usize::from(pixels.end == output.pixels);
                // `[row][block]` in memory, `[block][row]` for the kernel.
                let mut parts: Vec<Vec<&mut [ChannelBlock]>> = (0..pairs).map(|_| Vec::new()).collect();
                for block in 0..output.blocks {
                    for row in 0..count {
                        let rest = &mut rests[row * output.blocks + block];
                        let part = rest.split_off_mut(..pixels.len() + padding).unwrap_or_default();
                        parts[block / BLOCKS_OF_A_SHARE].push(part);
                    }
                }
                for (pair, parts) in parts.into_iter().enumerate() {
                    shares[pair].push(Share {
                        row: index * TILE_SIDE,
                        first_block: pair * BLOCKS_OF_A_SHARE,
                        pixels: pixels.clone(),
                        segment,
                        parts,
                    });
                }
                segment += segment_length(pixels.len());
            }
        }
        shares.into_iter().flatten().collect()
    }

    /// Computes a segment of a row of tiles.
    fn compute_segment(&self, mut share: Share<'_>) {
        let output = &self.output;
        let pixels = share.pixels.clone();
        let rows = output_rows_of(&share, self.residuals.len());
        let blocks = share.first_block..share.first_block + share.parts.len() / rows;
        let length = segment_length(pixels.len());
        let inputs = self.inputs[share.row / TILE_SIDE].iter().flatten();
        let inputs: Vec<&[ChannelBlock]> = inputs.map(|row| &row[share.segment..][..length]).collect();
        let added = &self.residuals[share.row..share.row + rows];
        let residual_rows: Vec<Vec<&[ChannelBlock]>> = (0..added[0].len())
            .map(|residual| {
                let rows =
                    blocks.clone().flat_map(|block| added.iter().map(move |rows| (block, rows[residual].1)));
                rows.map(|(block, row)| &block_of(row, block, output.blocks)[1 + pixels.start..]).collect()
            })
            .collect();
        let residuals: Vec<Residual<'_>> =
            added[0].iter().zip(&residual_rows).map(|(&(scale, _), rows)| Residual { scale, rows }).collect();
        let first = usize::from(pixels.start == 0);
        let mut outputs: Vec<&mut [ChannelBlock]> =
            share.parts.iter_mut().map(|part| &mut part[first..][..pixels.len()]).collect();
        conv_segment(
            output.isa,
            ConvSegment {
                weights: &self.layer.phases[0],
                first_out_block: share.first_block,
                inputs: &inputs,
                pixels: pixels.len(),
                rows,
                epilogue: Epilogue { slopes: self.layer.slopes.as_deref(), residuals: &residuals },
                outputs: &mut outputs,
            },
        );
        if output.padding == Edge::Wrap {
            return;
        }
        for part in &mut share.parts {
            if pixels.start == 0 {
                output.pad_left(part);
            }
            if pixels.end == output.pixels {
                output.pad_right(&mut part[first..], pixels.len());
            }
        }
    }

    /// Cuts rows into blocks, those of one block together: they use the same weights.
    fn row_shares<'r>(&self, rows: &'r mut [Row]) -> Vec<Share<'r>> {
        // AVX-512 has registers for two output blocks at once.
        let most = if self.output.isa.for_f32() == Isa::Avx512 { 2 } else { 1 };
        let length = self.output.block_length();
        let mut shares = Vec::with_capacity(rows.len() * self.output.blocks);
        for (row, blocks) in rows.iter_mut().enumerate() {
            for (index, blocks) in blocks.chunks_mut(most * length).enumerate() {
                let parts = blocks.chunks_mut(length).collect();
                let pixels = 0..self.output.pixels;
                shares.push(Share { row, first_block: index * most, pixels, segment: 0, parts });
            }
        }
        shares.sort_by_key(|share| share.first_block);
        shares
    }

    /// Computes padded rows of pixels.
    fn compute_row(&self, mut share: Share<'_>, zeros: &[ChannelBlock]) {
        let factor = self.layer.factor;
        let phase_row = (self.first_row + share.row as isize).rem_euclid(factor as isize) as usize;
        let added = &self.residuals[share.row];
        let blocks = share.first_block..share.first_block + share.parts.len();
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
            let first = (1 + weights.kernel().first_column) as usize;
            let inputs = self.inputs[share.row].iter().map(|row| &row.unwrap_or(zeros)[first..]);
            let inputs: Vec<&[ChannelBlock]> = inputs.collect();
            let mut outputs: Vec<&mut [ChannelBlock]> =
                share.parts.iter_mut().map(|block| &mut block[1 + phase..]).collect();
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
        share.parts.iter_mut().for_each(|block| self.output.pad(block));
    }
}

/// The output rows of a share, of `rows` in all: four, or what is left at the lower edge.
fn output_rows_of(share: &Share<'_>, rows: usize) -> usize {
    TILE_SIDE.min(rows - share.row)
}
