//! Blur kernels: Gaussians, their generalized and plateau kin, and the circular low-pass.
//!
//! What lives here: shapes and their weights. What does not: which are drawn (`draw.rs`), how they are applied (`filter.rs`).
//! Theory: Wang et al., "Real-ESRGAN", 2021, section 3.1 and 3.2; Liu et al., "Estimating generalized Gaussian blur kernels for
//! out-of-focus image deblurring", 2020.

use serde::Serialize;

use crate::bessel::bessel_j1;

/// How a Gaussian's profile falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// `exp(-q/2)`, `q` being the squared distance in sigmas.
    Gaussian,
    /// `exp(-q^beta / 2)`.
    Generalized(f64),
    /// `1 / (1 + q^beta)`.
    Plateau(f64),
}

/// A blur kernel's form; its size is an odd number of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kernel", rename_all = "kebab-case")]
pub enum KernelShape {
    /// One width in all directions.
    Isotropic {
        /// How it falls.
        profile: Profile,
        /// Width in px.
        sigma: f64,
    },
    /// Two widths, turned.
    Anisotropic {
        /// How it falls.
        profile: Profile,
        /// Width in px along the turned x axis.
        sigma_x: f64,
        /// Width in px along the turned y axis.
        sigma_y: f64,
        /// Rotation in radians.
        theta: f64,
    },
    /// The circular low-pass: passes frequencies below the cut-off.
    Sinc {
        /// Cut-off in radians a pixel, up to pi.
        cutoff: f64,
    },
}

impl KernelShape {
    fn weight(&self, x: f64, y: f64) -> f64 {
        match *self {
            Self::Isotropic { profile, sigma } => profile.at((x * x + y * y) / (sigma * sigma)),
            Self::Anisotropic { profile, sigma_x, sigma_y, theta } => {
                let (sine, cosine) = theta.sin_cos();
                let along = (x * cosine + y * sine) / sigma_x;
                let across = (y * cosine - x * sine) / sigma_y;
                profile.at(along * along + across * across)
            }
            Self::Sinc { cutoff } => {
                let radius = x.hypot(y);
                if radius == 0.0 {
                    cutoff * cutoff / (4.0 * std::f64::consts::PI)
                } else {
                    cutoff * bessel_j1(cutoff * radius) / (std::f64::consts::TAU * radius)
                }
            }
        }
    }
}

impl Profile {
    fn at(self, q: f64) -> f64 {
        match self {
            Self::Gaussian => (-0.5 * q).exp(),
            Self::Generalized(beta) => (-0.5 * q.powf(beta)).exp(),
            Self::Plateau(beta) => 1.0 / (1.0 + q.powf(beta)),
        }
    }
}

/// Weights of a square kernel, row by row, whose sum is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    size: usize,
    weights: Vec<f64>,
}

impl Kernel {
    /// The weights of a shape over `size` x `size` pixels.
    ///
    /// # Panics
    /// Where `size` is even.
    pub fn new(shape: &KernelShape, size: usize) -> Self {
        assert!(size % 2 == 1, "a kernel has a pixel in its middle");
        let centre = (size / 2) as f64;
        let mut weights = Vec::with_capacity(size * size);
        for row in 0..size {
            for column in 0..size {
                weights.push(shape.weight(column as f64 - centre, row as f64 - centre));
            }
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Self { size, weights }
    }

    /// Pixels of a side.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All weights, row by row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The same kernel with zeros around it, as training code stacks kernels of one size.
    pub fn padded(&self, size: usize) -> Self {
        let margin = size.saturating_sub(self.size) / 2;
        let size = self.size + 2 * margin;
        let mut weights = vec![0.0; size * size];
        for (row, line) in self.weights.chunks_exact(self.size).enumerate() {
            let start = (row + margin) * size + margin;
            weights[start..start + self.size].copy_from_slice(line);
        }
        Self { size, weights }
    }
}

#[cfg(test)]
mod tests;
