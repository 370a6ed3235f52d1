//! A file that grows by whole entries.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::JournalError;

/// A file to whose end entries are added, each by one write, so that others see it at once and a kill loses at most the last.
#[derive(Debug)]
pub(crate) struct AppendFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl AppendFile {
    /// Opens a file at its end; makes it where it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            let length = file.metadata()?.len();
            Ok(Self { path: path.to_owned(), file, length })
        };
        open().map_err(JournalError::io(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry, or leaves the file as it was.
    pub(crate) fn append(&mut self, entry: &[u8]) -> Result<(), JournalError> {
        if let Err(source) = self.file.write_all(entry) {
            // A full disk may have taken a part. Where it cannot be taken back, the next resume cuts it off.
            let _ = self.file.set_len(self.length);
            return Err(JournalError::Io { path: self.path.clone(), source });
        }
        self.length += entry.len() as u64;
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_all().map_err(JournalError::io(&self.path))
    }
}
