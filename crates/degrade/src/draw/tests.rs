use std::collections::BTreeMap;

use super::*;
use esrgan_random::{Purpose, SampleKey};

const SEEDS: u64 = 20_000;

fn all(preset: Preset) -> impl Iterator<Item = Vec<Step>> {
    let stream = |seed| RandomStream::new(SampleKey { seed, step: 0, sample: 0 }, Purpose(0));
    (0..SEEDS).map(move |seed| draw(preset, &mut stream(seed)))
}

/// How often each of several things was drawn, by what they are.
#[derive(Default)]
struct Tally(BTreeMap<String, Vec<usize>>);

/// Bins of a range in which all values are as likely.
const BINS: usize = 8;

impl Tally {
    fn count(&mut self, what: &str, index: usize, of: usize) {
        self.0.entry(what.to_owned()).or_insert_with(|| vec![0; of])[index] += 1;
    }

    fn count_value(&mut self, what: &str, value: f64, (low, high): (f64, f64)) {
        assert!(low <= value && value < high, "{what}: {value} of {low}..{high}");
        self.count(what, ((value - low) / (high - low) * BINS as f64) as usize, BINS);
    }

    /// Chi-square against probabilities; the bound is the 1 - 1e-6 quantile by Wilson and Hilferty's approximation.
    fn check(&mut self, what: &str, weights: &[f64]) {
        let counts = self.0.remove(what).unwrap_or_else(|| panic!("{what}: never drawn"));
        assert_eq!(counts.len(), weights.len(), "{what}");
        let total = counts.iter().sum::<usize>() as f64;
        let sum: f64 = weights.iter().sum();
        let expected = weights.iter().map(|weight| weight / sum * total);
        let chi: f64 = counts.iter().zip(expected).map(|(count, e)| (*count as f64 - e).powi(2) / e).sum();
        let freedom = (counts.len() - 1) as f64;
        let spread = 2.0 / (9.0 * freedom);
        let bound = freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3);
        assert!(chi < bound, "{what}: {chi} of {bound}: {counts:?}");
    }

    /// All that is left: values that are all as likely.
    fn check_rest(mut self) {
        let rest: Vec<(String, usize)> =
            self.0.iter().map(|(what, counts)| (what.clone(), counts.len())).collect();
        assert!(!rest.is_empty());
        rest.iter().for_each(|(what, of)| self.check(what, &vec![1.0; *of]));
    }

    fn shape(&mut self, pass: &str, shape: &KernelShape, size: usize, largest_sigma: f64) {
        self.count(&format!("{pass} size"), (size - 7) / 2, 8);
        let sigmas = (0.2, largest_sigma);
        let (turned, profile) = match *shape {
            KernelShape::Isotropic { profile, sigma } => {
                self.count_value(&format!("{pass} sigma"), sigma, sigmas);
                (0, profile)
            }
            KernelShape::Anisotropic { profile, sigma_x, sigma_y, theta } => {
                self.count_value(&format!("{pass} sigma x"), sigma_x, sigmas);
                self.count_value(&format!("{pass} sigma y"), sigma_y, sigmas);
                self.count_value(&format!("{pass} theta"), theta, (-PI, PI));
                (1, profile)
            }
            KernelShape::Sinc { cutoff } => {
                let (name, lowest) = if size < 13 { ("small", PI / 3.0) } else { ("large", PI / 5.0) };
                self.count_value(&format!("{pass} cutoff of {name}"), cutoff, (lowest, PI));
                return self.count(&format!("{pass} kernel"), 6, 7);
            }
        };
        let form = match profile {
            Profile::Gaussian => 0,
            Profile::Generalized(beta) if beta < 1.0 => {
                self.count_value(&format!("{pass} low beta"), beta, (0.5, 1.0));
                self.count(&format!("{pass} generalized"), 0, 2);
                2
            }
            Profile::Generalized(beta) => {
                self.count_value(&format!("{pass} high beta"), beta, (1.0, 4.0));
                self.count(&format!("{pass} generalized"), 1, 2);
                2
            }
            Profile::Plateau(beta) => {
                self.count(&format!("{pass} plateau"), usize::from(beta > 1.0), 2);
                if beta > 1.0 {
                    self.count_value(&format!("{pass} plateau beta"), beta, (1.0, 2.0));
                }
                4
            }
        };
        self.count(&format!("{pass} kernel"), form + turned, 7);
    }

    fn factor(&mut self, pass: &str, factor: f64, (low, high): (f64, f64)) {
        let kind = if factor > 1.0 {
            self.count_value(&format!("{pass} up"), factor, (1.0, high));
            0
        } else if factor < 1.0 {
            self.count_value(&format!("{pass} down"), factor, (low, 1.0));
            1
        } else {
            2
        };
        self.count(&format!("{pass} factor"), kind, 3);
    }

    fn noise(&mut self, pass: &str, noise: Noise, sigma: f64, scale: f64) {
        match noise.kind {
            NoiseKind::Gaussian { sigma: value } => {
                self.count_value(&format!("{pass} gaussian"), value, (1.0, sigma));
            }
            NoiseKind::Poisson { scale: value } => {
                self.count_value(&format!("{pass} poisson"), value, (0.05, scale));
            }
        }
        let is_poisson = matches!(noise.kind, NoiseKind::Poisson { .. });
        self.count(&format!("{pass} noise"), usize::from(is_poisson), 2);
        self.count(&format!("{pass} gray"), usize::from(noise.is_gray), 2);
    }

    fn mode(&mut self, what: &str, mode: ResizeMode, modes: &[ResizeMode]) {
        let index = modes.iter().position(|known| *known == mode).expect("a mode of the preset");
        self.count(what, index, modes.len());
    }
}

const MODES_OF_THE_PAPER: [ResizeMode; 3] = [ResizeMode::Area, ResizeMode::Bilinear, ResizeMode::Bicubic];

#[test]
fn choices_of_real_esrgan_have_their_probabilities() {
    let mut tally = Tally::default();
    for steps in all(Preset::RealEsrgan) {
        let [
            Step::Blur { shape, size },
            Step::Resize { target: Target::Present(factor), mode },
            Step::Noise(noise),
            Step::Jpeg { quality },
            ref second @ ..,
        ] = steps[..]
        else {
            panic!("{steps:?}")
        };
        tally.shape("first", &shape, size, 3.0);
        tally.factor("first", factor, (0.15, 1.5));
        tally.mode("first mode", mode, &MODES_OF_THE_PAPER);
        tally.noise("first", noise, 30.0, 3.0);
        tally.count("first quality", usize::from(quality - 30), 66);

        let second = match second {
            [Step::Blur { shape, size }, rest @ ..] => {
                tally.shape("second", shape, *size, 1.5);
                tally.count("second blur", 1, 2);
                rest
            }
            rest => {
                tally.count("second blur", 0, 2);
                rest
            }
        };
        let [Step::Resize { target: Target::Final(factor), mode }, Step::Noise(noise), ref last @ ..] =
            *second
        else {
            panic!("{steps:?}")
        };
        tally.factor("second", factor, (0.3, 1.2));
        tally.mode("second mode", mode, &MODES_OF_THE_PAPER);
        tally.noise("second", noise, 25.0, 2.5);

        let is_jpeg_last = matches!(last.last(), Some(Step::Jpeg { .. }));
        tally.count("order", usize::from(is_jpeg_last), 2);
        let (quality, mode, sinc) = match *last {
            [Step::Resize { target: Target::Final(1.0), mode }, ref sinc @ .., Step::Jpeg { quality }]
            | [Step::Jpeg { quality }, Step::Resize { target: Target::Final(1.0), mode }, ref sinc @ ..] => {
                (quality, mode, sinc)
            }
            _ => panic!("{steps:?}"),
        };
        tally.count("second quality", usize::from(quality - 30), 66);
        tally.mode("last mode", mode, &MODES_OF_THE_PAPER);
        tally.count("final sinc", sinc.len(), 2);
        if let [Step::Blur { shape: KernelShape::Sinc { cutoff }, size }] = *sinc {
            tally.count("last size", (size - 7) / 2, 8);
            tally.count_value("last cutoff", cutoff, (PI / 3.0, PI));
        }
    }
    let mut qualities = [1.0; 66];
    // Rounded to whole numbers, the ends of the range have half a unit each.
    (qualities[0], qualities[65]) = (0.5, 0.5);
    for pass in ["first", "second"] {
        let kernels = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03].map(|weight| weight * 0.9);
        tally.check(&format!("{pass} kernel"), &[&kernels[..], &[0.1]].concat());
        tally.check(&format!("{pass} gray"), &[0.6, 0.4]);
        tally.check(&format!("{pass} quality"), &qualities);
    }
    tally.check("first factor", &[0.2, 0.7, 0.1]);
    tally.check("second factor", &[0.3, 0.4, 0.3]);
    tally.check("second blur", &[0.2, 0.8]);
    tally.check("final sinc", &[0.2, 0.8]);
    tally.check_rest();
}

#[test]
fn choices_of_mild_have_their_probabilities() {
    let modes = [ResizeMode::Bilinear, ResizeMode::Bicubic, ResizeMode::NearestExact, ResizeMode::Lanczos];
    let mut tally = Tally::default();
    for steps in all(Preset::Mild) {
        let [
            Step::Resize { target: Target::Present(first), mode: first_mode },
            Step::Jpeg { quality: first_quality },
            Step::Resize { target: Target::Final(second), mode: second_mode },
            ref last @ ..,
        ] = steps[..]
        else {
            panic!("{steps:?}")
        };
        let (order, mode, quality) = match *last {
            [Step::Resize { target: Target::Final(1.0), mode }, Step::Jpeg { quality }] => (0, mode, quality),
            [Step::Jpeg { quality }, Step::Resize { target: Target::Final(1.0), mode }] => (1, mode, quality),
            _ => panic!("{steps:?}"),
        };
        tally.factor("first", first, (0.4, 1.5));
        tally.factor("second", second, (0.6, 1.2));
        tally.count("order", order, 2);
        for (what, mode) in [("first mode", first_mode), ("second mode", second_mode), ("last mode", mode)] {
            tally.mode(what, mode, &modes);
        }
        for quality in [first_quality, quality] {
            tally.count("quality", usize::from(quality - 75), 21);
        }
    }
    let mut qualities = [1.0; 21];
    (qualities[0], qualities[20]) = (0.5, 0.5);
    tally.check("quality", &qualities);
    tally.check("first factor", &[0.2, 0.7, 0.1]);
    tally.check("second factor", &[0.3, 0.4, 0.3]);
    tally.check_rest();
}

#[test]
fn names_are_read_back() {
    assert!(Preset::ALL.iter().all(|preset| preset.name().parse::<Preset>().unwrap() == *preset));
    assert!("none".parse::<Preset>().is_err());
    assert_eq!(
        draw(Preset::Bicubic, &mut RandomStream::new(SampleKey::default(), Purpose(0))),
        [Step::Downscale]
    );
}
