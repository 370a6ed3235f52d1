//! Rows of one stage, shared out among threads.

use std::ops::Range;

use esrgan_kernels::{
    ChannelBlock, ConvSegment, Epilogue, PackedConv, Residual, SEGMENT_TILES, TILE_REACH, TILE_SIDE,
    TransformSegment, conv_segment, pair_row, segment_length, segments, transform_segment,
};
use rayon::prelude::*;

use crate::edge::Edge;
use crate::execute::block_of;
use crate::graph::Layer;
use crate::output_rows::{OutputRows, Targets};
use crate::rows::Row;

/// Output blocks that a share computes, so that what it reads of the input serves both.
pub(crate) const BLOCKS_OF_A_SHARE: usize = 2;

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
                    shares.push(TransformSegment {
                        rows,
                        factor: self.factor,
                        pixels,
                        first_tile: 0,
                        output,
                    });
                }
            }
        }
        shares.into_par_iter().for_each(|share| transform_segment(self.output.isa, share));
    }
}

/// Rounds rows of pixels to bf16.
pub(crate) fn pair_rows(pixels: &[&[ChannelBlock]], rows: &mut [Row], output: &OutputRows) {
    let length = output.block_length();
    rows.par_iter_mut().zip(pixels).for_each(|(row, pixels)| {
        for (target, pixels) in row.chunks_mut(length).zip(pixels.chunks(2 * length)) {
            let inputs: Vec<&[ChannelBlock]> = pixels.chunks(length).collect();
            pair_row(output.isa, &inputs, target);
        }
    });
}

/// Some rows of one convolution.
pub(crate) struct Convolution<'a> {
    pub(crate) layer: &'a Layer,
    /// Its weights: one packed convolution, or those of its phases.
    pub(crate) phases: &'a [PackedConv],
    /// For each output row, or each four that lie in a row of tiles: the input rows, by input block and kernel row; `None`
    /// for zeros.
    pub(crate) inputs: Vec<Vec<Option<&'a [ChannelBlock]>>>,
    /// For each output row: what is added to it.
    pub(crate) residuals: Vec<Vec<(f32, &'a [ChannelBlock])>>,
    pub(crate) first_row: isize,
}

/// A segment of a row of tiles, or a few short rows: what a thread computes at a time.
struct Share<'r> {
    /// The first of the output rows.
    row: usize,
    /// Output rows: four for each row of tiles, or what is left at the lower edge.
    rows: usize,
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
    pub(crate) fn run(&self, targets: Targets<'_>) {
        match targets {
            Targets { pixels: Some((output, rows)), .. } if self.layer.is_over_transformed() => {
                let shares = segment_shares(rows, &output);
                shares.into_par_iter().for_each(|share| self.compute_segment(&output, share));
                if output.padding == Edge::Wrap {
                    // Either end is copied from the other, which another share may have computed.
                    let blocks = rows.iter_mut().flat_map(|row| row.chunks_mut(output.block_length()));
                    blocks.for_each(|block| output.pad(block));
                }
            }
            targets => self.run_rows(targets),
        }
    }

    /// Computes a segment of a row of tiles.
    fn compute_segment(&self, output: &OutputRows, mut share: Share<'_>) {
        let pixels = share.pixels.clone();
        let length = segment_length(pixels.len());
        let tile_rows = share.row / TILE_SIDE..(share.row + share.rows).div_ceil(TILE_SIDE);
        let inputs = self.inputs[tile_rows].iter().flatten().flatten();
        let inputs: Vec<&[ChannelBlock]> = inputs.map(|row| &row[share.segment..][..length]).collect();
        let blocks = share.first_block..share.first_block + share.parts.len() / share.rows;
        let added = &self.residuals[share.row..share.row + share.rows];
        let residual_rows: Vec<Vec<&[ChannelBlock]>> = (0..added[0].len())
            .map(|residual| {
                let rows = added.iter().map(|rows| rows[residual].1);
                let rows = blocks.clone().flat_map(|block| rows.clone().map(move |row| (block, row)));
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
                weights: &self.phases[0],
                first_out_block: share.first_block,
                inputs: &inputs,
                pixels: pixels.len(),
                rows: share.rows,
                epilogue: Epilogue { slopes: self.layer.slopes.as_deref(), residuals: &residuals },
                outputs: &mut outputs,
            },
        );
        share.pad(output);
    }
}

impl Share<'_> {
    /// Fills the padding pixels of the rows that begin or end here, unless they lie at the other end.
    fn pad(&mut self, output: &OutputRows) {
        if output.padding == Edge::Wrap {
            return;
        }
        let first = usize::from(self.pixels.start == 0);
        for part in &mut self.parts {
            if self.pixels.start == 0 {
                output.pad_left(part);
            }
            if self.pixels.end == output.pixels {
                output.pad_right(&mut part[first..], self.pixels.len());
            }
        }
    }
}

/// Cuts rows into segments of tiles and pairs of blocks, those of one pair together: they use the same weights. Rows that are
/// short are taken together.
fn segment_shares<'r>(rows: &'r mut [Row], output: &OutputRows) -> Vec<Share<'r>> {
    let mut shares = Vec::new();
    let tiles = output.pixels.div_ceil(TILE_SIDE);
    let together = (SEGMENT_TILES / tiles).clamp(1, rows.len().div_ceil(2 * TILE_SIDE)) * TILE_SIDE;
    for (index, rows) in rows.chunks_mut(together).enumerate() {
        let count = rows.len();
        // `[row][block]`, of each what is left behind the segments that have been cut off.
        let mut rests: Vec<_> =
            rows.iter_mut().flat_map(|row| row.chunks_mut(output.block_length())).collect();
        let mut segment = 0;
        for pixels in segments(output.pixels) {
            let padding = usize::from(pixels.start == 0) + usize::from(pixels.end == output.pixels);
            for first_block in (0..output.blocks).step_by(BLOCKS_OF_A_SHARE) {
                let blocks = first_block..output.blocks.min(first_block + BLOCKS_OF_A_SHARE);
                let places = blocks.flat_map(|block| (0..count).map(move |row| row * output.blocks + block));
                let parts = places
                    .map(|place| rests[place].split_off_mut(..pixels.len() + padding).unwrap_or_default())
                    .collect();
                let (row, pixels) = (index * together, pixels.clone());
                shares.push(Share { row, rows: count, first_block, pixels, segment, parts });
            }
            segment += segment_length(pixels.len());
        }
    }
    shares.sort_by_key(|share| share.first_block);
    shares
}
