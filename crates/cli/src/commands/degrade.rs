//! `esrgan degrade`.

use esrgan_degrade::{Degradation, DegradeError, DegradeJob, DegradeReport, degrade_files, preview};
use esrgan_upscale::{BatchOptions, OutputSize, PictureFormat, list_batch};
use serde_json::json;

use crate::Outcome;
use crate::flags::DegradeFlags;
use crate::talk;

/// Degraded samples on a contact sheet.
const PREVIEW_SAMPLES: usize = 8;

/// Runs the command.
pub(crate) fn run(flags: &DegradeFlags) -> anyhow::Result<Outcome> {
    let degradation = Degradation::preset(flags.preset, flags.scale)?;
    let options = BatchOptions {
        output: flags.output.clone(),
        format: Some(PictureFormat::Png),
        recursive: flags.recursive,
    };
    let batch = list_batch(&flags.inputs, OutputSize::Model, flags.scale, &options)?;
    if let (Some(sheet), Some(first)) = (&flags.preview, batch.jobs.first()) {
        for parameters in preview(&degradation, &first.input, sheet, flags.seed, PREVIEW_SAMPLES)? {
            talk::data(parameters)?;
        }
    }
    if flags.output.is_none() {
        return Ok(Outcome::Done);
    }
    for error in &batch.unreadable {
        eprintln!("error: {error}");
    }
    let jobs: Vec<DegradeJob> =
        batch.jobs.into_iter().map(|job| DegradeJob { input: job.input, output: job.output }).collect();
    let threads =
        flags.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut has_failed = !batch.unreadable.is_empty();
    degrade_files(&degradation, &jobs, flags.seed, threads, |index, result| {
        has_failed |= result.is_err();
        say(flags, &jobs[index], result);
    });
    Ok(if has_failed { Outcome::SomeFailed } else { Outcome::Done })
}

/// Says how one picture went. Where stdout takes no more, the pictures are made all the same.
fn say(flags: &DegradeFlags, job: &DegradeJob, result: Result<DegradeReport, DegradeError>) {
    let (input, output) = (job.input.to_string_lossy(), job.output.to_string_lossy());
    let line = match result {
        Ok(report) => {
            talk::notices(&job.input, &report.notices);
            let parameters: serde_json::Value =
                serde_json::from_str(&report.parameters.to_string()).unwrap_or_default();
            let (width, height) = report.lr_size;
            json!({"input": input, "output": output, "width": width, "height": height,
                "preset": flags.preset.name(), "parameters": parameters})
        }
        Err(error) => {
            let kind = format!("{:?}", esrgan_core::Classify::kind(&error)).to_lowercase();
            let error = anyhow::Error::from(error);
            talk::error(&error);
            json!({"input": input, "output": output, "error": talk::chain(&error), "kind": kind})
        }
    };
    if flags.json
        && let Err(error) = talk::data(line)
    {
        talk::error(&error);
    }
}
