//! Maps in Winograd's domain, their products with filters, and the products of two of them.

use std::ops::Range;

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, COMPONENTS, ChannelBlock, ConvSegment, Epilogue, Isa, OuterProducts, PackedConv,
    Residual, SEGMENT_TILES, TILE_REACH, TILE_SIDE, TransformGradient, TransformSegment, add_products,
    component_stride, conv_segment, filter_gradients, segment_length, segments, transform_gradient,
    transform_segment, transformed_length,
};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::map::FeatureMap;
use crate::method::places;

/// Rows of tiles of a batch of maps, each tile of 4x4 pixels transformed to 36 components.
///
/// A *unit* is a row of tiles of one sample; those of all samples are counted through.
///
/// # Layout
/// `[unit][channel block][segment][component][tile]`
pub(crate) struct Transformed {
    isa: Isa,
    units: Range<usize>,
    blocks: usize,
    height: usize,
    width: usize,
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
        let (place, length) = (transformed.place(), transformed.length);
        transformed.values.par_chunks_mut(length).enumerate().for_each(|(index, values)| {
            place.transform_inputs(isa, (map, factor), index, values);
        });
        transformed
    }

    /// As [`Transformed::of_inputs`], on the calling thread alone.
    fn of_inputs_here(isa: Isa, map: &FeatureMap<'_>, units: Range<usize>, factor: usize) -> Self {
        let mut transformed = Self::to_overwrite(isa, map, units, factor);
        let (place, length) = (transformed.place(), transformed.length);
        transformed.values.chunks_mut(length).enumerate().for_each(|(index, values)| {
            place.transform_inputs(isa, (map, factor), index, values);
        });
        transformed
    }

    /// The gradient of a convolution's output.
    pub(crate) fn of_gradient(isa: Isa, gradient: &FeatureMap<'_>, units: Range<usize>) -> Self {
        let mut transformed = Self::to_overwrite(isa, gradient, units, 1);
        let (place, length) = (transformed.place(), transformed.length);
        transformed.values.par_chunks_mut(length).enumerate().for_each(|(index, values)| {
            place.transform_gradient(isa, gradient, index, values);
        });
        transformed
    }

    fn to_overwrite(isa: Isa, map: &FeatureMap<'_>, units: Range<usize>, factor: usize) -> Self {
        let [_, _, height, width] = map.shape();
        let (height, width) = (height * factor, width * factor);
        let (blocks, length) = (map.blocks(), transformed_length(width));
        let values = Buffer::to_overwrite(units.len() * blocks * length);
        Self { isa, units, blocks, height, width, length, values }
    }

    fn place(&self) -> Place {
        let Self { blocks, height, width, .. } = *self;
        Place { first_unit: self.units.start, blocks, height, width }
    }

    fn tile_rows(&self) -> usize {
        self.height.div_ceil(TILE_SIDE)
    }

    /// A row of tiles of a block, all its segments.
    fn unit(&self, unit: usize, block: usize) -> &[ChannelBlock] {
        &self.values[((unit - self.units.start) * self.blocks + block) * self.length..][..self.length]
    }

    /// Rows of tiles that one call of the kernel takes.
    fn groups(&self) -> Vec<Range<usize>> {
        groups(self.units.clone(), self.height, self.width)
    }
}

/// Segments of a row of tiles: pixels, and where their components lie.
fn segment_places(width: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let mut end = 0;
    segments(width)
        .map(|pixels| {
            let start = end;
            end += segment_length(pixels.len());
            (pixels, start..end)
        })
        .collect()
}

/// Units that one call of the kernel takes together: as many as have no more tiles than a segment may have.
fn groups(units: Range<usize>, height: usize, width: usize) -> Vec<Range<usize>> {
    let tiles = segments(width).next().map_or(1, |pixels| pixels.len().div_ceil(TILE_SIDE));
    let (most, tile_rows) = ((SEGMENT_TILES / tiles).max(1), height.div_ceil(TILE_SIDE));
    let is_full = |unit: usize| unit % tile_rows * TILE_SIDE + TILE_SIDE <= height;
    let mut groups: Vec<Range<usize>> = Vec::new();
    for unit in units {
        match groups.last_mut() {
            // Only the last row of tiles of a call may have fewer rows of pixels.
            Some(group) if group.len() < most && is_full(unit - 1) => group.end = unit + 1,
            _ => groups.push(unit..unit + 1),
        }
    }
    groups
}

/// Where transformed rows of tiles lie in their maps.
#[derive(Clone, Copy)]
struct Place {
    first_unit: usize,
    blocks: usize,
    height: usize,
    width: usize,
}

impl Place {
    /// Sample, row of tiles and block of a row of transformed tiles.
    fn of(&self, index: usize) -> (usize, usize, usize) {
        let (unit, tile_rows) = (self.first_unit + index / self.blocks, self.height.div_ceil(TILE_SIDE));
        (unit / tile_rows, unit % tile_rows, index % self.blocks)
    }

    fn transform_inputs(
        &self,
        isa: Isa,
        (map, factor): (&FeatureMap<'_>, usize),
        index: usize,
        values: &mut [ChannelBlock],
    ) {
        let (sample, tile_row, block) = self.of(index);
        let first = (tile_row * TILE_SIDE) as isize - 1;
        let rows: [Option<&[ChannelBlock]>; TILE_REACH] = std::array::from_fn(|tap| {
            let y = first + tap as isize;
            (0..self.height as isize).contains(&y).then(|| map.row(sample, block, y as usize / factor))
        });
        for (pixels, components) in segment_places(self.width) {
            let output = &mut values[components];
            transform_segment(isa, TransformSegment { rows, factor, pixels, output });
        }
    }

    fn transform_gradient(
        &self,
        isa: Isa,
        gradient: &FeatureMap<'_>,
        index: usize,
        values: &mut [ChannelBlock],
    ) {
        let (sample, tile_row, block) = self.of(index);
        let first = tile_row * TILE_SIDE;
        for (pixels, components) in segment_places(self.width) {
            let rows: Vec<&[ChannelBlock]> = (first..self.height.min(first + TILE_SIDE))
                .map(|y| &gradient.pixels(sample, block, y)[pixels.clone()])
                .collect();
            let output = &mut values[components];
            transform_gradient(isa, TransformGradient { rows: &rows, pixels: pixels.len(), output });
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

/// Convolves a whole batch: the inputs' channels follow each other, each input in blocks of its own.
pub(crate) fn convolve(
    inputs: &[&Transformed],
    weights: &PackedConv,
    after: After<'_>,
    output: &mut FeatureMap<'_>,
) {
    let slopes = after.slope.map(|slope| vec![ChannelBlock::splat(slope); weights.out_blocks()]);
    let groups = inputs[0].groups();
    let tasks = tasks(&groups, output, MEMBERS);
    tasks.into_par_iter().for_each(|rows| {
        convolve_group(inputs, weights, (slopes.as_deref(), after.residual), rows);
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
    let groups = groups(units.clone(), height, width);
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
            convolve_group(&[&input], weights, (slopes.as_deref(), after.residual), rows);
            rows = rest;
        }
    });
}

/// The rows of `members` blocks of each group of rows of tiles, in the order of blocks, units and rows. Tasks of the same blocks
/// follow each other: they read the same weights.
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

type Finish<'a> = (Option<&'a [ChannelBlock]>, Option<(f32, &'a FeatureMap<'a>)>);

/// The rows of one or two blocks of some rows of tiles.
fn convolve_group(
    inputs: &[&Transformed],
    weights: &PackedConv,
    (slopes, residual): Finish<'_>,
    mut rows: Vec<OutputRow<'_>>,
) {
    let first = inputs[0];
    let (first_out_block, last) = (rows[0].block, rows[rows.len() - 1].block);
    let count = rows.len() / (last - first_out_block + 1);
    let units = rows[0].unit..=rows[count - 1].unit;
    let at = |row: &OutputRow<'_>| {
        let (sample, tile_row) = (row.unit / first.tile_rows(), row.unit % first.tile_rows());
        (sample, row.block, tile_row * TILE_SIDE + row.row)
    };
    let places: Vec<_> = rows.iter().map(at).collect();
    for (pixels, components) in segment_places(first.width) {
        let segments: Vec<&[ChannelBlock]> = units
            .clone()
            .flat_map(|unit| {
                inputs
                    .iter()
                    .flat_map(move |input| (0..input.blocks).map(move |block| input.unit(unit, block)))
            })
            .map(|unit| &unit[components.clone()])
            .collect();
        let residual_rows: Option<Vec<&[ChannelBlock]>> = residual.map(|(_, map)| {
            places.iter().map(|&(sample, block, y)| &map.pixels(sample, block, y)[pixels.clone()]).collect()
        });
        let residuals: Vec<Residual<'_>> = residual
            .zip(residual_rows.as_deref())
            .map(|((scale, _), rows)| Residual { scale, rows })
            .into_iter()
            .collect();
        let mut outputs: Vec<&mut [ChannelBlock]> =
            rows.iter_mut().map(|row| &mut row.pixels[pixels.clone()]).collect();
        let epilogue = Epilogue { slopes, residuals: &residuals };
        conv_segment(
            first.isa,
            ConvSegment {
                weights,
                first_out_block,
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
/// `[input block][component][gradient block][input channel]`
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
        let places = segment_places(gradient.width);
        let runs = |map: &Transformed, block: usize, component: usize| -> Vec<std::ops::Range<usize>> {
            let units = 0..map.units.len();
            let starts = units.flat_map(|unit| {
                places.iter().map(move |(pixels, components)| {
                    (unit, pixels.len().div_ceil(TILE_SIDE), components.start)
                })
            });
            starts
                .map(|(unit, tiles, start)| {
                    let first = (unit * map.blocks + block) * map.length
                        + start
                        + component * component_stride(tiles);
                    first..first + tiles
                })
                .collect()
        };
        self.sums.par_chunks_mut(gradient.blocks).enumerate().for_each(|(index, sums)| {
            let ((input, block), component) = (blocks[index / COMPONENTS], index % COMPONENTS);
            let left: Vec<&[ChannelBlock]> =
                runs(input, block, component).into_iter().map(|run| &input.values[run]).collect();
            for (block, sums) in sums.iter_mut().enumerate() {
                let right: Vec<&[ChannelBlock]> =
                    runs(gradient, block, component).into_iter().map(|run| &gradient.values[run]).collect();
                add_products(input.isa, OuterProducts { left: &left, right: &right, sums });
            }
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
                        let index = (block * COMPONENTS + component) * self.gradient_blocks + gradient_block;
                        self.sums[index][lane]
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
