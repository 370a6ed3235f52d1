//! Writing a checkpoint: under a temporary name, synced, and renamed.

use std::fs;
use std::path::Path;

use esrgan_core::{Classify, Kind};

use crate::checkpoint::{Checkpoint, Saved};
use esrgan_core::folder_of;

use crate::disk::{Temporary, sync_folder, write_file};
use crate::error::CheckpointError;
use crate::failpoint::Point;
use crate::folder::Checkpoints;
use crate::found::verify;
use crate::manifest::{Entry, MAX_FILE_BYTES, MAX_MANIFEST_BYTES, Manifest, check_names};
use crate::name::{MANIFEST, step_name, temporary_name};

/// What stands where a checkpoint is to be saved.
enum Standing {
    Nothing,
    Same(Manifest),
    Broken(CheckpointError),
}

impl Checkpoints {
    /// Saves a checkpoint: when this returns, it is on the disk.
    ///
    /// A whole one of the same step is never overwritten. If it says the same, there is nothing to do; one that is damaged
    /// makes room, and [`Saved::replaced`] says what was wrong with it.
    ///
    /// # Errors
    /// [`CheckpointError::Exists`] where another one of the same step is there; [`CheckpointError::Argument`],
    /// [`CheckpointError::Limit`], [`CheckpointError::Tensors`] for what could not be read again; [`CheckpointError::Io`].
    /// The older checkpoints are as they were, and nothing of this one is left. One exception: where the very last step
    /// fails, which makes the new name durable, the checkpoint stays; it is whole, and saving it again makes up for it.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError> {
        let _turn = self.turn();
        check_names(checkpoint.files.iter().map(|(name, _)| name.as_str()))?;
        let path = self.path_of(checkpoint.step);
        let replaced = match standing(&path, checkpoint)? {
            Standing::Nothing => None,
            Standing::Broken(reason) => Some(reason),
            Standing::Same(manifest) => {
                // It may be there because its last step failed.
                sync_folder(folder_of(&path))?;
                let bytes = total_bytes(&manifest);
                return Ok(Saved { path, bytes, was_there: true, replaced: None });
            }
        };
        let name = temporary_name(&step_name(checkpoint.step));
        let temporary = Temporary::claim(self.folder.join(name))?;
        let manifest = self.write_files(checkpoint, temporary.path())?;
        if replaced.is_some() {
            self.retire(&path)?;
        }
        temporary.publish(&path, &self.failpoints)?;
        let bytes = total_bytes(&manifest);
        Ok(Saved { path, bytes, was_there: false, replaced })
    }

    /// Writes all files of a checkpoint into a new directory, the manifest last.
    fn write_files(&self, checkpoint: &Checkpoint, folder: &Path) -> Result<Manifest, CheckpointError> {
        fs::create_dir(folder).map_err(CheckpointError::io("make the folder", folder))?;
        let entries = entries(checkpoint, folder, |path, bytes| write_file(path, bytes, &self.failpoints))?;
        let manifest = Manifest::new(checkpoint.step, entries, checkpoint.notes.clone());
        let (path, bytes) = (folder.join(MANIFEST), manifest.to_bytes());
        CheckpointError::check_limit(&path, "bytes", MAX_MANIFEST_BYTES, bytes.len() as u64)?;
        write_file(&path, &bytes, &self.failpoints)?;
        self.failpoints
            .pass(Point::BeforeSync)
            .map_err(CheckpointError::io("make durable the folder", folder))?;
        sync_folder(folder)?;
        Ok(manifest)
    }
}

/// Describes the files of a checkpoint, and hands the bytes of each on; one file is in memory at a time.
fn entries(
    checkpoint: &Checkpoint,
    folder: &Path,
    mut take: impl FnMut(&Path, &[u8]) -> Result<(), CheckpointError>,
) -> Result<Vec<Entry>, CheckpointError> {
    let entry = |(name, contents): &(String, crate::Contents)| {
        let path = folder.join(name);
        let bytes = contents.encode(&path)?;
        CheckpointError::check_limit(&path, "bytes", MAX_FILE_BYTES, bytes.len() as u64)?;
        take(&path, &bytes)?;
        Ok(Entry::new(name, &bytes))
    };
    checkpoint.files.iter().map(entry).collect()
}

fn standing(path: &Path, checkpoint: &Checkpoint) -> Result<Standing, CheckpointError> {
    if let Err(error) = fs::symlink_metadata(path) {
        let is_free = error.kind() == std::io::ErrorKind::NotFound;
        return if is_free { Ok(Standing::Nothing) } else { Err(CheckpointError::io("read", path)(error)) };
    }
    let manifest = match verify(path) {
        Ok(manifest) => manifest,
        // What cannot be read now, or is of a newer program, may be whole.
        Err(error) if matches!(error.kind(), Kind::Malformed | Kind::Limit) => {
            return Ok(Standing::Broken(error));
        }
        Err(error) => return Err(error),
    };
    let wanted =
        Manifest::new(checkpoint.step, entries(checkpoint, path, |_, _| Ok(()))?, checkpoint.notes.clone());
    // Another version of the program may have written the same.
    match difference(&manifest, &wanted) {
        None => Ok(Standing::Same(manifest)),
        Some(item) => Err(CheckpointError::Exists { path: path.to_owned(), item }),
    }
}

/// The first thing in which two checkpoints of a step differ.
fn difference(there: &Manifest, wanted: &Manifest) -> Option<String> {
    if there.notes != wanted.notes {
        return Some("notes".to_owned());
    }
    let differs = |entry: &&Entry| !there.files.contains(entry);
    if let Some(entry) = wanted.files.iter().find(differs) {
        return Some(format!("bytes in `{}`", entry.name));
    }
    (there.files.len() != wanted.files.len()).then(|| "files".to_owned())
}

fn total_bytes(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|entry| entry.bytes).sum::<u64>() + manifest.to_bytes().len() as u64
}
