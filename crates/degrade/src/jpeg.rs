//! What JPEG does to a picture, without the file: everything but the lossless entropy coding.
//!
//! ITU-T T.81, annexes A and K; quality as the Independent JPEG Group's library scales the tables; chroma at half the
//! resolution both ways, enlarged by its triangle filter.

use std::f32::consts::PI;
use std::sync::LazyLock;

use esrgan_core::{Plane, dequantise_u8, quantise_u8};

/// Annex K, table K.1, row by row.
const LUMA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
/// Annex K, table K.2, row by row.
const CHROMA: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];
const SIDE: usize = 8;
/// Pixels of a side of what four luma blocks and one block of each chroma cover.
const UNIT: usize = 16;

/// The quantisation tables of a quality 1..=100, row by row: luma, chroma.
pub fn quantisation_tables(quality: u8) -> [[u16; 64]; 2] {
    let quality = u32::from(quality.clamp(1, 100));
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let scaled = |entry: u16| ((u32::from(entry) * percent + 50) / 100).clamp(1, 255) as u16;
    [LUMA.map(scaled), CHROMA.map(scaled)]
}

/// What is left of gray or RGB planes after a JPEG file of that quality.
///
/// # Values
/// 0..1 in, clamped and quantised to 8 bits first; multiples of 1/255 out.
pub(crate) fn jpeg(planes: &[Plane], quality: u8) -> Vec<Plane> {
    let [luma, chroma] = quantisation_tables(quality);
    let (width, height) = (planes[0].width(), planes[0].height());
    let mut padded: Vec<Plane> = planes.iter().map(pad).collect();
    if let [red, green, blue] = padded.as_mut_slice() {
        to_luma_and_chroma(red, green, blue);
        code(red, &luma);
        for plane in [green, blue] {
            let mut halved = halve(plane);
            code(&mut halved, &chroma);
            *plane = double(&halved, (width.div_ceil(2), height.div_ceil(2)), plane);
        }
        to_colors(&mut padded);
    } else {
        padded.iter_mut().for_each(|plane| code(plane, &luma));
    }
    padded.iter().map(|plane| cut(plane, width, height)).collect()
}

/// Samples 0..255 with the last column and row repeated up to whole units.
fn pad(plane: &Plane) -> Plane {
    let (width, height) = (plane.width().next_multiple_of(UNIT), plane.height().next_multiple_of(UNIT));
    let mut padded = Plane::filled(width, height, 0.0);
    for y in 0..height {
        let source = plane.row(y.min(plane.height() - 1));
        for (x, sample) in padded.row_mut(y).iter_mut().enumerate() {
            *sample = f32::from(quantise_u8(source[x.min(source.len() - 1)]));
        }
    }
    padded
}

fn cut(plane: &Plane, width: usize, height: usize) -> Plane {
    let mut whole = Plane::filled(width, height, 0.0);
    for y in 0..height {
        for (sample, value) in whole.row_mut(y).iter_mut().zip(plane.row(y)) {
            *sample = dequantise_u8(value.round().clamp(0.0, 255.0) as u8);
        }
    }
    whole
}

/// JFIF's conversion, rounded to 8 bits as files have it.
fn to_luma_and_chroma(red: &mut Plane, green: &mut Plane, blue: &mut Plane) {
    let samples = red.samples_mut().iter_mut().zip(green.samples_mut()).zip(blue.samples_mut());
    for ((first, second), third) in samples {
        let (r, g, b) = (*first, *second, *third);
        *first = (0.299 * r + 0.587 * g + 0.114 * b).round();
        *second = (128.0 - 0.168_735_9 * r - 0.331_264_1 * g + 0.5 * b).round().min(255.0);
        *third = (128.0 + 0.5 * r - 0.418_687_6 * g - 0.081_312_4 * b).round().min(255.0);
    }
}

fn to_colors(planes: &mut [Plane]) {
    for index in 0..planes[0].samples().len() {
        let [y, cb, cr] = [0, 1, 2].map(|channel: usize| planes[channel].samples()[index]);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        planes[0].samples_mut()[index] = y + 1.402 * cr;
        planes[1].samples_mut()[index] = y - 0.344_136_3 * cb - 0.714_136_3 * cr;
        planes[2].samples_mut()[index] = y + 1.772 * cb;
    }
}

/// Means of 2x2 samples; halves are rounded up and down by turns, which keeps the mean.
fn halve(plane: &Plane) -> Plane {
    let mut halved = Plane::filled(plane.width() / 2, plane.height() / 2, 0.0);
    for y in 0..halved.height() {
        let (upper, lower) = (plane.row(2 * y), plane.row(2 * y + 1));
        for (x, sample) in halved.row_mut(y).iter_mut().enumerate() {
            let sum = upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1];
            *sample = ((sum + 1.0 + (x % 2) as f32) / 4.0).floor();
        }
    }
    halved
}

/// Enlarges by the triangle filter (3/4 of the nearest, 1/4 of the next, each way) within `size`.
fn double(halved: &Plane, size: (usize, usize), like: &Plane) -> Plane {
    let mut doubled = Plane::filled(like.width(), like.height(), 0.0);
    let neighbours = |position: usize, length: usize| {
        let near = (position / 2).min(length - 1);
        let next =
            if position.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) };
        (near, next)
    };
    for y in 0..doubled.height() {
        let (near, next) = neighbours(y, size.1);
        let column: Vec<f32> =
            halved.row(near).iter().zip(halved.row(next)).map(|(a, b)| 3.0 * a + b).collect();
        for (x, sample) in doubled.row_mut(y).iter_mut().enumerate() {
            let (near, next) = neighbours(x, size.0);
            // The library's rounding: up at left pixels, down at right ones.
            let bias = if x % 2 == 0 { 8.0 } else { 7.0 };
            *sample = ((3.0 * column[near] + column[next] + bias) / 16.0).floor();
        }
    }
    doubled
}

/// `cosines[u][x]`: the orthonormal transform's matrix.
static COSINES: LazyLock<[[f32; SIDE]; SIDE]> = LazyLock::new(|| {
    let mut cosines = [[0.0; SIDE]; SIDE];
    for (frequency, row) in cosines.iter_mut().enumerate() {
        let norm = if frequency == 0 { (1.0_f32 / 8.0).sqrt() } else { 0.5 };
        for (x, entry) in row.iter_mut().enumerate() {
            *entry = norm * ((2 * x + 1) as f32 * frequency as f32 * PI / 16.0).cos();
        }
    }
    cosines
});

type Block = [[f32; SIDE]; SIDE];

/// Transforms, quantises and restores all blocks of a plane.
fn code(plane: &mut Plane, table: &[u16; 64]) {
    let cosines = &*COSINES;
    let transposed = transpose(cosines);
    for top in (0..plane.height()).step_by(SIDE) {
        for left in (0..plane.width()).step_by(SIDE) {
            let mut block = [[0.0; SIDE]; SIDE];
            for (y, line) in block.iter_mut().enumerate() {
                let source = &plane.row(top + y)[left..left + SIDE];
                line.iter_mut().zip(source).for_each(|(value, sample)| *value = sample - 128.0);
            }
            let mut spectrum = product(&product(cosines, &block), &transposed);
            for (coefficient, step) in spectrum.as_flattened_mut().iter_mut().zip(table) {
                let step = f32::from(*step);
                *coefficient = (*coefficient / step).round() * step;
            }
            let restored = product(&product(&transposed, &spectrum), cosines);
            for (y, line) in restored.iter().enumerate() {
                let target = &mut plane.row_mut(top + y)[left..left + SIDE];
                for (sample, value) in target.iter_mut().zip(line) {
                    *sample = (value + 128.0).round().clamp(0.0, 255.0);
                }
            }
        }
    }
}

fn product(left: &Block, right: &Block) -> Block {
    let mut result = [[0.0; SIDE]; SIDE];
    for (row, target) in left.iter().zip(&mut result) {
        for (factor, line) in row.iter().zip(right) {
            target.iter_mut().zip(line).for_each(|(sum, value)| *sum += factor * value);
        }
    }
    result
}

fn transpose(block: &Block) -> Block {
    let mut result = [[0.0; SIDE]; SIDE];
    for (y, row) in block.iter().enumerate() {
        for (x, value) in row.iter().enumerate() {
            result[x][y] = *value;
        }
    }
    result
}

#[cfg(test)]
mod tests;
