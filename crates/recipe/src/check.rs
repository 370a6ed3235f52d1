//! Whether a recipe's values are in range and go together: all that can be known without opening a file.

use std::fmt::{self, Display};

use crate::error::RecipeError;
use crate::recipe::{Recipe, Stage};
use crate::schedule::Schedule;
use crate::sections::data::METRICS;
use crate::sections::losses::{Pattern, Perceptual};
use crate::sections::networks::{Discriminator, DiscriminatorKind};
use crate::sections::optimization::Optimizer;
use crate::suggest::nearest;

/// Largest factor between both pictures' sides, as degradations have it.
const LARGEST_SCALE: usize = 16;
/// Far more channels or blocks than any published network has.
const MOST_FEATURES: usize = 4096;
const MOST_BLOCKS: usize = 1024;
const MOST_THREADS: usize = 1024;
const MOST_CROPS: usize = 1 << 20;
/// Most samples of a batch's crops, as data sets have it.
const MOST_SAMPLES: u128 = 1 << 30;
/// TOML's whole numbers end here.
const LARGEST_SEED: u64 = i64::MAX as u64;
/// What the stages of a U-Net halve a crop by.
const UNET_MULTIPLE: usize = 8;
/// Sides of crops that a head over them sees.
const PATCH_MULTIPLE: usize = 4;
/// The longest shift of a crop against itself is 12 pixels, of what a Laplacian leaves of it.
const LEAST_AUTOCORRELATION_PX: usize = 15;
/// The crops that the discriminator of kind `vgg` has been built for.
const VGG_INPUTS_PX: [usize; 2] = [128, 256];

/// A value that is out of range or does not go with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, with its sections.
    pub key: String,
    /// Its value; `not set` where it has none.
    pub found: String,
    /// What it should be.
    pub expected: String,
}

impl Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is {}: expected {}", self.key, self.found, self.expected)
    }
}

const NOT_SET: &str = "not set";
const SET: &str = "set";

/// The losses of patterns: their sections' names, and the least side of a crop.
fn patterns(recipe: &Recipe) -> [(&'static str, Option<Pattern>, usize); 2] {
    let losses = &recipe.losses;
    [
        ("checkerboard", losses.checkerboard, recipe.scale.saturating_add(2)),
        ("autocorrelation", losses.autocorrelation, LEAST_AUTOCORRELATION_PX),
    ]
}

impl Recipe {
    /// Everything that is wrong with the values, as far as it can be known without opening a file.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Problems(Vec::new());
        problems.add_run(self);
        problems.add_stage(self);
        problems.add_networks(self);
        problems.add_data(self);
        problems.add_validation(self);
        problems.add_losses(self);
        problems.add_optimizers(self);
        problems.add_schedule(self);
        problems.add_checkpoints(self);
        problems.0
    }

    /// The recipe itself, if nothing is wrong with it.
    ///
    /// # Errors
    /// [`RecipeError::Problems`] with all that [`Recipe::check`] finds.
    pub fn checked(self) -> Result<Self, RecipeError> {
        let problems = self.check();
        if problems.is_empty() { Ok(self) } else { Err(RecipeError::Problems { problems }) }
    }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn expect(&mut self, is_good: bool, key: &str, found: impl Display, expected: impl Display) {
        if !is_good {
            let (found, expected) = (found.to_string(), expected.to_string());
            self.0.push(Problem { key: key.to_owned(), found, expected });
        }
    }

    fn expect_count(&mut self, key: &str, found: usize, most: usize) {
        self.expect((1..=most).contains(&found), key, found, format_args!("1 to {most}"));
    }

    fn expect_steps(&mut self, key: &str, found: u64) {
        self.expect(found >= 1, key, found, "1 or more");
    }

    /// A factor that may be zero.
    fn expect_weight(&mut self, key: &str, found: f64) {
        self.expect(found.is_finite() && found >= 0.0, key, found, "0 or more");
    }

    fn expect_positive(&mut self, key: &str, found: f64) {
        self.expect(found.is_finite() && found > 0.0, key, found, "more than 0");
    }

    /// A decay, of which something must be left.
    fn expect_decay(&mut self, key: &str, found: f64) {
        self.expect((0.0..1.0).contains(&found), key, found, "0 or more and less than 1");
    }

    fn expect_word(&mut self, key: &str, found: &str, known: &[&str]) {
        if !known.contains(&found) {
            let hint = nearest(found, known.iter().copied());
            let hint = hint.map_or(String::new(), |word| format!(": did you mean `{word}`?"));
            self.expect(
                false,
                key,
                format_args!("`{found}`"),
                format!("one of `{}`{hint}", known.join("`, `")),
            );
        }
    }

    fn add_run(&mut self, recipe: &Recipe) {
        self.expect_count("scale", recipe.scale, LARGEST_SCALE);
        let seed = recipe.seed;
        self.expect(seed <= LARGEST_SEED, "seed", seed, format_args!("at most {LARGEST_SEED}"));
        self.expect_steps("steps", recipe.steps);
        if let Some(threads) = recipe.threads {
            self.expect_count("threads", threads, MOST_THREADS);
        }
    }

    /// Sections that stage `gan` needs and stage `psnr` has no use for.
    fn add_stage(&mut self, recipe: &Recipe) {
        let adversary = [
            ("discriminator", recipe.discriminator.is_some()),
            ("losses.adversarial", recipe.losses.adversarial.is_some()),
            ("optimizer.discriminator", recipe.optimizer.discriminator.is_some()),
        ];
        match recipe.stage {
            Stage::Gan => {
                for (key, is_set) in adversary {
                    self.expect(is_set, key, NOT_SET, "a section, as stage `gan` needs it");
                }
                let is_set = recipe.losses.perceptual.is_some();
                let expected = "a section with `weights_file`, as stage `gan` needs it";
                self.expect(is_set, "losses.perceptual", NOT_SET, expected);
            }
            Stage::Psnr => {
                for (key, is_set) in adversary {
                    self.expect(!is_set, key, SET, "nothing, as stage `psnr` has no discriminator");
                }
                for (name, pattern, _) in patterns(recipe) {
                    let expected = "nothing, as stage `psnr` has no losses but that of pixels";
                    self.expect(pattern.is_none(), &format!("losses.{name}"), SET, expected);
                }
                let weight = recipe.losses.pixel.weight;
                let is_anything = weight != 0.0 || recipe.losses.perceptual.is_some();
                self.expect(
                    is_anything,
                    "losses.pixel.weight",
                    weight,
                    "more than 0, as it is the only loss",
                );
            }
        }
    }

    fn add_networks(&mut self, recipe: &Recipe) {
        let generator = &recipe.generator;
        self.expect_count("generator.features", generator.features, MOST_FEATURES);
        self.expect_count("generator.blocks", generator.blocks, MOST_BLOCKS);
        self.expect_count("generator.growth", generator.growth, MOST_FEATURES);
        let has_what_to_widen = !generator.widen || generator.start.is_some();
        self.expect(has_what_to_widen, "generator.widen", SET, "nothing without `generator.start`");
        if let Some(discriminator) = &recipe.discriminator {
            self.expect_count("discriminator.features", discriminator.features, MOST_FEATURES);
            self.add_discriminator_input(discriminator, recipe.data.crop_px);
            self.add_patches(discriminator, recipe.data.crop_px);
        }
    }

    fn add_patches(&mut self, discriminator: &Discriminator, crop_px: usize) {
        let Some(features) = discriminator.patch_features else { return };
        let key = "discriminator.patch_features";
        self.expect_count(key, features, MOST_FEATURES);
        let is_projected = discriminator.kind == DiscriminatorKind::Projected;
        self.expect(is_projected, key, features, "nothing but for kind `projected`");
        let is_multiple = crop_px.is_multiple_of(PATCH_MULTIPLE);
        let expected = format_args!("a multiple of {PATCH_MULTIPLE} for `{key}`");
        self.expect(is_multiple, "data.crop_px", crop_px, expected);
    }

    fn add_discriminator_input(&mut self, discriminator: &Discriminator, crop_px: usize) {
        let key = "discriminator.input_px";
        match (discriminator.kind, discriminator.input_px) {
            (DiscriminatorKind::Vgg, None) => self.expect(false, key, NOT_SET, "128 or 256 for kind `vgg`"),
            (DiscriminatorKind::Vgg, Some(input_px)) => {
                let is_known = VGG_INPUTS_PX.contains(&input_px);
                self.expect(is_known, key, input_px, "128 or 256 for kind `vgg`");
                let expected = format_args!("`data.crop_px`, which is {crop_px}");
                self.expect(input_px == crop_px, key, input_px, expected);
            }
            (DiscriminatorKind::Unet, Some(input_px)) => {
                self.expect(false, key, input_px, "nothing for kind `unet`");
            }
            (DiscriminatorKind::Projected, Some(input_px)) => {
                self.expect(false, key, input_px, "nothing for kind `projected`");
            }
            (DiscriminatorKind::Projected, None) => {}
            (DiscriminatorKind::Unet, None) => {
                let is_multiple = crop_px.is_multiple_of(UNET_MULTIPLE);
                let expected =
                    format_args!("a multiple of {UNET_MULTIPLE} for the discriminator of kind `unet`");
                self.expect(is_multiple, "data.crop_px", crop_px, expected);
            }
        }
    }

    fn add_data(&mut self, recipe: &Recipe) {
        let (data, scale) = (&recipe.data, recipe.scale);
        self.expect(!data.hr.is_empty(), "data.hr", "an empty list", "at least one folder");
        let sources = usize::from(data.lr.is_some()) + usize::from(data.degradation.is_some());
        let found = if sources == 0 { NOT_SET } else { "set beside `data.degradation`" };
        self.expect(sources == 1, "data.lr", found, "either `data.lr` or `data.degradation`");
        let crop_px = data.crop_px;
        let is_multiple = crop_px > 0 && (scale == 0 || crop_px.is_multiple_of(scale));
        self.expect(is_multiple, "data.crop_px", crop_px, format_args!("a multiple of the scale {scale}"));
        self.expect_count("data.batch", data.batch, MOST_CROPS);
        let crop_samples = (crop_px as u128).saturating_mul(crop_px as u128).saturating_mul(3);
        let samples = crop_samples.saturating_mul(data.batch as u128);
        let expected = format_args!("at most {MOST_SAMPLES} samples in crops of {crop_px} px");
        self.expect(samples <= MOST_SAMPLES, "data.batch", data.batch, expected);
        self.expect_count("data.accumulation", data.accumulation, MOST_CROPS);
        if let Some(workers) = data.workers {
            self.expect_count("data.workers", workers, MOST_THREADS);
        }
    }

    fn add_validation(&mut self, recipe: &Recipe) {
        let Some(validation) = &recipe.validation else {
            return;
        };
        self.expect_steps("validation.every", validation.every);
        let key = "validation.metrics";
        self.expect(!validation.metrics.is_empty(), key, "an empty list", "at least one metric");
        for (index, metric) in validation.metrics.iter().enumerate() {
            self.expect_word(key, metric, METRICS);
            let is_first = !validation.metrics[..index].contains(metric);
            self.expect(is_first, key, format_args!("`{metric}` twice"), "each metric once");
        }
        if let Some(metric) = validation.metrics.iter().find(|metric| metric.starts_with("lpips-")) {
            let files =
                [("lpips_backbone", &validation.lpips_backbone), ("lpips_heads", &validation.lpips_heads)];
            for (name, file) in files {
                let expected = format_args!("a file, as `{metric}` needs it");
                self.expect(file.is_some(), &format!("validation.{name}"), NOT_SET, expected);
            }
        }
    }

    fn add_losses(&mut self, recipe: &Recipe) {
        self.expect_weight("losses.pixel.weight", recipe.losses.pixel.weight);
        if let Some(adversarial) = &recipe.losses.adversarial {
            self.expect_weight("losses.adversarial.weight", adversarial.weight);
        }
        for (name, pattern, least) in patterns(recipe) {
            let Some(pattern) = pattern else { continue };
            self.expect_weight(&format!("losses.{name}.weight"), pattern.weight);
            let crop_px = recipe.data.crop_px;
            let expected = format_args!("at least {least} for `losses.{name}`");
            self.expect(crop_px >= least, "data.crop_px", crop_px, expected);
        }
        if let Some(perceptual) = &recipe.losses.perceptual {
            self.add_perceptual(perceptual);
        }
    }

    fn add_perceptual(&mut self, perceptual: &Perceptual) {
        self.expect_weight("losses.perceptual.weight", perceptual.weight);
        let is_set = !perceptual.weights_file.as_os_str().is_empty();
        self.expect(is_set, "losses.perceptual.weights_file", "empty", "a file");
        let key = "losses.perceptual.layers";
        self.expect(!perceptual.layers.is_empty(), key, "empty", "at least one layer");
        let known = perceptual.network.layers();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        for (layer, weight) in &perceptual.layers {
            self.expect_word(key, layer, &known);
            self.expect_weight(&format!("{key}.{layer}"), *weight);
        }
    }

    fn add_optimizers(&mut self, recipe: &Recipe) {
        self.add_optimizer("optimizer.generator", &recipe.optimizer.generator);
        if let Some(optimizer) = &recipe.optimizer.discriminator {
            self.add_optimizer("optimizer.discriminator", optimizer);
        }
        if let Some(average) = &recipe.average {
            self.expect_decay("average.decay", average.decay);
        }
    }

    fn add_optimizer(&mut self, section: &str, optimizer: &Optimizer) {
        let rate = optimizer.learning_rate;
        let is_rate = rate > 0.0 && rate <= 1.0;
        self.expect(is_rate, &format!("{section}.learning_rate"), rate, "more than 0 and at most 1");
        for beta in optimizer.betas {
            self.expect_decay(&format!("{section}.betas"), beta);
        }
        self.expect_positive(&format!("{section}.epsilon"), optimizer.epsilon);
        self.expect_weight(&format!("{section}.weight_decay"), optimizer.weight_decay);
        if let Some(clip_norm) = optimizer.clip_norm {
            self.expect_positive(&format!("{section}.clip_norm"), clip_norm);
        }
    }

    fn add_schedule(&mut self, recipe: &Recipe) {
        match &recipe.schedule {
            Schedule::Constant { .. } => {}
            Schedule::MultiStep { milestones, gamma, .. } => {
                let is_ascending = milestones.is_sorted_by(|first, second| first < second);
                self.expect(is_ascending, "schedule.milestones", list(milestones), "ascending steps");
                let is_factor = *gamma > 0.0 && *gamma <= 1.0;
                self.expect(is_factor, "schedule.gamma", gamma, "more than 0 and at most 1");
            }
            Schedule::CosineRestart { periods, restart_weights, minimum, .. } => {
                self.add_periods(recipe.steps, periods, restart_weights);
                self.expect_weight("schedule.minimum", *minimum);
                let optimizers = [Some(recipe.optimizer.generator), recipe.optimizer.discriminator];
                for rate in optimizers.into_iter().flatten().map(|optimizer| optimizer.learning_rate) {
                    let expected = format_args!("at most the learning rate {rate}");
                    self.expect(*minimum <= rate, "schedule.minimum", minimum, expected);
                }
            }
        }
    }

    fn add_periods(&mut self, steps: u64, periods: &[u64], restart_weights: &[f64]) {
        let key = "schedule.periods";
        self.expect(
            periods.iter().all(|period| *period >= 1),
            key,
            list(periods),
            "periods of 1 step or more",
        );
        let sum: u128 = periods.iter().map(|period| u128::from(*period)).sum();
        let expected = format_args!("`steps` together, {steps} or more");
        self.expect(sum >= u128::from(steps), key, format_args!("{}, {sum} in all", list(periods)), expected);
        let (key, weights) = ("schedule.restart_weights", list(restart_weights));
        let count = periods.len();
        let expected = format_args!("one for each of {count} periods");
        self.expect(restart_weights.len() == count, key, &weights, expected);
        for weight in restart_weights {
            self.expect_positive(key, *weight);
        }
    }

    fn add_checkpoints(&mut self, recipe: &Recipe) {
        let checkpoints = &recipe.checkpoints;
        self.expect_steps("checkpoints.every", checkpoints.every);
        self.expect_steps("checkpoints.log_every", checkpoints.log_every);
        self.expect(checkpoints.keep >= 1, "checkpoints.keep", checkpoints.keep, "1 or more");
        if let Some(best_by) = &checkpoints.best_by {
            let measured = recipe.validation.as_ref().map_or(&[][..], |validation| &validation.metrics);
            let expected = format_args!("one of `validation.metrics`, {}", list(measured));
            self.expect(
                measured.contains(best_by),
                "checkpoints.best_by",
                format_args!("`{best_by}`"),
                expected,
            );
        }
    }
}

fn list(values: &[impl Display]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(", "))
}

#[cfg(test)]
mod tests;
