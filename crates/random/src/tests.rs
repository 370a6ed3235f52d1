use super::*;

/// The known answers that the authors of Philox publish.
#[test]
fn philox_gives_the_known_answers() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
}

fn moments(count: usize, mut draw: impl FnMut() -> f64) -> (f64, f64) {
    let values: Vec<f64> = (0..count).map(|_| draw()).collect();
    let mean = values.iter().sum::<f64>() / count as f64;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64)
}

const COUNT: usize = 200_000;
/// Standard errors that a moment may be off: one in 1.7 million by chance.
const ERRORS: f64 = 5.0;

#[test]
fn normals_have_mean_zero_and_variance_one() {
    let mut random = RandomStream::new(SampleKey::default(), Purpose(1));
    let (mean, variance) = moments(COUNT, || random.normal());
    assert!(mean.abs() < ERRORS / (COUNT as f64).sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < ERRORS * (2.0 / COUNT as f64).sqrt(), "{variance}");
}

/// The variance of a sample variance is `(fourth moment - variance^2) / n`, for Poisson `(lambda + 2 lambda^2) / n`.
#[test]
fn poisson_variables_have_mean_and_variance_lambda() {
    for lambda in [0.3, 4.0, 9.99, 10.0, 37.5, 256.0] {
        let mut random = RandomStream::new(SampleKey { seed: 3, step: 1, sample: 2 }, Purpose(2));
        let (mean, variance) = moments(COUNT, || random.poisson(lambda) as f64);
        let count = COUNT as f64;
        assert!((mean - lambda).abs() < ERRORS * (lambda / count).sqrt(), "{lambda}: {mean}");
        let error = ((lambda + 2.0 * lambda * lambda) / count).sqrt();
        assert!((variance - lambda).abs() < ERRORS * error, "{lambda}: {variance}");
    }
    assert_eq!(RandomStream::new(SampleKey::default(), Purpose(0)).poisson(f64::NAN), 0);
}

#[test]
fn streams_differ_in_every_part_of_their_key() {
    let base = SampleKey { seed: 1, step: 2, sample: 3 };
    let first = |key, purpose| RandomStream::new(key, Purpose(purpose)).next_u64();
    let mut values = vec![
        first(base, 0),
        first(base, 1),
        first(SampleKey { seed: 2, ..base }, 0),
        first(SampleKey { step: 3, ..base }, 0),
        first(SampleKey { sample: 4, ..base }, 0),
        first(SampleKey { sample: 3 | 1 << 40, ..base }, 0),
    ];
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 6);
    assert_eq!(first(base, 0), first(base, 0));
}
