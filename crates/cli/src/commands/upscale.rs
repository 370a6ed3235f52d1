//! `esrgan upscale`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use esrgan_core::Notice;
use esrgan_upscale::{
    Batch, BatchJob, BatchOptions, EncodeOptions, Job, Limits, ModelOptions, ModelSource, OutputSize,
    PictureOptions, Report, Upscaler, default_budget_bytes, list_batch, probe,
};
use serde_json::json;

use super::{isa_from_environment, say_start};
use crate::Outcome;
use crate::flags::UpscaleFlags;
use crate::talk::{self, Progress};

/// Runs the command.
pub(crate) fn run(flags: &UpscaleFlags) -> anyhow::Result<Outcome> {
    let model = ModelSource::find(flags.model.as_deref(), flags.models_dir.as_deref(), flags.strength)?;
    let (upscaler, model_notices) = load(&model, flags)?;
    let batch_options =
        BatchOptions { output: flags.output.clone(), format: flags.format.0, recursive: flags.recursive };
    let batch = list_batch(&flags.inputs, flags.size(), upscaler.spec().scale(), &batch_options)?;
    say_start(&model, &model_notices, &upscaler);
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let options = picture_options(flags, batch.jobs.len());
    Run { flags, model: &model, upscaler: &upscaler, options, stop }.all(&batch)
}

/// Loads the model, as x3 where its file fits that and the user asks for it.
fn load(model: &ModelSource, flags: &UpscaleFlags) -> anyhow::Result<(Upscaler, Vec<Notice>)> {
    let mut options = ModelOptions {
        model_scale: flags.model_scale,
        device: flags.device,
        precision: flags.precision.into(),
        threads: flags.threads,
        isa: isa_from_environment()?,
        ..ModelOptions::default()
    };
    let upscaler = Upscaler::load(model, &options)?;
    if upscaler.origin().scale_is_ambiguous && flags.size() == OutputSize::Scale(3.0) {
        options.model_scale = Some(3);
        let sentence = "read as a x3 model, as `--scale 3` asks; if it is a x2 model, say `--model-scale 2`";
        let upscaler = Upscaler::load(model, &options)?;
        let notices = [Notice::new(sentence)].into_iter().chain(upscaler.origin().notices.clone()).collect();
        return Ok((upscaler, notices));
    }
    let notices = upscaler.origin().notices.clone();
    Ok((upscaler, notices))
}

fn picture_options(flags: &UpscaleFlags, pictures: usize) -> PictureOptions {
    let memory_budget_bytes = flags.memory.unwrap_or_else(default_budget_bytes);
    PictureOptions {
        limits: Limits {
            max_pixels: flags.max_pixels,
            max_side: flags.max_side,
            max_alloc_bytes: memory_budget_bytes,
        },
        size: flags.size(),
        alpha: flags.alpha.into(),
        edge: flags.edge.map(Into::into),
        tile: flags.tile.0,
        memory_budget_bytes,
        keep_weights: pictures > 1,
        self_ensemble: flags.tta,
        encode: EncodeOptions { quality: flags.quality },
    }
}

/// A batch under way.
struct Run<'a> {
    flags: &'a UpscaleFlags,
    model: &'a ModelSource,
    upscaler: &'a Upscaler,
    options: PictureOptions,
    stop: Arc<AtomicBool>,
}

/// What has been done so far.
#[derive(Default)]
struct Tally {
    done: usize,
    skipped: usize,
    pixels: u64,
    failed: Vec<PathBuf>,
}

impl Run<'_> {
    fn all(&self, batch: &Batch) -> anyhow::Result<Outcome> {
        let progress =
            Progress::new(batch.jobs.len(), || batch.jobs.iter().map(|job| self.pixels(job)).sum());
        let mut tally = Tally::default();
        for error in &batch.unreadable {
            eprintln!("error: {error}");
        }
        for job in &batch.jobs {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if self.flags.skip_existing && job.output.exists() {
                tally.skipped += 1;
                tally.pixels += self.pixels(job);
            } else {
                self.one(job, &progress, &mut tally);
            }
            progress.finish_picture(tally.done + tally.skipped, tally.pixels);
        }
        progress.clear();
        talk::summary(tally.done, tally.skipped, &tally.failed, &batch.passed_over);
        if self.stop.load(Ordering::Relaxed) {
            eprintln!("stopped on request");
        }
        let is_complete = tally.failed.is_empty() && batch.unreadable.is_empty();
        Ok(match (self.stop.load(Ordering::Relaxed), is_complete) {
            (true, _) => Outcome::Interrupted,
            (false, true) => Outcome::Done,
            (false, false) => Outcome::SomeFailed,
        })
    }

    /// Pixels of an input, or none where its header cannot be read: the error is said when its turn comes.
    fn pixels(&self, job: &BatchJob) -> u64 {
        probe(&job.input, &self.options.limits).map_or(0, |header| (header.width * header.height) as u64)
    }

    /// Enlarges one picture, and says how it went.
    fn one(&self, job: &BatchJob, progress: &Progress, tally: &mut Tally) {
        let result = self.enlarge(job, progress, tally.pixels);
        if self.stop.load(Ordering::Relaxed) && result.is_err() {
            return;
        }
        progress.say(|| match &result {
            Ok(report) => {
                talk::notices(job.input.display(), &report.notices);
                self.line(|| self.json(report));
            }
            Err(error) => {
                talk::error(error);
                self.line(|| super::failure_json(job, error));
            }
        });
        match result {
            Ok(report) => {
                tally.done += 1;
                tally.pixels += (report.lr_size.0 * report.lr_size.1) as u64;
            }
            Err(_) => tally.failed.push(job.input.clone()),
        }
    }

    /// Prints a line of JSON if asked to. Where stdout takes no more, the pictures are made all the same.
    fn line(&self, line: impl FnOnce() -> serde_json::Value) {
        if self.flags.json
            && let Err(error) = talk::data(line())
        {
            talk::error(&error);
        }
    }

    fn enlarge(&self, job: &BatchJob, progress: &Progress, done_pixels: u64) -> anyhow::Result<Report> {
        super::make_folder_of(&job.output)?;
        // Known once the plan is made, before the first step of progress.
        let pixels = AtomicU64::new(0);
        let advance = |fraction: f64| {
            progress.advance(done_pixels, pixels.load(Ordering::Relaxed), fraction);
            if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let announce = |plan: &esrgan_upscale::PicturePlan| {
            let (width, height) = plan.lr_size();
            pixels.store((width * height) as u64, Ordering::Relaxed);
            progress.say(|| {
                let total = esrgan_core::format_bytes(plan.peak_bytes);
                eprintln!("{}: {}; {total} of memory in all", job.input.display(), plan);
            });
        };
        let job = Job { input: &job.input, output: &job.output, format: job.format };
        Ok(self.upscaler.upscale_file(&job, &self.options, &announce, &advance)?)
    }

    fn json(&self, report: &Report) -> serde_json::Value {
        let computation = self.upscaler.computation();
        json!({
            "input": report.input.to_string_lossy(),
            "output": report.output.to_string_lossy(),
            "lr_width": report.lr_size.0,
            "lr_height": report.lr_size.1,
            "width": report.size.0,
            "height": report.size.1,
            "model": self.model.to_string(),
            "seconds": report.seconds,
            "device": computation.device,
            "isa": computation.isa,
            "precision": computation.precision.name(),
            "threads": computation.threads,
            "mode": report.mode,
            "peak_bytes_planned": report.peak_bytes_planned,
            "peak_rss_bytes": esrgan_core::peak_memory_bytes(),
            "notices": report.notices.iter().map(Notice::as_str).collect::<Vec<_>>(),
        })
    }
}
