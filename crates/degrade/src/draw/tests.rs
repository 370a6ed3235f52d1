use super::*;
use crate::random::{Purpose, SampleKey};

const SAMPLES: u64 = 20_000;

fn all() -> Vec<Vec<Step>> {
    let stream = |sample| RandomStream::new(SampleKey { seed: 5, step: 0, sample }, Purpose(0));
    (0..SAMPLES).map(|sample| draw(Preset::RealEsrgan, &mut stream(sample))).collect()
}

/// Chi-square against probabilities; the bound is the 1 - 1e-6 quantile by Wilson and Hilferty's approximation.
fn check(what: &str, counts: &[usize], weights: &[f64]) {
    let total = counts.iter().sum::<usize>() as f64;
    let sum: f64 = weights.iter().sum();
    let expected = weights.iter().map(|weight| weight / sum * total);
    let chi: f64 = counts.iter().zip(expected).map(|(count, e)| (*count as f64 - e).powi(2) / e).sum();
    let freedom = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    let bound = freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3);
    assert!(chi < bound, "{what}: {chi} of {bound}: {counts:?}");
}

#[test]
fn choices_have_their_probabilities() {
    let (mut kernels, mut sizes, mut factors, mut modes) = ([0; 7], [0; 8], [0; 3], [0; 3]);
    let (mut noises, mut grays, mut orders, mut second_blur, mut sincs) =
        ([0; 2], [0; 2], [0; 2], [0; 2], [0; 2]);
    const NAMES: [&str; 7] =
        ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"];
    for steps in all() {
        let [
            Step::Blur { shape, size },
            Step::Resize { target: Target::Present(factor), mode },
            Step::Noise(noise),
            ..,
        ] = &steps[..]
        else {
            panic!("{steps:?}")
        };
        kernels[NAMES.iter().position(|name| *name == shape.name()).unwrap()] += 1;
        sizes[(size - 7) / 2] += 1;
        factors[if *factor > 1.0 {
            0
        } else if *factor < 1.0 {
            1
        } else {
            2
        }] += 1;
        modes[MODES.iter().position(|known| known == mode).unwrap()] += 1;
        noises[usize::from(matches!(noise.kind, NoiseKind::Poisson { .. }))] += 1;
        grays[usize::from(noise.is_gray)] += 1;
        orders[usize::from(matches!(steps.last(), Some(Step::Jpeg { .. })))] += 1;
        second_blur[usize::from(matches!(steps[4], Step::Blur { .. }))] += 1;
        let last_resize = steps.iter().rposition(|step| matches!(step, Step::Resize { .. })).unwrap();
        sincs[usize::from(matches!(steps.get(last_resize + 1), Some(Step::Blur { .. })))] += 1;
    }
    let mut weights: Vec<f64> = KERNEL_WEIGHTS.iter().map(|weight| weight * 0.9).collect();
    weights.push(0.1);
    check("kernel", &kernels, &weights);
    check("size", &sizes, &[1.0; 8]);
    check("factor", &factors, &[0.2, 0.7, 0.1]);
    check("mode", &modes, &[1.0; 3]);
    check("noise", &noises, &[0.5, 0.5]);
    check("gray", &grays, &[0.6, 0.4]);
    check("order", &orders, &[0.5, 0.5]);
    check("second blur", &second_blur, &[0.2, 0.8]);
    check("final sinc", &sincs, &[0.2, 0.8]);
}

#[test]
fn names_are_read_back() {
    assert!(Preset::ALL.iter().all(|preset| preset.name().parse::<Preset>().unwrap() == *preset));
    assert!("none".parse::<Preset>().is_err());
}
