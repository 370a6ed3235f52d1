//! Between pictures and feature maps: planes into channel blocks at the start, channel blocks into rows at the end.

use esrgan_core::Plane;
use esrgan_kernels::{CHANNELS_PER_BLOCK, ChannelBlock};

use crate::edge::Edge;
use crate::error::EngineError;
use crate::execute::RowSink;

/// A picture as the first layer reads it: pixel-unshuffled, and filled up to whole grid pixels.
#[derive(Clone, Copy)]
pub(crate) struct PictureRows<'a> {
    pub(crate) planes: &'a [Plane],
    /// Picture pixels in a grid pixel, along a side.
    pub(crate) unshuffle: usize,
    pub(crate) edge: Edge,
    pub(crate) grid_width: usize,
    pub(crate) grid_height: usize,
}

impl PictureRows<'_> {
    /// Writes grid row `y` into `[block][1 + grid_width + 1]`; the padding pixels are left alone.
    ///
    /// Channel `(c * unshuffle + dy) * unshuffle + dx` of grid pixel `(x, y)` is picture pixel
    /// `(x * unshuffle + dx, y * unshuffle + dy)` of plane `c`, as PyTorch's `pixel_unshuffle` has it.
    pub(crate) fn load(&self, y: isize, row: &mut [ChannelBlock]) {
        row.fill(ChannelBlock::ZERO);
        let y = y.rem_euclid(self.grid_height as isize) as usize;
        for (c, plane) in self.planes.iter().enumerate() {
            for dy in 0..self.unshuffle {
                let source = plane.row(self.filled(y * self.unshuffle + dy, plane.height()));
                for dx in 0..self.unshuffle {
                    let channel = (c * self.unshuffle + dy) * self.unshuffle + dx;
                    let (block, lane) = (channel / CHANNELS_PER_BLOCK, channel % CHANNELS_PER_BLOCK);
                    let start = block * (self.grid_width + 2) + 1;
                    for (x, target) in row[start..start + self.grid_width].iter_mut().enumerate() {
                        target.0[lane] = source[self.filled(x * self.unshuffle + dx, plane.width())];
                    }
                }
            }
        }
    }

    /// Where a pixel of the filled-up picture is found.
    fn filled(&self, index: usize, length: usize) -> usize {
        if index < length { index } else { self.edge.fill().resolve(index as isize, length).unwrap_or(0) }
    }
}

/// The last feature map as rows of the enlarged picture.
pub(crate) struct ResultRows<'a> {
    /// Pixel shuffle that ends the network; 1 for none.
    pub(crate) shuffle: usize,
    /// The picture that is added, enlarged by repetition, if the network learns a difference.
    pub(crate) base: Option<(&'a [Plane], usize)>,
    pub(crate) channels: usize,
    /// Rows of the enlarged picture; those of grid pixels beyond it are cut off, as are columns beyond the buffer.
    pub(crate) height: usize,
    /// Room for one row of each channel.
    pub(crate) buffer: Vec<Vec<f32>>,
}

impl ResultRows<'_> {
    /// Hands over the rows that lie in feature row `y`.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] at the first value that is not finite.
    pub(crate) fn emit(
        &mut self,
        y: usize,
        row: &[ChannelBlock],
        sink: &mut dyn RowSink,
    ) -> Result<(), EngineError> {
        let stored = self.channels * self.shuffle * self.shuffle;
        let block_length = row.len() / stored.div_ceil(CHANNELS_PER_BLOCK);
        for sub_row in 0..self.shuffle {
            let out_y = y * self.shuffle + sub_row;
            if out_y >= self.height {
                break;
            }
            for channel in 0..self.channels {
                for dx in 0..self.shuffle {
                    let source = (channel * self.shuffle + sub_row) * self.shuffle + dx;
                    let (block, lane) = (source / CHANNELS_PER_BLOCK, source % CHANNELS_PER_BLOCK);
                    let pixels = &row[block * block_length + 1..];
                    let targets = self.buffer[channel].iter_mut().skip(dx).step_by(self.shuffle);
                    targets.zip(pixels).for_each(|(target, pixel)| *target = pixel.0[lane]);
                }
                self.add_base(channel, out_y);
                self.check_finite(channel, out_y)?;
            }
            let channels: Vec<&[f32]> = self.buffer.iter().map(Vec::as_slice).collect();
            sink.row(out_y, &channels);
        }
        Ok(())
    }

    fn add_base(&mut self, channel: usize, y: usize) {
        let Some((planes, scale)) = self.base else { return };
        let source = planes[channel].row(y / scale);
        for (x, target) in self.buffer[channel].iter_mut().enumerate() {
            *target += source[x / scale];
        }
    }

    fn check_finite(&self, channel: usize, y: usize) -> Result<(), EngineError> {
        match self.buffer[channel].iter().position(|value| !value.is_finite()) {
            Some(x) => Err(EngineError::NotFinite { value: self.buffer[channel][x], channel, x, y }),
            None => Ok(()),
        }
    }
}
