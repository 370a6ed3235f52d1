//! Files that appear complete or not at all: written beside their place, made durable, then renamed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::WeightsError;

/// A written file that is not in its place yet; dropped without [`Pending::publish`], it is removed.
pub(crate) struct Pending {
    temporary: PathBuf,
    target: PathBuf,
    is_published: bool,
}

impl Pending {
    /// Writes `bytes` to a temporary file beside `target` and makes them durable.
    ///
    /// # Errors
    /// [`WeightsError::Io`], and the temporary file is gone.
    pub(crate) fn write(target: &Path, bytes: &[u8]) -> Result<Self, WeightsError> {
        let temporary = temporary_sibling(target)?;
        let open = OpenOptions::new().write(true).create_new(true).open(&temporary);
        let mut file = open.map_err(|source| io_error("create", &temporary, source))?;
        let pending = Self { temporary, target: target.to_owned(), is_published: false };
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|source| io_error("write", &pending.temporary, source))?;
        Ok(pending)
    }

    /// Puts the file in its place, in one step.
    ///
    /// # Errors
    /// [`WeightsError::Io`]; what was in the place before is still there.
    pub(crate) fn publish(mut self) -> Result<(), WeightsError> {
        std::fs::rename(&self.temporary, &self.target)
            .map_err(|source| io_error("rename a temporary file to", &self.target, source))?;
        self.is_published = true;
        sync_folder(folder(&self.target))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_published {
            // What cannot be removed is left; its name says what it is.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn temporary_sibling(target: &Path) -> Result<PathBuf, WeightsError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    if target.file_name().is_none() {
        return Err(WeightsError::Argument {
            argument: "output",
            expected: "a file name".to_owned(),
            found: target.display().to_string(),
        });
    }
    // Not made of the target's name, which may be as long as a name can be.
    let name = format!(".esrgan-{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    Ok(target.with_file_name(name))
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A rename is durable once its folder is; only Unix lets folders be opened for that.
fn sync_folder(folder: &Path) -> Result<(), WeightsError> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|opened| opened.sync_all())
            .map_err(|source| io_error("make durable the folder", folder, source))?;
    }
    Ok(())
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> WeightsError {
    WeightsError::Io { action, path: path.to_owned(), source }
}
