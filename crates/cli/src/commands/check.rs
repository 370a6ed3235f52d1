//! `esrgan check`.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use esrgan_core::{format_bytes, machine_memory_bytes};
use esrgan_recipe::{Recipe, Stage};
use esrgan_train::{CheckEvent, Checked, Duplicate, Trial, check};
use serde_json::{Value, json};

use super::isa_from_environment;
use super::train::{duration, recipe};
use crate::Outcome;
use crate::flags::CheckFlags;
use crate::talk::{self, Count};

/// Pictures that are there twice which the report names; JSON names all.
const NAMED_DUPLICATES: usize = 20;

/// Runs the command.
pub(crate) fn run(flags: &CheckFlags) -> anyhow::Result<Outcome> {
    let recipe = recipe(&flags.recipe, &flags.settings)?;
    let bar = Count::new();
    let checked = check(&recipe, (flags.device, isa_from_environment()?), &|event| match event {
        CheckEvent::Pictures { done, total } => bar.set("pictures", done as u64, total as u64),
        CheckEvent::Files => bar.set("files to start from", 0, 1),
        CheckEvent::Step { number, of } => bar.set("steps", number - 1, of),
    });
    bar.clear();
    let checked = checked?;
    let name = flags.recipe.to_string_lossy().into_owned();
    let report = Report { name, recipe: &recipe, checked: &checked, machine_bytes: machine_memory_bytes() };
    if flags.json {
        talk::data(report.json())?;
    } else {
        talk::data(report.text()?.trim_end())?;
    }
    Ok(match (checked.faults.is_empty(), checked.has_problems()) {
        (false, _) => Outcome::NothingStarted,
        (true, true) => Outcome::SomeFailed,
        (true, false) => Outcome::Done,
    })
}

/// What a check has found, with what is needed to tell it.
struct Report<'r> {
    name: String,
    recipe: &'r Recipe,
    checked: &'r Checked,
    machine_bytes: Option<u64>,
}

impl Report<'_> {
    fn stage(&self) -> &'static str {
        match self.recipe.stage {
            Stage::Psnr => "psnr",
            Stage::Gan => "gan",
        }
    }

    /// Everything that is wrong, with the file that it is about: files to start from first.
    fn problems(&self) -> Vec<(Option<&Path>, String)> {
        fn problem<'p>(path: Option<&'p Path>, error: &(dyn Error + 'static)) -> (Option<&'p Path>, String) {
            (path, talk::causes(error))
        }
        let faults = self.checked.faults.iter().map(|fault| problem(fault.path(), fault));
        let inspected = self.checked.inspection.iter().flat_map(|inspection| &inspection.problems);
        faults.chain(inspected.map(|found| problem(found.path(), found))).collect()
    }

    fn repeats(&self) -> &[Duplicate] {
        self.checked.inspection.as_ref().map_or(&[], |inspection| &inspection.repeats)
    }

    fn leaks(&self) -> &[Duplicate] {
        self.checked.inspection.as_ref().map_or(&[], |inspection| &inspection.leaks)
    }

    fn json(&self) -> Value {
        let problems: Vec<Value> = self
            .problems()
            .into_iter()
            .map(|(path, message)| match path {
                Some(path) => json!({ "path": path.to_string_lossy(), "message": message }),
                None => json!({ "message": message }),
            })
            .collect();
        let duplicates = |found: &[Duplicate]| -> Vec<Value> {
            let pair = |Duplicate { picture, of }: &Duplicate| json!({ "picture": picture.to_string_lossy(), "of": of.to_string_lossy() });
            found.iter().map(pair).collect()
        };
        let inspection = self.checked.inspection.as_ref();
        let trial = self.checked.trial;
        json!({
            "recipe": self.name,
            "stage": self.stage(),
            "pictures": inspection.map(|found| found.pictures),
            "megapixels": inspection.map(|found| found.megapixels()),
            "validation_pictures": inspection.map(|found| found.validation_pictures),
            "problems": problems,
            "repeats": duplicates(self.repeats()),
            "leaks": duplicates(self.leaks()),
            "generator_parameters": self.checked.generator_parameters,
            "discriminator_parameters": self.checked.discriminator_parameters,
            "gpu": self.checked.gpu,
            "seconds_per_step": trial.map(|trial| trial.seconds_per_step),
            "estimated_seconds": trial.map(|trial| trial.estimated_seconds),
            "peak_memory_bytes": trial.and_then(|trial| trial.peak_memory_bytes),
            "expected_memory_bytes": trial.and_then(|trial| trial.expected_memory_bytes()),
            "machine_memory_bytes": self.machine_bytes,
        })
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        self.add_facts(&mut text)?;
        let warnings = self.add_trial(&mut text)? + self.add_duplicates(&mut text)?;
        let problems = self.problems();
        for (_, message) in &problems {
            line(&mut text, "problem", message)?;
        }
        let warnings = if warnings == 0 { String::new() } else { format!(", warnings: {warnings}") };
        match problems.len() {
            0 => line(&mut text, "result", format_args!("ready to train{warnings}"))?,
            count => line(&mut text, "result", format_args!("problems: {count}{warnings}"))?,
        }
        Ok(text)
    }

    fn add_facts(&self, text: &mut String) -> std::fmt::Result {
        let Recipe { scale, steps, data, .. } = self.recipe;
        let (name, stage) = (&self.name, self.stage());
        let crops = format!("{} crops of {} px", data.batch * data.accumulation, data.crop_px);
        line(text, "recipe", format_args!("{name}: stage {stage}, x{scale}, {steps} steps of {crops}"))?;
        if let Some(found) = &self.checked.inspection {
            let (pictures, megapixels) = (found.pictures, found.megapixels());
            line(text, "training", format_args!("{pictures} pictures, {megapixels:.1} megapixels"))?;
            if self.recipe.validation.is_some() {
                line(text, "validation", format_args!("{} pictures", found.validation_pictures))?;
            }
        }
        let networks = [
            ("generator", self.checked.generator_parameters),
            ("discriminator", self.checked.discriminator_parameters),
        ];
        for (name, parameters) in networks {
            if let Some(parameters) = parameters {
                line(text, name, format_args!("{parameters} parameters"))?;
            }
        }
        if let Some(name) = &self.checked.gpu {
            line(text, "device", name)?;
        }
        match &self.checked.computed_in_f32 {
            Some(why) => line(text, "note", why),
            None => Ok(()),
        }
    }

    /// What the steps took. Returns how many warnings there are.
    fn add_trial(&self, text: &mut String) -> Result<usize, std::fmt::Error> {
        let Some(trial) = self.checked.trial else {
            line(text, "step", "not tried, for the problems below")?;
            return Ok(0);
        };
        let Trial { seconds_per_step, estimated_seconds, .. } = trial;
        let (steps, whole) = (self.recipe.steps, duration(estimated_seconds));
        line(
            text,
            "step",
            format_args!(
                "{seconds_per_step:.2} s; {steps} steps: {whole}, without validations and checkpoints"
            ),
        )?;
        let Some(expected) = trial.expected_memory_bytes() else { return Ok(0) };
        let of_machine = |bytes| format!(" of the machine's {}", format_bytes(bytes));
        let of_machine = self.machine_bytes.map_or(String::new(), of_machine);
        line(text, "memory", format_args!("{}{of_machine}", format_bytes(expected)))?;
        if self.machine_bytes.is_none_or(|bytes| expected <= bytes) {
            return Ok(0);
        }
        line(
            text,
            "warning",
            "more memory than there is: lower `data.batch`, `data.crop_px` or `data.cache`",
        )?;
        Ok(1)
    }

    /// Pictures that are there twice. Returns how many there are.
    fn add_duplicates(&self, text: &mut String) -> Result<usize, std::fmt::Error> {
        for (found, what) in [(self.leaks(), "is a training picture too:"), (self.repeats(), "repeats")] {
            for Duplicate { picture, of } in found.iter().take(NAMED_DUPLICATES) {
                let (picture, of) = (picture.display(), of.display());
                line(text, "warning", format_args!("`{picture}` {what} `{of}`"))?;
            }
            if let Some(more) = found.len().checked_sub(NAMED_DUPLICATES).filter(|more| *more > 0) {
                line(text, "warning", format_args!("{more} more such pictures; `--json` names all"))?;
            }
        }
        Ok(self.leaks().len() + self.repeats().len())
    }
}

/// A line of the report: what it is about, and what is said of it.
fn line(text: &mut String, name: &str, what: impl std::fmt::Display) -> std::fmt::Result {
    writeln!(text, "{name:13} {what}")
}
