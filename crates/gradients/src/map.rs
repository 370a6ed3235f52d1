//! Batches of feature maps as the kernels read them.

use std::ops::{Deref, DerefMut};

use esrgan_kernels::{CHANNELS_PER_BLOCK, ChannelBlock, blocks_for};
use rayon::prelude::*;

use crate::buffer::Buffer;

/// A batch of feature maps: rows of pixels in blocks of sixteen channels, one pixel of zeros at both ends of each row.
///
/// # Layout
/// `[sample][channel block][row][1 + width + 1]`. Lanes beyond the last channel hold zero.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap<'a> {
    samples: usize,
    channels: usize,
    height: usize,
    width: usize,
    rows: Rows<'a>,
}

/// Memory of a map, its own or somebody else's.
#[derive(Clone, Debug, PartialEq)]
enum Rows<'a> {
    Own(Buffer),
    Borrowed(&'a [ChannelBlock]),
}

impl Deref for Rows<'_> {
    type Target = [ChannelBlock];

    fn deref(&self) -> &[ChannelBlock] {
        match self {
            Self::Own(rows) => rows,
            Self::Borrowed(rows) => rows,
        }
    }
}

impl DerefMut for Rows<'_> {
    fn deref_mut(&mut self) -> &mut [ChannelBlock] {
        if let Self::Borrowed(rows) = self {
            *self = Self::Own(Buffer::copy_of(rows));
        }
        match self {
            Self::Own(rows) => rows,
            Self::Borrowed(_) => &mut [],
        }
    }
}

impl<'a> FeatureMap<'a> {
    /// A map over values in its layout, borrowed where they lie as blocks must, else copied.
    ///
    /// # Panics
    /// Where there are not as many values as [`FeatureMap::layout`] says.
    pub fn of_layout(values: &'a [f32], [samples, channels, height, width]: [usize; 4]) -> Self {
        let layout = Self::layout([samples, channels, height, width]);
        assert_eq!(values.len(), layout.iter().product::<usize>(), "values of a map");
        let rows = bytemuck::try_cast_slice(values).map_or_else(
            |_| {
                let mut copy = Buffer::to_overwrite(values.len() / CHANNELS_PER_BLOCK);
                bytemuck::cast_slice_mut(&mut copy).copy_from_slice(values);
                Rows::Own(copy)
            },
            Rows::Borrowed,
        );
        Self { samples, channels, height, width, rows }
    }

    /// The dimensions of a map's values, slowest first: samples, blocks of channels, rows, pixels with one of padding at both
    /// ends, channels of a block.
    pub fn layout([samples, channels, height, width]: [usize; 4]) -> [usize; 5] {
        [samples, blocks_for(channels), height, width + 2, CHANNELS_PER_BLOCK]
    }

    /// The memory of the values in the map's layout, whoever then holds it.
    pub fn into_memory(self) -> MapMemory {
        match self.rows {
            Rows::Own(rows) => MapMemory(rows),
            Rows::Borrowed(rows) => MapMemory(Buffer::copy_of(rows)),
        }
    }
}

/// The memory of a map: its values as bytes. When it is dropped, another map may use it.
#[derive(Debug)]
pub struct MapMemory(Buffer);

impl AsRef<[u8]> for MapMemory {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl FeatureMap<'static> {
    /// All zeros.
    pub fn zeros(samples: usize, channels: usize, height: usize, width: usize) -> Self {
        let mut map = Self::to_overwrite(samples, channels, height, width);
        map.rows.fill(ChannelBlock::ZERO);
        map
    }

    /// A map whose pixels, all lanes of them, the caller writes before reading any. Only the padding is zero.
    pub(crate) fn to_overwrite(samples: usize, channels: usize, height: usize, width: usize) -> Self {
        let mut rows = Buffer::to_overwrite(samples * blocks_for(channels) * height * (width + 2));
        for row in rows.chunks_exact_mut(width + 2) {
            (row[0], row[width + 1]) = (ChannelBlock::ZERO, ChannelBlock::ZERO);
        }
        Self { samples, channels, height, width, rows: Rows::Own(rows) }
    }

    /// The same with another number of channels.
    pub(crate) fn to_overwrite_like(other: &FeatureMap<'_>, channels: usize) -> Self {
        Self::to_overwrite(other.samples, channels, other.height, other.width)
    }

    /// From samples in the order `[sample][channel][row][column]`.
    ///
    /// # Panics
    /// Where there are not as many values as the shape says.
    pub fn from_planar(values: &[f32], [samples, channels, height, width]: [usize; 4]) -> Self {
        assert_eq!(values.len(), samples * channels * height * width, "values of the shape");
        let mut map = Self::to_overwrite(samples, channels, height, width);
        let blocks = map.blocks();
        let plane = height * width;
        map.rows.par_chunks_mut((width + 2).max(1)).enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let first = block * CHANNELS_PER_BLOCK;
            if first + CHANNELS_PER_BLOCK > channels {
                row.fill(ChannelBlock::ZERO);
            }
            for (lane, channel) in (first..channels.min(first + CHANNELS_PER_BLOCK)).enumerate() {
                let line = &values[(sample * channels + channel) * plane + y * width..][..width];
                row[1..].iter_mut().zip(line).for_each(|(pixel, value)| pixel.0[lane] = *value);
            }
        });
        map
    }
}

impl FeatureMap<'_> {
    /// The samples in the order `[sample][channel][row][column]`.
    pub fn to_planar(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.samples * self.channels * self.height * self.width];
        let plane = (self.height * self.width).max(1);
        values.par_chunks_mut(plane).enumerate().for_each(|(index, plane)| {
            let (sample, channel) = (index / self.channels, index % self.channels);
            let (block, lane) = (channel / CHANNELS_PER_BLOCK, channel % CHANNELS_PER_BLOCK);
            for (y, line) in plane.chunks_exact_mut(self.width).enumerate() {
                let pixels = self.pixels(sample, block, y);
                line.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = pixel.0[lane]);
            }
        });
        values
    }

    /// The same values, not copied.
    pub(crate) fn borrowed(&self) -> FeatureMap<'_> {
        let Self { samples, channels, height, width, .. } = *self;
        FeatureMap { samples, channels, height, width, rows: Rows::Borrowed(&self.rows) }
    }

    /// Samples, channels, height, width.
    pub fn shape(&self) -> [usize; 4] {
        [self.samples, self.channels, self.height, self.width]
    }

    /// Blocks of channels.
    pub(crate) fn blocks(&self) -> usize {
        blocks_for(self.channels)
    }

    /// Blocks of a row, its padding included.
    pub(crate) fn row_length(&self) -> usize {
        self.width + 2
    }

    /// A row with its padding.
    pub(crate) fn row(&self, sample: usize, block: usize, y: usize) -> &[ChannelBlock] {
        let index = (sample * self.blocks() + block) * self.height + y;
        &self.rows[index * self.row_length()..][..self.row_length()]
    }

    /// A row without its padding.
    pub(crate) fn pixels(&self, sample: usize, block: usize, y: usize) -> &[ChannelBlock] {
        &self.row(sample, block, y)[1..=self.width]
    }

    /// All rows without their padding, in the order of the layout.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [ChannelBlock]> {
        let (length, width) = (self.row_length(), self.width);
        self.rows.chunks_exact_mut(length).map(move |row| &mut row[1..=width])
    }

    /// All rows of each block of each sample, with their padding, for several threads.
    pub(crate) fn par_planes_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [ChannelBlock]> {
        let length = self.height * self.row_length();
        self.rows.par_chunks_exact_mut(length)
    }

    /// All rows without their padding, for several threads.
    pub(crate) fn par_rows_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [ChannelBlock]> {
        let (length, width) = (self.row_length(), self.width);
        self.rows.par_chunks_exact_mut(length).map(move |row| &mut row[1..=width])
    }

    /// All rows without their padding, in the order of the layout.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[ChannelBlock]> {
        let width = self.width;
        self.rows.chunks_exact(self.row_length()).map(move |row| &row[1..=width])
    }

    /// The map times a factor.
    pub(crate) fn scaled(&self, scale: f32) -> FeatureMap<'static> {
        let mut scaled = FeatureMap::to_overwrite_like(self, self.channels);
        let length = self.row_length();
        let rows = scaled.rows.par_chunks_exact_mut(length).zip(self.rows.par_chunks_exact(length));
        rows.for_each(|(row, source)| {
            for (pixel, source) in row.iter_mut().zip(source) {
                pixel.0.iter_mut().zip(source.0).for_each(|(value, source)| *value = scale * source);
            }
        });
        scaled
    }

    /// Multiplies by `slope` where `activated`, a map of this shape, is not above zero: the gradient of a leaky ReLU, whose
    /// output has the sign of its input.
    pub(crate) fn mask(&mut self, activated: &FeatureMap<'_>, slope: f32) {
        assert_eq!(self.shape(), activated.shape(), "maps of one shape");
        let length = self.row_length();
        let rows = self.rows.par_chunks_exact_mut(length).zip(activated.rows.par_chunks_exact(length));
        rows.for_each(|(row, activated)| {
            for (pixel, activated) in row.iter_mut().zip(activated) {
                for (value, activated) in pixel.0.iter_mut().zip(activated.0) {
                    *value *= if activated > 0.0 { 1.0 } else { slope };
                }
            }
        });
    }

    /// The sum of each channel over samples and pixels, row after row.
    pub(crate) fn channel_sums(&self) -> Vec<f32> {
        let mut sums = vec![ChannelBlock::ZERO; self.blocks()];
        for (index, row) in self.rows().enumerate() {
            let mut sum = ChannelBlock::ZERO;
            for pixel in row {
                sum.0.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += value);
            }
            let total = &mut sums[index / self.height % self.blocks()];
            total.0.iter_mut().zip(sum.0).for_each(|(total, sum)| *total += sum);
        }
        sums.iter().flat_map(|block| block.0).take(self.channels).collect()
    }
}

impl FeatureMap<'_> {
    /// A map smaller by a whole factor, each pixel the sum of a square: the gradient of an enlargement by repetition.
    pub(crate) fn sums_of_squares(&self, factor: usize) -> FeatureMap<'static> {
        let mut small =
            FeatureMap::zeros(self.samples, self.channels, self.height / factor, self.width / factor);
        let (blocks, height) = (small.blocks(), small.height);
        small.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            for large_y in y * factor..(y + 1) * factor {
                let pixels = self.pixels(sample, block, large_y);
                for (sum, square) in row.iter_mut().zip(pixels.chunks_exact(factor)) {
                    for pixel in square {
                        sum.0.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += value);
                    }
                }
            }
        });
        small
    }
}
