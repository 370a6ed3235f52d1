//! Maps in Winograd's domain, their products with filters, and the products of two of them.

use std::ops::Range;

use esrgan_kernels::{
    CHANNELS_PER_BLOCK, COMPONENTS, ChannelBlock, ConvSegment, Epilogue, Isa, OuterProducts, PackedConv,
    Residual, SEGMENT_TILES, TILE_REACH, TILE_SIDE, TransformGradient, TransformSegment, add_products,
    component_stride, conv_segment, filter_gradients, segment_length, segments, transform_gradient,
    transform_segment, transformed_length,
};
use rayon::prelude::*;

use crate::map::FeatureMap;

/// A batch of maps, each tile of 4x4 pixels transformed to 36 components.
///
/// # Layout
/// `[sample][row of tiles][channel block][segment][component][tile]`
pub(crate) struct Transformed {
    isa: Isa,
    samples: usize,
    blocks: usize,
    height: usize,
    width: usize,
    length: usize,
    values: Vec<ChannelBlock>,
}

impl Transformed {
    /// The inputs of convolutions: each tile with the pixel around it. With `factor` above one, of the map enlarged by
    /// repetition.
    pub(crate) fn of_inputs(isa: Isa, map: &FeatureMap, factor: usize) -> Self {
        let [samples, _, small_height, small_width] = map.shape();
        let mut transformed = Self::empty(isa, map, (small_height * factor, small_width * factor));
        debug_assert_eq!(samples, transformed.samples);
        let (height, width) = (transformed.height as isize, transformed.width);
        transformed.fill(|sample, tile_row, block, values| {
            let first = (tile_row * TILE_SIDE) as isize - 1;
            let rows: [Option<&[ChannelBlock]>; TILE_REACH] = std::array::from_fn(|tap| {
                let y = first + tap as isize;
                (0..height).contains(&y).then(|| map.row(sample, block, y as usize / factor))
            });
            let mut rest = values;
            for pixels in segments(width) {
                let (output, after) = std::mem::take(&mut rest).split_at_mut(segment_length(pixels.len()));
                transform_segment(isa, TransformSegment { rows, factor, pixels, output });
                rest = after;
            }
        });
        transformed
    }

    /// The gradient of a convolution's output.
    pub(crate) fn of_gradient(isa: Isa, gradient: &FeatureMap) -> Self {
        let [_, _, height, width] = gradient.shape();
        let mut transformed = Self::empty(isa, gradient, (height, width));
        transformed.fill(|sample, tile_row, block, values| {
            let first = tile_row * TILE_SIDE;
            let mut rest = values;
            for pixels in segments(width) {
                let rows: Vec<&[ChannelBlock]> = (first..height.min(first + TILE_SIDE))
                    .map(|y| &gradient.pixels(sample, block, y)[pixels.clone()])
                    .collect();
                let (output, after) = std::mem::take(&mut rest).split_at_mut(segment_length(pixels.len()));
                transform_gradient(isa, TransformGradient { rows: &rows, pixels: pixels.len(), output });
                rest = after;
            }
        });
        transformed
    }

    fn empty(isa: Isa, map: &FeatureMap, (height, width): (usize, usize)) -> Self {
        let samples = map.shape()[0];
        let (blocks, length) = (map.blocks(), transformed_length(width));
        let values = vec![ChannelBlock::ZERO; samples * height.div_ceil(TILE_SIDE) * blocks * length];
        Self { isa, samples, blocks, height, width, length, values }
    }

    /// Fills each row of tiles of each block.
    fn fill(&mut self, write: impl Fn(usize, usize, usize, &mut [ChannelBlock]) + Sync) {
        let (tile_rows, blocks) = (self.tile_rows(), self.blocks);
        self.values.par_chunks_mut(self.length).enumerate().for_each(|(index, values)| {
            write(index / blocks / tile_rows, index / blocks % tile_rows, index % blocks, values);
        });
    }

    fn tile_rows(&self) -> usize {
        self.height.div_ceil(TILE_SIDE)
    }

    /// Rows of tiles of all samples.
    fn units(&self) -> usize {
        self.samples * self.tile_rows()
    }

    /// A row of tiles of a block, all its segments.
    fn unit(&self, unit: usize, block: usize) -> &[ChannelBlock] {
        &self.values[(unit * self.blocks + block) * self.length..][..self.length]
    }

    /// Rows of pixels of a row of tiles.
    fn rows_of(&self, unit: usize) -> usize {
        TILE_SIDE.min(self.height - unit % self.tile_rows() * TILE_SIDE)
    }

    /// Segments of a row of tiles: pixels, and where their components lie.
    fn segments(&self) -> Vec<(Range<usize>, Range<usize>)> {
        let mut end = 0;
        segments(self.width)
            .map(|pixels| {
                let start = end;
                end += segment_length(pixels.len());
                (pixels, start..end)
            })
            .collect()
    }

    /// Rows of tiles that one call of the kernel takes: as many as have no more tiles together than a segment may have.
    fn groups(&self) -> Vec<Range<usize>> {
        let tiles = self.segments().first().map_or(1, |(pixels, _)| pixels.len().div_ceil(TILE_SIDE));
        let most = (SEGMENT_TILES / tiles).max(1);
        let mut groups: Vec<Range<usize>> = Vec::new();
        for unit in 0..self.units() {
            match groups.last_mut() {
                // Only the last row of tiles of a call may have fewer rows of pixels.
                Some(group) if group.len() < most && self.rows_of(unit - 1) == TILE_SIDE => {
                    group.end = unit + 1
                }
                _ => groups.push(unit..unit + 1),
            }
        }
        groups
    }
}

/// What follows a convolution's sums.
#[derive(Clone, Copy, Default)]
pub(crate) struct After<'a> {
    /// The slope of a leaky ReLU for negative values.
    pub(crate) slope: Option<f32>,
    /// `output = output * scale + residual`.
    pub(crate) residual: Option<(f32, &'a FeatureMap)>,
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

/// Convolves: the inputs' channels follow each other, each input in blocks of its own.
pub(crate) fn convolve(
    inputs: &[&Transformed],
    weights: &PackedConv,
    after: After<'_>,
    output: &mut FeatureMap,
) {
    let first = inputs[0];
    let groups = first.groups();
    let slopes = after.slope.map(|slope| vec![ChannelBlock::splat(slope); weights.out_blocks()]);
    let mut tasks: Vec<Vec<OutputRow<'_>>> = Vec::new();
    let members = output.blocks().div_ceil(MEMBERS);
    tasks.resize_with(groups.len() * members, Vec::new);
    let mut group_of = vec![0; first.units()];
    groups.iter().enumerate().for_each(|(group, units)| group_of[units.clone()].fill(group));
    let (blocks, height, tile_rows) = (output.blocks(), first.height, first.tile_rows());
    for (index, pixels) in output.rows_mut().enumerate() {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        let unit = sample * tile_rows + y / TILE_SIDE;
        let task = block / MEMBERS * groups.len() + group_of[unit];
        tasks[task].push(OutputRow { block, unit, row: y % TILE_SIDE, pixels });
    }
    // Calls that read the same weights follow each other.
    tasks.into_par_iter().for_each(|mut rows| {
        rows.sort_by_key(|row| (row.block, row.unit, row.row));
        convolve_group(inputs, weights, (slopes.as_deref(), after.residual), rows);
    });
}

type Finish<'a> = (Option<&'a [ChannelBlock]>, Option<(f32, &'a FeatureMap)>);

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
    for (pixels, components) in first.segments() {
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
        let places = gradient.segments();
        let runs = |map: &Transformed, block: usize, component: usize| -> Vec<std::ops::Range<usize>> {
            let units = 0..map.units();
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
        let in_channels: usize = inputs.iter().sum();
        // Block and lane of each input channel.
        let mut places = Vec::with_capacity(in_channels);
        let mut first_block = 0;
        for &channels in inputs {
            places.extend(
                (0..channels).map(|c| (first_block + c / CHANNELS_PER_BLOCK, c % CHANNELS_PER_BLOCK)),
            );
            first_block += channels.div_ceil(CHANNELS_PER_BLOCK);
        }
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
