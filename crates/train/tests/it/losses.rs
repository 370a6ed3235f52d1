//! Loss terms beside their formulas.

use std::slice;

use burn::tensor::{Tensor, TensorData};
use esrgan_model::{ComputeDevice, to_host};
use esrgan_train::{AdversarialLoss, autocorrelation, checkerboard};

const SCALE: usize = 4;
const SIDES: [usize; 2] = [16, 20];

/// Crops whose colours are all the same.
fn tensor(crops: &[Vec<f64>]) -> Tensor<4> {
    let [height, width] = SIDES;
    let planes = crops.iter().flat_map(|crop| [crop; 3]).flatten().map(|value| *value as f32);
    let data = TensorData::new(planes.collect::<Vec<_>>(), [crops.len(), 3, height, width]);
    Tensor::from_data(data, &ComputeDevice::Processor.tensors())
}

fn found(crops: &[Vec<f64>]) -> f64 {
    f64::from(to_host(checkerboard(tensor(crops), SCALE))[0])
}

/// The formula in f64: places along one direction after the other.
fn expected(crops: &[Vec<f64>]) -> f64 {
    let [height, width] = SIDES;
    let along = |step: usize, across: usize, length: usize, lines: usize| {
        let mut averages = [[0.0_f64; 2]; SCALE * SCALE];
        for crop in crops {
            let mut places = [[0.0_f64; 2]; SCALE * SCALE];
            let periods = (length - 2) / SCALE;
            for line in 0..lines {
                for place in 0..periods * SCALE {
                    let at = |offset: usize| crop[line * across + (place + offset) * step];
                    let difference = 2.0 * at(1) - at(0) - at(2);
                    let part = &mut places[line % SCALE * SCALE + place % SCALE];
                    part[0] += difference;
                    part[1] += difference.abs();
                }
            }
            let count = (lines / SCALE * periods) as f64;
            let whole =
                places.iter().map(|part| part[1] / count).sum::<f64>() / places.len() as f64 + 0.5 / 255.0;
            for (average, part) in averages.iter_mut().zip(places) {
                (0..2).for_each(|kind| average[kind] += part[kind] / count / whole / crops.len() as f64);
            }
        }
        let mean = averages.iter().map(|average| average[1]).sum::<f64>() / averages.len() as f64;
        let squares = averages.iter().map(|[signed, unsigned]| (unsigned - mean).powi(2) + signed.powi(2));
        squares.sum::<f64>() / averages.len() as f64
    };
    along(1, width, width, height) + along(width, 1, height, width)
}

fn crop(value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let [height, width] = SIDES;
    (0..height * width).map(|index| value(index / width, index % width)).collect()
}

/// Values without a pattern: SplitMix64 of the place (Steele et al., 2014).
fn noise(seed: u64) -> Vec<f64> {
    crop(move |y, x| {
        let mut bits = (seed << 32 | (y as u64) << 16 | x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) >> 40) as f64 / (1_u64 << 24) as f64
    })
}

#[test]
fn a_checkerboard_is_found_and_a_slope_is_none() {
    let grid = crop(|y, x| if (y % SCALE, x % SCALE) == (1, 2) { 0.75 } else { 0.5 });
    for crops in [vec![noise(1), noise(2)], vec![grid.clone(), noise(3)], vec![grid.clone()]] {
        let (found, expected) = (found(&crops), expected(&crops));
        assert!((found - expected).abs() < 1e-4 * expected.max(1.0), "{found}, expected {expected}");
    }
    assert!(found(&[grid]) > 4.0 * found(&[noise(1), noise(2)]));
    assert!(found(&[crop(|_, _| 0.5)]) < 1e-9);
    assert!(found(&[crop(|y, x| (y + x) as f64 / 32.0)]) < 1e-6);
}

#[test]
fn a_discriminator_that_knows_nothing_has_the_loss_of_a_coin() {
    let logits = |value: f32| Tensor::<2>::full([2, 3], value, &ComputeDevice::Processor.tensors());
    for (game, unsure) in [
        (AdversarialLoss::Relativistic, 0.0),
        (AdversarialLoss::Vanilla, 0.0),
        (AdversarialLoss::Lsgan, 0.5),
        (AdversarialLoss::Hinge, 0.0),
    ] {
        let [real, fake] = game.of_discriminator(logits(unsure), logits(unsure));
        let found = f64::from(to_host(real + fake)[0]);
        assert!((found - game.of_a_coin()).abs() < 1e-6, "{game:?}: {found}");
    }
}

/// The formula in f64.
fn autocorrelations(crop: &[f64]) -> Vec<f64> {
    esrgan_testkit::autocorrelations(crop, SIDES, 2..=12, (2.0_f64 / 255.0).powi(2))
}

#[test]
fn a_weave_is_found_and_what_the_truth_has_is_none() {
    let found =
        |sr: &[Vec<f64>], hr: &[Vec<f64>]| f64::from(to_host(autocorrelation(tensor(sr), tensor(hr)))[0]);
    let expected = |sr: &[Vec<f64>], hr: &[Vec<f64>]| {
        let beyond = |(sr, hr): (&Vec<f64>, &Vec<f64>)| {
            let pairs = autocorrelations(sr).into_iter().zip(autocorrelations(hr));
            pairs.map(|(sr, hr)| (sr - hr).max(0.0).powi(2)).collect::<Vec<_>>()
        };
        let all: Vec<f64> = sr.iter().zip(hr).flat_map(beyond).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let weave = crop(|y, x| if (y + x) % 3 == 0 { 0.8 } else { 0.4 } + if y % 6 == 1 { 0.1 } else { 0.0 });
    let pairs = [
        (vec![noise(1), noise(2)], vec![noise(3), weave.clone()]),
        (vec![weave.clone(), noise(4)], vec![noise(5), noise(6)]),
    ];
    for (sr, hr) in &pairs {
        let (found, expected) = (found(sr, hr), expected(sr, hr));
        assert!((found - expected).abs() < 1e-4 * expected.max(1e-2), "{found}, expected {expected}");
    }
    let (woven, plain) = (found(slice::from_ref(&weave), &[noise(1)]), found(&[noise(2)], &[noise(1)]));
    assert!(woven > 4.0 * plain, "{woven}, {plain}");
    assert_eq!(found(slice::from_ref(&weave), slice::from_ref(&weave)), 0.0);
    assert!(found(&[crop(|_, _| 0.5)], &[crop(|y, x| (y + x) as f64 / 40.0)]) < 1e-6);
}
