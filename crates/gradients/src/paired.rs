//! Convolutions in bf16: maps in paired rows, and what is computed of them.

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, ChannelBlock, ConvRowBf16, Epilogue, Isa, Kernel, PackedConv, Residual,
    conv_row_bf16, pair_row, paired_blocks_for,
};
use rayon::prelude::*;

use crate::map::FeatureMap;
use crate::method::{FilterBank, KeptFilters, KeptOf, Method};
use crate::pixel_pairs::{self, SeenPairs};
use crate::transformed::After;

/// Output blocks that a call of the kernel computes: those of a paired row.
const MEMBERS: usize = 2;

/// A batch of maps rounded to bf16: paired rows, whose blocks hold 32 channels of a pixel.
///
/// # Layout
/// That of [`FeatureMap`], with a block for each 32 channels.
pub(crate) struct PairedMap(FeatureMap<'static>);

impl PairedMap {
    /// A map, rounded.
    pub(crate) fn of(isa: Isa, map: &FeatureMap<'_>) -> Self {
        let [_, channels, height, _] = map.shape();
        let mut paired = Self::to_overwrite_like(map, channels);
        let blocks = paired.0.blocks();
        paired.0.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let first = block * MEMBERS;
            let inputs = first..map.blocks().min(first + MEMBERS);
            let inputs: Vec<&[ChannelBlock]> = inputs.map(|block| map.pixels(sample, block, y)).collect();
            pair_row(isa, &inputs, row);
        });
        paired
    }

    /// A map for `channels` channels whose pixels the caller writes before reading any.
    fn to_overwrite_like(map: &FeatureMap<'_>, channels: usize) -> Self {
        Self(FeatureMap::to_overwrite_like(map, paired_blocks_for(channels) * CHANNELS_PER_BLOCK))
    }

    /// The paired rows, as those of a map of sixteen channels for each block.
    pub(crate) fn rows(&self) -> &FeatureMap<'_> {
        &self.0
    }
}

/// In bf16, over paired rows.
pub(crate) enum Bf16 {}

/// Packed filters: a convolution for each phase of an enlargement, row by row.
#[derive(Debug)]
pub(crate) struct Phases {
    factor: usize,
    packed: Vec<PackedConv>,
}

impl Method for Bf16 {
    type Filters = Phases;
    type Input = PairedMap;
    type Seen = SeenPairs;

    fn pack(bank: FilterBank<'_>) -> Phases {
        let factor = bank.factor;
        let packed = bank.pack(|FilterBank { inputs, out_channels, weights, biases, .. }| {
            let phases = (0..factor * factor).map(|phase| (phase / factor, phase % factor));
            let packed = phases.map(|phase| {
                if factor == 1 {
                    PackedConv::new_bf16(Kernel::CENTRED_3X3, inputs, out_channels, weights, biases)
                } else {
                    PackedConv::new_upsampled_bf16(factor, phase, inputs, out_channels, weights, biases)
                }
            });
            packed.map(|packed| packed.expect("as many values as the channels ask for")).collect()
        });
        Phases { factor, packed }
    }

    fn kept(kept: &KeptFilters) -> &KeptOf<Phases> {
        &kept.bf16
    }

    fn read(isa: Isa, map: &FeatureMap<'_>) -> PairedMap {
        PairedMap::of(isa, map)
    }

    fn convolve(
        isa: Isa,
        inputs: &[&PairedMap],
        filters: &Phases,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) {
        let shares = shares(output, None);
        convolve_rows(isa, inputs, filters, after, shares);
    }

    fn convolve_and_read(
        isa: Isa,
        inputs: &[&PairedMap],
        filters: &Phases,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) -> PairedMap {
        let mut paired = PairedMap::to_overwrite_like(output, output.shape()[1]);
        let shares = shares(output, Some(&mut paired));
        convolve_rows(isa, inputs, filters, after, shares);
        paired
    }

    fn convolve_map(
        isa: Isa,
        (map, _): (&FeatureMap<'_>, usize),
        filters: &Phases,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) {
        Self::convolve(isa, &[&PairedMap::of(isa, map)], filters, after, output);
    }

    fn see(isa: Isa, map: &FeatureMap<'_>) -> SeenPairs {
        SeenPairs::of(isa, map, 0..map.shape()[0], 1)
    }

    fn weight_gradient(
        isa: Isa,
        seen: &[&SeenPairs],
        gradient: &FeatureMap<'_>,
        channels: (&[usize], usize),
    ) -> Vec<f32> {
        pixel_pairs::weight_gradient(isa, seen, gradient, channels)
    }

    fn weight_gradient_of_map(
        isa: Isa,
        map: (&FeatureMap<'_>, usize),
        gradient: &FeatureMap<'_>,
        channels: (usize, usize),
    ) -> Vec<f32> {
        pixel_pairs::weight_gradient_of_map(isa, map, gradient, channels)
    }
}

/// One row of one or two output blocks: what a thread computes at a time.
struct Share<'o> {
    sample: usize,
    first_block: usize,
    y: usize,
    pixels: Vec<&'o mut [ChannelBlock]>,
    /// The same in bf16, if it is wanted.
    paired: Vec<&'o mut [ChannelBlock]>,
}

/// The shares of an output. Those of the same blocks follow each other: they read the same weights.
fn shares<'o>(output: &'o mut FeatureMap<'_>, paired: Option<&'o mut PairedMap>) -> Vec<Share<'o>> {
    let [samples, _, height, _] = output.shape();
    let (blocks, groups) = (output.blocks(), output.blocks().div_ceil(MEMBERS));
    let share = |index: usize| Share {
        sample: index / height % samples,
        first_block: index / height / samples * MEMBERS,
        y: index % height,
        pixels: Vec::with_capacity(MEMBERS),
        paired: Vec::new(),
    };
    let mut shares: Vec<Share<'_>> = (0..groups * samples * height).map(share).collect();
    // Where the share of row `index` is, where each sample has so many blocks of which a share takes `members`.
    let place = |index: usize, blocks: usize, members: usize| {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        (block / members * samples + sample) * height + y
    };
    for (index, row) in output.rows_mut().enumerate() {
        shares[place(index, blocks, MEMBERS)].pixels.push(row);
    }
    for (index, row) in paired.into_iter().flat_map(|paired| paired.0.rows_mut()).enumerate() {
        shares[place(index, groups, 1)].paired.push(row);
    }
    shares
}

/// Convolves rows, each by itself.
fn convolve_rows(
    isa: Isa,
    inputs: &[&PairedMap],
    filters: &Phases,
    after: After<'_>,
    shares: Vec<Share<'_>>,
) {
    let slopes = after.slope.map(|slope| vec![ChannelBlock::splat(slope); filters.packed[0].out_blocks()]);
    let zeros = vec![ChannelBlock::ZERO; inputs[0].0.row_length()];
    shares.into_par_iter().for_each(|mut share| {
        for column in 0..filters.factor {
            share.convolve(isa, (inputs, &zeros), (filters, column), (slopes.as_deref(), after.residual));
        }
    });
}

impl Share<'_> {
    /// Computes each `factor`-th pixel, from `column` on.
    fn convolve(
        &mut self,
        isa: Isa,
        (inputs, zeros): (&[&PairedMap], &[ChannelBlock]),
        (filters, column): (&Phases, usize),
        (slopes, residual): (Option<&[ChannelBlock]>, Option<(f32, &FeatureMap<'_>)>),
    ) {
        let factor = filters.factor;
        let weights = &filters.packed[self.y % factor * factor + column];
        let kernel = weights.kernel();
        let first_row = (self.y / factor) as isize + kernel.first_row;
        let first_column = (1 + kernel.first_column) as usize;
        let mut rows = Vec::with_capacity(inputs.len() * kernel.rows);
        for PairedMap(map) in inputs {
            let height = map.shape()[2] as isize;
            for block in 0..map.blocks() {
                rows.extend((first_row..first_row + kernel.rows as isize).map(|y| {
                    let is_inside = (0..height).contains(&y);
                    let row = if is_inside { map.row(self.sample, block, y as usize) } else { zeros };
                    &row[first_column..]
                }));
            }
        }
        let blocks = self.first_block..self.first_block + self.pixels.len();
        let added: Option<Vec<&[ChannelBlock]>> = residual
            .map(|(_, map)| blocks.map(|block| &map.pixels(self.sample, block, self.y)[column..]).collect());
        let residuals: Vec<Residual<'_>> = residual
            .zip(added.as_deref())
            .map(|((scale, _), rows)| Residual { scale, rows })
            .into_iter()
            .collect();
        let call = ConvRowBf16 {
            weights,
            first_out_block: self.first_block,
            inputs: &rows,
            pixels: self.pixels[0].len() / factor,
            out_stride: factor,
            epilogue: Epilogue { slopes, residuals: &residuals },
            outputs: &mut self.pixels.iter_mut().map(|row| &mut row[column..]).collect::<Vec<_>>(),
            paired_outputs: &mut self.paired.iter_mut().map(|row| &mut row[column..]).collect::<Vec<_>>(),
        };
        conv_row_bf16(isa, call);
    }
}
