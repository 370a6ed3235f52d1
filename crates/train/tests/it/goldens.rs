//! Ten steps of each stage beside PyTorch's: `golden/training/make_training.py`.

use std::collections::BTreeMap;
use std::path::Path;

use esrgan_model::{Discriminator, FeatureNetwork, Features, Parameters, VggDiscriminator};
use esrgan_testkit::{Array, read_npz};
use esrgan_train::{
    Adam, AdamSettings, AdversarialLoss, Adversaries, Crops, FeatureLoss, Figure, Figures, GanLosses,
    PerceptualLoss, PixelLoss, Trained, pixel_gradient,
};
use esrgan_weights::{Tensor, WeightMap};

use crate::small_generator;

const LEARNING_RATE: f64 = 2e-5;
const STEPS: usize = 10;
const NORM_SCALE: f32 = 0.2;
const NORM_SHIFT: f32 = 0.5;

fn golden() -> BTreeMap<String, Array> {
    read_npz(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/training/training.npz")))
}

fn uniform(number: u64, count: usize) -> impl Iterator<Item = f64> {
    (0..count as u64).map(move |index| {
        let product = (index + number * 1_000_003).wrapping_mul(2_654_435_761);
        (product % (1 << 32)) as f64 / (1_u64 << 32) as f64
    })
}

fn made(number: u64, shape: &[usize]) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let width = if shape.len() > 1 { 2.0 * (1.0 / fan_in).sqrt() } else { 0.1 };
    uniform(number, shape.iter().product()).map(|value| ((value - 0.5) * width) as f32).collect()
}

fn filled(tensors: Vec<(String, Vec<usize>)>, first: u64) -> Parameters {
    let mut parameters = Parameters::new();
    for (place, (name, shape)) in (first..).zip(tensors) {
        let mut values = made(place, &shape);
        if name.starts_with("bn") {
            let middle = if name.ends_with("weight") { NORM_SCALE } else { NORM_SHIFT };
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * 0.1) as f32 + middle);
        }
        parameters.push(name, shape, values);
    }
    parameters
}

/// Waves and a little noise; the small pictures are means of squares.
fn crops(step: u64) -> Crops {
    const SAMPLES: usize = 4;
    const SIDE: usize = 128;
    let phases: Vec<f64> = uniform(9000 + step, 3).map(|phase| phase * 6.25).collect();
    let noise = uniform(9100 + step, SAMPLES * 3 * SIDE * SIDE);
    let value = |(index, noise): (usize, f64)| {
        let [x, y, c, n] =
            [index % SIDE, index / SIDE % SIDE, index / SIDE / SIDE % 3, index / SIDE / SIDE / 3]
                .map(|place| place as f64);
        let along = (x / (9.0 + 3.0 * c + n) + phases[0] + n).sin();
        let down = (y / (7.0 + 2.0 * n) + phases[1] + c).cos();
        let wave = (x * y / (700.0 + 100.0 * c) + phases[2]).sin();
        (0.5 + 0.2 * along * down + 0.15 * wave + 0.1 * (noise - 0.5)) as f32
    };
    let hr: Vec<f32> = noise.enumerate().map(value).collect();
    let mean = |index: usize| {
        let (x, y, plane) = (index % 32, index / 32 % 32, index / 1024);
        let square =
            (0..16).map(|i| f64::from(hr[plane * SIDE * SIDE + (4 * y + i / 4) * SIDE + 4 * x + i % 4]));
        (square.sum::<f64>() / 16.0) as f32
    };
    Crops {
        lr: (0..SAMPLES * 3 * 1024).map(mean).collect(),
        hr,
        sharpened: None,
        samples: SAMPLES,
        lr_px: 32,
        hr_px: SIDE,
    }
}

fn trained(parameters: Parameters) -> Trained {
    let settings = AdamSettings { betas: (0.9, 0.99), ..AdamSettings::default() };
    Trained { optimizer: Adam::new(settings, &parameters), parameters, clip_norm: None }
}

/// A figure of the host.
fn known(figure: Figure) -> f64 {
    match figure {
        Figure::Known(value) => value,
        Figure::Tensor(_) => f64::NAN,
    }
}

fn value(figures: &Figures, name: &str) -> f64 {
    figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).expect("a figure of the step")
}

#[track_caller]
fn assert_relative(what: &str, found: f64, expected: f64, bound: f64) {
    let off = (found - expected).abs() / expected.abs();
    assert!(off < bound, "{what}: {found} for {expected}, off by {off:e}");
}

/// Weights after all steps: each within the bound.
#[track_caller]
fn assert_weights(what: &str, parameters: &Parameters, expected: &Array) {
    let found: Vec<f32> = parameters.iter().flat_map(|parameter| parameter.values.to_vec()).collect();
    assert_eq!(found.len(), expected.values.len(), "{what}");
    let differences = found.iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).abs());
    let largest = differences.fold(0.0, f64::max);
    assert!(largest < 1e-4, "{what}: off by {largest:e}");
}

#[test]
fn ten_steps_of_the_first_stage_are_those_of_pytorch() {
    let golden = golden();
    let generator = small_generator(2);
    let mut network = trained(filled(generator.tensors(), 0));
    for (step, row) in golden["psnr_rows"].values.chunks_exact(2).enumerate() {
        let found =
            pixel_gradient(&generator, &network.parameters, (PixelLoss::L1, 1.0), &crops(step as u64));
        let norm = known(network.update(found.gradient, LEARNING_RATE));
        let loss = value(&found.figures.read(), "loss_pixel");
        assert_relative(&format!("loss of step {step}"), loss, row[0], 1e-4);
        assert_relative(&format!("norm of step {step}"), norm, row[1], 1e-3);
    }
    assert_weights("generator", &network.parameters, &golden["psnr_generator"]);
}

fn perceptual() -> PerceptualLoss {
    let mut weights = WeightMap::new();
    let convolutions = [(0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256)];
    for (place, (number, inputs, outputs)) in (0..).zip(convolutions) {
        let shape = vec![outputs, inputs, 3, 3];
        let tensor =
            Tensor::from_f32(shape.clone(), &made(5000 + 2 * place, &shape)).expect("a small tensor");
        weights.insert(format!("features.{number}.weight"), tensor);
        let tensor =
            Tensor::from_f32(vec![outputs], &made(5001 + 2 * place, &[outputs])).expect("a small tensor");
        weights.insert(format!("features.{number}.bias"), tensor);
    }
    let layers = ["conv2_2", "conv3_1"].map(str::to_owned);
    let features = Features::new(FeatureNetwork::Vgg19, &layers, &weights).expect("weights of VGG19");
    PerceptualLoss { features, weights: vec![0.1, 1.0], criterion: FeatureLoss::L1 }
}

#[test]
fn ten_steps_of_the_second_stage_are_those_of_pytorch() {
    let golden = golden();
    let (generator, discriminator) =
        (small_generator(2), Discriminator::Vgg(VggDiscriminator::new(8, 128).unwrap()));
    let networks = Adversaries { generator: &generator, discriminator: &discriminator };
    let mut of_generator = trained(filled(generator.tensors(), 0));
    let mut of_discriminator = trained(filled(discriminator.tensors(), 2000));
    let mut running = discriminator.statistics(0);
    let adversarial = AdversarialLoss::Relativistic;
    let losses = GanLosses {
        perceptual: Some((perceptual(), 1.0)),
        adversarial: (adversarial, 5e-3),
        pixel: Some((PixelLoss::L1, 1e-2)),
        checkerboard: None,
        autocorrelation: None,
    };
    let rows = &golden["gan_rows"].values;
    assert_eq!(rows.len(), 7 * STEPS);
    for (step, row) in rows.chunks_exact(7).enumerate() {
        let crops = crops(step as u64);
        let judge = (&of_discriminator.parameters, &mut running);
        let (found, judged) = networks.generator_gradient(&of_generator.parameters, judge, &losses, &crops);
        let norm = known(of_generator.update(found.gradient, LEARNING_RATE));
        let figures = found.figures.read();
        for (name, expected) in ["loss_pixel", "loss_perceptual", "loss_adversarial"].into_iter().zip(row) {
            assert_relative(&format!("{name} of step {step}"), value(&figures, name), *expected, 1e-4);
        }
        assert_relative(&format!("generator's norm of step {step}"), norm, row[5], 1e-3);
        let judge = (&of_discriminator.parameters, &mut running);
        let found = networks.discriminator_gradient(judge, adversarial, judged);
        let norm = known(of_discriminator.update(found.gradient, LEARNING_RATE));
        let figures = found.figures.read();
        for (name, expected) in ["loss_d_real", "loss_d_fake"].into_iter().zip(&row[3..]) {
            assert_relative(&format!("{name} of step {step}"), value(&figures, name), *expected, 1e-4);
        }
        assert_relative(&format!("discriminator's norm of step {step}"), norm, row[6], 1e-3);
    }
    assert_weights("generator", &of_generator.parameters, &golden["gan_generator"]);
    assert_weights("discriminator", &of_discriminator.parameters, &golden["gan_discriminator"]);
}
