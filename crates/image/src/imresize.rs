//! MATLAB's `imresize(picture, size, 'bicubic')`, by which the LR pictures of the usual benchmarks were made.
//!
//! What lives here: that one resampler, to the bit. What does not: the faster filters for everyday sizes (`resample`).
//! Its rules, found out by experiment, as it is no open source: weights in `f64` from the cubic of Keys (a = -0.5), widened by
//! the scale when shrinking, and normalised; the dimension that shrinks most first, rows before columns where both shrink
//! alike; whole levels between the two passes and after them, halves rounded up.

use std::borrow::Cow;
use std::ops::Range;

use esrgan_core::{Plane, SampleDepth};

/// What lies beyond the picture's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// The edge pixel, repeated: what the LR pictures of Set5 and Set14 were made with.
    #[default]
    Replicate,
    /// The picture, mirrored with its edge pixel doubled: what later versions of MATLAB do.
    Symmetric,
}

impl Boundary {
    /// The pixel that stands for pixel `index` of `length`.
    fn resolve(self, index: isize, length: usize) -> usize {
        let length = length as isize;
        let pixel = match self {
            Self::Replicate => index.clamp(0, length - 1),
            Self::Symmetric => {
                let folded = index.rem_euclid(2 * length);
                folded.min(2 * length - 1 - folded)
            }
        };
        pixel as usize
    }
}

/// Resizes one plane to `width` x `height`.
///
/// # Values
/// Samples nominally in 0..1. With `SampleDepth::U8` and `SampleDepth::U16` they are taken as the nearest whole levels, and
/// so is the result, clamped: to the bit what MATLAB gives for `uint8` and `uint16`. With `SampleDepth::F32` nothing is
/// rounded to levels or clamped, and sums are `f32`.
///
/// # Panics
/// Where a side of the plane or of the result is zero.
///
/// # Source
/// Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, equation 15; the rest as the module says.
pub fn imresize(plane: &Plane, width: usize, height: usize, depth: SampleDepth, boundary: Boundary) -> Plane {
    let (old_width, old_height) = (plane.width(), plane.height());
    assert!(
        old_width > 0 && old_height > 0 && width > 0 && height > 0,
        "{old_width}x{old_height} to {width}x{height}"
    );
    let rows = Taps::new(old_height, height, boundary);
    let columns = Taps::new(old_width, width, boundary);
    let is_exact_in_f32 = rows.are_exact_in_f32() && columns.are_exact_in_f32();
    let is_in_f32 = depth == SampleDepth::F32 || (depth == SampleDepth::U8 && is_exact_in_f32);
    // Where both dimensions shrink alike, rows come first.
    let is_rows_first = height * old_width <= width * old_height;
    let order = (&rows, &columns, is_rows_first);
    let samples =
        if is_in_f32 { resized::<f32>(plane, order, depth) } else { resized::<f64>(plane, order, depth) };
    Plane::new(width, height, samples).expect("both passes give planes of their size")
}

/// The weights by which a line's samples become those of another.
struct Taps {
    /// For each output sample.
    range_of: Vec<Range<usize>>,
    /// Input samples and their weights; of one output sample together, in their order.
    taps: Vec<(usize, f64)>,
}

impl Taps {
    fn new(old_length: usize, length: usize, boundary: Boundary) -> Self {
        let scale = length as f64 / old_length as f64;
        let shrink = scale.min(1.0);
        let kernel_width = 4.0 / shrink;
        let count = kernel_width.ceil() as isize + 2;
        let mut taps = Vec::new();
        let mut range_of = Vec::with_capacity(length);
        for output in 0..length {
            // Counted from one, as the sums are there: it decides how the last bits are rounded.
            let centre = (output + 1) as f64 / scale + 0.5 * (1.0 - 1.0 / scale);
            let left = (centre - kernel_width / 2.0).floor() as isize;
            let weight = |index: isize| shrink * cubic(shrink * (centre - index as f64));
            let indices = left..left + count;
            let sum: f64 = indices.clone().map(weight).sum();
            let start = taps.len();
            let all = indices.map(|index| (boundary.resolve(index - 1, old_length), weight(index) / sum));
            taps.extend(all.filter(|(_, weight)| *weight != 0.0));
            range_of.push(start..taps.len());
        }
        Self { range_of, taps }
    }

    /// Whether sums of 8-bit levels are whole multiples of a power of two that `f32` holds without rounding: so it is where
    /// the scale is a small power of two.
    fn are_exact_in_f32(&self) -> bool {
        const FRACTION_BITS: i32 = 12;
        const LARGEST_SUM: f64 = 2.0 * 255.0;
        assert!(LARGEST_SUM * f64::from(1 << FRACTION_BITS) < f64::from(1 << f32::MANTISSA_DIGITS));
        let is_multiple = |weight: f64| (weight * f64::from(1 << FRACTION_BITS)).fract() == 0.0;
        let magnitude = |range: &Range<usize>| {
            self.taps[range.clone()].iter().map(|(_, weight)| weight.abs()).sum::<f64>()
        };
        self.taps.iter().all(|(_, weight)| is_multiple(*weight))
            && self.range_of.iter().all(|range| magnitude(range) <= 2.0)
    }
}

/// The cubic of Keys with a = -0.5.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        1.5 * x * x * x - 2.5 * x * x + 1.0
    } else if x <= 2.0 {
        -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0
    } else {
        0.0
    }
}

/// What sums are computed in.
trait Level: Copy + Default + Into<f64> {
    /// The samples themselves, where they are of this type.
    fn as_they_are(samples: &[f32]) -> Option<&[Self]>;
    fn from_f64(value: f64) -> Self;
    fn from_sample(sample: f32) -> Self;
    fn times(self, factor: Self) -> Self;
    /// `self + weight * sample`, each rounded.
    fn plus(self, weight: Self, sample: Self) -> Self;
    /// The nearest whole level from 0 to `most`, halves rounded up.
    fn rounded(self, most: Self) -> Self;
}

macro_rules! level {
    ($float:ty, $as_they_are:expr) => {
        impl Level for $float {
            fn as_they_are(samples: &[f32]) -> Option<&[Self]> {
                $as_they_are(samples)
            }

            fn from_f64(value: f64) -> Self {
                value as $float
            }

            fn from_sample(sample: f32) -> Self {
                <$float>::from(sample)
            }

            fn times(self, factor: Self) -> Self {
                self * factor
            }

            fn plus(self, weight: Self, sample: Self) -> Self {
                self + weight * sample
            }

            fn rounded(self, most: Self) -> Self {
                // The baseline of x86-64 has no instruction for `floor`: behind the point where whole numbers are as far
                // apart as numbers can be, a sum is rounded to a whole one. NaN becomes zero.
                const WHOLE: $float = (1_u64 << (<$float>::MANTISSA_DIGITS - 1)) as $float;
                let above = (self + 0.5).max(0.0).min(most);
                let near = (above + WHOLE) - WHOLE;
                if near > above { near - 1.0 } else { near }
            }
        }
    };
}

level!(f32, Some);
level!(f64, |_| None);

/// Both passes.
fn resized<T: Level>(
    plane: &Plane,
    (rows, columns, is_rows_first): (&Taps, &Taps, bool),
    depth: SampleDepth,
) -> Vec<f32> {
    let most = match depth {
        SampleDepth::U8 => Some(255.0),
        SampleDepth::U16 => Some(65_535.0),
        SampleDepth::F32 => None,
    };
    let most_level = most.map(T::from_f64);
    let levels: Cow<'_, [T]> = match T::as_they_are(plane.samples()) {
        Some(samples) if most.is_none() => Cow::Borrowed(samples),
        _ => {
            let levels = plane.samples().iter().map(|sample| T::from_sample(*sample));
            levels.map(|level| most_level.map_or(level, |most| level.times(most).rounded(most))).collect()
        }
    };
    let (old_width, old_height) = (plane.width(), plane.height());
    let height = rows.range_of.len();
    // What a pass has read is given back before the next.
    let resized = if is_rows_first {
        let shrunk = along_rows(&levels, old_width, rows, most_level);
        drop(levels);
        let turned = transposed(shrunk, old_width);
        transposed(along_rows(&turned, height, columns, most_level), height)
    } else {
        let turned = transposed(levels.into_owned(), old_width);
        let shrunk = along_rows(&turned, old_height, columns, most_level);
        drop(turned);
        let turned = transposed(shrunk, old_height);
        along_rows(&turned, columns.range_of.len(), rows, most_level)
    };
    // In f32, as decoders give levels.
    let sample = |level: &T| {
        let level: f64 = (*level).into();
        most.map_or(level as f32, |most| level as f32 / most as f32)
    };
    resized.iter().map(sample).collect()
}

/// Makes new rows as weighted sums of old ones, `[y][x]`.
fn along_rows<T: Level>(levels: &[T], width: usize, taps: &Taps, most: Option<T>) -> Vec<T> {
    let mut resized = vec![T::default(); taps.range_of.len() * width];
    for (range, sums) in taps.range_of.iter().zip(resized.chunks_mut(width)) {
        let row = |tap: &(usize, f64)| (T::from_f64(tap.1), &levels[tap.0 * width..][..width]);
        let (fours, rest) = taps.taps[range.clone()].as_chunks::<4>();
        for four in fours {
            let [(u, a), (v, b), (w, c), (x, d)] = four.each_ref().map(row);
            let rows = a.iter().zip(b).zip(c.iter().zip(d));
            for (sum, ((a, b), (c, d))) in sums.iter_mut().zip(rows) {
                *sum = sum.plus(u, *a).plus(v, *b).plus(w, *c).plus(x, *d);
            }
        }
        for (weight, row) in rest.iter().map(row) {
            sums.iter_mut().zip(row).for_each(|(sum, sample)| *sum = sum.plus(weight, *sample));
        }
        if let Some(most) = most {
            sums.iter_mut().for_each(|sum| *sum = sum.rounded(most));
        }
    }
    resized
}

/// `[y][x]` to `[x][y]`.
fn transposed<T: Level>(levels: Vec<T>, width: usize) -> Vec<T> {
    // A few lines of the cache at a time.
    const BLOCK: usize = 16;
    let height = levels.len() / width;
    let mut turned = vec![T::default(); levels.len()];
    for y in (0..height).step_by(BLOCK) {
        for x in (0..width).step_by(BLOCK) {
            for (y, row) in levels.chunks(width).enumerate().take(height.min(y + BLOCK)).skip(y) {
                for (x, level) in row.iter().enumerate().take(width.min(x + BLOCK)).skip(x) {
                    turned[x * height + y] = *level;
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests;
