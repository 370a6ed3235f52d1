//! Files and folders that are on the disk when a function returns, and temporary ones that vanish.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use esrgan_core::folder_of;

use crate::error::CheckpointError;
use crate::failpoint::{Failpoints, Point};

/// A new file with these bytes, durable. Its entry in the folder is not.
pub(crate) fn write_file(path: &Path, bytes: &[u8], failpoints: &Failpoints) -> Result<(), CheckpointError> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let write = || {
        failpoints.pass(Point::BeforeWrite)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(first)?;
        failpoints.pass(Point::MidWrite)?;
        file.write_all(second)?;
        failpoints.pass(Point::BeforeSync)?;
        file.sync_all()
    };
    write().map_err(CheckpointError::io("write", path))
}

/// A file or folder under a temporary name; dropped before [`Temporary::publish`], it is removed.
pub(crate) struct Temporary {
    path: PathBuf,
    is_published: bool,
}

impl Temporary {
    /// Takes a name, and removes what an earlier attempt has left under it.
    pub(crate) fn claim(path: PathBuf) -> Result<Self, CheckpointError> {
        remove(&path)?;
        Ok(Self { path, is_published: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its final name, in one step, and makes that durable.
    pub(crate) fn publish(mut self, target: &Path, failpoints: &Failpoints) -> Result<(), CheckpointError> {
        let rename = || failpoints.pass(Point::BeforeRename).and_then(|()| fs::rename(&self.path, target));
        rename().map_err(CheckpointError::io("rename a temporary file to", target))?;
        self.is_published = true;
        failpoints.pass(Point::AfterRename).map_err(CheckpointError::io("make durable", target))?;
        sync_folder(folder_of(target))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_published {
            // What cannot be removed now is swept when the folder is opened again; the error that led here matters more.
            let _ = remove(&self.path);
        }
    }
}

/// Removes a file, or a folder with everything in it; that there is none is no error. Links are not followed.
pub(crate) fn remove(path: &Path) -> Result<(), CheckpointError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(CheckpointError::io("remove", path)),
    }
}

/// A rename or a new file is durable once its folder is.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    esrgan_core::sync_folder(folder).map_err(CheckpointError::io("make durable the folder", folder))
}

/// Makes a folder with all that lead to it, durably.
pub(crate) fn create_folders(folder: &Path) -> Result<(), CheckpointError> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(folder).map_err(CheckpointError::io("make the folder", folder))?;
    missing.into_iter().try_for_each(|created| sync_folder(folder_of(created)))
}

/// The length of a regular file. A link is none: what it leads to is no part of a checkpoint.
///
/// # Errors
/// [`CheckpointError::Missing`], [`CheckpointError::Malformed`], [`CheckpointError::Io`].
pub(crate) fn regular_file_bytes(path: &Path) -> Result<u64, CheckpointError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err(CheckpointError::malformed(path, "its kind", "a regular file", "something else")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CheckpointError::Missing { path: path.to_owned() })
        }
        Err(error) => Err(CheckpointError::io("read", path)(error)),
    }
}

/// The whole of a regular file of up to `limit` bytes.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let length = regular_file_bytes(path)?;
    CheckpointError::check_limit(path, "bytes", limit, length)?;
    let mut bytes = Vec::new();
    let out_of_memory = |_| CheckpointError::OutOfMemory { path: path.to_owned(), bytes: length };
    bytes.try_reserve_exact(length as usize).map_err(out_of_memory)?;
    File::open(path)
        .and_then(|file| file.take(length).read_to_end(&mut bytes))
        .map_err(CheckpointError::io("read", path))?;
    Ok(bytes)
}
