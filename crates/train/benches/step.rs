//! Seconds of a training step as the paper trains: `psnr` (L1, Adam, generator alone) and `gan` (L1, VGG19 conv5_4 before
//! activation and relativistic average loss, then the discriminator); batch 4, HR 128, x4, 64/23/32, two threads. Weights are
//! drawn: time does not depend on them.

use std::time::Instant;

use esrgan_core::peak_memory_bytes;
use esrgan_model::{Discriminator, FeatureNetwork, Features, Generator, VggDiscriminator};
use esrgan_train::{
    Adam, AdamSettings, AdversarialLoss, Adversaries, Crops, FeatureLoss, GanLosses, PerceptualLoss,
    PixelLoss, Trained, pixel_gradient,
};
use esrgan_weights::{Activation, Family, ModelSpec, SpecParts, Tensor, WeightMap};

const ROUNDS: usize = 4;
const LEARNING_RATE: f64 = 1e-4;

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919) % 1000) as f32 / 1000.0).collect()
}

fn generator() -> Generator {
    let parts = SpecParts {
        family: Family::Rrdb,
        scale: 4,
        in_channels: 3,
        out_channels: 3,
        num_features: 64,
        num_blocks: 23,
        growth_channels: 32,
        unshuffle: 1,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    };
    Generator::new(ModelSpec::new(parts).expect("a sound network")).expect("an RRDB network")
}

/// VGG19 with small weights.
fn perceptual() -> PerceptualLoss {
    let mut weights = WeightMap::new();
    let (mut inputs, mut number) = (3, 0);
    for (width, depth) in [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)] {
        for part in 0..depth {
            let scale = (6.0 / (inputs * 9) as f32).sqrt();
            let filters =
                values(width * inputs * 9).into_iter().map(|value| (value - 0.5) * scale).collect::<Vec<_>>();
            let tensor = Tensor::from_f32(vec![width, inputs, 3, 3], &filters).expect("a tensor");
            weights.insert(format!("features.{number}.weight"), tensor);
            let tensor = Tensor::from_f32(vec![width], &vec![0.0; width]).expect("a tensor");
            weights.insert(format!("features.{number}.bias"), tensor);
            number += if part + 1 == depth { 3 } else { 2 };
            inputs = width;
        }
    }
    let layers = ["conv5_4".to_owned()];
    let features = Features::new(FeatureNetwork::Vgg19, &layers, &weights).expect("weights of VGG19");
    PerceptualLoss { features, weights: vec![1.0], criterion: FeatureLoss::L1 }
}

/// The median of some rounds behind one that is not counted.
fn median(name: &str, mut round: impl FnMut()) {
    round();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!("{name} step  batch 4  64/23/32  f32: {:.3} s", seconds[ROUNDS / 2]);
}

fn main() {
    let generator = generator();
    let discriminator = Discriminator::Vgg(VggDiscriminator::new(64, 128).expect("a size that there is"));
    let trained = |parameters: esrgan_model::Parameters| Trained {
        optimizer: Adam::new(AdamSettings { betas: (0.9, 0.99), ..AdamSettings::default() }, &parameters),
        parameters,
        clip_norm: None,
    };
    let (mut of_generator, mut of_discriminator) =
        (trained(generator.initial(1)), trained(discriminator.initial(2)));
    let mut running = discriminator.statistics(0);
    let crops = Crops {
        lr: values(4 * 3 * 32 * 32),
        hr: values(4 * 3 * 128 * 128),
        sharpened: None,
        samples: 4,
        lr_px: 32,
        hr_px: 128,
    };
    let adversarial = AdversarialLoss::Relativistic;
    let losses = GanLosses {
        perceptual: Some((perceptual(), 1.0)),
        adversarial: (adversarial, 5e-3),
        pixel: Some((PixelLoss::L1, 1e-2)),
        checkerboard: None,
        autocorrelation: None,
    };
    let networks = Adversaries { generator: &generator, discriminator: &discriminator };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    pool.install(|| {
        median("psnr ", || {
            let found = pixel_gradient(&generator, &of_generator.parameters, (PixelLoss::L1, 1.0), &crops);
            of_generator.update(found.gradient, LEARNING_RATE);
        });
        println!("peak RSS {:.0} MB", peak_memory_bytes().unwrap_or(0) as f64 / 1e6);
        median("gan  ", || {
            let judge = (&of_discriminator.parameters, &mut running);
            let (found, judged) =
                networks.generator_gradient(&of_generator.parameters, judge, &losses, &crops);
            of_generator.update(found.gradient, LEARNING_RATE);
            let judge = (&of_discriminator.parameters, &mut running);
            let found = networks.discriminator_gradient(judge, adversarial, judged);
            of_discriminator.update(found.gradient, LEARNING_RATE);
        });
        println!("peak RSS {:.0} MB", peak_memory_bytes().unwrap_or(0) as f64 / 1e6);
    });
}
