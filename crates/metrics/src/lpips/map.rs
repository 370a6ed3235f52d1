//! Feature maps, and what is done to them, on all processors.

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, ChannelBlock, ConvRow, Epilogue, Isa, Kernel, PackedConv, blocks_for, conv_row,
};
use rayon::prelude::*;

/// A feature map: `[y][block of 16 channels][x]`.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    blocks: usize,
    width: usize,
    height: usize,
    pixels: Vec<ChannelBlock>,
}

impl Map {
    /// A map made row by row; `fill` gets a row's blocks, one after the other.
    fn from_rows(
        (blocks, width, height): (usize, usize, usize),
        fill: impl Fn(usize, &mut [ChannelBlock]) + Sync,
    ) -> Self {
        let mut pixels = vec![ChannelBlock::ZERO; blocks * width * height];
        pixels.par_chunks_mut((blocks * width).max(1)).enumerate().for_each(|(y, row)| fill(y, row));
        Self { blocks, width, height, pixels }
    }

    /// Planes as a map, each square of `stride * stride` pixels as one: what makes a convolution with a stride one without.
    /// Channels are `[plane][row of the square][column]`. Beyond the planes, and `padding` pixels before them, are zeros.
    pub(crate) fn of_planes(
        planes: &[Vec<f32>],
        plane_width: usize,
        (padding, stride): (usize, usize),
        (width, height): (usize, usize),
    ) -> Self {
        let squares = stride * stride;
        let channels = planes.len() * squares;
        Self::from_rows((blocks_for(channels), width, height), |y, row| {
            for channel in 0..channels {
                let (plane, dy, dx) =
                    (&planes[channel / squares], channel / stride % stride, channel % stride);
                let Some(source) = (y * stride + dy).checked_sub(padding) else { continue };
                let Some(source) = plane.chunks(plane_width).nth(source) else { continue };
                let target = &mut row[channel / CHANNELS_PER_BLOCK * width..][..width];
                for (x, pixel) in target.iter_mut().enumerate() {
                    let sample = (x * stride + dx).checked_sub(padding).and_then(|x| source.get(x));
                    pixel.0[channel % CHANNELS_PER_BLOCK] = sample.copied().unwrap_or(0.0);
                }
            }
        })
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// The row of a block.
    fn row(&self, block: usize, y: usize) -> &[ChannelBlock] {
        &self.pixels[(y * self.blocks + block) * self.width..][..self.width]
    }

    /// Sixteen channels of a pixel.
    pub(crate) fn pixel(&self, block: usize, x: usize, y: usize) -> &ChannelBlock {
        &self.row(block, y)[x]
    }

    /// The map with zeros around it.
    fn padded(&self, padding: usize) -> Self {
        let (width, height) = (self.width + 2 * padding, self.height + 2 * padding);
        Self::from_rows((self.blocks, width, height), |y, row| {
            let Some(source) = y.checked_sub(padding).filter(|y| *y < self.height) else { return };
            for (block, target) in row.chunks_mut(width).enumerate() {
                target[padding..padding + self.width].copy_from_slice(self.row(block, source));
            }
        })
    }

    /// The convolution, and zero for what is below it.
    pub(crate) fn convolved(&self, conv: &Conv) -> Self {
        let padded;
        let source = if conv.padding > 0 {
            padded = self.padded(conv.padding);
            &padded
        } else {
            self
        };
        let Kernel { rows, columns, .. } = conv.weights.kernel();
        let (width, height) = (source.width + 1 - columns, source.height + 1 - rows);
        let out_blocks = conv.weights.out_blocks();
        let isa = Isa::detect();
        let slopes = vec![ChannelBlock::ZERO; out_blocks];
        Self::from_rows((out_blocks, width, height), |y, row| {
            let inputs = (0..source.blocks).flat_map(|block| (0..rows).map(move |tap| (block, y + tap)));
            let inputs: Vec<&[ChannelBlock]> = inputs.map(|(block, y)| source.row(block, y)).collect();
            let mut outputs: Vec<&mut [ChannelBlock]> = row.chunks_mut(width).collect();
            conv_row(
                isa,
                ConvRow {
                    weights: &conv.weights,
                    first_out_block: 0,
                    inputs: &inputs,
                    pixels: width,
                    out_stride: 1,
                    epilogue: Epilogue { slopes: Some(&slopes), residuals: &[] },
                    outputs: &mut outputs,
                },
            );
        })
    }

    /// The largest value of each `side * side` pixels, every two pixels; `keeps_rest` for a last one that lacks pixels.
    pub(crate) fn pooled(&self, side: usize, keeps_rest: bool) -> Self {
        const STRIDE: usize = 2;
        let count = |length: usize| {
            let steps = length - side;
            if keeps_rest { steps.div_ceil(STRIDE) + 1 } else { steps / STRIDE + 1 }
        };
        let (width, height) = (count(self.width), count(self.height));
        Self::from_rows((self.blocks, width, height), |y, row| {
            for (block, target) in row.chunks_mut(width).enumerate() {
                for (x, largest) in target.iter_mut().enumerate() {
                    *largest = ChannelBlock::splat(f32::NEG_INFINITY);
                    for y in STRIDE * y..self.height.min(STRIDE * y + side) {
                        for pixel in &self.row(block, y)[STRIDE * x..self.width.min(STRIDE * x + side)] {
                            let lanes = largest.0.iter_mut().zip(&pixel.0);
                            lanes.for_each(|(largest, value)| *largest = largest.max(*value));
                        }
                    }
                }
            }
        })
    }

    /// The channels of both, this one's first; its blocks are full.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        let blocks = self.blocks + other.blocks;
        Self::from_rows((blocks, self.width, self.height), |y, row| {
            for (block, target) in row.chunks_mut(self.width).enumerate() {
                let source = match block.checked_sub(self.blocks) {
                    None => self.row(block, y),
                    Some(block) => other.row(block, y),
                };
                target.copy_from_slice(source);
            }
        })
    }
}

/// A convolution without a stride, with ReLU behind it.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) weights: PackedConv,
    /// Zeros around its input.
    pub(crate) padding: usize,
}
