//! A training run, from its recipe to its model.
//!
//! In this order for every step: a batch; the generator's gradient and step; the average; the discriminator's gradient and step;
//! figures into the journal; validation and checkpoint where they are due.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use esrgan_checkpoint::{Best, Checkpoints, load};
use esrgan_evaluate::Metric;
use esrgan_journal::{Journal, Monitor, Record, RecordKind, Thresholds, Warning, read_records};
use esrgan_model::{Edge, Isa};
use esrgan_recipe::Recipe;
use esrgan_upscale::DeviceChoice;
use esrgan_weights::{Model, SaveOptions};

use crate::device::InsteadOfBf16;
use crate::error::TrainError;
use crate::figures::Figures;
use crate::networks::Networks;
use crate::state::State;
use crate::stepping::{Stepping, not_finite};
use crate::validate::Validation;

/// What a run gives, in its folder: the generator's average, or the generator itself, of the last checkpoint.
const MODEL: &str = "model.safetensors";
/// The same of the best validation.
const BEST_MODEL: &str = "best.safetensors";

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

/// Where and how a run is carried out.
#[derive(Clone, Debug, Default)]
pub struct TrainOptions {
    /// The run's folder.
    pub folder: PathBuf,
    /// Where it begins.
    pub resume: Resume,
    /// Where it is computed. A run may go on on another device than it began on; only on the same one does it end with the same
    /// bits.
    pub device: DeviceChoice,
    /// The processor's instruction set; none: the fastest one there is. bf16 is computed where a set has instructions for it, and by
    /// [`Isa::Portable`], which shows what they give.
    pub isa: Option<Isa>,
}

/// What a run says while it goes on.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// bf16 was asked for; `f32` is computed.
    ComputedInF32 {
        /// Why.
        why: InsteadOfBf16,
    },
    /// A GPU computes.
    OnGpu {
        /// Its name and its number.
        name: &'a str,
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
    /// The model was measured.
    Validated {
        /// Steps done.
        step: u64,
        /// Each metric with the model's value and bicubic enlargement's.
        figures: &'a [(Metric, f64, f64)],
        /// LR, bicubic, SR and HR side by side.
        sheet: Option<&'a Path>,
        /// Whether no validation before was as good.
        is_best: bool,
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

/// Trains by a recipe, until it is done or `stop` is set; `heard` is told what happens.
///
/// The run's folder gets `model.safetensors` (the average of the last checkpoint, which `esrgan upscale` takes), `checkpoints/`, and the
/// journal's files. A run that was killed and goes on ends with the same bits as one that was not, if
/// the same device computes it.
///
/// # Errors
/// [`TrainError`]; checkpoints that were saved before stay.
pub fn train(
    recipe: &Recipe,
    options: &TrainOptions,
    stop: &AtomicBool,
    heard: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Ended, TrainError> {
    let threads = recipe.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| TrainError::Threads { threads, source })?;
    pool.install(|| Run::begin(recipe, options, heard)?.go_on(stop, heard))
}

struct Run<'r> {
    recipe: &'r Recipe,
    folder: PathBuf,
    stepping: Stepping<'r>,
    journal: Journal,
    monitor: Monitor,
    checkpoints: Checkpoints,
    validation: Option<Validation>,
    best: Option<Best>,
}

impl<'r> Run<'r> {
    fn begin(
        recipe: &'r Recipe,
        options: &TrainOptions,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self, TrainError> {
        let TrainOptions { folder, resume, device, isa } = options;
        let networks = Networks::of(recipe, *device, *isa)?;
        let game = networks.gan.as_ref().map(|gan| gan.losses.adversarial.0);
        let thresholds = game.map_or_else(Thresholds::default, |game| Thresholds::for_coin(game.of_a_coin()));
        if let Some(name) = networks.gpu() {
            heard(Event::OnGpu { name: &name });
        }
        if let Some(why) = networks.computes_f32_instead(recipe) {
            heard(Event::ComputedInF32 { why });
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
        let stepping = Stepping::begin(recipe, networks, state)?;
        let step = stepping.state.step;
        let is_new = found.is_none() && *resume == Resume::Never;
        let journal = Journal::open(folder, (!is_new).then_some(step))?;
        let records = read_records(&journal.log_path())?;
        let monitor = Monitor::resume(thresholds, &records);
        let validation = Validation::of(recipe, folder)?;
        let best = validation
            .as_ref()
            .and_then(|validation| records.iter().fold(None, |best, record| validation.better(best, record)));
        let is_resumed = found.is_some();
        let passed_over = found.map(|found| found.passed_over).unwrap_or_default();
        let passed_over =
            passed_over.iter().map(|over| format!("{}: {}", over.path.display(), over.reason)).collect();
        heard(Event::Begun { step, steps: recipe.steps, passed_over });
        let folder = folder.to_owned();
        let run = Self { recipe, folder, stepping, journal, monitor, checkpoints, validation, best };
        if is_resumed {
            // The run may have been killed between its checkpoint and this.
            run.publish()?;
        }
        Ok(run)
    }

    fn go_on(
        mut self,
        stop: &AtomicBool,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Ended, TrainError> {
        while self.stepping.state.step < self.recipe.steps {
            let start = Instant::now();
            let figures = self.stepping.step()?;
            self.refuse_not_finite(&figures)?;
            let (step, seconds) = (self.stepping.state.step, start.elapsed().as_secs_f64());
            heard(Event::Step { step, figures: &figures, seconds });
            let settings = &self.recipe.checkpoints;
            if step.is_multiple_of(settings.log_every) || step == self.recipe.steps {
                self.note(&figures, seconds, heard)?;
            }
            let validated = self.validate(heard);
            let is_stopped = stop.load(Ordering::Relaxed);
            let is_due = step.is_multiple_of(settings.every) || step == self.recipe.steps;
            // What has been learned is kept, whatever became of the validation.
            if is_due || is_stopped || !matches!(validated, Ok(false)) {
                self.save(heard)?;
            }
            validated?;
            if is_stopped && step < self.recipe.steps {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Done)
    }

    fn refuse_not_finite(&self, figures: &Figures) -> Result<(), TrainError> {
        let Some((name, value)) = not_finite(figures) else { return Ok(()) };
        let last = match self.checkpoints.newest_valid() {
            Ok(Some(found)) => format!("the last good checkpoint is `{}`", found.path.display()),
            _ => "no checkpoint had been saved".to_owned(),
        };
        Err(TrainError::NotFinite { step: self.stepping.state.step, name: name.to_owned(), value, last })
    }

    /// Writes a step's figures down.
    fn note(
        &mut self,
        figures: &Figures,
        seconds: f64,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), TrainError> {
        let mut record = Record::new(self.stepping.state.step, RecordKind::Train);
        for (name, value) in figures {
            record = record.with(*name, *value);
        }
        self.journal.write(&record)?;
        self.journal.write_timing(self.stepping.state.step, &[("seconds", seconds)])?;
        self.monitor.observe(&record).into_iter().for_each(|warning| heard(Event::Warning(warning)));
        Ok(())
    }

    /// Measures the model where that is due; says whether it is the best so far.
    fn validate(&mut self, heard: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<bool, TrainError> {
        let step = self.stepping.state.step;
        let is_due =
            |validation: &&Validation| step.is_multiple_of(validation.every) || step == self.recipe.steps;
        let Some(validation) = self.validation.as_ref().filter(is_due) else { return Ok(false) };
        let validated = validation.measure(self.model()?, step)?;
        self.journal.write(&validated.record)?;
        if let Some((_, png)) = &validated.sheet {
            self.journal.write_picture(step, "validation", png)?;
        }
        self.best = validation.better(self.best.take(), &validated.record);
        let is_best = self.best.as_ref().is_some_and(|best| best.step == step);
        let sheet = validated.sheet.as_ref().map(|(path, _)| path.as_path());
        heard(Event::Validated { step, figures: &validated.figures, sheet, is_best });
        let warnings = self.monitor.observe(&validated.record);
        warnings.into_iter().for_each(|warning| heard(Event::Warning(warning)));
        Ok(is_best)
    }

    /// Journal first, checkpoint behind it: a resumed run finds everything up to its step written down.
    fn save(&mut self, heard: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), TrainError> {
        self.journal.draw_curves()?;
        self.journal.flush_and_sync()?;
        let saved = self.checkpoints.save(&self.stepping.state.checkpoint(self.recipe, BTreeMap::new())?)?;
        self.publish()?;
        self.checkpoints.prune(self.recipe.checkpoints.keep, &[])?;
        heard(Event::Saved { step: self.stepping.state.step, path: saved.path });
        Ok(())
    }

    /// Writes the model of the present checkpoint, and where it is the best one, that it is.
    fn publish(&self) -> Result<(), TrainError> {
        let model = self.model()?;
        let write = |name: &str| {
            let saved = esrgan_weights::save(&model, &self.folder.join(name), &SaveOptions::default());
            saved.map_err(|source| TrainError::Model(source.into()))
        };
        write(MODEL)?;
        if let Some(best) = self.best.as_ref().filter(|best| best.step == self.stepping.state.step) {
            self.checkpoints.set_best(best)?;
            write(BEST_MODEL)?;
        }
        Ok(())
    }

    /// The average, or the weights themselves, as a model.
    fn model(&self) -> Result<Model, TrainError> {
        let weights = self.stepping.state.result().to_weights()?;
        let generator = &self.stepping.networks.generator;
        let model = Model::in_memory(generator.spec().clone(), weights);
        let mut model = model.map_err(|source| TrainError::Model(source.into()))?;
        model.origin.repeats_edge = generator.edge() == Edge::Replicate;
        Ok(model)
    }
}
