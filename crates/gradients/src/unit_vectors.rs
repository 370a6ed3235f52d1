//! Each pixel's vector of channels, brought to a mean square of one.

use esrgan_kernels::ChannelBlock;
use rayon::prelude::*;

use crate::map::FeatureMap;

/// What each pixel was multiplied by, `[sample][row][column]`.
#[derive(Clone, Debug)]
pub struct Factors(Vec<f32>);

/// A map's pixels brought to a mean square of one over their channels, and what each was multiplied by for that.
///
/// `epsilon` is added to the mean square, so that a pixel of zeros stays one.
pub fn unit_vectors(input: &FeatureMap<'_>, epsilon: f32) -> (FeatureMap<'static>, Factors) {
    let [samples, channels, height, width] = input.shape();
    let factors: Vec<f32> =
        means(input, input).into_iter().map(|mean| 1.0 / (mean + epsilon).sqrt()).collect();
    let mut output = FeatureMap::to_overwrite(samples, channels, height, width);
    let blocks = output.blocks();
    output.par_rows_mut().enumerate().for_each(|(index, row)| {
        let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
        let factors = &factors[(sample * height + y) * width..][..width];
        for ((pixel, input), factor) in row.iter_mut().zip(input.pixels(sample, block, y)).zip(factors) {
            *pixel = ChannelBlock(input.0.map(|value| factor * value));
        }
    });
    (output, Factors(factors))
}

impl Factors {
    /// The gradient of the input, from the output and its gradient: `factor * (gradient - output * mean(output * gradient))`.
    ///
    /// # Panics
    /// Where the maps are not of the shape that they had.
    pub fn gradient(&self, output: &FeatureMap<'_>, gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
        let [samples, channels, height, width] = output.shape();
        assert_eq!(
            (samples * height * width, output.shape()),
            (self.0.len(), gradient.shape()),
            "the map whose factors these are"
        );
        let means = means(output, gradient);
        let mut result = FeatureMap::to_overwrite(samples, channels, height, width);
        let blocks = result.blocks();
        result.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let first = (sample * height + y) * width;
            let parts = means[first..][..width].iter().zip(&self.0[first..][..width]);
            let maps = output.pixels(sample, block, y).iter().zip(gradient.pixels(sample, block, y));
            for ((pixel, (mean, factor)), (output, gradient)) in row.iter_mut().zip(parts).zip(maps) {
                *pixel = ChannelBlock(std::array::from_fn(|lane| {
                    factor * (gradient.0[lane] - output.0[lane] * mean)
                }));
            }
        });
        result
    }
}

/// The mean over channels of both maps' product, for each pixel.
fn means(left: &FeatureMap<'_>, right: &FeatureMap<'_>) -> Vec<f32> {
    let [samples, channels, height, width] = left.shape();
    let mut means = vec![0.0_f32; samples * height * width];
    means.par_chunks_mut(width.max(1)).enumerate().for_each(|(index, row)| {
        let (sample, y) = (index / height, index % height);
        // Lanes are added up last, so that the loops before it have no order to keep.
        let mut lanes = vec![ChannelBlock::ZERO; width];
        for block in 0..left.blocks() {
            let pixels = left.pixels(sample, block, y).iter().zip(right.pixels(sample, block, y));
            for (sums, (left, right)) in lanes.iter_mut().zip(pixels) {
                for (sum, (left, right)) in sums.0.iter_mut().zip(left.0.iter().zip(&right.0)) {
                    *sum += left * right;
                }
            }
        }
        for (mean, lanes) in row.iter_mut().zip(lanes) {
            *mean = lanes.0.iter().sum::<f32>() / channels as f32;
        }
    });
    means
}
