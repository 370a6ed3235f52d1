//! `esrgan train`.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use esrgan_recipe::{Recipe, preset};
use esrgan_train::{Ended, Event, Resume, TrainOptions, train};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::isa_from_environment;
use crate::Outcome;
use crate::flags::TrainFlags;
use crate::talk;

/// Runs the command.
pub(crate) fn run(flags: &TrainFlags) -> anyhow::Result<Outcome> {
    let recipe = recipe(&flags.recipe, &flags.settings)?;
    let folder = flags.output.clone().unwrap_or_else(|| default_folder(&flags.recipe));
    let resume = match flags.resume.to_str() {
        Some("auto") => Resume::Auto,
        Some("none") => Resume::Never,
        _ => Resume::At(flags.resume.clone()),
    };
    let (device, isa) = (flags.device, isa_from_environment()?);
    let options = TrainOptions { folder: folder.clone(), resume, device, isa };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    eprintln!("{}: the run's folder", folder.display());
    let mut talk = Talk::new(recipe.steps, recipe.checkpoints.log_every);
    let ended = train(&recipe, &options, &stop, &mut |event| talk.hear(&event));
    talk.bar.finish_and_clear();
    match ended {
        Ok(Ended::Done) => {
            eprintln!("{}: written", folder.join("model.safetensors").display());
            Ok(Outcome::Done)
        }
        Ok(Ended::Stopped) => {
            eprintln!("stopped on request; the same command goes on from here");
            Ok(Outcome::Interrupted)
        }
        Err(error) if talk.has_begun => {
            talk::error(&error.into());
            eprintln!("stopped; checkpoints that were saved stay");
            Ok(Outcome::SomeFailed)
        }
        Err(error) => Err(error.into()),
    }
}

/// The recipe of a file, or where there is none of that name, of a preset; its values are checked.
pub(super) fn recipe(path: &Path, settings: &[(String, String)]) -> anyhow::Result<Recipe> {
    let recipe = match path.to_str().filter(|name| preset(name).is_some() && !path.exists()) {
        Some(name) => Recipe::from_preset(name, settings)?,
        None => Recipe::read(path, settings)?,
    };
    Ok(recipe.checked()?)
}

fn default_folder(recipe: &Path) -> PathBuf {
    Path::new("runs").join(recipe.file_stem().unwrap_or(recipe.as_os_str()))
}

/// What goes to stderr while a run goes on: a bar on a terminal, a line now and then elsewhere.
struct Talk {
    steps: u64,
    log_every: u64,
    bar: ProgressBar,
    /// Of the last steps.
    seconds: VecDeque<f64>,
    /// Whether the run got as far as its first step.
    has_begun: bool,
}

/// Over how many steps the speed is averaged.
const SPEED_STEPS: usize = 50;

impl Talk {
    fn new(steps: u64, log_every: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{pos}/{len} [{bar:20}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Self { steps, log_every, bar, seconds: VecDeque::new(), has_begun: false }
    }

    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::ComputedInF32 { why } => self.say(&format!("note: {why}")),
            Event::OnGpu { name } => self.say(&format!("computed on {name}")),
            Event::Begun { step, steps, passed_over } => {
                self.has_begun = true;
                passed_over
                    .iter()
                    .for_each(|what| self.say(&format!("note: passed over a checkpoint: {what}")));
                if *step > 0 {
                    self.say(&format!("goes on at step {step} of {steps}"));
                }
            }
            Event::Step { step, figures, seconds } => self.step(*step, figures, *seconds),
            Event::Validated { step, figures, sheet, is_best } => {
                let figures = figures.iter().map(|(metric, value, bicubic)| {
                    format!("{metric} {value:.0$} (bicubic {bicubic:.0$})", metric.decimals())
                });
                let figures = figures.collect::<Vec<_>>().join(", ");
                let best = if *is_best { ": the best so far" } else { "" };
                self.say(&format!("step {step}: {figures}{best}"));
                if let Some(sheet) = sheet {
                    self.say(&format!("step {step}: {} written", sheet.display()));
                }
            }
            Event::Warning(warning) => self.say(&format!("warning: {warning}")),
            Event::Saved { step, path } => self.say(&format!("step {step}: {} saved", path.display())),
        }
    }

    fn step(&mut self, step: u64, figures: &[(&str, f64)], seconds: f64) {
        if self.seconds.len() == SPEED_STEPS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(seconds);
        let mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
        let losses = figures.iter().filter_map(|(name, value)| Some((name.strip_prefix("loss_")?, value)));
        let losses: Vec<String> = losses.map(|(name, value)| format!("{name} {value:.5}")).collect();
        let left = duration((self.steps - step) as f64 * mean);
        let message = format!("{:.2} it/s {} ETA {left}", 1.0 / mean, losses.join(" "));
        self.bar.set_position(step);
        self.bar.set_message(message.clone());
        if self.bar.is_hidden() && (step.is_multiple_of(self.log_every) || step == self.steps) {
            eprintln!("{step}/{} {message}", self.steps);
        }
    }

    /// Says something above the bar.
    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

/// Hours, minutes and seconds.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
