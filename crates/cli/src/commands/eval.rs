//! `esrgan eval`.

use std::path::Path;

use esrgan_core::{Classify, Notice};
use esrgan_evaluate::{
    EvaluateError, Evaluated, Evaluation, EvaluationOptions, LpipsFiles, Measures, Method, Metric, Published,
    Report, ViewPlace, evaluate, published, write_report,
};
use esrgan_upscale::{ModelOptions, ModelSource, PictureOptions, Upscaler, default_budget_bytes};
use serde_json::{Map, Value, json};

use super::{isa_from_environment, say_start};
use crate::Outcome;
use crate::flags::EvalFlags;
use crate::talk;

/// Runs the command.
pub(crate) fn run(flags: &EvalFlags) -> anyhow::Result<Outcome> {
    let lpips = flags.lpips_backbone.clone().zip(flags.lpips_heads.clone());
    let lpips = lpips.map(|(backbone, heads)| LpipsFiles { backbone, heads });
    let measures = Measures::new(&flags.metrics, lpips.as_ref())?;
    let model = flags.model.as_deref().map(|model| upscaler(model, flags)).transpose()?;
    let (method, name) = method(flags, model.as_ref());
    let named_scale = flags.scale.map_or(4, usize::from);
    let scale = model.as_ref().map_or(named_scale, |(_, upscaler)| upscaler.spec().scale());
    let options = EvaluationOptions {
        hr: flags.hr.clone(),
        lr: flags.lr.clone(),
        scale,
        border_px: flags.border,
        views: flags.report.is_some().then_some(ViewPlace::FurthestResult),
        results: None,
    };
    let mut lines = Lines { flags, has_begun: false };
    let evaluation = evaluate(&method, &measures, &options, &mut |hr, result| lines.picture(hr, result))?;
    lines.mean(&evaluation);
    if let Some(folder) = &flags.report {
        let lr =
            flags.lr.as_ref().map_or("MATLAB's bicubic of them".to_owned(), |lr| lr.display().to_string());
        let published = published_for(&flags.hr, scale);
        let report = Report { method: &name, hr: &flags.hr, lr: &lr, published: &published };
        let page = write_report(folder, &report, &evaluation)?;
        eprintln!("{}: written", page.display());
    }
    Ok(if evaluation.failures.is_empty() { Outcome::Done } else { Outcome::SomeFailed })
}

fn upscaler(model: &Path, flags: &EvalFlags) -> anyhow::Result<(ModelSource, Upscaler)> {
    let model = ModelSource::find(Some(model), flags.models_dir.as_deref(), flags.strength)?;
    let options = ModelOptions {
        device: flags.device,
        precision: flags.precision.into(),
        threads: flags.threads,
        isa: isa_from_environment()?,
        ..ModelOptions::default()
    };
    let upscaler = Upscaler::load(&model, &options)?;
    say_start(&model, &upscaler.origin().notices, &upscaler);
    Ok((model, upscaler))
}

/// The method, and what a report calls it.
fn method<'u>(flags: &EvalFlags, model: Option<&'u (ModelSource, Upscaler)>) -> (Method<'u>, String) {
    if let Some((source, upscaler)) = model {
        let options = PictureOptions {
            memory_budget_bytes: flags.memory.unwrap_or_else(default_budget_bytes),
            self_ensemble: flags.tta,
            edge: flags.edge.map(Into::into),
            ..PictureOptions::default()
        };
        let name = match source {
            ModelSource::File(path) => {
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
            ModelSource::BuiltIn { .. } => source.to_string(),
        };
        return (Method::Model { upscaler, options: Box::new(options) }, name);
    }
    match (flags.method, &flags.sr) {
        (Some(filter), _) => (Method::Filter(filter.into()), filter.name().to_owned()),
        (None, sr) => {
            let folder = sr.clone().unwrap_or_default();
            let name = folder.display().to_string();
            (Method::Results(folder), name)
        }
    }
}

/// What has been published for the set that a part of the path names, of pictures four times larger.
fn published_for(hr: &Path, scale: usize) -> Vec<Published> {
    if scale != 4 {
        return Vec::new();
    }
    hr.iter().flat_map(|part| published(&part.to_string_lossy())).collect()
}

/// The lines on stdout.
struct Lines<'a> {
    flags: &'a EvalFlags,
    has_begun: bool,
}

impl Lines<'_> {
    fn picture(&mut self, hr: &Path, result: &Result<Evaluated, EvaluateError>) {
        match result {
            Ok(picture) => {
                talk::notices(hr.display(), &picture.notices);
                if self.flags.json {
                    self.say(self.json(picture));
                } else {
                    self.row(&picture.name(), &picture.values);
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                if self.flags.json {
                    let kind = format!("{:?}", error.kind()).to_lowercase();
                    self.say(json!({ "hr": hr.to_string_lossy(), "error": error.to_string(), "kind": kind }));
                }
            }
        }
    }

    fn json(&self, picture: &Evaluated) -> Value {
        let mut line = self.values(&picture.values);
        line.insert("hr".to_owned(), picture.hr.to_string_lossy().into());
        line.insert("seconds".to_owned(), picture.seconds.into());
        line.insert("notices".to_owned(), picture.notices.iter().map(Notice::as_str).collect());
        Value::Object(line)
    }

    /// Each metric with its value; equal pictures have a PSNR that JSON has no number for.
    fn values(&self, values: &[f64]) -> Map<String, Value> {
        let value = |value: &f64| if value.is_finite() { json!(value) } else { json!("inf") };
        let pairs = self.flags.metrics.iter().zip(values);
        pairs.map(|(metric, number)| (metric.name().to_owned(), value(number))).collect()
    }

    /// A row of the table, behind its head.
    fn row(&mut self, name: &str, values: &[f64]) {
        let width = |metric: &Metric| metric.name().len().max(8);
        if !std::mem::replace(&mut self.has_begun, true) {
            let heads = self.flags.metrics.iter().map(|metric| format!("  {metric:>0$}", width(metric)));
            self.say(format!("{:24}{}", "picture", heads.collect::<String>()));
        }
        let cells = self.flags.metrics.iter().zip(values);
        let cells =
            cells.map(|(metric, value)| format!("  {value:>0$.1$}", width(metric), metric.decimals()));
        self.say(format!("{name:24}{}", cells.collect::<String>()));
    }

    fn mean(&mut self, evaluation: &Evaluation) {
        let Some(mean) = evaluation.mean() else { return };
        if self.flags.json {
            self.say(json!({
                "mean": self.values(&mean),
                "pictures": evaluation.pictures.len(),
                "failed": evaluation.failures.len(),
                "border_px": evaluation.border_px,
                "scale": evaluation.scale,
            }));
        } else {
            self.row("mean", &mean);
        }
    }

    fn say(&self, line: impl std::fmt::Display) {
        if let Err(error) = talk::data(line) {
            talk::error(&error);
        }
    }
}
