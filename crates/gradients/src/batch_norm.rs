//! Batch normalisation with a leaky ReLU behind it.
//!
//! Ioffe and Szegedy, "Batch normalization", 2015: in training, with the batch's own mean and variance.

use esrgan_kernels::{CHANNELS_PER_BLOCK, ChannelBlock};
use rayon::prelude::*;

use crate::map::FeatureMap;

/// Normalisation of each channel over samples and pixels, then `leaky_relu(scale * normalised + shift)`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// One for each channel (gamma).
    pub scales: &'a [f32],
    /// One for each channel (beta).
    pub shifts: &'a [f32],
    /// What is added to the variance, 1e-5 in the usual discriminator.
    pub epsilon: f32,
    /// The slope of the leaky ReLU for negative values.
    pub slope: f32,
}

/// Mean and variance of each channel of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Means.
    pub means: Vec<f32>,
    /// Variances, divided by the number of values.
    pub variances: Vec<f32>,
    /// Values of each channel.
    pub count: usize,
}

/// The gradients of a normalisation.
#[derive(Clone, Debug)]
pub struct BatchNormGradients {
    /// Of the input.
    pub input: FeatureMap<'static>,
    /// Of the scales.
    pub scales: Vec<f32>,
    /// Of the shifts.
    pub shifts: Vec<f32>,
}

/// Factor and summand of each lane of each block: `normalised = x * factor + summand`.
type Lines = Vec<(ChannelBlock, ChannelBlock)>;

/// A sum in f64 over all pixels of each channel, of two values made of each pixel; samples and rows in their order.
fn channel_sums(
    map: &FeatureMap<'_>,
    values: impl Fn(usize, usize, usize) -> [[f64; CHANNELS_PER_BLOCK]; 2] + Sync,
) -> Vec<[[f64; CHANNELS_PER_BLOCK]; 2]> {
    let [samples, _, height, _] = map.shape();
    (0..map.blocks())
        .into_par_iter()
        .map(|block| {
            let mut sums = [[0.0; CHANNELS_PER_BLOCK]; 2];
            for row in 0..samples * height {
                let of_row = values(row / height, block, row % height);
                for (sums, values) in sums.iter_mut().zip(of_row) {
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
            }
            sums
        })
        .collect()
}

impl BatchStatistics {
    /// Those of a batch.
    pub fn of(map: &FeatureMap<'_>) -> Self {
        let [samples, channels, height, width] = map.shape();
        let count = samples * height * width;
        let first = channel_sums(map, |sample, block, y| {
            let mut sums = [[0.0; CHANNELS_PER_BLOCK]; 2];
            for pixel in map.pixels(sample, block, y) {
                sums[0].iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += f64::from(value));
            }
            sums
        });
        let means: Vec<[f64; CHANNELS_PER_BLOCK]> =
            first.iter().map(|sums| sums[0].map(|sum| sum / count as f64)).collect();
        let second = channel_sums(map, |sample, block, y| {
            let mut sums = [[0.0; CHANNELS_PER_BLOCK]; 2];
            for pixel in map.pixels(sample, block, y) {
                for (lane, value) in pixel.0.into_iter().enumerate() {
                    sums[0][lane] += (f64::from(value) - means[block][lane]).powi(2);
                }
            }
            sums
        });
        let flat = |values: Vec<[f64; CHANNELS_PER_BLOCK]>| -> Vec<f32> {
            values.into_iter().flatten().take(channels).map(|value| value as f32).collect()
        };
        let variances = second.iter().map(|sums| sums[0].map(|sum| sum / count as f64)).collect();
        Self { means: flat(means), variances: flat(variances), count }
    }
}

impl BatchNorm<'_> {
    /// The output, with the batch's own statistics.
    ///
    /// # Panics
    /// Where scales, shifts and statistics are not of as many channels as the input.
    pub fn forward(&self, input: &FeatureMap<'_>, statistics: &BatchStatistics) -> FeatureMap<'static> {
        let [_, channels, height, _] = input.shape();
        let found = [self.scales.len(), self.shifts.len(), statistics.means.len()];
        assert_eq!(found, [channels; 3], "scales, shifts and statistics of the channels");
        let lines = self.lines(statistics);
        let mut output = FeatureMap::to_overwrite_like(input, channels);
        let blocks = output.blocks();
        output.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let (scale, shift) = self.affine(&lines, block);
            for (target, pixel) in row.iter_mut().zip(input.pixels(sample, block, y)) {
                for lane in 0..CHANNELS_PER_BLOCK {
                    let value = pixel.0[lane] * scale.0[lane] + shift.0[lane];
                    target.0[lane] = if value > 0.0 { value } else { value * self.slope };
                }
            }
        });
        output
    }

    /// The gradients, from the input, the output that [`BatchNorm::forward`] made of it, and its gradient.
    ///
    /// # Panics
    /// Where the maps are not of one shape.
    pub fn backward(
        &self,
        (input, output): (&FeatureMap<'_>, &FeatureMap<'_>),
        statistics: &BatchStatistics,
        mut gradient: FeatureMap<'_>,
    ) -> BatchNormGradients {
        gradient.mask(output, self.slope);
        let lines = self.lines(statistics);
        // Sums of the gradient, and of the gradient times the normalised input.
        let sums = channel_sums(input, |sample, block, y| {
            let mut sums = [[0.0; CHANNELS_PER_BLOCK]; 2];
            let (factor, summand) = &lines[block];
            let pixels = input.pixels(sample, block, y).iter().zip(gradient.pixels(sample, block, y));
            for (x, dy) in pixels {
                for (lane, (x, dy)) in x.0.into_iter().zip(dy.0).enumerate() {
                    let normalised = x * factor.0[lane] + summand.0[lane];
                    sums[0][lane] += f64::from(dy);
                    sums[1][lane] += f64::from(dy) * f64::from(normalised);
                }
            }
            sums
        });
        let [_, channels, height, _] = input.shape();
        let count = statistics.count as f64;
        let mut result = FeatureMap::to_overwrite_like(input, channels);
        let blocks = result.blocks();
        result.par_rows_mut().enumerate().for_each(|(index, row)| {
            let (sample, block, y) = (index / height / blocks, index / height % blocks, index % height);
            let (factor, summand) = &lines[block];
            let means = sums[block].map(|sums| sums.map(|sum| (sum / count) as f32));
            let pixels = input.pixels(sample, block, y).iter().zip(gradient.pixels(sample, block, y));
            for (target, (x, dy)) in row.iter_mut().zip(pixels) {
                for (lane, (x, dy)) in x.0.into_iter().zip(dy.0).enumerate() {
                    let normalised = x * factor.0[lane] + summand.0[lane];
                    let scale = self.scales.get(block * CHANNELS_PER_BLOCK + lane).copied().unwrap_or(0.0);
                    let inner = dy - means[0][lane] - normalised * means[1][lane];
                    target.0[lane] = scale * factor.0[lane] * inner;
                }
            }
        });
        let flat = |part: usize| -> Vec<f32> {
            sums.iter().flat_map(|sums| sums[part]).take(channels).map(|sum| sum as f32).collect()
        };
        BatchNormGradients { input: result, scales: flat(1), shifts: flat(0) }
    }

    /// What makes inputs normalised ones.
    fn lines(&self, statistics: &BatchStatistics) -> Lines {
        let pairs =
            statistics.means.chunks(CHANNELS_PER_BLOCK).zip(statistics.variances.chunks(CHANNELS_PER_BLOCK));
        pairs
            .map(|(means, variances)| {
                let mut line = (ChannelBlock::ZERO, ChannelBlock::ZERO);
                for (lane, (mean, variance)) in means.iter().zip(variances).enumerate() {
                    let factor = 1.0 / (variance + self.epsilon).sqrt();
                    (line.0.0[lane], line.1.0[lane]) = (factor, -mean * factor);
                }
                line
            })
            .collect()
    }

    /// What makes inputs of a block scaled and shifted ones.
    fn affine(&self, lines: &Lines, block: usize) -> (ChannelBlock, ChannelBlock) {
        let (factor, summand) = &lines[block];
        let (mut scale, mut shift) = (ChannelBlock::ZERO, ChannelBlock::ZERO);
        let channels = self.scales.iter().zip(self.shifts).skip(block * CHANNELS_PER_BLOCK);
        for (lane, (gamma, beta)) in channels.take(CHANNELS_PER_BLOCK).enumerate() {
            scale.0[lane] = gamma * factor.0[lane];
            shift.0[lane] = gamma * summand.0[lane] + beta;
        }
        (scale, shift)
    }
}
