//! `esrgan degrade`.

use std::path::Path;

use esrgan_core::Notice;
use esrgan_degrade::{Degradation, DegradeReport, SampleKey, contact_sheet, degrade_file};
use esrgan_upscale::{Batch, BatchJob, BatchOptions, OutputSize, PictureFormat, list_batch};
use serde_json::json;

use super::each::{Finished, each_picture};
use crate::Outcome;
use crate::flags::DegradeFlags;
use crate::talk;

/// Degraded samples on a contact sheet.
const SHEET_SAMPLES: usize = 8;

/// Runs the command.
pub(crate) fn run(flags: &DegradeFlags) -> anyhow::Result<Outcome> {
    let degradation = Degradation::preset(flags.preset, flags.scale)?;
    let options = BatchOptions {
        output: flags.output.clone(),
        format: Some(PictureFormat::Png),
        recursive: flags.recursive,
    };
    let batch = list_batch(&flags.inputs, OutputSize::Model, 1, &options)?;
    if let Some(sheet) = &flags.preview {
        write_sheet(&degradation, &batch, sheet, flags.seed)?;
    }
    if flags.output.is_none() {
        return Ok(Outcome::Done);
    }
    each_picture(&batch, flags.threads, flags.json, |index, job| {
        let key = SampleKey { seed: flags.seed, step: 0, sample: index };
        let report = degrade_file(&degradation, &job.input, &job.output, key)?;
        Ok(Finished { line: report_json(flags, job, &report), notices: report.notices })
    })
}

/// Writes the contact sheet of the batch's first picture, and a line for each sample on it.
fn write_sheet(degradation: &Degradation, batch: &Batch, sheet: &Path, seed: u64) -> anyhow::Result<()> {
    let Some(first) = batch.jobs.first() else { anyhow::bail!("no picture to make a contact sheet of") };
    let drawn = contact_sheet(degradation, &first.input, sheet, seed, SHEET_SAMPLES)?;
    for (cell, parameters) in (1..).zip(&drawn) {
        talk::data(json!({
            "input": first.input.to_string_lossy(),
            "sheet": sheet.to_string_lossy(),
            "cell": cell,
            "parameters": parameters,
        }))?;
    }
    eprintln!("{}: written", sheet.display());
    Ok(())
}

fn report_json(flags: &DegradeFlags, job: &BatchJob, report: &DegradeReport) -> serde_json::Value {
    json!({
        "input": job.input.to_string_lossy(),
        "output": job.output.to_string_lossy(),
        "width": report.lr_size.0,
        "height": report.lr_size.1,
        "preset": flags.preset.name(),
        "parameters": report.parameters,
        "notices": report.notices.iter().map(Notice::as_str).collect::<Vec<_>>(),
    })
}
