//! What the gradients of a convolution's weights need beside the forward kernels: sums of outer products, and the transposed
//! transforms of Winograd's F(4x4, 3x3).
//!
//! The gradient of a filter tap is the sum over all outputs of the output's gradient times the input that the tap saw: for
//! sixteen input and sixteen output channels a sum of outer products. Over transformed tiles it is the same for each of the
//! 36 components, from a quarter of the products: the gradient of the components, `A dy A'` times the transformed input,
//! becomes the gradient of the taps by `G' dU G` (the adjoints of the matrices in `transform`).

use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::simd::Simd;
use crate::transform::{COMPONENTS, TILE_REACH, TILE_SIDE, assert_tiles_fit, constant, zero};

/// Sixteen times sixteen sums of products over pixels or tiles, for each of some right sides.
///
/// ```text
/// sums[k][i][o] += sum over runs r and positions p of left[r][p][i] * rights[k][r][p][o]
/// ```
///
/// # Shapes
/// - `left`, `rights[k]`: as many runs each; runs of one place are of the same length
///
/// # Values
/// Any; NaN and infinity pass through to the sums of their lanes.
#[derive(Debug)]
pub struct OuterProducts<'a, 'o> {
    /// Runs of the input.
    pub left: &'a [&'a [ChannelBlock]],
    /// Runs of each block of the output's gradient.
    pub rights: &'a [&'a [&'a [ChannelBlock]]],
    /// What they are added to: for each right side a block of output channels for each input channel.
    pub sums: &'o mut [[ChannelBlock; CHANNELS_PER_BLOCK]],
}

impl OuterProducts<'_, '_> {
    /// Stops where the arguments do not hold together: the proof that the micro-kernel's pointers stay inside.
    pub(crate) fn assert_consistent(&self) {
        assert_eq!(self.rights.len(), self.sums.len(), "sums for each right side");
        for right in self.rights {
            assert_eq!(self.left.len(), right.len(), "runs of both sides");
            let is_same = |(left, right): (&&[ChannelBlock], &&[ChannelBlock])| left.len() == right.len();
            assert!(self.left.iter().zip(*right).all(is_same), "runs of one place have one length");
        }
    }
}

/// Adds up outer products with at most `P` rows of `G` right sides' sums in registers; must be inlined into a function that enables
/// the instruction set of `S`.
#[inline(always)]
pub(crate) fn add_products<S: Simd, const P: usize, const G: usize>(
    simd: S,
    call: &mut OuterProducts<'_, '_>,
) {
    let mut done = 0;
    while done < call.rights.len() {
        if G > 1 && call.rights.len() - done >= G {
            add_group::<S, P, G>(simd, call, done);
            done += G;
        } else {
            add_group::<S, P, 1>(simd, call, done);
            done += 1;
        }
    }
}

/// Sums of `G` right sides from number `member` on.
#[inline(always)]
fn add_group<S: Simd, const P: usize, const G: usize>(
    simd: S,
    call: &mut OuterProducts<'_, '_>,
    member: usize,
) {
    // Groups of nearly equal width: a narrow last one would wait for its own latencies.
    let groups = CHANNELS_PER_BLOCK.div_ceil(P);
    let (base, wider) = (CHANNELS_PER_BLOCK / groups, CHANNELS_PER_BLOCK % groups);
    let mut first = 0;
    for group in 0..groups {
        let rows = base + usize::from(group < wider);
        match rows {
            2 => add_rows::<S, 2, G>(simd, call, member, first),
            5 => add_rows::<S, 5, G>(simd, call, member, first),
            6 => add_rows::<S, 6, G>(simd, call, member, first),
            8 => add_rows::<S, 8, G>(simd, call, member, first),
            _ => (first..first + rows).for_each(|row| add_rows::<S, 1, G>(simd, call, member, row)),
        }
        first += rows;
    }
}

/// Sums of `ROWS` input channels from `first` on, with `G` right sides from number `member` on.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "as in `conv::tile`, where sums behind iterators did not stay in registers"
)]
fn add_rows<S: Simd, const ROWS: usize, const G: usize>(
    simd: S,
    call: &mut OuterProducts<'_, '_>,
    member: usize,
    first: usize,
) {
    let mut sums = [[zero(simd); G]; ROWS];
    for row in 0..ROWS {
        for side in 0..G {
            // SAFETY: the reference is to sixteen `f32`.
            sums[row][side] = unsafe { simd.load(call.sums[member + side][first + row].0.as_ptr()) };
        }
    }
    for run in 0..call.left.len() {
        let left = call.left[run];
        let mut rights = [left.as_ptr(); G];
        for side in 0..G {
            rights[side] = call.rights[member + side][run].as_ptr();
        }
        for position in 0..left.len() {
            // SAFETY: `assert_consistent` saw runs of one length, whose blocks are sixteen `f32` each; `first + ROWS` is at
            // most sixteen.
            unsafe {
                let scalars = left.as_ptr().add(position).cast::<f32>().add(first);
                let mut lanes = [zero(simd); G];
                for side in 0..G {
                    lanes[side] = simd.load(rights[side].add(position).cast());
                }
                for row in 0..ROWS {
                    let scalar = simd.splat(scalars.add(row));
                    for side in 0..G {
                        sums[row][side] = simd.multiply_add_splat(sums[row][side], lanes[side], scalar);
                    }
                }
            }
        }
    }
    for row in 0..ROWS {
        for side in 0..G {
            let target = &mut call.sums[member + side][first + row];
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.store(target.0.as_mut_ptr(), sums[row][side]) };
        }
    }
}

/// The transform `A dy A'` of a segment of a row of tiles of an output's gradient, for one block of channels.
#[derive(Debug)]
pub struct TransformGradient<'a, 'o> {
    /// Up to four rows, each of the segment's pixels; what is missing counts as zero.
    pub rows: &'a [&'a [ChannelBlock]],
    /// Pixels of the segment.
    pub pixels: usize,
    /// As [`TransformSegment::first_tile`](crate::TransformSegment::first_tile).
    pub first_tile: usize,
    /// `[36][stride]`, [`segment_length`](crate::segment_length) of the pixels, or [`joined_length`](crate::joined_length).
    pub output: &'o mut [ChannelBlock],
}

impl TransformGradient<'_, '_> {
    /// Stops where the arguments do not hold together.
    pub(crate) fn assert_consistent(&self) {
        assert!((1..=TILE_SIDE).contains(&self.rows.len()), "{} rows of a tile", self.rows.len());
        let has_pixels = |row: &&[ChannelBlock]| row.len() == self.pixels;
        assert!(self.pixels > 0 && self.rows.iter().all(has_pixels), "rows of {} pixels", self.pixels);
        assert_tiles_fit(self.pixels, self.first_tile, self.output.len());
    }
}

/// Transforms a segment of a gradient; must be inlined into a function that enables the instruction set of `S`.
#[inline(always)]
pub(crate) fn transform<S: Simd>(simd: S, call: &mut TransformGradient<'_, '_>) {
    let tiles = call.pixels.div_ceil(TILE_SIDE);
    let stride = call.output.len() / COMPONENTS;
    for tile in 0..tiles {
        // No closures here: they would not be compiled for the instruction set, and each operation would stay a call.
        let mut lines = [[zero(simd); TILE_REACH]; TILE_SIDE];
        for (line, row) in lines.iter_mut().zip(call.rows) {
            let pixels = &row[tile * TILE_SIDE..row.len().min((tile + 1) * TILE_SIDE)];
            let mut gradients = [zero(simd); TILE_SIDE];
            for (gradient, pixel) in gradients.iter_mut().zip(pixels) {
                // SAFETY: the reference is to sixteen `f32`.
                *gradient = unsafe { simd.load(pixel.0.as_ptr()) };
            }
            *line = gradient_line(simd, gradients);
        }
        for column in 0..TILE_REACH {
            let [a, b, c, d] = &lines;
            let line = [a[column], b[column], c[column], d[column]];
            for (row, block) in gradient_line(simd, line).into_iter().enumerate() {
                let target = &mut call.output[(row * TILE_REACH + column) * stride + call.first_tile + tile];
                // SAFETY: the reference is to sixteen `f32`.
                unsafe { simd.store(target.0.as_mut_ptr(), block) };
            }
        }
    }
}

/// The matrix A: the adjoint of `outputs_of_line`.
#[inline(always)]
fn gradient_line<S: Simd>(simd: S, y: [S::Block; TILE_SIDE]) -> [S::Block; TILE_REACH] {
    use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
    let (half, two) = (constant(simd, 0.5), constant(simd, 2.0));
    let (even_near, odd_near) = (simd.multiply_add(y[2], half, y[0]), simd.multiply_add(y[3], half, y[1]));
    let (even_far, odd_far) = (simd.multiply_add(y[2], two, y[0]), simd.multiply_add(y[3], two, y[1]));
    [
        y[0],
        simd.multiply_add(odd_near, constant(simd, FRAC_1_SQRT_2), even_near),
        simd.multiply_add(odd_near, constant(simd, -FRAC_1_SQRT_2), even_near),
        simd.multiply_add(odd_far, constant(simd, SQRT_2), even_far),
        simd.multiply_add(odd_far, constant(simd, -SQRT_2), even_far),
        y[3],
    ]
}

/// The gradients of a 3x3 filter's taps, row by row, for sixteen output channels, from those of its 36 components: `G' dU G`.
///
/// # Numerics
/// In f64, rounded once; the same bits for every instruction set.
pub fn filter_gradients(components: &[ChannelBlock; COMPONENTS]) -> [ChannelBlock; 9] {
    let mut columns = [[[0.0_f64; CHANNELS_PER_BLOCK]; TILE_REACH]; 3];
    for column in 0..TILE_REACH {
        let line: [_; TILE_REACH] =
            std::array::from_fn(|row| components[row * TILE_REACH + column].0.map(f64::from));
        for (row, taps) in tap_lines(&line).into_iter().enumerate() {
            columns[row][column] = taps;
        }
    }
    let mut taps = [ChannelBlock::ZERO; 9];
    for (row, line) in columns.iter().enumerate() {
        for (column, values) in tap_lines(line).into_iter().enumerate() {
            taps[row * 3 + column] = ChannelBlock(values.map(|value| value as f32));
        }
    }
    taps
}

/// The matrix G transposed.
fn tap_lines(u: &[[f64; CHANNELS_PER_BLOCK]; TILE_REACH]) -> [[f64; CHANNELS_PER_BLOCK]; 3] {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
    let mut taps = [[0.0; CHANNELS_PER_BLOCK]; 3];
    for lane in 0..CHANNELS_PER_BLOCK {
        let near = (u[1][lane] + u[2][lane]) * (-2.0 / 3.0);
        let near_difference = (u[1][lane] - u[2][lane]) * (-2.0 / 3.0);
        let far = (u[3][lane] + u[4][lane]) / 6.0;
        let far_difference = (u[3][lane] - u[4][lane]) / 6.0;
        taps[0][lane] = u[0][lane] + near + far;
        taps[1][lane] = FRAC_1_SQRT_2 * near_difference + SQRT_2 * far_difference;
        taps[2][lane] = near / 2.0 + far * 2.0 + u[5][lane];
    }
    taps
}

#[cfg(test)]
mod tests;
