//! LPIPS: how far two pictures are in the features of a network that recognises things.

mod map;
mod network;

use esrgan_core::Picture;
use esrgan_kernels::CHANNELS_PER_BLOCK;
use esrgan_weights::WeightMap;
use rayon::prelude::*;

use crate::error::MetricError;
use map::Map;
use network::{Network, tensor};

/// The network whose features are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LpipsNetwork {
    /// VGG16.
    Vgg,
    /// AlexNet.
    Alex,
    /// SqueezeNet 1.1.
    Squeeze,
}

/// What is taken off each colour, and what the rest is divided by, for colours in -1..1: mean and deviation of the
/// photographs that the networks have learnt from (`ScalingLayer` of lpips 0.1.4).
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// Keeps the length of a feature vector from being zero.
const EPSILON: f64 = 1e-10;

/// LPIPS with one network, ready to measure.
#[derive(Debug)]
pub struct Lpips {
    network: Network,
    /// For each layer that is compared: a weight for each channel.
    heads: Vec<Vec<f32>>,
}

impl Lpips {
    /// Takes the weights of a network and of its heads.
    ///
    /// - `backbone`: the convolutions by torchvision's names, `features.0.weight` and so on; others are left alone
    /// - `heads`: `lin0.model.1.weight` and so on, as version 0.1 of LPIPS has them
    ///
    /// # Errors
    /// [`MetricError::MissingTensor`], [`MetricError::TensorShape`].
    pub fn new(kind: LpipsNetwork, backbone: &WeightMap, heads: &WeightMap) -> Result<Self, MetricError> {
        let network = Network::new(kind, backbone)?;
        let channels = network.compared_channels().into_iter().enumerate();
        let head =
            |(index, channels)| tensor(heads, &format!("lin{index}.model.1.weight"), &[1, channels, 1, 1]);
        Ok(Self { heads: channels.map(head).collect::<Result<_, _>>()?, network })
    }

    /// The distance of two pictures: 0 for equal ones, about 0.7 for such as have nothing in common.
    ///
    /// ```text
    /// sum over layers of the mean over pixels of
    ///     sum over channels of weight * (f / |f| - g / |g|)^2
    /// ```
    ///
    /// # Values
    /// Samples in 0..1; no border is cut off.
    ///
    /// # Errors
    /// [`MetricError::Size`], [`MetricError::Channels`], [`MetricError::NotFinite`]; [`MetricError::TooSmall`] where the network
    /// would be left without pixels.
    ///
    /// # Source
    /// Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
    /// equation 1; lpips 0.1.4, whose digits it gives.
    pub fn distance(&self, reference: &Picture, candidate: &Picture) -> Result<f64, MetricError> {
        let sizes = [reference, candidate].map(|picture| (picture.width(), picture.height()));
        if sizes[0] != sizes[1] {
            return Err(MetricError::Size { reference: sizes[0], candidate: sizes[1] });
        }
        let (a, b) = (self.features(reference)?, self.features(candidate)?);
        let layers = a.iter().zip(&b).zip(&self.heads);
        Ok(layers.map(|((a, b), head)| distance(a, b, head)).sum())
    }

    /// What is compared of a picture.
    fn features(&self, picture: &Picture) -> Result<Vec<Map>, MetricError> {
        if picture.color.len() != 3 {
            return Err(MetricError::Channels { found: picture.color.len() });
        }
        let (size, least) = ((picture.width(), picture.height()), self.network.least_side());
        if size.0 < least || size.1 < least {
            return Err(MetricError::TooSmall { metric: "LPIPS", least, size, border_px: 0 });
        }
        let planes = picture.color.iter().zip(SHIFT.into_iter().zip(SCALE));
        let planes: Vec<Vec<f32>> = planes
            .map(|(plane, (shift, scale))| {
                plane.samples().par_iter().map(|sample| (2.0 * sample - 1.0 - shift) / scale).collect()
            })
            .collect();
        if !planes.iter().flatten().all(|sample| sample.is_finite()) {
            return Err(MetricError::NotFinite);
        }
        Ok(self.network.features(&planes, size))
    }
}

/// The distance in one layer.
fn distance(a: &Map, b: &Map, head: &[f32]) -> f64 {
    let rows: Vec<f64> = (0..a.height())
        .into_par_iter()
        .map(|y| (0..a.width()).map(|x| pixel_distance((a, b), (x, y), head)).sum())
        .collect();
    rows.into_iter().sum::<f64>() / (a.width() * a.height()) as f64
}

fn pixel_distance((a, b): (&Map, &Map), (x, y): (usize, usize), head: &[f32]) -> f64 {
    let value = |map: &Map, channel: usize| {
        f64::from(map.pixel(channel / CHANNELS_PER_BLOCK, x, y).0[channel % CHANNELS_PER_BLOCK])
    };
    let length =
        |map: &Map| (0..head.len()).map(|channel| value(map, channel).powi(2)).sum::<f64>().sqrt() + EPSILON;
    let (length_a, length_b) = (length(a), length(b));
    let weighted = head.iter().enumerate().map(|(channel, weight)| {
        f64::from(*weight) * (value(a, channel) / length_a - value(b, channel) / length_b).powi(2)
    });
    weighted.sum()
}
