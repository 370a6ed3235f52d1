//! What the commands do: flags into the facade's terms, results into lines.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod degrade;
pub(crate) mod devices;
pub(crate) mod docs;
pub(crate) mod downscale;
mod each;
pub(crate) mod eval;
pub(crate) mod models;
mod suite;
pub(crate) mod train;
pub(crate) mod upscale;

use std::path::Path;

use esrgan_core::{Classify, Kind, Notice};
use esrgan_degrade::DegradeError;
use esrgan_upscale::{BatchJob, Isa, ModelSource, UpscaleError, Upscaler};
use serde_json::json;

use crate::talk;

/// The instruction set that the environment asks for, for tests and comparisons.
fn isa_from_environment() -> anyhow::Result<Option<Isa>> {
    match std::env::var("ESRGAN_ISA") {
        Ok(name) if !name.is_empty() => {
            Ok(Some(name.parse().map_err(|error| anyhow::anyhow!("ESRGAN_ISA: {error}"))?))
        }
        _ => Ok(None),
    }
}

/// Says what the user should know of a model, and where it runs.
fn say_start(model: &ModelSource, notices: &[Notice], upscaler: &Upscaler) {
    if let ModelSource::BuiltIn { .. } = model {
        eprintln!("model: {model}");
    }
    talk::notices(model, notices);
    eprintln!("device: {}", upscaler.computation());
}

/// Makes the folder that a file will lie in.
fn make_folder_of(file: &Path) -> Result<(), UpscaleError> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder)
            .map_err(|source| UpscaleError::Io { path: folder.to_owned(), source }),
        None => Ok(()),
    }
}

/// The line for a picture that failed.
fn failure_json(job: &BatchJob, error: &anyhow::Error) -> serde_json::Value {
    let kind = error.downcast_ref().map(UpscaleError::kind);
    let kind = kind.or_else(|| error.downcast_ref().map(DegradeError::kind)).unwrap_or(Kind::Internal);
    json!({
        "input": job.input.to_string_lossy(),
        "output": job.output.to_string_lossy(),
        "error": talk::chain(error),
        "kind": format!("{kind:?}").to_lowercase(),
    })
}
