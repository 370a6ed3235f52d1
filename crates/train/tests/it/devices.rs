//! Steps of both stages on each device beside the processor's.

use esrgan_model::{
    Arithmetic, ComputeDevice, Discriminator, FeatureNetwork, Features, Parameters, ProjectedDiscriminator,
    UnetDiscriminator, VggDiscriminator,
};
use esrgan_train::{
    AdversarialLoss, Adversaries, Crops, FeatureLoss, Found, GanLosses, PerceptualLoss, PixelLoss,
    pixel_gradient,
};
use esrgan_weights::{Tensor, WeightMap};

use crate::small_generator;

/// How far a gradient may lie from the processor's, as a part of the largest of its tensor.
///
/// Some thirty convolutions follow each other there and back, each off by some fifty roundings of its largest value (the processor's
/// own by Winograd's transforms); errors of so many layers add up as their root does, and each residual takes a fifth of them.
const PART: f64 = 60.0 * 55.0 * f32::EPSILON as f64;

/// Devices that are compared with the processor's own layers.
pub(crate) fn devices() -> Vec<ComputeDevice> {
    #[cfg(not(feature = "vulkan"))]
    return vec![ComputeDevice::Reference];
    #[cfg(feature = "vulkan")]
    {
        let shown: Vec<_> =
            esrgan_model::VulkanDevice::all().into_iter().map(ComputeDevice::Vulkan).collect();
        if shown.is_empty() {
            eprintln!("SKIPPED: Vulkan shows no device that can be opened");
        }
        std::iter::once(ComputeDevice::Reference).chain(shown).collect()
    }
}

fn values(seed: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |index| {
        let mixed = (seed * 1_000_003 + index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as f32 / (1 << 24) as f32
    })
}

fn crops(samples: usize, lr_px: usize) -> Crops {
    let hr_px = 4 * lr_px;
    Crops {
        lr: values(1, samples * 3 * lr_px * lr_px).collect(),
        hr: values(2, samples * 3 * hr_px * hr_px).collect(),
        sharpened: None,
        samples,
        lr_px,
        hr_px,
    }
}

/// Weights for the first layers of VGG19.
fn perceptual(device: ComputeDevice) -> PerceptualLoss {
    let mut weights = WeightMap::new();
    for (place, (number, inputs, outputs)) in (0..).zip([(0, 3, 64), (2, 64, 64), (5, 64, 128)]) {
        let scale = (2.0 / (inputs * 9) as f32).sqrt();
        let filters: Vec<f32> =
            values(50 + place, outputs * inputs * 9).map(|value| (2.0 * value - 1.0) * scale).collect();
        let biases: Vec<f32> = values(60 + place, outputs).map(|value| 0.1 * value).collect();
        for (name, shape, values) in
            [("weight", vec![outputs, inputs, 3, 3], filters), ("bias", vec![outputs], biases)]
        {
            let tensor = Tensor::from_f32(shape, &values).expect("a small tensor");
            weights.insert(format!("features.{number}.{name}"), tensor);
        }
    }
    let layers = ["conv1_1", "conv2_1"].map(str::to_owned);
    let features = Features::new(FeatureNetwork::Vgg19, &layers, &weights).expect("weights of VGG19");
    PerceptualLoss {
        features: features.computed_with(Arithmetic::on(device)),
        weights: vec![0.5, 1.0],
        criterion: FeatureLoss::L1,
    }
}

/// What a step gives: figures by name, and gradients by the parameters they are of.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    figures: Vec<(&'static str, f64)>,
    gradients: Vec<(String, Vec<f32>)>,
}

impl Step {
    fn new() -> Self {
        Self { figures: Vec::new(), gradients: Vec::new() }
    }

    fn add(&mut self, of: &str, parameters: &Parameters, found: Found) {
        self.figures.extend(found.figures.read());
        let names = parameters.iter().map(|parameter| format!("{of}: {}", parameter.name));
        self.gradients.extend(names.zip(found.gradient.into_host()));
    }

    fn add_statistics(&mut self, statistics: &Parameters) {
        let statistics = statistics.on_host();
        let values = statistics.iter().map(|known| (known.name.clone(), known.values.to_vec()));
        self.gradients.extend(values);
    }
}

fn psnr(device: ComputeDevice) -> Step {
    let generator = small_generator(2).computed_with(Arithmetic::on(device));
    let parameters = generator.initial(7);
    let mut step = Step::new();
    for loss in [PixelLoss::L1, PixelLoss::Charbonnier] {
        step.add(
            "generator",
            &parameters,
            pixel_gradient(&generator, &parameters, (loss, 1.0), &crops(2, 8)),
        );
    }
    step
}

/// The same parameters, with normalisations that leave few values near zero, where a rounding changes an activation's side and with it
/// whole gradients.
fn smooth(parameters: Parameters) -> Parameters {
    let mut smooth = parameters.clone();
    for (known, values) in parameters.iter().zip(smooth.values_mut()) {
        if known.name.starts_with("bn") {
            values.fill(if known.name.ends_with("weight") { 0.2 } else { 0.8 });
        }
    }
    smooth
}

fn gan(device: ComputeDevice, discriminator: Discriminator, losses: GanLosses, crops: &Crops) -> Step {
    let generator = small_generator(1).computed_with(Arithmetic::on(device));
    let discriminator = discriminator.computed_with(Arithmetic::on(device));
    let (of_generator, of_discriminator) = (generator.initial(7), smooth(discriminator.initial(8)));
    let mut running = discriminator.statistics(9);
    let networks = Adversaries { generator: &generator, discriminator: &discriminator };
    let mut step = Step::new();
    let judge = (&of_discriminator, &mut running);
    let (found, judged) = networks.generator_gradient(&of_generator, judge, &losses, crops);
    step.add("generator", &of_generator, found);
    let judge = (&of_discriminator, &mut running);
    let found = networks.discriminator_gradient(judge, losses.adversarial.0, judged);
    step.add("discriminator", &of_discriminator, found);
    step.add_statistics(&running);
    step
}

fn unet(device: ComputeDevice) -> Step {
    let discriminator = Discriminator::Unet(UnetDiscriminator::new(8, 32).expect("a size that there is"));
    let losses = GanLosses {
        perceptual: Some((perceptual(device), 1.0)),
        adversarial: (AdversarialLoss::Vanilla, 0.1),
        pixel: Some((PixelLoss::L1, 1.0)),
        checkerboard: None,
        autocorrelation: None,
    };
    gan(device, discriminator, losses, &crops(2, 8))
}

fn projected(device: ComputeDevice) -> Step {
    let perceptual = perceptual(device);
    let discriminator = ProjectedDiscriminator::new(8, perceptual.features.channels()).with_patches(Some(4));
    let losses = GanLosses {
        perceptual: Some((perceptual, 1.0)),
        adversarial: (AdversarialLoss::Hinge, 1.0),
        pixel: Some((PixelLoss::L1, 1.0)),
        checkerboard: Some(0.1),
        autocorrelation: Some(0.1),
    };
    gan(device, Discriminator::Projected(discriminator), losses, &crops(2, 6))
}

fn vgg(device: ComputeDevice) -> Step {
    let discriminator = Discriminator::Vgg(VggDiscriminator::new(2, 128).expect("a size that there is"));
    let losses = GanLosses {
        perceptual: None,
        adversarial: (AdversarialLoss::Relativistic, 1.0),
        pixel: Some((PixelLoss::L1, 1e-2)),
        checkerboard: None,
        autocorrelation: None,
    };
    gan(device, discriminator, losses, &crops(2, 32))
}

/// Every figure and gradient of a step on each device beside the processor's, and the same bits when it is made again.
fn compare(step: fn(ComputeDevice) -> Step) {
    let expected = step(ComputeDevice::Processor);
    let mut wrong = Vec::new();
    for device in devices() {
        let found = step(device);
        assert_eq!(found.figures.len(), expected.figures.len());
        assert_eq!(found.gradients.len(), expected.gradients.len());
        for ((name, found), (_, expected)) in found.figures.iter().zip(&expected.figures) {
            // Means over all pixels: what is summed up differs by less than a gradient of one does. A colour's difference is
            // one of numbers near a half.
            if (found - expected).abs() > PART * expected.abs().max(1.0) {
                wrong.push(format!("{device:?}: {name}: {found} for {expected}"));
            }
        }
        for ((name, found), (_, expected)) in found.gradients.iter().zip(&expected.gradients) {
            assert_eq!(found.len(), expected.len(), "{device:?}: {name}");
            let largest = expected.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
            let off = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            // A bias on which a relative loss does not depend has a gradient of roundings alone, those of logits' gradients below one.
            if off > PART * largest + f64::from(f32::EPSILON) {
                wrong.push(format!("{device:?}: {name}: off by {off:e} of {largest:e}"));
            }
        }
        assert_eq!(step(device), found, "{device:?}: other bits");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expected.gradients.len(), wrong.join("\n"));
}

#[test]
fn a_step_of_the_first_stage_is_the_processors() {
    compare(psnr);
}

#[test]
fn a_step_against_the_unet_is_the_processors() {
    compare(unet);
}

#[test]
fn a_step_against_heads_over_features_is_the_processors() {
    compare(projected);
}

#[test]
fn a_step_against_the_vgg_style_discriminator_is_the_processors() {
    compare(vgg);
}
