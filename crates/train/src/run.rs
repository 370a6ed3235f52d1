//! A training run, from its recipe to its model.
//!
//! In this order for every step: a batch; the generator's gradient and step; the average; the discriminator's gradient and step;
//! figures into the journal; validation and checkpoint where they are due.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use esrgan_checkpoint::{Checkpoints, load};
use esrgan_journal::{Journal, Monitor, Record, RecordKind, Thresholds, Warning, read_records};
use esrgan_model::Parameters;
use esrgan_recipe::Recipe;
use esrgan_weights::{DType, Format, KeyLayout, Model, Origin, SaveOptions};

use crate::error::TrainError;
use crate::networks::Networks;
use crate::state::State;
use crate::step::Figures;
use crate::stepping::{Stepping, not_finite};

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
/// The folder gets `model.safetensors` (the average of the last checkpoint, which `esrgan upscale` takes), `checkpoints/`, and the
/// journal's files. A run that was killed and goes on ends with the same bits as one that was not.
///
/// # Errors
/// [`TrainError`]; checkpoints that were saved before stay.
pub fn train(
    recipe: &Recipe,
    folder: &Path,
    resume: &Resume,
    stop: &AtomicBool,
    heard: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Ended, TrainError> {
    let threads = recipe.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| TrainError::Threads { threads, source })?;
    pool.install(|| Run::begin(recipe, folder, resume, heard)?.go_on(stop, heard))
}

struct Run<'r> {
    recipe: &'r Recipe,
    folder: PathBuf,
    stepping: Stepping<'r>,
    journal: Journal,
    monitor: Monitor,
    checkpoints: Checkpoints,
}

impl<'r> Run<'r> {
    fn begin(
        recipe: &'r Recipe,
        folder: &Path,
        resume: &Resume,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Self, TrainError> {
        let networks = Networks::of(recipe)?;
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
        let monitor = Monitor::resume(Thresholds::default(), &read_records(&journal.log_path())?);
        let passed_over = found.map(|found| found.passed_over).unwrap_or_default();
        let passed_over =
            passed_over.iter().map(|over| format!("{}: {}", over.path.display(), over.reason)).collect();
        heard(Event::Begun { step, steps: recipe.steps, passed_over });
        let folder = folder.to_owned();
        Ok(Self { recipe, folder, stepping, journal, monitor, checkpoints })
    }

    fn go_on(
        mut self,
        stop: &AtomicBool,
        heard: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Ended, TrainError> {
        if self.stepping.state.step >= self.recipe.steps {
            // It may have been killed between its last checkpoint and the model of it.
            self.write_model()?;
        }
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

    /// Journal first, checkpoint behind it: a resumed run finds everything up to its step written down.
    fn save(&mut self, heard: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<(), TrainError> {
        self.journal.draw_curves()?;
        self.journal.flush_and_sync()?;
        let saved = self.checkpoints.save(&self.stepping.state.checkpoint(self.recipe, BTreeMap::new())?)?;
        self.checkpoints.prune(self.recipe.checkpoints.keep, &[])?;
        self.write_model()?;
        heard(Event::Saved { step: self.stepping.state.step, path: saved.path });
        Ok(())
    }

    fn write_model(&self) -> Result<(), TrainError> {
        let model = model(&self.stepping.networks, self.stepping.state.result())?;
        esrgan_weights::save(&model, &self.folder.join(MODEL), &SaveOptions::default())
            .map_err(|source| TrainError::Model(source.into()))
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
