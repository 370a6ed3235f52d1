//! Removing checkpoints, so that none looks valid while it is taken apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use esrgan_core::folder_of;

use crate::disk::{remove, sync_folder};
use crate::error::CheckpointError;
use crate::failpoint::Point;
use crate::folder::Checkpoints;
use crate::name::doomed_name;

impl Checkpoints {
    /// Removes all checkpoints but the last `keep_last`, those of the steps `keep`, the best one, and the newest that is
    /// whole, wherever it stands. Returns what was removed. Where none is whole, nothing is.
    ///
    /// It reads the newest checkpoint, to be sure of it.
    ///
    /// # Errors
    /// [`CheckpointError`]: the first refusal, behind which nothing more is removed; what is wrong with `best.json`, whose
    /// checkpoint would then not be known.
    pub fn prune(&self, keep_last: usize, keep: &[u64]) -> Result<Vec<PathBuf>, CheckpointError> {
        let _turn = self.turn();
        let newest = match self.newest_valid() {
            Ok(Some(found)) => found.step,
            // The caller asked for room, not for a diagnosis: that is for whoever wants to resume.
            Ok(None) | Err(CheckpointError::NoneValid { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let steps = self.steps()?;
        let mut kept: BTreeSet<u64> = steps.iter().rev().take(keep_last).copied().collect();
        kept.extend(keep);
        kept.extend(self.best()?.map(|best| best.step));
        kept.insert(newest);
        let mut removed = Vec::new();
        for step in steps.into_iter().filter(|step| !kept.contains(step)) {
            let path = self.path_of(step);
            self.retire(&path)?;
            removed.push(path);
        }
        Ok(removed)
    }

    /// Removes a checkpoint. It loses its name first, durably: killed in the middle, it is a leftover like any other.
    pub(crate) fn retire(&self, path: &Path) -> Result<(), CheckpointError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let doomed = path.with_file_name(doomed_name(&name));
        remove(&doomed)?;
        self.pass_pruning(path)?;
        fs::rename(path, &doomed).map_err(CheckpointError::io("rename", path))?;
        sync_folder(folder_of(path))?;
        self.pass_pruning(&doomed)?;
        let is_directory = fs::symlink_metadata(&doomed).is_ok_and(|metadata| metadata.is_dir());
        if is_directory {
            let entries = fs::read_dir(&doomed).map_err(CheckpointError::io("list", &doomed))?;
            for entry in entries {
                let entry = entry.map_err(CheckpointError::io("list", &doomed))?;
                remove(&entry.path())?;
                self.pass_pruning(&doomed)?;
            }
        }
        remove(&doomed)
    }

    fn pass_pruning(&self, path: &Path) -> Result<(), CheckpointError> {
        self.failpoints.pass(Point::WhilePruning).map_err(CheckpointError::io("remove", path))
    }
}
