//! The kernel that multiplies and adds in `f32`: for devices without matrix units, and where half precision is not wanted.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::shared::{At, Form, Place, chunk_vector, finish};

/// Columns of a cube's tile of outputs.
pub(crate) const TILE_COLUMNS: u32 = 16;
/// Its rows.
pub(crate) const TILE_ROWS: u32 = 8;
/// Output channels of a cube.
pub(crate) const TILE_OUTPUTS: u32 = 32;
/// Units of a cube: each sums four pixels of a row for eight outputs.
pub(crate) const UNITS: u32 = 128;
/// Channels between two barriers.
pub(crate) const CHUNK: u32 = 16;

const HALO_COLUMNS: u32 = TILE_COLUMNS + 2;
const HALO_PIXELS: u32 = HALO_COLUMNS * (TILE_ROWS + 2);
/// Numbers from one pixel to the next: odd, so that neighbours lie in different banks.
const PIXEL_STRIDE: u32 = CHUNK + 1;
/// Vectors of weights of a chunk: `[channel][tap][output]`.
pub(crate) const CHUNK_WEIGHTS: u32 = CHUNK * 9 * TILE_OUTPUTS / 4;

/// Convolves: a cube computes a tile of pixels for [`TILE_OUTPUTS`] output channels.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers come one by one")]
pub(crate) fn convolve_direct<I: Float, O: Float, N: Size>(
    first: &[Vector<I, N>],
    second: &[Vector<I, N>],
    third: &[Vector<I, N>],
    fourth: &[Vector<I, N>],
    fifth: &[Vector<I, N>],
    weights: &[Vector<f32, N>],
    channels: &[Vector<f32, N>],
    stream: &mut [Vector<f32, N>],
    skip: &mut [Vector<f32, N>],
    output: &mut [Vector<O, N>],
    result: &mut [f32],
    place: Place,
    scale: f32,
    #[comptime] form: Form,
    #[define(I)] _read: ElemType,
    #[define(O)] _written: ElemType,
) {
    let mut tile = Shared::<[f32]>::new_slice(comptime!((HALO_PIXELS * PIXEL_STRIDE) as usize));
    let mut filter = Shared::<[Vector<f32, N>]>::new_slice(comptime!(CHUNK_WEIGHTS as usize));
    let unit = UNIT_POS;
    let blocks = comptime!(form.outputs.div_ceil(TILE_OUTPUTS));
    let (block, sample) = (CUBE_POS_Z % blocks, CUBE_POS_Z / blocks);
    let group = unit / 32;
    let row = unit % 32 / 4;
    let column = unit % 4 * 4;
    let top = (place.first_row + CUBE_POS_Y * TILE_ROWS) as i32;
    let left = (CUBE_POS_X * TILE_COLUMNS) as i32;
    let chunks = comptime!(form.chunks());
    let mut sums = Array::<Vector<f32, N>>::new(8usize);
    #[unroll]
    for sum in 0..8usize {
        sums[sum] = Vector::cast_from(0.0f32);
    }
    for chunk in 0..chunks {
        sync_cube();
        for item in range_stepped(unit, comptime!(HALO_PIXELS * CHUNK / 4), UNITS) {
            let (pixel, vector) = (item / comptime!(CHUNK / 4), item % comptime!(CHUNK / 4));
            let y = top + (pixel / HALO_COLUMNS) as i32 - 1;
            let x = left + (pixel % HALO_COLUMNS) as i32 - 1;
            let at = At { sample, y, x };
            let found = chunk_vector(first, second, third, fourth, fifth, &at, chunk, vector, &place, form);
            #[unroll]
            for lane in 0..4u32 {
                tile[(pixel * PIXEL_STRIDE + vector * 4 + lane) as usize] =
                    f32::cast_from(found.extract(lane as usize));
            }
        }
        for item in range_stepped(unit, CHUNK_WEIGHTS, UNITS) {
            filter[item as usize] = weights[((block * chunks + chunk) * CHUNK_WEIGHTS + item) as usize];
        }
        sync_cube();
        for channel in 0..CHUNK {
            #[unroll]
            for tap_row in 0..3u32 {
                let line = ((row + tap_row) * HALO_COLUMNS + column) * PIXEL_STRIDE + channel;
                let taps = (channel * 9 + tap_row * 3) * comptime!(TILE_OUTPUTS / 4) + group * 2;
                #[unroll]
                for tap in 0..3u32 {
                    let lower = filter[(taps + tap * comptime!(TILE_OUTPUTS / 4)) as usize];
                    let upper = filter[(taps + tap * comptime!(TILE_OUTPUTS / 4) + 1) as usize];
                    #[unroll]
                    for pixel in 0..4u32 {
                        let value = tile[(line + (tap + pixel) * PIXEL_STRIDE) as usize];
                        let value = Vector::<f32, N>::cast_from(value);
                        let sum = comptime!(pixel as usize * 2);
                        sums[sum] = fma(lower, value, sums[sum]);
                        sums[comptime!(sum + 1)] = fma(upper, value, sums[comptime!(sum + 1)]);
                    }
                }
            }
        }
    }
    #[unroll]
    for pixel in 0..4u32 {
        let at = At { sample, y: top + row as i32, x: left + (column + pixel) as i32 };
        #[unroll]
        for half in 0..2u32 {
            let vector = block * comptime!(TILE_OUTPUTS / 4) + group * 2 + half;
            let sum = sums[comptime!((pixel * 2 + half) as usize)];
            finish(sum, &at, vector, channels, stream, skip, output, result, &place, scale, form);
        }
    }
}
