//! A training run, from its recipe to its model.
//!
//! In this order for every step: a batch; the generator's gradient and step; the average; the discriminator's gradient and step;
//! figures into the journal; validation and checkpoint where they are due.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use esrgan_checkpoint::{Checkpoints, load};
use esrgan_dataset::{Batch, Batches, Dataset, DatasetOptions, LrSource};
use esrgan_journal::{Journal, Monitor, Record, RecordKind, Thresholds, Warning, read_records};
use esrgan_model::{Isa, Parameters};
use esrgan_recipe::{Precision, Recipe};
use esrgan_weights::{DType, Format, KeyLayout, Model, Origin, SaveOptions};

use crate::error::TrainError;
use crate::networks::{Gan, Networks};
use crate::state::State;
use crate::step::{Adversaries, Crops, Figures, Found as Gradient, Trained, pixel_gradient};

/// What a run gives, in its folder: the generator's average, or the generator itself, of the last checkpoint.
const MODEL: &str = "model.safetensors";

/// Where a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// At the newest valid checkpoint of its folder, or at the beginning where there is none.
    #[default]
    Auto,
    /// At a checkpoint.
    At(PathBuf),
    /// At the beginning; a folder with checkpoints is refused by the journal.
    Never,
}

/// What a run says while it goes on.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// bf16 was asked for; `f32` is computed, which is faster on this set and more exact.
    ComputedInF32 {
        /// The instruction set, which has no instructions for bf16.
        isa: Isa,
    },
    /// It begins at this step of so many.
    Begun {
        /// Steps done before.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Checkpoints that were damaged and passed over.
        passed_over: Vec<String>,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Its figures.
        figures: &'a Figures,
        /// Its seconds.
        seconds: f64,
    },
    /// Something to look at.
    Warning(Warning),
    /// A checkpoint is on the disk.
    Saved {
        /// Steps done.
        step: u64,
        /// Where.
        path: PathBuf,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps are done.
    Done,
    /// It was asked to stop, and saved a checkpoint.
    Stopped,
}

/// Trains by a recipe in a folder, until it is done or `stop` is set; `heard` is told what happens.
///
/// Computes on `isa`, the fastest set there is where `None`. bf16 is computed where the set has instructions for it, and by
/// [`Isa::Portable`], which shows what they give.
///
/// The folder gets `model.safetensors` (the average of the last checkpoint, which `esrgan upscale` takes), `checkpoints/`, and the
/// journal's files. A run that was killed and goes on ends with the same bits as one that was not.
///
/// # Errors
/// [`TrainError`]; checkpoints that were saved before stay.
pub fn train(
    recipe: &Recipe,
    isa: Option<Isa>,
    folder: &Path,
    resume: &Resume,
    stop: &AtomicBool,
    heard: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Ended, TrainError> {
    let isa = isa.unwrap_or_else(Isa::detect);
    if !isa.is_available() {
        let available: Vec<&str> =
            Isa::ALL.iter().filter(|isa| isa.is_available()).map(|isa| isa.name()).collect();
        return Err(TrainError::Isa { isa, available: available.join(", ") });
    }
    let threads = recipe.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| TrainError::Threads { threads, source })?;
    pool.install(|| Run::begin((recipe, isa), folder, resume, heard)?.go_on(stop, heard))
}

struct Run<'r> {
    recipe: &'r Recipe,
    folder: PathBuf,
    networks: Networks,
    state: State,
    batches: Batches,
    journal: Journal,
    monitor: Monitor,
    checkpoints: Checkpoints,
}

impl<'r> Run<'r> {
    fn begin(
        (recipe, isa): (&'r Recipe, Isa),
        folder: &Path,
        resume: &Resume,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self, TrainError> {
        let networks = Networks::of(recipe, isa)?;
        if recipe.precision == Precision::Bf16
            && networks.arithmetic.precision == esrgan_model::Precision::F32
        {
            heard(Event::ComputedInF32 { isa });
        }
        let checkpoints = Checkpoints::open(&folder.join("checkpoints"))?;
        let found = match resume {
            Resume::Auto => checkpoints.newest_valid()?,
            Resume::At(path) => Some(load(path)?),
            Resume::Never => None,
        };
        let state = match &found {
            Some(found) => State::resume(recipe, &networks, found)?,
            None => State::first(recipe, &networks)?,
        };
        let dataset = Arc::new(Dataset::open(&dataset_options(recipe))?);
        let batches = dataset.batches(state.step * recipe.data.accumulation as u64)?;
        let is_new = found.is_none() && *resume == Resume::Never;
        let journal = Journal::open(folder, (!is_new).then_some(state.step))?;
        let monitor = Monitor::resume(Thresholds::default(), &read_records(&journal.log_path())?);
        let passed_over = found.map(|found| found.passed_over).unwrap_or_default();
        let passed_over =
            passed_over.iter().map(|over| format!("{}: {}", over.path.display(), over.reason)).collect();
        heard(Event::Begun { step: state.step, steps: recipe.steps, passed_over });
        let folder = folder.to_owned();
        Ok(Self { recipe, folder, networks, state, batches, journal, monitor, checkpoints })
    }

    fn go_on(
        mut self,
        stop: &AtomicBool,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Ended, TrainError> {
        while self.state.step < self.recipe.steps {
            let start = Instant::now();
            let figures = self.step()?;
            self.refuse_not_finite(&figures)?;
            let (step, seconds) = (self.state.step, start.elapsed().as_secs_f64());
            heard(Event::Step { step, figures: &figures, seconds });
            let settings = &self.recipe.checkpoints;
            if step.is_multiple_of(settings.log_every) || step == self.recipe.steps {
                self.note(&figures, seconds, heard)?;
            }
            let is_stopped = stop.load(Ordering::Relaxed);
            if step.is_multiple_of(settings.every) || step == self.recipe.steps || is_stopped {
                self.save(heard)?;
            }
            if is_stopped && step < self.recipe.steps {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Done)
    }

    /// One step of all that is trained.
    fn step(&mut self) -> Result<Figures, TrainError> {
        let mut batches = Vec::with_capacity(self.recipe.data.accumulation);
        for _ in 0..self.recipe.data.accumulation {
            batches.push(crops(&self.batches.next()?));
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
        let mut figures = match (&self.networks.gan, &mut self.state.discriminator) {
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
                let mut found = average(batches.iter().map(gradient));
                let norm = self.state.generator.update(&mut found.gradients, generator_rate);
                found.figures.push(("norm_g", norm));
                found.figures
            }
        };
        figures.push(("learning_rate", generator_rate));
        if let Some(average) = &self.recipe.average {
            self.state.follow(average.decay);
        }
        self.state.step += 1;
        Ok(figures)
    }

    fn refuse_not_finite(&self, figures: &Figures) -> Result<(), TrainError> {
        let Some((name, value)) = figures.iter().find(|(_, value)| !value.is_finite()) else { return Ok(()) };
        let last = match self.checkpoints.newest_valid() {
            Ok(Some(found)) => format!("the last good checkpoint is `{}`", found.path.display()),
            _ => "no checkpoint had been saved".to_owned(),
        };
        Err(TrainError::NotFinite { step: self.state.step, name: (*name).to_owned(), value: *value, last })
    }

    /// Writes a step's figures down.
    fn note(
        &mut self,
        figures: &Figures,
        seconds: f64,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), TrainError> {
        let mut record = Record::new(self.state.step, RecordKind::Train);
        for (name, value) in figures {
            record = record.with(*name, *value);
        }
        self.journal.write(&record)?;
        self.journal.write_timing(self.state.step, &[("seconds", seconds)])?;
        self.monitor.observe(&record).into_iter().for_each(|warning| heard(Event::Warning(warning)));
        Ok(())
    }

    /// Journal first, checkpoint behind it: a resumed run finds everything up to its step written down.
    fn save(&mut self, heard: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), TrainError> {
        self.journal.draw_curves()?;
        self.journal.flush_and_sync()?;
        let saved = self.checkpoints.save(&self.state.checkpoint(self.recipe, BTreeMap::new())?)?;
        self.checkpoints.prune(self.recipe.checkpoints.keep, &[])?;
        let model = model(&self.networks, self.state.result())?;
        let path = self.folder.join(MODEL);
        esrgan_weights::save(&model, &path, &SaveOptions::default())
            .map_err(|source| TrainError::Model(source.into()))?;
        heard(Event::Saved { step: self.state.step, path: saved.path });
        Ok(())
    }
}

/// A step of the generator and one of the discriminator.
fn gan_step(
    networks: &Adversaries<'_>,
    gan: &Gan,
    generator: &mut Trained,
    (discriminator, running): (&mut Trained, &mut Parameters),
    (batches, rates): (&[Crops], (f64, f64)),
) -> Figures {
    let mut made = Vec::with_capacity(batches.len());
    let mut found = average(batches.iter().map(|crops| {
        let judge = (&discriminator.parameters, &mut *running);
        let (found, sr) = networks.generator_gradient(&generator.parameters, judge, &gan.losses, crops);
        made.push(sr);
        found
    }));
    let norm = generator.update(&mut found.gradients, rates.0);
    let mut figures = found.figures;
    figures.push(("norm_g", norm));
    let loss = gan.losses.adversarial.0;
    let mut found = average(batches.iter().zip(made).map(|(crops, made)| {
        networks.discriminator_gradient((&discriminator.parameters, &mut *running), loss, made, crops)
    }));
    let norm = discriminator.update(&mut found.gradients, rates.1);
    figures.extend(found.figures);
    figures.push(("norm_d", norm));
    figures
}

/// The mean of gradients and figures.
fn average(found: impl Iterator<Item = Gradient>) -> Gradient {
    let mut count = 0.0;
    let sum = found.inspect(|_| count += 1.0).reduce(|mut sum, next| {
        for (sum, next) in sum.gradients.iter_mut().zip(next.gradients) {
            sum.iter_mut().zip(next).for_each(|(sum, next)| *sum += next);
        }
        for (sum, next) in sum.figures.iter_mut().zip(next.figures) {
            sum.1 += next.1;
        }
        sum
    });
    let mut mean = sum.unwrap_or(Gradient { gradients: Vec::new(), figures: Figures::new() });
    if count > 1.0 {
        mean.gradients.iter_mut().flatten().for_each(|value| *value /= count as f32);
        mean.figures.iter_mut().for_each(|(_, value)| *value /= count);
    }
    mean
}

/// A batch with its channels apart.
fn crops(batch: &Batch) -> Crops {
    let apart = |values: &[f32], side: usize| -> Vec<f32> {
        let pixels = side * side;
        let value = |index: usize| {
            let (sample, channel, pixel) = (index / pixels / 3, index / pixels % 3, index % pixels);
            values[(sample * pixels + pixel) * 3 + channel]
        };
        (0..batch.size * 3 * pixels).map(value).collect()
    };
    Crops {
        lr: apart(&batch.lr, batch.lr_px),
        hr: apart(&batch.hr, batch.hr_px),
        samples: batch.size,
        lr_px: batch.lr_px,
        hr_px: batch.hr_px,
    }
}

fn dataset_options(recipe: &Recipe) -> DatasetOptions {
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
        cache_bytes: data.cache_bytes,
        threads: data.workers.unwrap_or_else(processors),
        ..DatasetOptions::default()
    }
}

/// The model of some parameters.
fn model(networks: &Networks, parameters: &Parameters) -> Result<Model, TrainError> {
    let origin = Origin {
        path: None,
        format: Format::Safetensors,
        key_layout: KeyLayout::BasicSr,
        dtype: DType::F32,
        parameters: 0,
        sha256: String::new(),
        notices: Vec::new(),
        scale_is_ambiguous: false,
    };
    let spec = networks.generator.spec().clone();
    Model::new(spec, parameters.to_weights()?, origin).map_err(|source| TrainError::Model(source.into()))
}
