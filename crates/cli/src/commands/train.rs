//! `esrgan train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use esrgan_recipe::{Recipe, preset};
use esrgan_train::{Ended, Event, Resume, train};

use super::isa_from_environment;
use crate::Outcome;
use crate::flags::TrainFlags;

/// Runs the command.
pub(crate) fn run(flags: &TrainFlags) -> anyhow::Result<Outcome> {
    let recipe = recipe(flags)?.checked()?;
    let folder = flags.output.clone().unwrap_or_else(|| default_folder(&flags.recipe));
    let resume = match flags.resume.to_str() {
        Some("auto") => Resume::Auto,
        Some("none") => Resume::Never,
        _ => Resume::At(flags.resume.clone()),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    if recipe.validation.is_some() {
        eprintln!("note: `validation` is passed over: measuring while training is not built yet");
    }
    eprintln!("{}: the run's folder", folder.display());
    let mut talk = Talk { steps: recipe.steps, log_every: recipe.checkpoints.log_every, seconds: Vec::new() };
    let ended =
        train(&recipe, isa_from_environment()?, &folder, &resume, &stop, &mut |event| talk.hear(event))?;
    Ok(match ended {
        Ended::Done => {
            eprintln!("{}: written", folder.join("model.safetensors").display());
            Outcome::Done
        }
        Ended::Stopped => {
            eprintln!("stopped on request; the same command goes on from here");
            Outcome::Interrupted
        }
    })
}

/// A file, or where there is none of that name, a preset.
fn recipe(flags: &TrainFlags) -> anyhow::Result<Recipe> {
    match flags.recipe.to_str().filter(|name| preset(name).is_some() && !flags.recipe.exists()) {
        Some(name) => Ok(Recipe::from_preset(name, &flags.settings)?),
        None => Ok(Recipe::read(&flags.recipe, &flags.settings)?),
    }
}

fn default_folder(recipe: &Path) -> PathBuf {
    Path::new("runs").join(recipe.file_stem().unwrap_or(recipe.as_os_str()))
}

/// What goes to stderr while a run goes on.
struct Talk {
    steps: u64,
    log_every: u64,
    /// Of the steps since the last line.
    seconds: Vec<f64>,
}

impl Talk {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::ComputedInF32 { isa } => eprintln!(
                "note: this processor has no instructions for bf16 ({isa} is its best set): computed in f32, which is faster here"
            ),
            Event::Begun { step, steps, passed_over } => {
                passed_over.iter().for_each(|what| eprintln!("note: passed over a checkpoint: {what}"));
                if step > 0 {
                    eprintln!("goes on at step {step} of {steps}");
                }
            }
            Event::Step { step, figures, seconds } => {
                self.seconds.push(seconds);
                if step.is_multiple_of(self.log_every) || step == self.steps {
                    let mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
                    self.seconds.clear();
                    let losses = figures.iter().filter(|(name, _)| name.starts_with("loss"));
                    let losses: Vec<String> = losses
                        .map(|(name, value)| format!("{} {value:.5}", &name["loss_".len()..]))
                        .collect();
                    let left = duration((self.steps - step) as f64 * mean);
                    eprintln!("{step}/{} {:.2} it/s {} ETA {left}", self.steps, 1.0 / mean, losses.join(" "));
                }
            }
            Event::Warning(warning) => eprintln!("warning: {warning}"),
            Event::Saved { step, path } => eprintln!("step {step}: {} saved", path.display()),
        }
    }
}

/// Hours, minutes and seconds.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
