//! Batches whose pictures are worked on side by side, one thread to a picture.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use esrgan_core::Notice;
use esrgan_upscale::{Batch, BatchJob, in_parallel};
use serde_json::Value;

use super::{failure_json, make_folder_of};
use crate::Outcome;
use crate::talk;

/// What there is to say of a finished picture.
pub(super) struct Finished {
    pub(super) notices: Vec<Notice>,
    /// The line for machines.
    pub(super) line: Value,
}

/// Works on all pictures of a batch, says how each went in the batch's order, and ends with the summary. Each comes with its
/// number in the batch.
pub(super) fn each_picture(
    batch: &Batch,
    threads: Option<usize>,
    json: bool,
    work: impl Fn(u64, &BatchJob) -> anyhow::Result<Finished> + Sync,
) -> anyhow::Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    for error in &batch.unreadable {
        eprintln!("error: {error}");
    }
    let jobs: Vec<(u64, &BatchJob)> = (0..).zip(&batch.jobs).collect();
    let (mut done, mut failed) = (0, Vec::new());
    in_parallel(
        &jobs,
        threads,
        |(index, job)| {
            make_folder_of(&job.output)?;
            work(*index, job)
        },
        |(_, job), result| {
            match &result {
                Ok(_) => done += 1,
                Err(_) => failed.push(job.input.clone()),
            }
            say(job, result, json);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    let is_stopped = stop.load(Ordering::Relaxed);
    Ok(outcome(batch, done, &failed, is_stopped))
}

fn say(job: &BatchJob, result: anyhow::Result<Finished>, json: bool) {
    let line = match result {
        Ok(finished) => {
            talk::notices(job.input.display(), &finished.notices);
            finished.line
        }
        Err(error) => {
            talk::error(&error);
            failure_json(job, &error)
        }
    };
    // Where stdout takes no more, the pictures are made all the same.
    if json && let Err(error) = talk::data(line) {
        talk::error(&error);
    }
}

fn outcome(batch: &Batch, done: usize, failed: &[PathBuf], is_stopped: bool) -> Outcome {
    talk::summary(done, 0, failed, &batch.passed_over);
    if is_stopped {
        eprintln!("stopped on request");
        return Outcome::Interrupted;
    }
    if failed.is_empty() && batch.unreadable.is_empty() { Outcome::Done } else { Outcome::SomeFailed }
}
