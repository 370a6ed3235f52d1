//! Validation: the run's model measured on pictures that nothing is learned from.

use std::path::{Path, PathBuf};

use esrgan_checkpoint::Best;
use esrgan_evaluate::{
    Evaluation, EvaluationOptions, LpipsFiles, Measures, Method, Metric, ViewPlace, evaluate, write_sheet,
};
use esrgan_journal::{Record, RecordKind};
use esrgan_recipe::Recipe;
use esrgan_upscale::{DeviceChoice, Filter, ModelOptions, PictureOptions, Precision, Upscaler};
use esrgan_weights::Model;

use crate::error::TrainError;

/// Rows of a sheet at most: TensorBoard keeps every one.
const SHEET_ROWS: usize = 16;

/// What is measured now and then.
pub(crate) struct Validation {
    /// Steps from one to the next.
    pub(crate) every: u64,
    measures: Measures,
    options: EvaluationOptions,
    threads: Option<usize>,
    saves_pictures: bool,
    /// By which the best model is known.
    best_by: Option<Metric>,
    /// Where sheets and pictures go.
    folder: PathBuf,
    /// What bicubic enlargement reaches.
    bicubic: Vec<f64>,
}

/// A validation.
pub(crate) struct Validated {
    /// The step's record, bicubic's figures behind the model's.
    pub(crate) record: Record,
    /// The metrics' names, the model's figures and bicubic's.
    pub(crate) figures: Vec<(Metric, f64, f64)>,
    /// LR, bicubic, SR and HR side by side: the file, and what is in it.
    pub(crate) sheet: Option<(PathBuf, Vec<u8>)>,
}

impl Validation {
    /// That of a recipe, if it has one; measures bicubic enlargement, so that what cannot be measured is found before the first
    /// step.
    pub(crate) fn of(recipe: &Recipe, folder: &Path) -> Result<Option<Self>, TrainError> {
        let Some(settings) = &recipe.validation else { return Ok(None) };
        let measures = measures(settings)?;
        let options = EvaluationOptions {
            hr: settings.hr.clone(),
            lr: settings.lr.clone(),
            scale: recipe.scale,
            border_px: Some(settings.border_px),
            views: None,
            results: None,
        };
        let bicubic = mean(evaluate(&Method::Filter(Filter::Bicubic), &measures, &options, &mut |_, _| ())?)?;
        Ok(Some(Self {
            every: settings.every,
            measures,
            options: EvaluationOptions { views: Some(ViewPlace::FurthestBicubic), ..options },
            threads: recipe.threads,
            saves_pictures: settings.save_pictures,
            best_by: recipe.checkpoints.best_by.as_deref().map(metric).transpose()?,
            folder: folder.join("validation"),
            bicubic: bicubic.1,
        }))
    }

    /// Measures a model after a step. In f32 on the processor, whatever trained.
    pub(crate) fn measure(&self, model: Model, step: u64) -> Result<Validated, TrainError> {
        let precision = Some(Precision::F32);
        let upscaler = Upscaler::new(
            model,
            &ModelOptions {
                threads: self.threads,
                precision,
                device: DeviceChoice::Cpu,
                ..ModelOptions::default()
            },
        )?;
        let method = Method::Model { upscaler: &upscaler, options: Box::new(PictureOptions::default()) };
        let name = format!("step-{step:08}");
        let results = self.saves_pictures.then(|| self.folder.join(&name));
        let options = EvaluationOptions { results, ..self.options.clone() };
        let (evaluation, means) = mean(evaluate(&method, &self.measures, &options, &mut |_, _| ())?)?;
        let mut record = Record::new(step, RecordKind::Validation);
        for (metric, value) in self.measures.metrics().iter().zip(&means) {
            record = record.with(scalar(*metric), *value);
        }
        for (metric, value) in self.measures.metrics().iter().zip(&self.bicubic) {
            record = record.with(format!("{}_bicubic", scalar(*metric)), *value);
        }
        let path = self.folder.join(format!("{name}.png"));
        let metrics = self.measures.metrics().iter().copied();
        let figures =
            metrics.zip(means).zip(&self.bicubic).map(|((metric, own), other)| (metric, own, *other));
        Ok(Validated {
            record,
            figures: figures.collect(),
            sheet: write_sheet(&evaluation, SHEET_ROWS, &path)?.map(|png| (path, png)),
        })
    }

    /// The better of two by the recipe's metric: the best so far, and what a record says; the first of equals.
    pub(crate) fn better(&self, best: Option<Best>, record: &Record) -> Option<Best> {
        let Some(metric) = self.best_by.filter(|_| record.kind == RecordKind::Validation) else {
            return best;
        };
        let Some(value) = record.get(&scalar(metric)).filter(|value| value.is_finite()) else { return best };
        let is_better = |best: &Best| {
            if metric.is_better_when_larger() { value > best.value } else { value < best.value }
        };
        if best.as_ref().is_some_and(|best| !is_better(best)) {
            return best;
        }
        Some(Best { metric: scalar(metric), value, step: record.step })
    }
}

/// The metrics of a validation; the files that they name are read.
pub(crate) fn measures(settings: &esrgan_recipe::Validation) -> Result<Measures, TrainError> {
    let metrics = settings.metrics.iter().map(|name| metric(name)).collect::<Result<Vec<_>, _>>()?;
    let files = settings.lpips_backbone.clone().zip(settings.lpips_heads.clone());
    let files = files.map(|(backbone, heads)| LpipsFiles { backbone, heads });
    Ok(Measures::new(&metrics, files.as_ref())?)
}

/// The means over all pictures, none of which may have failed: a mean over fewer would be another figure.
fn mean(mut evaluation: Evaluation) -> Result<(Evaluation, Vec<f64>), TrainError> {
    if let Some((_, error)) = evaluation.failures.pop() {
        return Err(error.into());
    }
    let mean = evaluation.mean().unwrap_or_default();
    Ok((evaluation, mean))
}

fn metric(name: &str) -> Result<Metric, TrainError> {
    name.parse().map_err(|source| TrainError::Metric { source })
}

/// The name in records: metrics of one kind share their beginning, and so a panel.
fn scalar(metric: Metric) -> String {
    metric.name().replace('-', "_")
}
