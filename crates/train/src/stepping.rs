//! What goes on from one step to the next: networks, state and batches.
//!
//! What lives here: one step of what a recipe trains, whatever is done around it. What does not: the gradients (`step`), what is
//! written down and saved (`run`).

use std::sync::Arc;

use esrgan_dataset::{Batch, Batches, Dataset, DatasetOptions, LrSource};
use esrgan_model::{NetworkGradient, Parameters};
use esrgan_recipe::Recipe;

use crate::error::TrainError;
use crate::figures::{Figure, Figures, Unread, read_means};
use crate::networks::{Gan, Networks};
use crate::state::State;
use crate::step::{Adversaries, Crops, Found as Gradient, Trained, pixel_gradient};

/// A training between two steps.
pub(crate) struct Stepping<'r> {
    recipe: &'r Recipe,
    pub(crate) networks: Networks,
    pub(crate) state: State,
    dataset: Arc<Dataset>,
    batches: Batches,
}

impl<'r> Stepping<'r> {
    /// Opens the data, starts the threads that prepare batches from the state's step on, and moves the state to the device that
    /// computes.
    ///
    /// # Errors
    /// [`TrainError::Dataset`].
    pub(crate) fn begin(
        recipe: &'r Recipe,
        networks: Networks,
        mut state: State,
    ) -> Result<Self, TrainError> {
        let dataset = Arc::new(Dataset::open(&dataset_options(recipe))?);
        let batches = dataset.batches(state.step * recipe.data.accumulation as u64)?;
        state.move_to(networks.device());
        Ok(Self { recipe, networks, state, dataset, batches })
    }

    /// Bytes of decoded pictures that are kept at present.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.dataset.cached_bytes()
    }

    /// One step of all that is trained.
    ///
    /// # Errors
    /// [`TrainError::Dataset`] where a picture of the batch cannot be read; the state is as it was.
    pub(crate) fn step(&mut self) -> Result<Figures, TrainError> {
        let mut batches = Vec::with_capacity(self.recipe.data.accumulation);
        for _ in 0..self.recipe.data.accumulation {
            batches.push(crops(self.batches.next()?));
        }
        let rate = |base: f64| self.recipe.schedule.learning_rate(base, self.state.step);
        let base = self.recipe.optimizer.generator.learning_rate;
        let generator_rate = rate(base);
        let discriminator_rate = self
            .recipe
            .optimizer
            .discriminator
            .as_ref()
            .map_or(0.0, |optimizer| rate(optimizer.learning_rate));
        let figures = match (&self.networks.gan, &mut self.state.discriminator) {
            (Some(gan), Some((discriminator, running))) => {
                let networks =
                    Adversaries { generator: &self.networks.generator, discriminator: &gan.discriminator };
                let generator = &mut self.state.generator;
                let rates = (generator_rate, discriminator_rate);
                gan_step(&networks, gan, generator, (discriminator, running), (&batches, rates))
            }
            _ => {
                let parameters = &self.state.generator.parameters;
                let gradient = |crops: &Crops| {
                    pixel_gradient(&self.networks.generator, parameters, self.networks.pixel, crops)
                };
                let (gradient, figures) = average(batches.iter().map(gradient));
                let norm = self.state.generator.update(gradient, generator_rate);
                vec![figures, alone("norm_g", norm)]
            }
        };
        if let Some(average) = &self.recipe.average {
            self.state.follow(average.decay);
        }
        self.state.step += 1;
        // The only place of a step that waits for a device.
        let mut figures = read_means(figures);
        figures.push(("learning_rate", generator_rate));
        Ok(figures)
    }
}

/// The first figure that is no finite number.
pub(crate) fn not_finite(figures: &Figures) -> Option<(&'static str, f64)> {
    figures.iter().copied().find(|(_, value)| !value.is_finite())
}

/// A step of the generator and one of the discriminator.
fn gan_step(
    networks: &Adversaries<'_>,
    gan: &Gan,
    generator: &mut Trained,
    (discriminator, running): (&mut Trained, &mut Parameters),
    (batches, rates): (&[Crops], (f64, f64)),
) -> Vec<Vec<Unread>> {
    let mut made = Vec::with_capacity(batches.len());
    let (gradient, of_generator) = average(batches.iter().map(|crops| {
        let judge = (&discriminator.parameters, &mut *running);
        let (found, judged) = networks.generator_gradient(&generator.parameters, judge, &gan.losses, crops);
        made.push(judged);
        found
    }));
    let norm_g = generator.update(gradient, rates.0);
    let loss = gan.losses.adversarial.0;
    let (gradient, of_discriminator) = average(made.into_iter().map(|judged| {
        networks.discriminator_gradient((&discriminator.parameters, &mut *running), loss, judged)
    }));
    let norm_d = discriminator.update(gradient, rates.1);
    vec![of_generator, alone("norm_g", norm_g), of_discriminator, alone("norm_d", norm_d)]
}

/// A list of one figure.
fn alone(name: &'static str, figure: Figure) -> Vec<Unread> {
    let mut list = Unread::default();
    list.add(name, figure);
    vec![list]
}

/// The mean of gradients, and the figures of each.
fn average(found: impl Iterator<Item = Gradient>) -> (NetworkGradient, Vec<Unread>) {
    let mut figures = Vec::new();
    let sum = found
        .map(|found| {
            figures.push(found.figures);
            found.gradient
        })
        .reduce(NetworkGradient::plus);
    let mut mean = sum.unwrap_or(NetworkGradient::Host(Vec::new()));
    if figures.len() > 1 {
        mean = mean.divided_by(figures.len() as f32);
    }
    (mean, figures)
}

fn crops(batch: Batch) -> Crops {
    let Batch { lr, hr, sharpened, lr_px, hr_px, size, .. } = batch;
    Crops { lr, hr, sharpened, samples: size, lr_px, hr_px }
}

/// The data set of a recipe.
pub(crate) fn dataset_options(recipe: &Recipe) -> DatasetOptions {
    let data = &recipe.data;
    let lr = match (&data.lr, data.degradation) {
        (Some(folder), _) => LrSource::Paired(folder.clone()),
        (None, Some(preset)) if preset != esrgan_degrade::Preset::Bicubic => LrSource::Degraded(preset),
        _ => LrSource::Bicubic,
    };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    DatasetOptions {
        hr_folders: data.hr.clone(),
        lr,
        scale: recipe.scale,
        hr_crop_px: data.crop_px,
        batch: data.batch,
        seed: recipe.seed,
        has_flips: data.flips,
        has_rotations: data.rotations,
        is_sharpened: data.sharpen,
        cache_bytes: data.cache_bytes,
        threads: data.workers.unwrap_or_else(processors),
        ..DatasetOptions::default()
    }
}
