//! Training in bf16, or on a device in the half precision that it has, beside training in `f32`: same seed, same data.

use esrgan_model::{Arithmetic, ComputeDevice, Isa, Precision};
use esrgan_train::{Adam, AdamSettings, Crops, PixelLoss, Trained, pixel_gradient};

use crate::small_generator;

const STEPS: u64 = 30;
const SAMPLES: usize = 2;
const LR_PX: usize = 8;
const HR_PX: usize = 32;

/// How far the losses of a step may lie from each other, as a part of that of `f32`.
///
/// A product's sides are rounded by up to 2^-9 each, so a sum of many by less than 2^-8, and the loss, a mean of differences to the
/// truth, by less still. Adam's steps depend on the gradients' signs, which are the same but where a gradient is next to
/// nothing; the losses therefore stay together for these few steps, within the rounding of one pass.
const PART: f64 = 1.0 / 256.0;

/// Smooth pictures, each step others; the small ones are means of squares.
fn crops(step: u64) -> Crops {
    let hr: Vec<f32> = (0..SAMPLES * 3 * HR_PX * HR_PX)
        .map(|index| {
            let [x, y, plane] =
                [index % HR_PX, index / HR_PX % HR_PX, index / HR_PX / HR_PX].map(|at| at as f32);
            let phase = step as f32 + plane;
            0.5 + 0.25 * (x / (5.0 + plane) + phase).sin() * (y / 6.0 + phase).cos()
                + 0.2 * (x * y / 90.0 + phase).sin()
        })
        .collect();
    let mean = |index: usize| {
        let (x, y, plane) = (index % LR_PX, index / LR_PX % LR_PX, index / LR_PX / LR_PX);
        let square = (0..16).map(|at| hr[(plane * HR_PX + 4 * y + at / 4) * HR_PX + 4 * x + at % 4]);
        square.sum::<f32>() / 16.0
    };
    let lr = (0..SAMPLES * 3 * LR_PX * LR_PX).map(mean).collect();
    Crops { lr, hr, sharpened: None, samples: SAMPLES, lr_px: LR_PX, hr_px: HR_PX }
}

/// The losses of all steps.
fn losses(arithmetic: Arithmetic) -> Vec<f64> {
    let generator = small_generator(1).computed_with(arithmetic);
    let parameters = generator.initial(7);
    let optimizer = Adam::new(AdamSettings { betas: (0.9, 0.99), ..AdamSettings::default() }, &parameters);
    let mut trained = Trained { parameters, optimizer, clip_norm: None };
    (0..STEPS)
        .map(|step| {
            let found = pixel_gradient(&generator, &trained.parameters, (PixelLoss::L1, 1.0), &crops(step));
            let loss = found.figures.read()[0].1;
            trained.update(found.gradient, 1e-3);
            loss
        })
        .collect()
}

#[test]
fn losses_in_bf16_stay_with_those_in_f32() {
    let portable = |precision| Arithmetic { isa: Isa::Portable, precision, device: ComputeDevice::Processor };
    compare(&losses(portable(Precision::F32)), &losses(portable(Precision::Bf16)));
}

#[test]
fn losses_in_half_precision_on_a_device_stay_with_those_in_f32() {
    for device in crate::devices::devices() {
        let arithmetic = Arithmetic::serving_on(device, Precision::Bf16);
        if arithmetic.precision == Precision::Bf16 {
            compare(&losses(Arithmetic::on(device)), &losses(arithmetic));
        } else if device != ComputeDevice::Reference {
            eprintln!("SKIPPED: {device:?} does not multiply matrices of half precision");
        }
    }
}

fn compare(f32: &[f64], bf16: &[f64]) {
    let parts: Vec<f64> = f32.iter().zip(bf16).map(|(f32, bf16)| (bf16 - f32).abs() / f32).collect();
    println!("{f32:?}\n{bf16:?}\n{parts:?}");
    let largest = parts.iter().copied().fold(0.0, f64::max);
    assert!(largest < PART, "off by {largest}: {parts:?}");
    // Other numbers, and both learn.
    assert!(largest > 1e-7, "{largest}");
    assert!(f32[29] < 0.5 * f32[0] && bf16[29] < 0.5 * bf16[0], "{f32:?}");
}
