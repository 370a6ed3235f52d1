//! Maps in Winograd's domain, their products with filters, and the products of two of them.

use std::ops::Range;

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, COMPONENTS, ChannelBlock, ConvSegment, Epilogue, Isa, OuterProducts, PackedConv,
    Residual, SEGMENT_TILES, TILE_REACH, TILE_SIDE, TransformGradient, TransformSegment, add_products,
    component_stride, conv_segment, filter_gradients, joined_length, segments, transform_gradient,
    transform_segment, transformed_length,
};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::map::FeatureMap;
use crate::method::places;

/// Rows of tiles of a batch of maps, each tile of 4x4 pixels transformed to 36 components.
///
/// A *unit* is a row of tiles of one sample; those of all samples are counted through. A *group* is as many units in a row as one
/// call of the kernel takes, joined: one where a row fills a call.
///
/// # Layout
/// `[group][channel block][segment][component][unit of the group][tile]`
pub(crate) struct Transformed {
    isa: Isa,
    groups: Vec<Range<usize>>,
    blocks: usize,
    height: usize,
    width: usize,
    /// Blocks of values of a full group, for each channel block; only the last group may have fewer.
    length: usize,
    values: Buffer,
}

/// Units of a batch of maps of some height.
pub(crate) fn units_of(samples: usize, height: usize) -> Range<usize> {
    0..samples * height.div_ceil(TILE_SIDE)
}

/// Some units after others, so many that what is transformed stays within a cache that the cores share.
pub(crate) fn chunks(units: Range<usize>, width: usize, blocks: usize) -> impl Iterator<Item = Range<usize>> {
    const CHUNK_BYTES: usize = 8 << 20;
    let unit = transformed_length(width) * blocks * size_of::<ChannelBlock>();
    let most = (CHUNK_BYTES / unit.max(1)).max(1);
    units.clone().step_by(most).map(move |first| first..units.end.min(first + most))
}

impl Transformed {
    /// The inputs of convolutions: each tile with the pixel around it. With `factor` above one, of the map enlarged by
    /// repetition.
    pub(crate) fn of_inputs(isa: Isa, map: &FeatureMap<'_>, units: Range<usize>, factor: usize) -> Self {
        let mut transformed = Self::to_overwrite(isa, map, units, factor);
        let place = transformed.place();
        transformed.parts().into_par_iter().for_each(|part| place.transform_inputs(isa, (map, factor), part));
        transformed
    }

    /// As [`Transformed::of_inputs`], on the calling thread alone.
    fn of_inputs_here(isa: Isa, map: &FeatureMap<'_>, units: Range<usize>, factor: usize) -> Self {
        let mut transformed = Self::to_overwrite(isa, map, units, factor);
        let place = transformed.place();
        transformed.parts().into_iter().for_each(|part| place.transform_inputs(isa, (map, factor), part));
        transformed
    }

    /// The gradient of a convolution's output.
    pub(crate) fn of_gradient(isa: Isa, gradient: &FeatureMap<'_>, units: Range<usize>) -> Self {
        let mut transformed = Self::to_overwrite(isa, gradient, units, 1);
        let place = transformed.place();
        transformed.parts().into_par_iter().for_each(|part| place.transform_gradient(isa, gradient, part));
        transformed
    }

    fn to_overwrite(isa: Isa, map: &FeatureMap<'_>, units: Range<usize>, factor: usize) -> Self {
        let [_, _, height, width] = map.shape();
        let (height, width) = (height * factor, width * factor);
        let (blocks, groups) = (map.blocks(), groups(units, width));
        let length = |group: &Range<usize>| group_length(width, group.len());
        let values = Buffer::to_overwrite(groups.iter().map(length).sum::<usize>() * blocks);
        let length = groups.first().map_or(0, length);
        Self { isa, groups, blocks, height, width, length, values }
    }

    fn place(&self) -> Place {
        Place { height: self.height, width: self.width }
    }

    /// Each block of each group.
    fn parts(&mut self) -> Vec<Part<'_>> {
        let mut rest = &mut self.values[..];
        let mut parts = Vec::with_capacity(self.groups.len() * self.blocks);
        for units in &self.groups {
            for block in 0..self.blocks {
                let (values, behind) = rest.split_at_mut(group_length(self.width, units.len()));
                rest = behind;
                parts.push(Part { units: units.clone(), block, values });
            }
        }
        parts
    }

    /// A block of a group, all its segments.
    fn group(&self, group: usize, block: usize) -> &[ChannelBlock] {
        let length = group_length(self.width, self.groups[group].len());
        &self.values[group * self.blocks * self.length + block * length..][..length]
    }

    /// One component of a block's tiles: a run for each segment of each group.
    fn runs(&self, block: usize, component: usize) -> Vec<&[ChannelBlock]> {
        let of_group = |(group, units): (usize, &Range<usize>)| {
            let (values, units) = (self.group(group, block), units.len());
            segment_places(self.width, units).into_iter().map(move |(pixels, components)| {
                let tiles = pixels.len().div_ceil(TILE_SIDE) * units;
                &values[components.start + component * component_stride(tiles)..][..tiles]
            })
        };
        self.groups.iter().enumerate().flat_map(of_group).collect()
    }
}

/// Units that one call of the kernel takes together: as many as have no more tiles than a segment may have.
fn groups(units: Range<usize>, width: usize) -> Vec<Range<usize>> {
    // Where a row has several segments each has more than half of the most tiles, so that no rows are joined.
    let tiles = segments(width).next().map_or(1, |pixels| pixels.len().div_ceil(TILE_SIDE));
    let most = SEGMENT_TILES / tiles;
    units.clone().step_by(most).map(|first| first..units.end.min(first + most)).collect()
}

/// Channel blocks that a group of units takes, for each block of its channels.
fn group_length(width: usize, units: usize) -> usize {
    if units == 1 { transformed_length(width) } else { joined_length(width, units) }
}

/// Segments of a group: pixels, and where their components lie.
fn segment_places(width: usize, units: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let mut end = 0;
    segments(width)
        .map(|pixels| {
            let start = end;
            end += joined_length(pixels.len(), units);
            (pixels, start..end)
        })
        .collect()
}

/// A block of a group that is to be transformed.
struct Part<'v> {
    units: Range<usize>,
    block: usize,
    values: &'v mut [ChannelBlock],
}

/// The maps that units lie in.
#[derive(Clone, Copy)]
struct Place {
    height: usize,
    width: usize,
}

impl Place {
    /// Sample of a unit, and its first row of pixels there.
    fn of(&self, unit: usize) -> (usize, usize) {
        let tile_rows = self.height.div_ceil(TILE_SIDE);
        (unit / tile_rows, unit % tile_rows * TILE_SIDE)
    }

    /// Rows of pixels of a unit: four, or fewer at the lower edge.
    fn rows(&self, unit: usize) -> usize {
        TILE_SIDE.min(self.height - self.of(unit).1)
    }

    fn transform_inputs(&self, isa: Isa, (map, factor): (&FeatureMap<'_>, usize), part: Part<'_>) {
        let Part { units, block, values } = part;
        for (pixels, components) in segment_places(self.width, units.len()) {
            let tiles = pixels.len().div_ceil(TILE_SIDE);
            for (index, unit) in units.clone().enumerate() {
                let (sample, first) = self.of(unit);
                let rows: [Option<&[ChannelBlock]>; TILE_REACH] = std::array::from_fn(|tap| {
                    let y = (first + tap).checked_sub(1).filter(|y| *y < self.height);
                    y.map(|y| map.row(sample, block, y / factor))
                });
                let (pixels, output) = (pixels.clone(), &mut values[components.clone()]);
                let first_tile = index * tiles;
                transform_segment(isa, TransformSegment { rows, factor, pixels, first_tile, output });
            }
        }
    }

    fn transform_gradient(&self, isa: Isa, gradient: &FeatureMap<'_>, part: Part<'_>) {
        let Part { units, block, values } = part;
        for (pixels, components) in segment_places(self.width, units.len()) {
            let tiles = pixels.len().div_ceil(TILE_SIDE);
            for (index, unit) in units.clone().enumerate() {
                let (sample, first) = self.of(unit);
                let mut rows = [&[][..]; TILE_SIDE];
                let rows = &mut rows[..self.rows(unit)];
                for (y, row) in rows.iter_mut().enumerate() {
                    *row = &gradient.pixels(sample, block, first + y)[pixels.clone()];
                }
                let (first_tile, output) = (index * tiles, &mut values[components.clone()]);
                let pixels = pixels.len();
                transform_gradient(isa, TransformGradient { rows, pixels, first_tile, output });
            }
        }
    }
}

/// What follows a convolution's sums.
#[derive(Clone, Copy, Default)]
pub(crate) struct After<'a> {
    /// The slope of a leaky ReLU for negative values.
    pub(crate) slope: Option<f32>,
    /// `output = output * scale + residual`.
    pub(crate) residual: Option<(f32, &'a FeatureMap<'a>)>,
}

/// Output blocks that a call of the kernel computes.
const MEMBERS: usize = 2;

/// A row of the output: its block, its row of tiles in the batch, its row in that.
struct OutputRow<'o> {
    block: usize,
    unit: usize,
    row: usize,
    pixels: &'o mut [ChannelBlock],
}

/// What follows a convolution's sums, for every block.
type Finish<'a> = (Option<&'a [ChannelBlock]>, Option<(f32, &'a FeatureMap<'a>)>);

/// Convolves a whole batch: the inputs' channels follow each other, each input in blocks of its own.
pub(crate) fn convolve(
    inputs: &[&Transformed],
    weights: &PackedConv,
    after: After<'_>,
    output: &mut FeatureMap<'_>,
) {
    let slopes = after.slope.map(|slope| vec![ChannelBlock::splat(slope); weights.out_blocks()]);
    let groups = &inputs[0].groups;
    let tasks = tasks(groups, output, MEMBERS);
    tasks.into_par_iter().enumerate().for_each(|(index, rows)| {
        let finish = (slopes.as_deref(), after.residual);
        convolve_group((inputs, index % groups.len()), weights, finish, rows);
    });
}

/// Convolves a map, with `factor` above one enlarged by repetition. Where there are many groups of tiles, each is transformed
/// where it is convolved, so that it need not leave the core's cache.
pub(crate) fn convolve_map(
    isa: Isa,
    (map, factor): (&FeatureMap<'_>, usize),
    weights: &PackedConv,
    after: After<'_>,
    output: &mut FeatureMap<'_>,
) {
    const MANY_GROUPS: usize = 16;
    let [samples, _, height, width] = output.shape();
    let units = units_of(samples, height);
    let groups = groups(units.clone(), width);
    if groups.len() < MANY_GROUPS {
        return convolve(&[&Transformed::of_inputs(isa, map, units, factor)], weights, after, output);
    }
    let slopes = after.slope.map(|slope| vec![ChannelBlock::splat(slope); weights.out_blocks()]);
    let blocks = output.blocks();
    let tasks = tasks(&groups, output, blocks);
    tasks.into_par_iter().zip(groups).for_each(|(mut rows, units)| {
        let input = Transformed::of_inputs_here(isa, map, units, factor);
        let of_block = rows.len() / blocks;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(MEMBERS * of_block));
            convolve_group((&[&input], 0), weights, (slopes.as_deref(), after.residual), rows);
            rows = rest;
        }
    });
}

/// The rows of `members` blocks of each group, in the order of blocks, units and rows. Tasks of the same blocks follow each other:
/// they read the same weights.
fn tasks<'o>(
    groups: &[Range<usize>],
    output: &'o mut FeatureMap<'_>,
    members: usize,
) -> Vec<Vec<OutputRow<'o>>> {
    let [_, _, height, _] = output.shape();
    let (blocks, tile_rows) = (output.blocks(), height.div_ceil(TILE_SIDE));
    let mut tasks: Vec<Vec<OutputRow<'_>>> = Vec::new();
    tasks.resize_with(groups.len() * blocks.div_ceil(members), Vec::new);
    let mut group_of = vec![0; groups.last().map_or(0, |group| group.end)];
    groups.iter().enumerate().for_each(|(group, units)| group_of[units.clone()].fill(group));
    for (index, pixels) in output.rows_mut().enumerate() {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        let unit = sample * tile_rows + y / TILE_SIDE;
        let task = block / members * groups.len() + group_of[unit];
        tasks[task].push(OutputRow { block, unit, row: y % TILE_SIDE, pixels });
    }
    tasks.iter_mut().for_each(|rows| rows.sort_by_key(|row| (row.block, row.unit, row.row)));
    tasks
}

/// The rows of one or two blocks of a group.
fn convolve_group(
    (inputs, group): (&[&Transformed], usize),
    weights: &PackedConv,
    (slopes, residual): Finish<'_>,
    mut rows: Vec<OutputRow<'_>>,
) {
    let (isa, width, place) = (inputs[0].isa, inputs[0].width, inputs[0].place());
    let blocks = rows[0].block..rows[rows.len() - 1].block + 1;
    let units = rows[0].unit..rows[rows.len() - 1].unit + 1;
    // The kernel computes four rows of each unit but the last, where the map ends before them too.
    let computed = |unit: usize| if unit + 1 == units.end { place.rows(unit) } else { TILE_SIDE };
    let count: usize = units.clone().map(computed).sum();
    let missing = count * blocks.len() - rows.len();
    for (pixels, components) in segment_places(width, units.len()) {
        let segments: Vec<&[ChannelBlock]> = inputs
            .iter()
            .flat_map(|input| (0..input.blocks).map(move |block| input.group(group, block)))
            .map(|values| &values[components.clone()])
            .collect();
        let mut beyond = vec![ChannelBlock::ZERO; missing * pixels.len()];
        let mut beyond = beyond.chunks_exact_mut(pixels.len());
        let mut existing = rows.iter_mut().map(|row| &mut row.pixels[pixels.clone()]);
        let mut outputs: Vec<&mut [ChannelBlock]> = Vec::with_capacity(count * blocks.len());
        let mut added: Vec<&[ChannelBlock]> = Vec::new();
        for (block, unit) in blocks.clone().flat_map(|block| units.clone().map(move |unit| (block, unit))) {
            let (sample, first) = place.of(unit);
            for row in 0..computed(unit) {
                let is_there = row < place.rows(unit);
                outputs.extend(if is_there { existing.next() } else { beyond.next() });
                let y = first + if is_there { row } else { 0 };
                added.extend(residual.map(|(_, map)| &map.pixels(sample, block, y)[pixels.clone()]));
            }
        }
        let residuals: Vec<Residual<'_>> =
            residual.iter().map(|(scale, _)| Residual { scale: *scale, rows: &added }).collect();
        let epilogue = Epilogue { slopes, residuals: &residuals };
        conv_segment(
            isa,
            ConvSegment {
                weights,
                first_out_block: blocks.start,
                inputs: &segments,
                pixels: pixels.len(),
                rows: count,
                epilogue,
                outputs: &mut outputs,
            },
        );
    }
}

/// Sums of products of inputs and gradients, from which a filter's gradient follows.
///
/// # Layout
/// `[component][input block][gradient block][input channel]`
pub(crate) struct ProductSums {
    input_blocks: usize,
    gradient_blocks: usize,
    sums: Vec<[ChannelBlock; CHANNELS_PER_BLOCK]>,
}

impl ProductSums {
    /// Nothing yet, for inputs and gradients of some blocks.
    pub(crate) fn new(input_blocks: usize, gradient_blocks: usize) -> Self {
        let count = input_blocks * COMPONENTS * gradient_blocks;
        Self { input_blocks, gradient_blocks, sums: vec![[ChannelBlock::ZERO; CHANNELS_PER_BLOCK]; count] }
    }

    /// Adds what a batch contributes.
    pub(crate) fn add(&mut self, inputs: &[&Transformed], gradient: &Transformed) {
        let blocks: Vec<(&Transformed, usize)> =
            inputs.iter().flat_map(|input| (0..input.blocks).map(move |block| (*input, block))).collect();
        assert_eq!(
            (blocks.len(), gradient.blocks),
            (self.input_blocks, self.gradient_blocks),
            "blocks of both sides"
        );
        let isa = gradient.isa;
        let of_component = self.input_blocks * self.gradient_blocks;
        self.sums.par_chunks_mut(of_component).enumerate().for_each(|(component, sums)| {
            let rights: Vec<_> = (0..gradient.blocks).map(|block| gradient.runs(block, component)).collect();
            let rights: Vec<_> = rights.iter().map(Vec::as_slice).collect();
            sums.par_chunks_mut(gradient.blocks).zip(&blocks).for_each(|(sums, (input, block))| {
                let left = input.runs(*block, component);
                add_products(isa, OuterProducts { left: &left, rights: &rights, sums });
            });
        });
    }

    /// The gradient of a filter bank, `[output channel][input channel][3][3]`; `inputs` are the channels of each input, whose
    /// blocks follow each other.
    pub(crate) fn filter_gradient(&self, inputs: &[usize], out_channels: usize) -> Vec<f32> {
        let places = places(inputs);
        let in_channels = places.len();
        let taps: Vec<Vec<[ChannelBlock; 9]>> = places
            .par_iter()
            .map(|&(block, lane)| {
                let of_block = |gradient_block: usize| {
                    filter_gradients(&std::array::from_fn(|component| {
                        let row = component * self.input_blocks + block;
                        self.sums[row * self.gradient_blocks + gradient_block][lane]
                    }))
                };
                (0..self.gradient_blocks).map(of_block).collect()
            })
            .collect();
        let mut gradient = vec![0.0; out_channels * in_channels * 9];
        gradient.par_chunks_mut(in_channels * 9).enumerate().for_each(|(out, filters)| {
            let (block, lane) = (out / CHANNELS_PER_BLOCK, out % CHANNELS_PER_BLOCK);
            for (filter, taps) in filters.chunks_exact_mut(9).zip(&taps) {
                filter.iter_mut().zip(&taps[block]).for_each(|(value, tap)| *value = tap.0[lane]);
            }
        });
        gradient
    }
}
