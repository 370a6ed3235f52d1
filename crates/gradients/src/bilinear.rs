//! Enlargement to twice the size by linear interpolation.
//!
//! Pixels are squares whose values lie in their middles, as PyTorch's `interpolate(mode="bilinear", align_corners=False)` has it: an
//! enlarged pixel is three quarters of the one that it lies in and a quarter of the next one's, which at the edge is the same.

use esrgan_kernels::ChannelBlock;
use rayon::prelude::*;

use crate::map::FeatureMap;

const FACTOR: usize = 2;
const NEAR: f32 = 0.75;
const FAR: f32 = 0.25;

/// The place that an enlarged place lies in, and the next one.
fn sources(place: usize, count: usize) -> (usize, usize) {
    let near = place / FACTOR;
    let far = if place.is_multiple_of(FACTOR) { near.saturating_sub(1) } else { (near + 1).min(count - 1) };
    (near, far)
}

/// The enlarged places that see a place, and how much of it.
fn targets(place: usize, count: usize) -> impl Iterator<Item = (usize, f32)> {
    let first = (FACTOR * place).saturating_sub(1);
    let last = (FACTOR * place + FACTOR).min(FACTOR * count - 1);
    (first..=last).map(move |target| {
        let (near, far) = sources(target, count);
        let share = |source: usize, weight: f32| if source == place { weight } else { 0.0 };
        (target, share(near, NEAR) + share(far, FAR))
    })
}

fn add(sum: &mut ChannelBlock, value: &ChannelBlock, weight: f32) {
    sum.0.iter_mut().zip(value.0).for_each(|(sum, value)| *sum += weight * value);
}

fn mixed(near: &ChannelBlock, far: &ChannelBlock) -> ChannelBlock {
    ChannelBlock(std::array::from_fn(|lane| NEAR * near.0[lane] + FAR * far.0[lane]))
}

/// A map of twice the height and width.
pub fn enlarge_bilinear(input: &FeatureMap<'_>) -> FeatureMap<'static> {
    let [samples, channels, height, width] = input.shape();
    let mut output = FeatureMap::to_overwrite(samples, channels, FACTOR * height, FACTOR * width);
    let (blocks, out_height) = (output.blocks(), FACTOR * height);
    output.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block) = (index / out_height / blocks, index / out_height % blocks);
        let (near, far) = sources(index % out_height, height);
        let (near, far) = (input.pixels(sample, block, near), input.pixels(sample, block, far));
        let column = |x: usize| mixed(&near[x], &far[x]);
        for (x, pixel) in row.iter_mut().enumerate() {
            let (near, far) = sources(x, width);
            *pixel = mixed(&column(near), &column(far));
        }
    });
    output
}

/// The gradient of the input, from that of the output.
///
/// # Panics
/// Where the gradient has an odd height or width.
pub fn enlarge_bilinear_gradient(gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
    let [samples, channels, out_height, out_width] = gradient.shape();
    assert!(
        out_height.is_multiple_of(FACTOR) && out_width.is_multiple_of(FACTOR),
        "sides of an enlarged map"
    );
    let (height, width) = (out_height / FACTOR, out_width / FACTOR);
    let mut result = FeatureMap::to_overwrite(samples, channels, height, width);
    let blocks = result.blocks();
    result.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        row.fill(ChannelBlock::ZERO);
        for (target, row_weight) in targets(y, height) {
            let pixels = gradient.pixels(sample, block, target);
            for (x, sum) in row.iter_mut().enumerate() {
                targets(x, width).for_each(|(target, weight)| add(sum, &pixels[target], row_weight * weight));
            }
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values;

    /// Three quarters and a quarter are exact; so are products with few bits, and their sums.
    fn exact(seed: u64, count: usize) -> Vec<f32> {
        values(seed, count).into_iter().map(|value| (value * 64.0).round()).collect()
    }

    /// The weight of an input place in an output place, by the definition: linear between the middles of pixels.
    fn weight(output: usize, input: usize, count: usize) -> f64 {
        let middle = (output as f64 + 0.5) / 2.0 - 0.5;
        let clamped = middle.clamp(0.0, (count - 1) as f64);
        (1.0 - (clamped - input as f64).abs()).max(0.0)
    }

    #[test]
    fn enlargement_and_gradient_are_those_of_the_definition() {
        for (height, width) in [(1, 1), (1, 5), (4, 1), (3, 7), (8, 6)] {
            let (samples, channels) = (2, 17);
            let shape = [samples, channels, height, width];
            let planes = samples * channels;
            let input = exact(1, planes * height * width);
            let gradient = exact(2, planes * height * width * 4);
            let mut expected = vec![0.0; gradient.len()];
            let mut expected_gradient = vec![0.0; input.len()];
            for index in 0..gradient.len() {
                let (plane, y, x) =
                    (index / (4 * height * width), index / (2 * width) % (2 * height), index % (2 * width));
                for from in 0..height * width {
                    let share = weight(y, from / width, height) * weight(x, from % width, width);
                    expected[index] += share * f64::from(input[plane * height * width + from]);
                    expected_gradient[plane * height * width + from] += share * f64::from(gradient[index]);
                }
            }
            let found = enlarge_bilinear(&FeatureMap::from_planar(&input, shape)).to_planar();
            assert!(found.iter().map(|value| f64::from(*value)).eq(expected), "{height}x{width}");
            let map = FeatureMap::from_planar(&gradient, [samples, channels, 2 * height, 2 * width]);
            let found = enlarge_bilinear_gradient(&map).to_planar();
            assert!(found.iter().map(|value| f64::from(*value)).eq(expected_gradient), "{height}x{width}");
        }
    }
}
