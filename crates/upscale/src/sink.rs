//! Where the network's rows go: quantised at once, or kept as planes where more is to be done with them.

use esrgan_core::{Plane, SampleDepth, quantise_u8, quantise_u16};
use esrgan_engine::RowSink;
use esrgan_image::{Raster, Samples};

use crate::passes::Gives;

/// A raster of zeros.
pub(crate) fn blank_raster(width: usize, height: usize, channels: usize, depth: SampleDepth) -> Raster {
    let length = width * height * channels;
    let samples = match depth {
        SampleDepth::U8 => Samples::U8(vec![0; length]),
        SampleDepth::U16 => Samples::U16(vec![0; length]),
        SampleDepth::F32 => Samples::F32(vec![0.0; length]),
    };
    Raster { width, height, channels, samples }
}

/// Writes one channel of one row into a raster: rounded once to its depth; floating point is kept as it is.
pub(crate) fn write_row(raster: &mut Raster, y: usize, channel: usize, row: &[f32]) {
    let (channels, start) = (raster.channels, y * raster.width * raster.channels + channel);
    fn spread<T>(samples: &mut [T], start: usize, step: usize, row: &[f32], convert: impl Fn(f32) -> T) {
        let targets = samples[start..].iter_mut().step_by(step);
        targets.zip(row).for_each(|(target, &value)| *target = convert(value));
    }
    match &mut raster.samples {
        Samples::U8(samples) => spread(samples, start, channels, row, quantise_u8),
        Samples::U16(samples) => spread(samples, start, channels, row, quantise_u16),
        Samples::F32(samples) => spread(samples, start, channels, row, |value| value),
    }
}

/// Quantises rows into a raster.
pub(crate) struct RasterSink<'r> {
    pub(crate) raster: &'r mut Raster,
    pub(crate) gives: Gives,
    /// Room for one row.
    pub(crate) row: Vec<f32>,
}

impl RowSink for RasterSink<'_> {
    fn row(&mut self, y: usize, outputs: &[&[f32]]) {
        for (index, channel) in self.gives.channels().enumerate() {
            self.gives.write(index, outputs, &mut self.row);
            write_row(self.raster, y, channel, &self.row);
        }
    }
}

/// Keeps rows as planes, as if the picture had been turned by `view` before it went in: they are turned back.
pub(crate) struct PlaneSink<'p> {
    /// All channels of the result.
    pub(crate) planes: &'p mut [Plane],
    pub(crate) gives: Gives,
    pub(crate) view: View,
    /// What each value is multiplied with before it is added.
    pub(crate) weight: f32,
    /// Room for one row.
    pub(crate) row: Vec<f32>,
}

impl RowSink for PlaneSink<'_> {
    fn row(&mut self, y: usize, outputs: &[&[f32]]) {
        for (index, channel) in self.gives.channels().enumerate() {
            self.gives.write(index, outputs, &mut self.row);
            let plane = &mut self.planes[channel];
            let size = (plane.width(), plane.height());
            for (x, value) in self.row.iter().enumerate() {
                let (x, y) = self.view.source(x, y, size);
                plane.row_mut(y)[x] += value * self.weight;
            }
        }
    }
}

/// One of the eight ways to turn and mirror a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) transposed: bool,
    pub(crate) mirrored_x: bool,
    pub(crate) mirrored_y: bool,
}

impl View {
    /// The picture as it is.
    pub(crate) const PLAIN: Self = Self { transposed: false, mirrored_x: false, mirrored_y: false };

    /// All eight, the plain one first.
    pub(crate) fn all() -> [Self; 8] {
        std::array::from_fn(|bits| Self {
            transposed: bits & 4 != 0,
            mirrored_x: bits & 1 != 0,
            mirrored_y: bits & 2 != 0,
        })
    }

    /// Where pixel (`x`, `y`) of the turned picture lies in the original of `width` x `height`.
    fn source(self, x: usize, y: usize, (width, height): (usize, usize)) -> (usize, usize) {
        let (x, y) = if self.transposed { (y, x) } else { (x, y) };
        let x = if self.mirrored_x { width - 1 - x } else { x };
        let y = if self.mirrored_y { height - 1 - y } else { y };
        (x, y)
    }

    /// The turned picture.
    pub(crate) fn apply(self, plane: &Plane) -> Plane {
        let (width, height) = (plane.width(), plane.height());
        let (turned_width, turned_height) = if self.transposed { (height, width) } else { (width, height) };
        let mut turned = Plane::filled(turned_width, turned_height, 0.0);
        for y in 0..turned_height {
            for (x, value) in turned.row_mut(y).iter_mut().enumerate() {
                let (x, y) = self.source(x, y, (width, height));
                *value = plane.row(y)[x];
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_another_and_is_turned_back() {
        let plane = Plane::new(3, 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut seen = Vec::new();
        for view in View::all() {
            let turned = view.apply(&plane);
            assert!(!seen.contains(&turned), "{view:?}");
            let mut back = [Plane::filled(3, 2, 0.0)];
            let gives = Gives::Channels { first: 0, count: 1 };
            let mut sink =
                PlaneSink { planes: &mut back, gives, view, weight: 1.0, row: vec![0.0; turned.width()] };
            (0..turned.height()).for_each(|y| sink.row(y, &[turned.row(y)]));
            assert_eq!(back[0], plane, "{view:?}");
            seen.push(turned);
        }
    }

    #[test]
    fn rows_are_rounded_once_to_their_depth() {
        for (depth, expected) in [
            (SampleDepth::U8, Samples::U8(vec![0, 0, 0, 128])),
            (SampleDepth::U16, Samples::U16(vec![0, 0, 0, 32768])),
            (SampleDepth::F32, Samples::F32(vec![0.0, -0.25, 0.0, 0.5])),
        ] {
            let mut raster = blank_raster(2, 1, 2, depth);
            write_row(&mut raster, 0, 1, &[-0.25, 0.5]);
            assert_eq!(raster.samples, expected);
        }
    }
}
