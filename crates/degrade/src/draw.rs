//! Presets: what is drawn, from which ranges, with which probabilities.
//!
//! `real-esrgan`: Wang et al., "Real-ESRGAN", 2021, section 3, with the ranges of its published training configuration
//! (`train_realesrgan_x4plus.yml`). `mild`: the ranges that traiNNer-redux has for degradation on the fly.

use std::f64::consts::PI;
use std::str::FromStr;

use crate::error::DegradeError;
use crate::kernel::{KernelShape, Profile};
use crate::noise::{Noise, NoiseKind};
use crate::parameters::{Step, Target};
use crate::resize::ResizeMode;
use esrgan_random::RandomStream;

/// A named set of ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Two passes of blur, resize, noise and JPEG, and a final low-pass.
    #[default]
    RealEsrgan,
    /// Two passes of resize and light JPEG.
    Mild,
    /// A plain antialiased downscale.
    Bicubic,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 3] = [Self::RealEsrgan, Self::Mild, Self::Bicubic];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RealEsrgan => "real-esrgan",
            Self::Mild => "mild",
            Self::Bicubic => "bicubic",
        }
    }
}

impl FromStr for Preset {
    type Err = DegradeError;

    fn from_str(name: &str) -> Result<Self, DegradeError> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| DegradeError::Preset { name: name.to_owned() })
    }
}

/// Ranges of one pass.
struct Pass {
    /// Blur: its probability and the range of sigma; none where there is never any.
    blur: Option<(f64, f64)>,
    /// Largest sigma of Gaussian noise and largest Poisson factor; none for no noise.
    noise: Option<(f64, f64)>,
    /// Probabilities of up, down and keep.
    resize_weights: [f64; 3],
    resize_range: (f64, f64),
    modes: &'static [ResizeMode],
    jpeg: (f64, f64),
}

const MODES: &[ResizeMode] = &[ResizeMode::Area, ResizeMode::Bilinear, ResizeMode::Bicubic];
const MILD_MODES: &[ResizeMode] =
    &[ResizeMode::Bilinear, ResizeMode::Bicubic, ResizeMode::NearestExact, ResizeMode::Lanczos];
const REAL_ESRGAN: [Pass; 2] = [
    Pass {
        blur: Some((1.0, 3.0)),
        noise: Some((30.0, 3.0)),
        resize_weights: [0.2, 0.7, 0.1],
        resize_range: (0.15, 1.5),
        modes: MODES,
        jpeg: (30.0, 95.0),
    },
    Pass {
        blur: Some((0.8, 1.5)),
        noise: Some((25.0, 2.5)),
        resize_weights: [0.3, 0.4, 0.3],
        resize_range: (0.3, 1.2),
        modes: MODES,
        jpeg: (30.0, 95.0),
    },
];
const MILD: [Pass; 2] = [
    Pass {
        blur: None,
        noise: None,
        resize_weights: [0.2, 0.7, 0.1],
        resize_range: (0.4, 1.5),
        modes: MILD_MODES,
        jpeg: (75.0, 95.0),
    },
    Pass {
        blur: None,
        noise: None,
        resize_weights: [0.3, 0.4, 0.3],
        resize_range: (0.6, 1.2),
        modes: MILD_MODES,
        jpeg: (75.0, 95.0),
    },
];

const SMALLEST_SIGMA: f64 = 0.2;
const SINC_PROBABILITY: f64 = 0.1;
const FINAL_SINC_PROBABILITY: f64 = 0.8;
const GRAY_NOISE_PROBABILITY: f64 = 0.4;
/// Isotropic and anisotropic: plain, generalized, plateau.
const KERNEL_WEIGHTS: [f64; 6] = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03];
const GENERALIZED_BETA: (f64, f64) = (0.5, 4.0);
const PLATEAU_BETA: (f64, f64) = (1.0, 2.0);

/// Draws the steps of one sample.
pub(crate) fn draw(preset: Preset, random: &mut RandomStream) -> Vec<Step> {
    let (passes, has_final_sinc) = match preset {
        Preset::Bicubic => return vec![Step::Downscale],
        Preset::RealEsrgan => (REAL_ESRGAN, true),
        Preset::Mild => (MILD, false),
    };
    let [first, second] = passes;
    let mut steps = Vec::with_capacity(10);
    draw_filters(&first, random, Target::Present, &mut steps);
    steps.push(jpeg(&first, random));
    draw_filters(&second, random, Target::Final, &mut steps);
    let jpeg = jpeg(&second, random);
    let resize =
        Step::Resize { target: Target::Final(1.0), mode: second.modes[random.index(second.modes.len())] };
    let has_sinc = has_final_sinc && random.chance(FINAL_SINC_PROBABILITY);
    let sinc = has_sinc.then(|| {
        let cutoff = random.uniform(PI / 3.0, PI);
        Step::Blur { shape: KernelShape::Sinc { cutoff }, size: kernel_size(random) }
    });
    let is_jpeg_last = random.chance(0.5);
    steps.extend((!is_jpeg_last).then_some(jpeg));
    steps.push(resize);
    steps.extend(sinc);
    steps.extend(is_jpeg_last.then_some(jpeg));
    steps
}

/// Blur, resize and noise of a pass.
fn draw_filters(pass: &Pass, random: &mut RandomStream, target: fn(f64) -> Target, steps: &mut Vec<Step>) {
    if let Some((probability, largest_sigma)) = pass.blur
        && random.chance(probability)
    {
        let size = kernel_size(random);
        steps.push(Step::Blur { shape: draw_shape(size, largest_sigma, random), size });
    }
    let (smallest, largest) = pass.resize_range;
    let factor = match random.choice(&pass.resize_weights) {
        0 => random.uniform(1.0, largest),
        1 => random.uniform(smallest, 1.0),
        _ => 1.0,
    };
    let mode = pass.modes[random.index(pass.modes.len())];
    steps.push(Step::Resize { target: target(factor), mode });
    if let Some((sigma, scale)) = pass.noise {
        let kind = if random.chance(0.5) {
            NoiseKind::Gaussian { sigma: random.uniform(1.0, sigma) }
        } else {
            NoiseKind::Poisson { scale: random.uniform(0.05, scale) }
        };
        steps.push(Step::Noise(Noise { kind, is_gray: random.chance(GRAY_NOISE_PROBABILITY) }));
    }
}

/// A quality; whole numbers, as files have it.
fn jpeg(pass: &Pass, random: &mut RandomStream) -> Step {
    Step::Jpeg { quality: random.uniform(pass.jpeg.0, pass.jpeg.1).round() as u8 }
}

/// An odd size from 7 to 21.
fn kernel_size(random: &mut RandomStream) -> usize {
    7 + 2 * random.index(8)
}

fn draw_shape(size: usize, largest_sigma: f64, random: &mut RandomStream) -> KernelShape {
    if random.chance(SINC_PROBABILITY) {
        let lowest = if size < 13 { PI / 3.0 } else { PI / 5.0 };
        return KernelShape::Sinc { cutoff: random.uniform(lowest, PI) };
    }
    let choice = random.choice(&KERNEL_WEIGHTS);
    let sigma = random.uniform(SMALLEST_SIGMA, largest_sigma);
    let is_turned = choice % 2 == 1;
    let sigma_y = if is_turned { random.uniform(SMALLEST_SIGMA, largest_sigma) } else { sigma };
    let theta = if is_turned { random.uniform(-PI, PI) } else { 0.0 };
    let profile = match choice / 2 {
        0 => Profile::Gaussian,
        1 => Profile::Generalized(draw_beta(GENERALIZED_BETA, random)),
        _ => Profile::Plateau(draw_beta(PLATEAU_BETA, random)),
    };
    if is_turned {
        KernelShape::Anisotropic { profile, sigma_x: sigma, sigma_y, theta }
    } else {
        KernelShape::Isotropic { profile, sigma }
    }
}

/// Half of the draws below 1, half above: otherwise few would fall steeper than a Gaussian.
fn draw_beta((low, high): (f64, f64), random: &mut RandomStream) -> f64 {
    if random.chance(0.5) { random.uniform(low, 1.0) } else { random.uniform(1.0, high) }
}

#[cfg(test)]
mod tests;
