use std::f64::consts::PI;

use super::*;
use crate::golden::golden;

/// Kernels written from the definitions with NumPy and scipy.
#[test]
fn weights_are_those_that_the_definitions_give() {
    let golden = golden();
    let isotropic = |profile| KernelShape::Isotropic { profile, sigma: 1.3 };
    let anisotropic = |profile| KernelShape::Anisotropic { profile, sigma_x: 2.5, sigma_y: 0.7, theta: 0.4 };
    for (name, shape) in [
        ("iso", isotropic(Profile::Gaussian)),
        ("generalized_iso", isotropic(Profile::Generalized(0.8))),
        ("plateau_iso", isotropic(Profile::Plateau(1.5))),
        ("aniso", anisotropic(Profile::Gaussian)),
        ("generalized_aniso", anisotropic(Profile::Generalized(0.8))),
        ("plateau_aniso", anisotropic(Profile::Plateau(1.5))),
        ("sinc", KernelShape::Sinc { cutoff: PI / 3.0 }),
    ] {
        let expected = &golden[&format!("kernel_{name}")];
        let kernel = Kernel::new(&shape, expected.shape[0]);
        let pairs = kernel.weights().iter().zip(&expected.values);
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-14, "{name}: {largest:e}");
    }
}

/// Variances along x and y, and the covariance.
fn covariance(kernel: &Kernel) -> (f64, f64, f64) {
    let centre = (kernel.size() / 2) as f64;
    let mut sums = (0.0, 0.0, 0.0);
    for (index, weight) in kernel.weights().iter().enumerate() {
        let x = (index % kernel.size()) as f64 - centre;
        let y = (index / kernel.size()) as f64 - centre;
        sums = (sums.0 + weight * x * x, sums.1 + weight * y * y, sums.2 + weight * x * y);
    }
    sums
}

#[test]
fn sums_are_one_with_padding_too() {
    let gaussian = Profile::Generalized(0.7);
    for shape in [
        KernelShape::Isotropic { profile: Profile::Plateau(1.5), sigma: 0.2 },
        KernelShape::Anisotropic { profile: gaussian, sigma_x: 3.0, sigma_y: 0.2, theta: 1.0 },
        KernelShape::Sinc { cutoff: PI / 3.0 },
    ] {
        for size in (7..=21).step_by(2) {
            let kernel = Kernel::new(&shape, size).padded(21);
            assert_eq!(kernel.size(), 21);
            assert!((kernel.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shape:?} {size}");
        }
    }
}

/// Sampled at whole pixels and sigma of 1.5 and more, a Gaussian's moments are those of the integral to about
/// `exp(-2 pi^2 sigma^2)`, 1e-19; 81 px hold more than thirteen sigmas.
#[test]
fn second_moments_are_the_covariance() {
    let (x, y, xy) =
        covariance(&Kernel::new(&KernelShape::Isotropic { profile: Profile::Gaussian, sigma: 2.5 }, 81));
    assert!((x - 6.25).abs() < 1e-9 && (y - 6.25).abs() < 1e-9 && xy.abs() < 1e-9);
    let (theta, sigma_x, sigma_y) = (0.6_f64, 3.0_f64, 1.5_f64);
    let shape = KernelShape::Anisotropic { profile: Profile::Gaussian, sigma_x, sigma_y, theta };
    let (x, y, xy) = covariance(&Kernel::new(&shape, 81));
    let (sine, cosine) = theta.sin_cos();
    let expected_x = (sigma_x * cosine).powi(2) + (sigma_y * sine).powi(2);
    let expected_y = (sigma_x * sine).powi(2) + (sigma_y * cosine).powi(2);
    let expected_xy = (sigma_x.powi(2) - sigma_y.powi(2)) * sine * cosine;
    assert!((x - expected_x).abs() < 1e-9 && (y - expected_y).abs() < 1e-9, "{x} {y}");
    assert!((xy - expected_xy).abs() < 1e-9, "{xy}");
}

#[test]
fn generalized_with_beta_one_is_gaussian() {
    let kernel = |profile| Kernel::new(&KernelShape::Isotropic { profile, sigma: 1.7 }, 15);
    let pairs = kernel(Profile::Gaussian);
    let generalized = kernel(Profile::Generalized(1.0));
    assert!(pairs.weights().iter().zip(generalized.weights()).all(|(a, b)| (a - b).abs() < 1e-15));
}

/// A large low-pass leaves frequencies well below its cut-off as they are and takes those well above away. Cutting it at
/// radius 100 leaves ripples of about `1 / sqrt(100)`, less away from the cut-off.
#[test]
fn sinc_passes_what_is_below_its_cutoff() {
    let kernel = Kernel::new(&KernelShape::Sinc { cutoff: PI / 2.0 }, 201);
    let gain = |frequency: f64| -> f64 {
        let phase = |index: usize| ((index % 201) as f64 - 100.0) * frequency;
        kernel.weights().iter().enumerate().map(|(index, weight)| weight * phase(index).cos()).sum()
    };
    assert!((gain(PI / 8.0) - 1.0).abs() < 0.05, "{}", gain(PI / 8.0));
    assert!(gain(PI * 0.9).abs() < 0.05, "{}", gain(PI * 0.9));
}
