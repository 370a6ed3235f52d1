//! Pooling by the largest of each square of two by two pixels.

use esrgan_kernels::ChannelBlock;
use rayon::prelude::*;

use crate::map::FeatureMap;

const SIDE: usize = 2;

/// The largest of each square of 2x2 pixels; an odd last row or column is left out.
pub fn max_pool(input: &FeatureMap<'_>) -> FeatureMap<'static> {
    let [samples, channels, height, width] = input.shape();
    let mut output = FeatureMap::to_overwrite(samples, channels, height / SIDE, width / SIDE);
    let (blocks, out_height) = (output.blocks(), height / SIDE);
    output.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) =
            (index / out_height / blocks, index / out_height % blocks, index % out_height);
        let (upper, lower) =
            (input.pixels(sample, block, SIDE * y), input.pixels(sample, block, SIDE * y + 1));
        for (x, pixel) in row.iter_mut().enumerate() {
            let square = [&upper[SIDE * x], &upper[SIDE * x + 1], &lower[SIDE * x], &lower[SIDE * x + 1]];
            *pixel = ChannelBlock(std::array::from_fn(|lane| {
                square.iter().fold(f32::NEG_INFINITY, |most, pixel| {
                    // NaN wins, so that it is seen.
                    if pixel.0[lane] > most || pixel.0[lane].is_nan() { pixel.0[lane] } else { most }
                })
            }));
        }
    });
    output
}

/// The gradient of the input: that of each output goes to the first of its square that has the largest value.
///
/// # Panics
/// Where the gradient is not of the output's shape.
pub fn max_pool_gradient(input: &FeatureMap<'_>, gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
    let [samples, channels, height, width] = input.shape();
    assert_eq!(gradient.shape(), [samples, channels, height / SIDE, width / SIDE], "the gradient's shape");
    let mut result = FeatureMap::to_overwrite(samples, channels, height, width);
    let blocks = result.blocks();
    result.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        row.fill(ChannelBlock::ZERO);
        if y / SIDE >= height / SIDE {
            return;
        }
        let first = y / SIDE * SIDE;
        let lines = [input.pixels(sample, block, first), input.pixels(sample, block, first + 1)];
        let is_lower = y > first;
        let squares = lines[0].chunks_exact(SIDE).zip(lines[1].chunks_exact(SIDE));
        let gradients = gradient.pixels(sample, block, y / SIDE);
        for ((pixels, (upper, lower)), gradient) in row.chunks_exact_mut(SIDE).zip(squares).zip(gradients) {
            for lane in 0..gradient.0.len() {
                let ([a, b], [c, d]) = ([0, 1].map(|x| upper[x].0[lane]), [0, 1].map(|x| lower[x].0[lane]));
                // The first of those that are the largest.
                let is_below = (if d > c { d } else { c }) > (if b > a { b } else { a });
                let is_right = if is_lower { d > c } else { b > a };
                let here = if is_below == is_lower { gradient.0[lane] } else { 0.0 };
                pixels[0].0[lane] = if is_right { 0.0 } else { here };
                pixels[1].0[lane] = if is_right { here } else { 0.0 };
            }
        }
    });
    result
}
