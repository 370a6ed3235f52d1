use super::*;
use crate::random::{Purpose, SampleKey};

fn noisy(kind: NoiseKind, is_gray: bool, value: f32) -> Vec<Plane> {
    let mut planes = vec![Plane::filled(200, 200, value); 3];
    let mut random = RandomStream::new(SampleKey::default(), Purpose(9));
    add_noise(&mut planes, Noise { kind, is_gray }, &mut random);
    planes
}

/// Five standard errors of mean and variance of 120 000 samples.
#[test]
fn gaussian_noise_has_its_sigma() {
    let planes = noisy(NoiseKind::Gaussian { sigma: 20.0 }, false, 0.5);
    let all: Vec<f64> =
        planes.iter().flat_map(Plane::samples).map(|sample| f64::from(*sample) - 0.5).collect();
    let (count, sigma) = (all.len() as f64, 20.0 / 255.0);
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|value| value * value).sum::<f64>() / count;
    assert!(mean.abs() < 5.0 * sigma / count.sqrt(), "{mean}");
    assert!((variance / (sigma * sigma) - 1.0).abs() < 5.0 * (2.0 / count).sqrt(), "{variance}");
}

#[test]
fn gray_noise_is_the_same_in_all_channels_and_range_is_kept() {
    for kind in [NoiseKind::Gaussian { sigma: 30.0 }, NoiseKind::Poisson { scale: 3.0 }] {
        let planes = noisy(kind, true, 0.9);
        assert!(planes[0] == planes[1] && planes[1] == planes[2]);
        assert!(planes[0].samples().iter().all(|sample| (0.0..=1.0).contains(sample)));
        let planes = noisy(kind, false, 0.9);
        assert!(planes[0] != planes[1]);
    }
}

#[test]
fn levels_are_powers_of_two() {
    assert_eq!(levels([1, 1, 1].into_iter()), 1.0);
    assert_eq!(levels([1, 2, 3].into_iter()), 4.0);
    assert_eq!(levels(0..=255), 256.0);
}
