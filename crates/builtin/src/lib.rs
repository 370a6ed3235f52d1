//! The models that the program brings along, trained by this project: `docs/models.md` says on what, how, and how good they are.
//!
//! What lives here: the files, their names, and the networks between them. What does not: reading them, which is `esrgan-weights`'.

use esrgan_weights::{LoadOptions, Model, WeightsError, interpolate, load_bytes};

/// The share of the GAN model in `photo-x4` where nothing else is wished for: see `docs/models.md`.
pub const DEFAULT_STRENGTH: f64 = 0.9;

/// The model that is taken where none is named.
pub const DEFAULT_MODEL: &BuiltInModel = &BUILT_IN_MODELS[0];

/// All models that are built in.
pub const BUILT_IN_MODELS: [BuiltInModel; 3] = [
    BuiltInModel {
        name: "photo-x4",
        summary: "photographs, between faithful and textured by --strength",
        part: Part::Between,
    },
    BuiltInModel {
        name: "photo-x4-psnr",
        summary: "photographs, trained for the least error (strength 0)",
        part: Part::Psnr,
    },
    BuiltInModel {
        name: "photo-x4-gan",
        summary: "photographs, trained against a discriminator (strength 1)",
        part: Part::Gan,
    },
];

static PSNR: &[u8] = include_bytes!("../models/photo-x4-psnr.safetensors");
static GAN: &[u8] = include_bytes!("../models/photo-x4-gan.safetensors");

/// A model that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltInModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a line.
    pub summary: &'static str,
    part: Part,
}

/// Which of the files a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Psnr,
    Gan,
    Between,
}

impl BuiltInModel {
    /// The model of a name, if there is one.
    pub fn find(name: &str) -> Option<&'static Self> {
        const { &BUILT_IN_MODELS }.iter().find(|model| model.name == name)
    }

    /// Whether it is a mean of others, whose shares a strength says.
    pub fn takes_strength(&self) -> bool {
        self.part == Part::Between
    }

    /// Makes the model: `(1 - strength) * psnr + strength * gan`, weight by weight ([`DEFAULT_STRENGTH`] where there is none).
    ///
    /// # Errors
    /// [`WeightsError::Argument`] for a strength outside of 0..=1, or for one where the model takes none; [`WeightsError::Scale`] where the options ask for
    /// another scale than 4.
    pub fn load(&self, strength: Option<f64>, options: &LoadOptions) -> Result<Model, WeightsError> {
        if let Some(strength) = strength.filter(|_| !self.takes_strength()) {
            let expected = format!("none: `{}` is one end, `{}` takes one", self.name, DEFAULT_MODEL.name);
            return Err(WeightsError::Argument {
                argument: "strength",
                expected,
                found: strength.to_string(),
            });
        }
        let part = |bytes: &[u8]| load_bytes(bytes.to_vec(), options);
        match (self.part, strength.unwrap_or(DEFAULT_STRENGTH)) {
            (Part::Psnr, _) => part(PSNR),
            (Part::Gan, _) => part(GAN),
            (Part::Between, strength) => interpolate(&part(PSNR)?, &part(GAN)?, strength),
        }
    }
}

#[cfg(test)]
mod tests {
    use esrgan_weights::{DType, Family, KeyLayout};

    use super::*;

    #[test]
    fn every_model_is_whole_and_small() {
        for model in BUILT_IN_MODELS {
            assert_eq!(BuiltInModel::find(model.name), Some(&model));
            let loaded = model.load(None, &LoadOptions::default()).unwrap();
            let spec = &loaded.spec;
            assert_eq!((spec.family(), spec.scale()), (Family::Rrdb, 4), "{}", model.name);
            assert_eq!((spec.in_channels(), spec.out_channels()), (3, 3), "{}", model.name);
            let origin = &loaded.origin;
            assert_eq!((origin.dtype, origin.key_layout), (DType::F16, KeyLayout::BasicSr), "{}", model.name);
            assert!(origin.repeats_edge, "{}: flat pictures stay flat up to their border", model.name);
            let is_finite = |values: Vec<f32>| values.iter().all(|value| value.is_finite());
            assert!(loaded.weights.iter().all(|(_, tensor)| is_finite(tensor.to_f32())), "{}", model.name);
        }
        assert!(BuiltInModel::find("photo-x8").is_none());
        assert!(PSNR.len() + GAN.len() <= 20_000_000, "what a download may cost");
    }

    #[test]
    fn the_card_names_these_very_files() {
        let card = include_str!("../../../docs/models.md");
        for bytes in [PSNR, GAN] {
            let hash = load_bytes(bytes.to_vec(), &LoadOptions::default()).unwrap().origin.sha256;
            assert!(card.contains(&hash), "{hash}");
        }
        assert!(card.contains(&format!("strength {DEFAULT_STRENGTH}")));
    }

    #[test]
    fn strength_goes_from_one_end_to_the_other() {
        let load = |name, strength| {
            let model = BuiltInModel::find(name).unwrap().load(strength, &LoadOptions::default()).unwrap();
            model.weights.get("body.0.rdb1.conv1.weight").unwrap().to_f32()
        };
        let (psnr, gan) = (load("photo-x4-psnr", None), load("photo-x4-gan", None));
        assert!(psnr != gan, "two models");
        assert_eq!(load("photo-x4", Some(0.0)), psnr);
        assert_eq!(load("photo-x4", Some(1.0)), gan);
        assert_eq!(load("photo-x4", None), load("photo-x4", Some(DEFAULT_STRENGTH)));
        let half = load("photo-x4", Some(0.5));
        for ((mean, a), b) in half.iter().zip(psnr).zip(gan) {
            assert!((mean - (a + b) / 2.0).abs() <= mean.abs() * 1e-3 + 1e-7, "{mean} {a} {b}");
        }
    }

    #[test]
    fn strengths_that_mean_nothing_are_refused() {
        let refused = |name, strength| {
            BuiltInModel::find(name)
                .unwrap()
                .load(Some(strength), &LoadOptions::default())
                .unwrap_err()
                .to_string()
        };
        for strength in [-0.1, 1.1, f64::NAN] {
            assert!(refused("photo-x4", strength).contains("from 0 to 1"));
        }
        assert!(refused("photo-x4-psnr", 0.5).contains("`photo-x4` takes one"));
    }
}
