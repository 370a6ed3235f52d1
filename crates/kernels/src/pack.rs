//! Convolution weights in the order in which the kernels read them.

use std::fmt;

use crate::arena::{Arena, Blocks};
use crate::bf16::CHANNELS_PER_PAIRED_BLOCK;
use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock, blocks_for};
use crate::dispatch::transform_filters;
use crate::isa::Isa;
use crate::transform::COMPONENTS;

mod bf16;
#[cfg(test)]
mod tests;

/// A kernel's window: its size, and where it lies relative to the output pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Rows of the window.
    pub rows: usize,
    /// Columns of the window.
    pub columns: usize,
    /// The window's first row, relative to the output's row: -1 for a centred 3x3.
    pub first_row: isize,
    /// The window's first column, relative to the output's column: -1 for a centred 3x3.
    pub first_column: isize,
}

impl Kernel {
    /// The centred 3x3 window.
    pub const CENTRED_3X3: Self = Self { rows: 3, columns: 3, first_row: -1, first_column: -1 };
    /// One pixel.
    pub const POINTWISE: Self = Self { rows: 1, columns: 1, first_row: 0, first_column: 0 };

    /// What is left of a centred 3x3 window in one phase, row and column, of an enlargement `factor` times by repetition.
    pub fn of_phase(factor: usize, phase: (usize, usize)) -> Self {
        let (first_row, rows) = window(factor, phase.0);
        let (first_column, columns) = window(factor, phase.1);
        Self { rows, columns, first_row, first_column }
    }
}

/// Weights or biases that do not have the shape they were declared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackShapeError {
    /// `weights` or `biases`.
    pub item: &'static str,
    /// Values that the shape asks for.
    pub expected: usize,
    /// Values that were given.
    pub found: usize,
}

impl fmt::Display for PackShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} were expected, found {}", self.expected, self.item, self.found)
    }
}

impl std::error::Error for PackShapeError {}

/// What the rows are that a packed convolution reads, and in what its products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackedKind {
    /// Rows of pixels, `f32`.
    Direct,
    /// Transformed rows, `f32`.
    OverTransformed,
    /// Paired rows of pixels, bf16 with sums in `f32`.
    Bf16,
}

/// A convolution's weights and biases, packed for the kernels.
///
/// # Layout
/// `[output block][component][input block][kernel row][kernel column][input channel][16 output channels]`. Input blocks of several
/// concatenated inputs follow each other, each input starting a new block; the last block of an input holds only the
/// channels that exist. Lanes beyond the last output channel hold zero. A direct convolution has one component, one over
/// transformed tiles has 36, whose kernels are one pixel. Of a bf16 convolution: see [`PackedConv::new_bf16`].
#[derive(Clone, Debug)]
pub struct PackedConv {
    kind: PackedKind,
    kernel: Kernel,
    out_channels: usize,
    input_block_channels: Vec<usize>,
    /// Of each output block.
    weights: Vec<Blocks>,
    biases: Vec<ChannelBlock>,
}

impl PackedConv {
    /// Packs a convolution.
    ///
    /// # Shapes
    /// - `inputs`: channels of each input; their concatenation is what the weights see
    /// - `weights`: `[out_channels, sum(inputs), kernel.rows, kernel.columns]`
    /// - `biases`: `[out_channels]`, or none for zeros
    ///
    /// # Errors
    /// [`PackShapeError`] where the number of values is another.
    pub fn new(
        kernel: Kernel,
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        Self::pack(kernel, inputs, out_channels, weights, biases)
    }

    /// Channel blocks that packed weights take, over transformed tiles of their arena: see [`PackedConv::new`] for the shapes.
    pub fn weight_blocks(kind: PackedKind, kernel: Kernel, inputs: &[usize], out_channels: usize) -> usize {
        let (entries, taps) = match kind {
            PackedKind::Direct => (inputs.iter().sum::<usize>(), kernel.rows * kernel.columns),
            PackedKind::OverTransformed => (inputs.iter().sum(), COMPONENTS),
            PackedKind::Bf16 => {
                let pairs = inputs.iter().map(|channels| channels.div_ceil(2)).sum();
                (pairs, kernel.rows * kernel.columns)
            }
        };
        blocks_for(out_channels) * entries * taps
    }

    /// Packs a centred 3x3 convolution over what [`transform_segment`](crate::transform_segment) has made, into an arena.
    ///
    /// # Shapes
    /// As for [`PackedConv::new`] with a 3x3 kernel.
    ///
    /// # Numerics
    /// A quarter of the multiplications of the direct convolution. Filters are transformed in f64 and rounded once.
    ///
    /// # Errors
    /// [`PackShapeError`] where the number of values is another.
    ///
    /// # Panics
    /// Where the arena has less left than [`PackedConv::weight_blocks`].
    pub fn new_over_transformed(
        arena: &Arena,
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        let in_channels: usize = inputs.iter().sum();
        check("weights", out_channels * in_channels * 9, weights.len())?;
        let isa = Isa::detect();
        let filters = weights.as_chunks::<9>().0;
        let mut panels = Vec::with_capacity(blocks_for(out_channels));
        for first in (0..out_channels).step_by(CHANNELS_PER_BLOCK) {
            let outputs = first..out_channels.min(first + CHANNELS_PER_BLOCK);
            let mut taps = [[0.0; CHANNELS_PER_BLOCK]; 9];
            let mut packed = arena.take(COMPONENTS * in_channels);
            packed.extend_columns(in_channels, |input, components| {
                for (lane, out) in outputs.clone().enumerate() {
                    let filter = &filters[out * in_channels + input];
                    taps.iter_mut().zip(filter).for_each(|(tap, value)| tap[lane] = f64::from(*value));
                }
                transform_filters(isa, &taps, components);
            });
            panels.push(packed.finish());
        }
        Self::with_weights(
            (PackedKind::OverTransformed, Kernel::POINTWISE),
            inputs,
            out_channels,
            (panels, biases),
        )
    }

    /// Adds a convolution of the same inputs, whose output channels follow: so the parts of a layer may be packed at the same
    /// time.
    ///
    /// # Panics
    /// Where the output channels so far do not fill their blocks, and where the two do not read the same.
    pub fn join(&mut self, next: Self) {
        assert!(
            self.out_channels.is_multiple_of(CHANNELS_PER_BLOCK),
            "{} output channels, and more behind them",
            self.out_channels
        );
        assert_eq!(
            (self.kind, self.kernel, &self.input_block_channels),
            (next.kind, next.kernel, &next.input_block_channels),
            "parts of one convolution"
        );
        self.out_channels += next.out_channels;
        self.weights.extend(next.weights);
        self.biases.extend(next.biases);
    }

    /// Packs one kernel, `[out][in][row][column]`.
    fn pack(
        kernel: Kernel,
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        let in_channels: usize = inputs.iter().sum();
        let taps = kernel.rows * kernel.columns;
        check("weights", out_channels * in_channels * taps, weights.len())?;
        let weight = |out: usize, input: usize, tap: usize| {
            if out < out_channels { weights[(out * in_channels + input) * taps + tap] } else { 0.0 }
        };
        let arena = Arena::new(Self::weight_blocks(PackedKind::Direct, kernel, inputs, out_channels));
        let mut panels = Vec::with_capacity(blocks_for(out_channels));
        for first in (0..out_channels).step_by(CHANNELS_PER_BLOCK) {
            let mut packed = arena.take(in_channels * taps);
            for block in input_blocks(inputs, CHANNELS_PER_BLOCK) {
                for tap in 0..taps {
                    packed.extend(block.clone().map(|input| lanes(|lane| weight(first + lane, input, tap))));
                }
            }
            panels.push(packed.finish());
        }
        Self::with_weights((PackedKind::Direct, kernel), inputs, out_channels, (panels, biases))
    }

    /// Puts packed weights and biases together.
    fn with_weights(
        (kind, kernel): (PackedKind, Kernel),
        inputs: &[usize],
        out_channels: usize,
        (weights, biases): (Vec<Blocks>, Option<&[f32]>),
    ) -> Result<Self, PackShapeError> {
        let most = if kind == PackedKind::Bf16 { CHANNELS_PER_PAIRED_BLOCK } else { CHANNELS_PER_BLOCK };
        Ok(Self {
            kind,
            kernel,
            out_channels,
            input_block_channels: input_blocks(inputs, most).iter().map(std::ops::Range::len).collect(),
            weights,
            biases: bias_blocks(out_channels, biases)?,
        })
    }

    /// What [`PackedConv::new_upsampled_bf16`] is in bf16, for tests: the folding itself without its rounding.
    #[cfg(test)]
    pub(crate) fn new_upsampled(
        factor: usize,
        phase: (usize, usize),
        inputs: &[usize],
        out_channels: usize,
        weights: &[f32],
        biases: Option<&[f32]>,
    ) -> Result<Self, PackShapeError> {
        let (kernel, folded) = fold_phase(factor, phase, (inputs, out_channels), weights)?;
        let folded: Vec<f32> = folded.into_iter().map(|sum| sum as f32).collect();
        Self::new(kernel, inputs, out_channels, &folded, biases)
    }

    /// What it reads, and in what it computes.
    pub fn kind(&self) -> PackedKind {
        self.kind
    }

    /// Its window.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Output channels, without padding lanes.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Blocks that an output pixel has.
    pub fn out_blocks(&self) -> usize {
        self.biases.len()
    }

    /// Channels in each input block, at most sixteen, or 32 where they are bf16.
    pub fn input_block_channels(&self) -> &[usize] {
        &self.input_block_channels
    }

    /// Memory that the packed values take.
    pub fn size_bytes(&self) -> usize {
        let weights: usize = self.weights.iter().map(|panel| panel.len()).sum();
        (weights + self.biases.len()) * size_of::<ChannelBlock>()
    }

    /// Whether it reads transformed tiles.
    pub fn is_over_transformed(&self) -> bool {
        self.kind == PackedKind::OverTransformed
    }

    /// The weights of one component of one output block.
    pub(crate) fn panel(&self, out_block: usize, component: usize) -> &[ChannelBlock] {
        let components = if self.is_over_transformed() { COMPONENTS } else { 1 };
        let panel = &self.weights[out_block];
        let length = panel.len() / components;
        &panel[component * length..][..length]
    }

    /// The biases of one output block.
    pub(crate) fn bias(&self, out_block: usize) -> ChannelBlock {
        self.biases[out_block]
    }
}

fn check(item: &'static str, expected: usize, found: usize) -> Result<(), PackShapeError> {
    if expected == found { Ok(()) } else { Err(PackShapeError { item, expected, found }) }
}

fn lanes(value: impl Fn(usize) -> f32) -> ChannelBlock {
    ChannelBlock(std::array::from_fn(value))
}

/// A layer's biases, zeros where it has none.
fn bias_blocks(out_channels: usize, biases: Option<&[f32]>) -> Result<Vec<ChannelBlock>, PackShapeError> {
    if let Some(biases) = biases {
        check("biases", out_channels, biases.len())?;
    }
    let bias = |out: usize| biases.and_then(|biases| biases.get(out)).copied().unwrap_or(0.0);
    let blocks = 0..blocks_for(out_channels);
    Ok(blocks.map(|block| lanes(|lane| bias(block * CHANNELS_PER_BLOCK + lane))).collect())
}

/// One phase of "enlarge, then convolve 3x3" as one smaller kernel: its window, and its weights in f64.
fn fold_phase(
    factor: usize,
    phase: (usize, usize),
    (inputs, out_channels): (&[usize], usize),
    weights: &[f32],
) -> Result<(Kernel, Vec<f64>), PackShapeError> {
    let in_channels: usize = inputs.iter().sum();
    check("weights", out_channels * in_channels * 9, weights.len())?;
    let kernel @ Kernel { rows, columns, first_row, first_column } = Kernel::of_phase(factor, phase);
    let mut folded = Vec::with_capacity(out_channels * in_channels * rows * columns);
    for taps in weights.as_chunks::<9>().0 {
        let mut sums = [0.0f64; 9];
        for (tap, &value) in taps.iter().enumerate() {
            let row = tap_offset(factor, phase.0, tap / 3) - first_row;
            let column = tap_offset(factor, phase.1, tap % 3) - first_column;
            sums[row as usize * columns + column as usize] += f64::from(value);
        }
        folded.extend_from_slice(&sums[..rows * columns]);
    }
    Ok((kernel, folded))
}

/// The channel range of each block of at most `most` channels, where each input starts a new block.
fn input_blocks(inputs: &[usize], most: usize) -> Vec<std::ops::Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for &channels in inputs {
        let end = start + channels;
        while start < end {
            let block_end = end.min(start + most);
            blocks.push(start..block_end);
            start = block_end;
        }
    }
    blocks
}

/// Where tap `tap` of a centred 3-wide kernel falls among the small pixels, relative to the output's own.
fn tap_offset(factor: usize, phase: usize, tap: usize) -> isize {
    (phase as isize + tap as isize - 1).div_euclid(factor as isize)
}

/// First offset and length of the window that the three taps of a phase fold into.
fn window(factor: usize, phase: usize) -> (isize, usize) {
    let first = tap_offset(factor, phase, 0);
    (first, (tap_offset(factor, phase, 2) - first + 1) as usize)
}
