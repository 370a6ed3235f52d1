//! The folder of a run: who may write there, and what is in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::{create_folders, remove};
use crate::error::CheckpointError;
use crate::failpoint::Failpoints;
use crate::found::{Found, newest_valid};
use crate::name::{LOCK, is_temporary, parse_step_name, step_name};

/// The checkpoints of one run. While it lives, no other run writes to the folder.
///
/// All methods take `&self`, so that another thread may save while training goes on; writers wait for each other.
#[derive(Debug)]
pub struct Checkpoints {
    pub(crate) folder: PathBuf,
    pub(crate) failpoints: Failpoints,
    swept: Vec<PathBuf>,
    _lock: Lock,
    turn: Mutex<()>,
}

impl Checkpoints {
    /// Opens a folder, which is made if need be, and removes what killed writers have left.
    ///
    /// # Errors
    /// [`CheckpointError::Locked`] where another run has it, [`CheckpointError::Io`],
    /// [`CheckpointError::Argument`] where a variable for tests names no point.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let failpoints = Failpoints::from_environment()?;
        create_folders(folder)?;
        let lock = lock(folder)?;
        let mut swept = Vec::new();
        for name in names_in(folder)?.into_iter().filter(|name| is_temporary(name)) {
            let path = folder.join(name);
            remove(&path)?;
            swept.push(path);
        }
        Ok(Self { folder: folder.to_owned(), failpoints, swept, _lock: lock, turn: Mutex::new(()) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What killed writers had left, and is removed.
    pub fn swept(&self) -> &[PathBuf] {
        &self.swept
    }

    /// The steps that have a checkpoint, whole or not, in rising order.
    ///
    /// # Errors
    /// [`CheckpointError::Io`].
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        steps_in(&self.folder)
    }

    /// The newest checkpoint that is whole, as the function [`newest_valid`] finds it.
    ///
    /// # Errors
    /// As [`newest_valid`].
    pub fn newest_valid(&self) -> Result<Option<Found>, CheckpointError> {
        newest_valid(&self.folder)
    }

    pub(crate) fn path_of(&self, step: u64) -> PathBuf {
        self.folder.join(step_name(step))
    }

    /// Waits until no other thread writes.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        // A writer that panicked leaves nothing half-done under a final name.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The locked file. The system releases the lock of a process that was killed.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: another thread may just be starting a program, and until that has begun it shares
        // the file. Where releasing fails, closing still does it a little later.
        let _ = self.0.unlock();
    }
}

fn lock(folder: &Path) -> Result<Lock, CheckpointError> {
    let path = folder.join(LOCK);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(CheckpointError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            // The number only helps whoever finds the folder locked; a full disk must not keep a run from cleaning up.
            let _ = write_pid(&mut file);
            Ok(Lock(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Where a lock keeps others from reading too, the number stays unknown.
            let read = file.take(20).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            Err(CheckpointError::Locked { folder: folder.to_owned(), pid })
        }
        Err(TryLockError::Error(error)) => Err(CheckpointError::io("lock", &path)(error)),
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The steps that have a checkpoint, whole or not, in rising order.
pub(crate) fn steps_in(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps: Vec<u64> = names_in(folder)?.iter().filter_map(|name| parse_step_name(name)).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// All names that are text; no other name is of our making.
fn names_in(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let names = || {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.collect::<std::io::Result<Vec<_>>>()
    };
    let names = names().map_err(CheckpointError::io("list", folder))?;
    Ok(names.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_goes_with_its_owner_even_where_the_file_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        // As a process does between its beginning and its program's.
        let shared = first.0.try_clone().unwrap();
        assert!(matches!(lock(folder.path()), Err(CheckpointError::Locked { .. })));
        drop(first);
        assert!(lock(folder.path()).is_ok());
        drop(shared);
    }
}
