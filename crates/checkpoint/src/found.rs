//! Checkpoints that are read again.
//!
//! What lives here: the check of a whole checkpoint, the search for the newest that passes it, and its files. None of it needs
//! the lock: a checkpoint does not change once it has its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use esrgan_weights::WeightMap;
use sha2::{Digest, Sha256};

use crate::checkpoint::decode;
use crate::disk::{read_file, regular_file_bytes};
use crate::error::{CheckpointError, shown};
use crate::folder::steps_in;
use crate::manifest::{Entry, Manifest, hexadecimal};
use crate::name::{MANIFEST, parse_step_name, step_name};

/// Bytes that are hashed at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// A checkpoint that has all that its manifest names.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// The step after which it was taken.
    pub step: u64,
    /// The version of the program that wrote it.
    pub code_version: String,
    /// What else it says, such as metrics.
    pub notes: BTreeMap<String, String>,
    /// Newer ones that are not whole, the newest first.
    pub passed_over: Vec<PassedOver>,
    files: Vec<Entry>,
}

/// A checkpoint that is not whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct PassedOver {
    /// Its directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: CheckpointError,
}

/// Reads the checkpoint of a directory, and checks all of it.
///
/// # Errors
/// [`CheckpointError`]: the first thing that is wrong with it.
pub fn load(path: &Path) -> Result<Found, CheckpointError> {
    let Manifest { step, code_version, notes, files, .. } = verify(path)?;
    Ok(Found { path: path.to_owned(), step, code_version, notes, passed_over: Vec::new(), files })
}

/// The newest checkpoint of a folder that is whole; `None` where there is no checkpoint at all. Takes no lock.
///
/// # Errors
/// [`CheckpointError::NoneValid`] where there are some and none is whole, [`CheckpointError::Io`] where the folder cannot be
/// read.
pub fn newest_valid(folder: &Path) -> Result<Option<Found>, CheckpointError> {
    let mut passed_over = Vec::new();
    for step in steps_in(folder)?.into_iter().rev() {
        let path = folder.join(step_name(step));
        match load(&path) {
            Ok(found) => return Ok(Some(Found { passed_over, ..found })),
            Err(reason) => passed_over.push(PassedOver { path, reason }),
        }
    }
    if passed_over.is_empty() {
        return Ok(None);
    }
    Err(CheckpointError::NoneValid { folder: folder.to_owned(), passed_over })
}

impl Found {
    /// The names of its files, sorted.
    pub fn file_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(|entry| entry.name.as_str())
    }

    /// The tensors of a file.
    ///
    /// # Errors
    /// As [`Found::bytes`], and [`CheckpointError::Tensors`] where it holds none.
    pub fn tensors(&self, name: &str) -> Result<WeightMap, CheckpointError> {
        decode(&Arc::new(self.bytes(name)?), &self.path.join(name))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As [`Found::bytes`], and [`CheckpointError::Malformed`] where it is no UTF-8.
    pub fn text(&self, name: &str) -> Result<String, CheckpointError> {
        String::from_utf8(self.bytes(name)?).map_err(|error| {
            let path = self.path.join(name);
            CheckpointError::malformed(&path, "the text", "UTF-8", error.utf8_error().to_string())
        })
    }

    /// The bytes of a file, held against size and hash once more.
    ///
    /// # Errors
    /// [`CheckpointError`]: the manifest has no such file, or it has changed meanwhile.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let entry = self.files.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let names = self.file_names().collect::<Vec<_>>().join("`, `");
            let expected = format!("the file `{}`", shown(name));
            CheckpointError::malformed(&self.path.join(MANIFEST), "the files", expected, format!("`{names}`"))
        })?;
        let path = self.path.join(name);
        check_size(&path, entry, regular_file_bytes(&path)?)?;
        let bytes = read_file(&path, entry.bytes)?;
        check_size(&path, entry, bytes.len() as u64)?;
        check_hash(&path, entry, hexadecimal(&Sha256::digest(&bytes)))?;
        Ok(bytes)
    }
}

/// Checks a checkpoint against its manifest, the sizes of all files before anything is read.
pub(crate) fn verify(folder: &Path) -> Result<Manifest, CheckpointError> {
    let metadata = std::fs::metadata(folder).map_err(CheckpointError::io("read", folder))?;
    if !metadata.is_dir() {
        return Err(CheckpointError::malformed(folder, "its kind", "a directory", "something else"));
    }
    let manifest = Manifest::read(folder)?;
    // A copy may be called anything; a checkpoint's name must tell the truth.
    let name = folder.file_name().and_then(|name| name.to_str());
    if let Some(step) = name.and_then(parse_step_name).filter(|step| *step != manifest.step) {
        let (expected, found) = (step.to_string(), manifest.step.to_string());
        return Err(CheckpointError::malformed(&folder.join(MANIFEST), "the step", expected, found));
    }
    for entry in &manifest.files {
        let path = folder.join(&entry.name);
        check_size(&path, entry, regular_file_bytes(&path)?)?;
    }
    for entry in &manifest.files {
        let path = folder.join(&entry.name);
        let (bytes, sha256) = hash_file(&path, entry.bytes).map_err(CheckpointError::io("read", &path))?;
        check_size(&path, entry, bytes)?;
        check_hash(&path, entry, sha256)?;
    }
    Ok(manifest)
}

fn check_size(path: &Path, entry: &Entry, found: u64) -> Result<(), CheckpointError> {
    if found == entry.bytes {
        return Ok(());
    }
    Err(CheckpointError::Size { path: path.to_owned(), expected: entry.bytes, found })
}

fn check_hash(path: &Path, entry: &Entry, found: String) -> Result<(), CheckpointError> {
    if found == entry.sha256 {
        return Ok(());
    }
    // The manifest is sealed, but a seal can be made by anyone.
    Err(CheckpointError::Hash { path: path.to_owned(), expected: shown(&entry.sha256), found })
}

/// The number of bytes, up to a limit, and their hash.
fn hash_file(path: &Path, limit: u64) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?.take(limit);
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((bytes, hexadecimal(&hasher.finalize()))),
            Ok(read) => {
                hasher.update(&chunk[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
