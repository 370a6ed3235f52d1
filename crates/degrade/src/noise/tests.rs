use super::*;
use esrgan_random::{Purpose, SampleKey};

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

/// A picture of all 256 levels: a white pixel is 256 photons, and a value's variance is the factor squared times the value
/// over that. Five standard errors of 40 000 samples; the fourth moment is that of a Poisson variable with 128 on average.
#[test]
fn poisson_noise_has_the_variance_of_its_photons() {
    const COPIES: usize = 40_000;
    let scale = 0.8;
    let levels = (0..256).map(|level| level as f32 / 255.0);
    for is_gray in [false, true] {
        let samples: Vec<f32> = levels.clone().chain(std::iter::repeat_n(128.0 / 255.0, COPIES)).collect();
        let mut planes = vec![Plane::new(COPIES + 256, 1, samples).unwrap(); 3];
        let mut random = RandomStream::new(SampleKey { seed: 8, step: 0, sample: 0 }, Purpose(9));
        add_noise(&mut planes, Noise { kind: NoiseKind::Poisson { scale }, is_gray }, &mut random);
        let value = 128.0 / 255.0;
        let expected = scale * scale * value / 256.0;
        for plane in &planes {
            let added: Vec<f64> =
                plane.samples()[256..].iter().map(|sample| f64::from(*sample) - value).collect();
            let mean = added.iter().sum::<f64>() / COPIES as f64;
            let variance = added.iter().map(|value| value * value).sum::<f64>() / COPIES as f64;
            assert!(mean.abs() < 5.0 * (expected / COPIES as f64).sqrt(), "{mean}");
            let error = ((2.0 + 1.0 / 128.0) / COPIES as f64).sqrt();
            assert!((variance / expected - 1.0).abs() < 5.0 * error, "{variance} {expected}");
        }
    }
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
