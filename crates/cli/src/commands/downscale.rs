//! `esrgan downscale`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use esrgan_core::Notice;
use esrgan_upscale::{
    BatchJob, BatchOptions, DownscaleOptions, DownscaleReport, EncodeOptions, Job, Limits, OutputSize,
    downscale_file, in_parallel, list_batch,
};
use serde_json::json;

use super::failure_json;
use crate::Outcome;
use crate::flags::DownscaleFlags;
use crate::talk;

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
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    for error in &batch.unreadable {
        eprintln!("error: {error}");
    }
    let (mut done, mut failed) = (0, Vec::new());
    in_parallel(
        &batch.jobs,
        flags.threads,
        |job| one(job, &options),
        |job, result| {
            match &result {
                Ok(report) => {
                    done += 1;
                    talk::notices(&job.input, &report.notices);
                }
                Err(error) => {
                    failed.push(job.input.clone());
                    talk::error(error);
                }
            }
            if flags.json
                && let Err(error) = talk::data(
                    result.map_or_else(|error| failure_json(job, &error), |report| report_json(job, &report)),
                )
            {
                talk::error(&error);
            }
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    talk::summary(done, 0, &failed, &batch.passed_over);
    if stop.load(Ordering::Relaxed) {
        eprintln!("stopped on request");
    }
    Ok(match (stop.load(Ordering::Relaxed), failed.is_empty() && batch.unreadable.is_empty()) {
        (true, _) => Outcome::Interrupted,
        (false, true) => Outcome::Done,
        (false, false) => Outcome::SomeFailed,
    })
}

fn one(job: &BatchJob, options: &DownscaleOptions) -> anyhow::Result<DownscaleReport> {
    super::make_folder_of(&job.output)?;
    Ok(downscale_file(&Job { input: &job.input, output: &job.output, format: job.format }, options)?)
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
