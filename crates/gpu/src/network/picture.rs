//! Between planes on the host and buffers on the device.

use std::ops::Range;

use esrgan_core::Plane;
use esrgan_engine::{Edge, EngineError, RowSink};

use crate::kernels::padded;

/// A picture as the first convolution reads it: `[row][column][channel]`, pixel-unshuffled, filled up to whole grid pixels, channels
/// filled up. Bytes of `f32`.
///
/// Channel `(c * unshuffle + dy) * unshuffle + dx` of grid pixel `(x, y)` is picture pixel `(x * unshuffle + dx, y * unshuffle + dy)`
/// of plane `c`, as PyTorch's `pixel_unshuffle` has it.
pub(super) fn interleaved(planes: &[Plane], unshuffle: usize, edge: Edge, grid: (usize, usize)) -> Vec<u8> {
    let lanes = padded(planes.len() * unshuffle * unshuffle);
    let filled = |index: usize, length: usize| {
        if index < length { index } else { edge.fill().resolve(index as isize, length).unwrap_or(0) }
    };
    let mut values = vec![0.0_f32; grid.0 * grid.1 * lanes];
    for (y, row) in values.chunks_exact_mut(grid.1 * lanes).enumerate() {
        for (c, plane) in planes.iter().enumerate() {
            for dy in 0..unshuffle {
                let source = plane.row(filled(y * unshuffle + dy, plane.height()));
                for dx in 0..unshuffle {
                    let channel = (c * unshuffle + dy) * unshuffle + dx;
                    for (x, pixel) in row.chunks_exact_mut(lanes).enumerate() {
                        pixel[channel] = source[filled(x * unshuffle + dx, plane.width())];
                    }
                }
            }
        }
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Rows of the enlarged picture as they come from the device.
pub(super) struct Rows<'a> {
    /// `[channel][row][column]`, bytes of `f32`.
    pub(super) bytes: &'a [u8],
    pub(super) channels: usize,
    /// Which rows they are, before any are cut.
    pub(super) rows: Range<usize>,
    /// Numbers in a row.
    pub(super) stride: usize,
    /// Width and height of the enlarged picture.
    pub(super) size: (usize, usize),
    /// The picture that is added, enlarged by repetition, if the network learns a difference.
    pub(super) base: Option<(&'a [Plane], usize)>,
}

impl Rows<'_> {
    /// Hands over the rows.
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] at the first value that is not finite.
    pub(super) fn emit(&self, sink: &mut dyn RowSink) -> Result<(), EngineError> {
        let mut buffers = vec![vec![0.0_f32; self.size.0]; self.channels];
        for y in self.rows.start..self.rows.end.min(self.size.1) {
            for (channel, buffer) in buffers.iter_mut().enumerate() {
                self.read(channel, y, buffer);
                if let Some(x) = buffer.iter().position(|value| !value.is_finite()) {
                    return Err(EngineError::NotFinite { value: buffer[x], channel, x, y });
                }
            }
            let channels: Vec<&[f32]> = buffers.iter().map(Vec::as_slice).collect();
            sink.row(y, &channels);
        }
        Ok(())
    }

    fn read(&self, channel: usize, y: usize, buffer: &mut [f32]) {
        let first = (channel * self.rows.len() + y - self.rows.start) * self.stride * size_of::<f32>();
        let numbers = self.bytes[first..].chunks_exact(size_of::<f32>());
        for (target, bytes) in buffer.iter_mut().zip(numbers) {
            *target = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        let Some((planes, scale)) = self.base else { return };
        let source = planes[channel].row(y / scale);
        for (x, target) in buffer.iter_mut().enumerate() {
            *target += source[x / scale];
        }
    }
}
