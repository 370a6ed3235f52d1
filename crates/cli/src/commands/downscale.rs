//! `esrgan downscale`.

use esrgan_core::Notice;
use esrgan_upscale::{
    BatchJob, BatchOptions, DownscaleOptions, DownscaleReport, EncodeOptions, Job, Limits, OutputSize,
    downscale_file, list_batch,
};
use serde_json::json;

use super::each::{Finished, each_picture};
use crate::Outcome;
use crate::flags::DownscaleFlags;

/// Runs the command.
pub(crate) fn run(flags: &DownscaleFlags) -> anyhow::Result<Outcome> {
    let batch_options = BatchOptions {
        output: Some(flags.output.clone()),
        format: flags.format.0,
        recursive: flags.recursive,
    };
    // Outputs are named by `-o`, so the size names none.
    let batch = list_batch(&flags.inputs, OutputSize::Model, 1, &batch_options)?;
    let options = DownscaleOptions {
        limits: Limits::default(),
        scale: usize::from(flags.scale),
        boundary: flags.edge.into(),
        encode: EncodeOptions { quality: flags.quality },
    };
    each_picture(&batch, flags.threads, flags.json, |_, job| {
        let files = Job { input: &job.input, output: &job.output, format: job.format };
        let report = downscale_file(&files, &options)?;
        Ok(Finished { line: report_json(job, &report), notices: report.notices })
    })
}

fn report_json(job: &BatchJob, report: &DownscaleReport) -> serde_json::Value {
    json!({
        "input": job.input.to_string_lossy(),
        "output": job.output.to_string_lossy(),
        "hr_width": report.hr_size.0,
        "hr_height": report.hr_size.1,
        "width": report.lr_size.0,
        "height": report.lr_size.1,
        "seconds": report.seconds,
        "notices": report.notices.iter().map(Notice::as_str).collect::<Vec<_>>(),
    })
}
