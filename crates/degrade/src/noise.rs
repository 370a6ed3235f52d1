//! Noise: Gaussian, and Poisson in steps of as many levels as the picture has values.

use esrgan_core::{Plane, quantise_u8};
use serde::Serialize;

use esrgan_random::RandomStream;

/// What noise is added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Noise {
    /// Its distribution.
    #[serde(flatten)]
    pub kind: NoiseKind,
    /// Whether all channels get the same.
    #[serde(rename = "gray")]
    pub is_gray: bool,
}

/// Distributions of noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "distribution", rename_all = "kebab-case")]
pub enum NoiseKind {
    /// Normal, with a standard deviation in units of 1/255.
    Gaussian {
        /// Standard deviation, of 255.
        sigma: f64,
    },
    /// The deviation of a Poisson variable from its mean, times a factor.
    Poisson {
        /// The factor.
        scale: f64,
    },
}

/// Weights of gray for noise that all channels share (BT.601, with the rounding that training code has).
const GRAY_WEIGHTS: [f32; 3] = [0.2989, 0.587, 0.114];

/// Adds noise and clamps to 0..1.
pub(crate) fn add_noise(planes: &mut [Plane], noise: Noise, random: &mut RandomStream) {
    match noise.kind {
        NoiseKind::Gaussian { sigma } => {
            let sigma = sigma / f64::from(u8::MAX);
            add(planes, noise.is_gray, |_, _| (random.normal() * sigma) as f32);
        }
        NoiseKind::Poisson { scale } if noise.is_gray && planes.len() == 3 => {
            let gray = gray_levels(planes);
            let levels = levels(gray.iter().copied());
            add(planes, true, |_, index| (deviation(random, gray[index], levels) * scale) as f32);
        }
        NoiseKind::Poisson { scale } => {
            let quantised: Vec<Vec<u8>> = planes
                .iter()
                .map(|plane| plane.samples().iter().map(|sample| quantise_u8(*sample)).collect())
                .collect();
            let levels = levels(quantised.iter().flatten().copied());
            add(planes, false, |channel, index| {
                (deviation(random, quantised[channel][index], levels) * scale) as f32
            });
        }
    }
}

/// Adds a function of channel and position; with `is_shared`, the first channel's values to all.
fn add(planes: &mut [Plane], is_shared: bool, mut noise: impl FnMut(usize, usize) -> f32) {
    let samples = planes.first().map_or(0, |plane| plane.samples().len());
    let mut shared = Vec::new();
    if is_shared {
        shared = (0..samples).map(|index| noise(0, index)).collect();
    }
    for (channel, plane) in planes.iter_mut().enumerate() {
        for (index, sample) in plane.samples_mut().iter_mut().enumerate() {
            let value = if is_shared { shared[index] } else { noise(channel, index) };
            *sample = (*sample + value).clamp(0.0, 1.0);
        }
    }
}

fn gray_levels(planes: &[Plane]) -> Vec<u8> {
    (0..planes[0].samples().len())
        .map(|index| {
            quantise_u8(planes.iter().zip(GRAY_WEIGHTS).map(|(plane, w)| w * plane.samples()[index]).sum())
        })
        .collect()
}

/// The number of different values, rounded up to a power of two: photons of a white pixel.
fn levels(samples: impl Iterator<Item = u8>) -> f64 {
    let mut is_found = [false; 256];
    samples.for_each(|sample| is_found[usize::from(sample)] = true);
    let values = is_found.iter().filter(|is_found| **is_found).count();
    values.next_power_of_two() as f64
}

fn deviation(random: &mut RandomStream, sample: u8, levels: f64) -> f64 {
    let value = f64::from(sample) / f64::from(u8::MAX);
    random.poisson(value * levels) as f64 / levels - value
}

#[cfg(test)]
mod tests;
