//! The 4x4 convolution of stride two, one pixel of zeros around the map: each side becomes half as long.
//!
//! What an output pixel sees is gathered tap by tap into rows of pixels, which the kernel for single pixels multiplies: rows of
//! small maps and of several samples follow each other in one call.

use std::ops::Range;

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, CHANNELS_PER_PAIRED_BLOCK, ChannelBlock, ConvRow, ConvRowBf16, Epilogue, Isa, Kernel,
    OuterProducts, PackedConv, PackedKind, Residual, add_products, conv_row, conv_row_bf16,
};
use rayon::prelude::*;

use crate::map::FeatureMap;
use crate::method::Precision;
use crate::paired::PairedMap;

mod bf16;

const SIDE: usize = 4;
const TAPS: usize = SIDE * SIDE;
const STRIDE: usize = 2;
/// Pixels that a thread gathers at a time.
const GATHERED_PIXELS: usize = 128;
/// Gathered rows that a call of the kernel multiplies: their weights stay in the second-level cache.
const ROWS_OF_A_CALL: usize = 128;

/// Pixels of which products are added up in one call: what is gathered stays in the second-level cache.
const PIXELS_OF_A_PART: usize = 2048;

/// A 4x4 convolution of stride two without biases.
#[derive(Clone, Copy, Debug)]
pub struct Conv4x4<'a> {
    /// `[output channel][input channel][4][4]`.
    pub weights: &'a [f32],
    /// Input and output channels.
    pub channels: (usize, usize),
    /// In what it multiplies.
    pub precision: Precision,
}

/// Output pixels, counted through all rows and samples, and where their taps lie.
#[derive(Clone, Copy)]
struct Gather<'a> {
    map: &'a FeatureMap<'a>,
    /// Height and width of what is computed.
    size: (usize, usize),
    /// Input pixels between the taps of two neighbouring outputs.
    stride: usize,
}

impl Gather<'_> {
    /// Writes what outputs see at an offset: zero beyond the edges.
    fn row(&self, block: usize, (dy, dx): (isize, isize), outputs: Range<usize>, row: &mut [ChannelBlock]) {
        let (height, width) = self.size;
        let mut done = 0;
        let mut at = outputs.start;
        while at < outputs.end {
            let (sample, y, x) = (at / width / height, at / width % height, at % width);
            let count = (width - x).min(outputs.end - at);
            let target = &mut row[done..done + count];
            let source_y = (y * self.stride) as isize + dy;
            let [_, _, source_height, source_width] = self.map.shape();
            if (0..source_height as isize).contains(&source_y) {
                let pixels = self.map.row(sample, block, source_y as usize);
                // The padded row begins with pixel -1; beyond the pixel after the last there is nothing.
                let first = (x * self.stride) as isize + dx + 1;
                for (index, pixel) in target.iter_mut().enumerate() {
                    let x = first + (index * self.stride) as isize;
                    debug_assert!(x >= 0 && x as usize <= source_width + 1);
                    *pixel = pixels[x as usize];
                }
            } else {
                target.fill(ChannelBlock::ZERO);
            }
            done += count;
            at += count;
        }
    }
}

/// One product of gathered rows with weights: which taps of which blocks, for which pixels and output blocks.
struct Task<'a> {
    gather: Gather<'a>,
    offsets: &'a [(isize, isize)],
    weights: &'a [PackedConv],
    outputs: Range<usize>,
    out_blocks: Range<usize>,
}

impl Task<'_> {
    /// The rows of the output blocks, one after the other, each of the task's pixels.
    fn run(&self, isa: Isa) -> Vec<ChannelBlock> {
        let (pixels, blocks) = (self.outputs.len(), self.gather.map.blocks());
        let mut gathered = vec![ChannelBlock::ZERO; ROWS_OF_A_CALL * pixels];
        let mut results = vec![ChannelBlock::ZERO; self.out_blocks.len() * pixels];
        let rows: Vec<(usize, (isize, isize))> =
            self.offsets.iter().flat_map(|offset| (0..blocks).map(move |block| (block, *offset))).collect();
        for (part, (rows, weights)) in rows.chunks(ROWS_OF_A_CALL).zip(self.weights).enumerate() {
            for ((block, offset), row) in rows.iter().zip(gathered.chunks_exact_mut(pixels)) {
                self.gather.row(*block, *offset, self.outputs.clone(), row);
            }
            let inputs: Vec<&[ChannelBlock]> = gathered.chunks_exact(pixels).take(rows.len()).collect();
            for (index, result) in results.chunks_exact_mut(pixels).enumerate() {
                let before = (part > 0).then(|| result.to_vec());
                let before = before.as_deref();
                let residual_rows: Vec<&[ChannelBlock]> = before.into_iter().collect();
                let residual = Residual { scale: 1.0, rows: &residual_rows };
                let residuals = std::slice::from_ref(&residual);
                let residuals = if before.is_some() { residuals } else { &[] };
                let epilogue = Epilogue { slopes: None, residuals };
                let first_out_block = self.out_blocks.start + index;
                multiply_rows(isa, (weights, first_out_block), &inputs, epilogue, result);
            }
        }
        results
    }
}

/// The pixels of an output block: each the product of what the inputs have in its place with the weights.
fn multiply_rows(
    isa: Isa,
    (weights, first_out_block): (&PackedConv, usize),
    inputs: &[&[ChannelBlock]],
    epilogue: Epilogue<'_>,
    output: &mut [ChannelBlock],
) {
    let (pixels, out_stride) = (output.len(), 1);
    let outputs = &mut [output];
    if weights.kind() == PackedKind::Bf16 {
        let paired_outputs = &mut [];
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
        conv_row_bf16(isa, row);
    } else {
        conv_row(isa, ConvRow { weights, first_out_block, inputs, pixels, out_stride, epilogue, outputs });
    }
}

/// Multiplies everything that outputs see; each task's results come with its pixels and output blocks.
fn multiply(
    isa: Isa,
    gather: Gather<'_>,
    offsets: &[(isize, isize)],
    weights: &[PackedConv],
) -> Vec<Product> {
    let out_blocks = weights[0].out_blocks();
    let pixels = gather.map.shape()[0] * gather.size.0 * gather.size.1;
    let chunks = pixels.div_ceil(GATHERED_PIXELS);
    // Small maps have few pixels: then threads share the output blocks. The number of threads must not matter to a bit, and
    // does not: each output is one sum of its own.
    let shares = if chunks < 16 { out_blocks } else { 1 };
    let of_share = out_blocks.div_ceil(shares);
    (0..chunks * shares)
        .into_par_iter()
        .map(|index| {
            let (chunk, share) = (index % chunks, index / chunks);
            let outputs = chunk * GATHERED_PIXELS..pixels.min((chunk + 1) * GATHERED_PIXELS);
            let out_blocks = share * of_share..out_blocks.min((share + 1) * of_share);
            let task =
                Task { gather, offsets, weights, outputs: outputs.clone(), out_blocks: out_blocks.clone() };
            Product { values: task.run(isa), outputs, out_blocks }
        })
        .collect()
}

/// What a task computed.
struct Product {
    values: Vec<ChannelBlock>,
    outputs: Range<usize>,
    out_blocks: Range<usize>,
}

/// Packs `weight(output, tap, input)` for gathered rows, a part for each call of the kernel.
fn pack(
    precision: Precision,
    taps: usize,
    (inputs, outputs): (usize, usize),
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Vec<PackedConv> {
    let most = match precision {
        Precision::F32 => CHANNELS_PER_BLOCK,
        Precision::Bf16 => CHANNELS_PER_PAIRED_BLOCK,
    };
    let blocks = inputs.div_ceil(most);
    // Tap and channels of each gathered row.
    let rows: Vec<(usize, Range<usize>)> = (0..taps * blocks)
        .map(|row| {
            let first = row % blocks * most;
            (row / blocks, first..inputs.min(first + most))
        })
        .collect();
    rows.par_chunks(ROWS_OF_A_CALL)
        .map(|rows| {
            let widths: Vec<usize> = rows.iter().map(|(_, channels)| channels.len()).collect();
            let mut values = Vec::with_capacity(outputs * widths.iter().sum::<usize>());
            for output in 0..outputs {
                for (tap, channels) in rows {
                    values.extend(channels.clone().map(|input| weight(output, *tap, input)));
                }
            }
            let packed = match precision {
                Precision::F32 => PackedConv::new(Kernel::POINTWISE, &widths, outputs, &values, None),
                Precision::Bf16 => PackedConv::new_bf16(Kernel::POINTWISE, &widths, outputs, &values, None),
            };
            packed.expect("as many values as the channels ask for")
        })
        .collect()
}

fn offset(tap: usize) -> (isize, isize) {
    ((tap / SIDE) as isize - 1, (tap % SIDE) as isize - 1)
}

impl Conv4x4<'_> {
    fn weight(&self, output: usize, tap: usize, input: usize) -> f32 {
        self.weights[(output * self.channels.0 + input) * TAPS + tap]
    }

    /// `[input channel][tap][output channel]`.
    fn exchanged(&self) -> Vec<f32> {
        let (inputs, outputs) = self.channels;
        let mut exchanged = vec![0.0; self.weights.len()];
        exchanged.par_chunks_mut(TAPS * outputs).enumerate().for_each(|(input, of_input)| {
            for output in 0..outputs {
                let taps = &self.weights[(output * inputs + input) * TAPS..][..TAPS];
                taps.iter().enumerate().for_each(|(tap, weight)| of_input[tap * outputs + output] = *weight);
            }
        });
        exchanged
    }

    /// A map as bf16 kernels read it, where that is what multiplies.
    fn paired(&self, isa: Isa, map: &FeatureMap<'_>) -> Option<PairedMap> {
        (self.precision == Precision::Bf16).then(|| PairedMap::of(isa, map))
    }

    /// The output.
    ///
    /// # Panics
    /// Where the weights or the input do not have the channels' shape, and where a side of the input is odd.
    pub fn forward(&self, isa: Isa, input: &FeatureMap<'_>) -> FeatureMap<'static> {
        let [samples, channels, height, width] = input.shape();
        assert_eq!(channels, self.channels.0, "channels of the input");
        assert_eq!(self.weights.len(), channels * self.channels.1 * TAPS, "weights of the channels");
        assert!(
            height.is_multiple_of(STRIDE) && width.is_multiple_of(STRIDE),
            "even sides, not {width}x{height}"
        );
        let size = (height / STRIDE, width / STRIDE);
        let weights = pack(self.precision, TAPS, self.channels, |o, tap, i| self.weight(o, tap, i));
        let offsets: Vec<_> = (0..TAPS).map(offset).collect();
        let paired = self.paired(isa, input);
        let map = paired.as_ref().map_or(input, PairedMap::rows);
        let products = multiply(isa, Gather { map, size, stride: STRIDE }, &offsets, &weights);
        let mut output = FeatureMap::to_overwrite(samples, self.channels.1, size.0, size.1);
        scatter(&products, &mut output, (0, 0), 1);
        output
    }

    /// The gradient of the input. Each quarter of its pixels, by even and odd rows and columns, sees four of the taps.
    ///
    /// # Panics
    /// As [`Conv4x4::forward`].
    pub fn input_gradient(&self, isa: Isa, gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
        let [samples, channels, height, width] = gradient.shape();
        assert_eq!(channels, self.channels.1, "channels of the gradient");
        let mut input = FeatureMap::to_overwrite(samples, self.channels.0, height * STRIDE, width * STRIDE);
        let paired = self.paired(isa, gradient);
        let map = paired.as_ref().map_or(gradient, PairedMap::rows);
        let exchanged = self.exchanged();
        for phase in 0..STRIDE * STRIDE {
            let phase = (phase / STRIDE, phase % STRIDE);
            // Input row 2y + phase is tap t of output row (2y + phase + 1 - t) / 2, for taps of the right parity.
            let along = |phase: usize| {
                [1 - phase, 3 - phase].map(|tap| (tap, (phase as isize + 1 - tap as isize) / 2))
            };
            let pairs = along(phase.0).into_iter().flat_map(|row| along(phase.1).map(|column| (row, column)));
            let taps: Vec<(usize, (isize, isize))> =
                pairs.map(|((ty, dy), (tx, dx))| (ty * SIDE + tx, (dy, dx))).collect();
            let offsets: Vec<(isize, isize)> = taps.iter().map(|(_, offset)| *offset).collect();
            let weight = |o, tap: usize, i| exchanged[(o * TAPS + taps[tap].0) * channels + i];
            let weights = pack(self.precision, taps.len(), (channels, self.channels.0), weight);
            let gather = Gather { map, size: (height, width), stride: 1 };
            scatter(&multiply(isa, gather, &offsets, &weights), &mut input, phase, STRIDE);
        }
        input
    }

    /// The gradient of the weights, in their layout.
    ///
    /// # Panics
    /// Where the maps do not fit each other.
    pub fn weight_gradient(&self, isa: Isa, input: &FeatureMap<'_>, gradient: &FeatureMap<'_>) -> Vec<f32> {
        let [samples, channels, height, width] = gradient.shape();
        assert_eq!(
            input.shape(),
            [samples, self.channels.0, height * STRIDE, width * STRIDE],
            "the input's shape"
        );
        assert_eq!(channels, self.channels.1, "channels of the gradient");
        let gather = Gather { map: input, size: (height, width), stride: STRIDE };
        let blocks = input.blocks();
        let pairs = (self.precision == Precision::Bf16).then(|| bf16::GradientPairs::of(isa, gradient));
        let sums: Vec<Vec<[ChannelBlock; CHANNELS_PER_BLOCK]>> = (0..TAPS * blocks)
            .into_par_iter()
            .map(|index| {
                let place = (index / blocks, index % blocks);
                match &pairs {
                    None => tap_products(isa, gather, gradient, place),
                    Some(pairs) => bf16::tap_products(isa, gather, pairs, place),
                }
            })
            .collect();
        let mut weights = vec![0.0; self.weights.len()];
        weights.par_chunks_mut(self.channels.0 * TAPS).enumerate().for_each(|(output, filters)| {
            let (out_block, lane) = (output / CHANNELS_PER_BLOCK, output % CHANNELS_PER_BLOCK);
            for (index, value) in filters.iter_mut().enumerate() {
                let (input, tap) = (index / TAPS, index % TAPS);
                let (block, row) = (input / CHANNELS_PER_BLOCK, input % CHANNELS_PER_BLOCK);
                *value = sums[tap * blocks + block][out_block][row].0[lane];
            }
        });
        weights
    }
}

/// Sums of products of one tap and input block with all blocks of the gradient.
fn tap_products(
    isa: Isa,
    gather: Gather<'_>,
    gradient: &FeatureMap<'_>,
    (tap, block): (usize, usize),
) -> Vec<[ChannelBlock; CHANNELS_PER_BLOCK]> {
    let [samples, _, height, width] = gradient.shape();
    let rows_of_a_part = (PIXELS_OF_A_PART / width).max(1);
    let mut sums = vec![[ChannelBlock::ZERO; CHANNELS_PER_BLOCK]; gradient.blocks()];
    let mut seen = vec![ChannelBlock::ZERO; rows_of_a_part * width];
    for first in (0..samples * height).step_by(rows_of_a_part) {
        let rows = first..(samples * height).min(first + rows_of_a_part);
        gather.row(block, offset(tap), rows.start * width..rows.end * width, &mut seen);
        let left: Vec<&[ChannelBlock]> = seen.chunks_exact(width).take(rows.len()).collect();
        let of_block = |block: usize| -> Vec<&[ChannelBlock]> {
            rows.clone().map(|row| gradient.pixels(row / height, block, row % height)).collect()
        };
        let rights: Vec<_> = (0..gradient.blocks()).map(of_block).collect();
        let rights: Vec<_> = rights.iter().map(Vec::as_slice).collect();
        add_products(isa, OuterProducts { left: &left, rights: &rights, sums: &mut sums });
    }
    sums
}

/// Puts products where they belong: pixel `x` of a row at `x * stride + phase`.
fn scatter(products: &[Product], map: &mut FeatureMap<'_>, phase: (usize, usize), stride: usize) {
    let [_, _, map_height, map_width] = map.shape();
    let (height, width) = (map_height / stride, map_width / stride);
    let blocks = map.blocks();
    let mut rows: Vec<&mut [ChannelBlock]> = map.rows_mut().collect();
    for product in products {
        let pixels = product.outputs.len().max(1);
        for (block, values) in product.out_blocks.clone().zip(product.values.chunks_exact(pixels)) {
            for (at, value) in product.outputs.clone().zip(values) {
                let (sample, y, x) = (at / width / height, at / width % height, at % width);
                let row = (sample * blocks + block) * map_height + y * stride + phase.0;
                rows[row][x * stride + phase.1] = *value;
            }
        }
    }
}
