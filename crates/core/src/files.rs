//! Files that appear under their name only when they are complete.
//!
//! Written to a temporary sibling, synchronised, renamed, and the folder synchronised: after a crash or a power loss the name
//! stands for the old file or for the whole new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a whole file under its name, or leaves what is there.
///
/// # Errors
/// What the system says; the old file is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    PendingFile::write(path, bytes)?.publish()
}

/// A file that is being written beside its target; dropped before it has its name, it vanishes.
#[derive(Debug)]
pub struct PendingFile {
    temporary: PathBuf,
    target: PathBuf,
    is_committed: bool,
}

impl PendingFile {
    /// Opens a new file in the target's folder.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::IsADirectory`] for a target that is no name of a file.
    pub fn create(target: &Path) -> io::Result<(Self, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if target.file_name().is_none() || target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        loop {
            // A short name of its own: the target's may already be as long as the file system allows.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let temporary = folder_of(target).join(format!(".esrgan-{}-{number}.tmp", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let pending = Self { temporary, target: target.to_owned(), is_committed: false };
                    return Ok((pending, file));
                }
                // Left over by a process that had the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a new file in the target's folder; it is on the disk, but not in its place.
    ///
    /// # Errors
    /// As [`PendingFile::create`].
    pub fn write(target: &Path, bytes: &[u8]) -> io::Result<Self> {
        let (pending, mut file) = Self::create(target)?;
        file.write_all(bytes)?;
        pending.finish(&file)?;
        Ok(pending)
    }

    /// Gives the finished file its name. The permissions of a file that it replaces are kept.
    ///
    /// # Errors
    /// What the system says; what was in the place before is still there.
    pub fn commit(self, file: File) -> io::Result<()> {
        self.finish(&file)?;
        drop(file);
        self.publish()
    }

    /// Gives a file of [`PendingFile::write`] its name.
    ///
    /// # Errors
    /// As [`PendingFile::commit`].
    pub fn publish(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)?;
        self.is_committed = true;
        sync_folder(folder_of(&self.target))
    }

    fn finish(&self, file: &File) -> io::Result<()> {
        if let Ok(replaced) = fs::metadata(&self.target) {
            file.set_permissions(replaced.permissions())?;
        }
        file.sync_all()
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.is_committed {
            // Nothing can be done about a file that does not go away; the error that led here matters more.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The folder of a path: `.` for a name alone.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable; only Unix opens folders like files.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
