//! `manifest.json`: what a checkpoint consists of.
//!
//! What lives here: its form, and the checks that nothing in it can mislead the reader. What does not: the other files.
//! Nothing in it depends on when or where it was written.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk::read_file;
use crate::error::{CheckpointError, shown};
use crate::name::{FILE_NAME_RULE, MANIFEST, is_file_name};

/// The version that is written and read.
pub(crate) const FORMAT_VERSION: u64 = 1;
/// Bytes of a manifest at most.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Bytes of another file at most; as many as `esrgan_weights` reads.
pub(crate) const MAX_FILE_BYTES: u64 = 4 << 30;
/// Files of a checkpoint at most.
const MAX_FILES: usize = 256;

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format_version: u64,
    pub(crate) step: u64,
    pub(crate) code_version: String,
    /// Sorted by name.
    pub(crate) files: Vec<Entry>,
    pub(crate) notes: BTreeMap<String, String>,
    /// The SHA-256 of the manifest with nothing in this place.
    seal: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The one field that all versions have.
#[derive(Deserialize)]
struct Versioned {
    format_version: u64,
}

impl Manifest {
    pub(crate) fn new(step: u64, mut files: Vec<Entry>, notes: BTreeMap<String, String>) -> Self {
        files.sort_by(|first, second| first.name.cmp(&second.name));
        let code_version = env!("CARGO_PKG_VERSION").to_owned();
        let mut manifest =
            Self { format_version: FORMAT_VERSION, step, code_version, files, notes, seal: String::new() };
        manifest.seal = manifest.computed_seal();
        manifest
    }

    /// The file's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts, numbers and lists are JSON");
        bytes.push(b'\n');
        bytes
    }

    fn computed_seal(&self) -> String {
        let unsealed = Self { seal: String::new(), ..self.clone() };
        hexadecimal(&Sha256::digest(unsealed.to_bytes()))
    }

    /// Reads and checks the manifest of a checkpoint's directory.
    ///
    /// # Errors
    /// [`CheckpointError`]: whatever is wrong with it.
    pub(crate) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(MANIFEST);
        Self::parse(&read_file(&path, MAX_MANIFEST_BYTES)?, &path)
    }

    /// Reads and checks a manifest's bytes; `path` is for messages.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let not_json = |error: serde_json::Error| {
            let expected = "the JSON of a checkpoint's manifest";
            CheckpointError::malformed(path, "the manifest", expected, shown(&error.to_string()))
        };
        let Versioned { format_version: found } = serde_json::from_slice(bytes).map_err(not_json)?;
        if found != FORMAT_VERSION {
            return Err(CheckpointError::Version { path: path.to_owned(), expected: FORMAT_VERSION, found });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(not_json)?;
        CheckpointError::check_limit(path, "files", MAX_FILES as u64, manifest.files.len() as u64)?;
        let mut names = HashSet::new();
        for entry in &manifest.files {
            entry.check(path)?;
            if !names.insert(entry.name.to_ascii_lowercase()) {
                let found = format!("`{}` twice, or in capitals and small letters", entry.name);
                return Err(CheckpointError::malformed(path, "the files", "each name once", found));
            }
        }
        let seal = manifest.computed_seal();
        if manifest.seal != seal {
            let found = format!("`{}`", shown(&manifest.seal));
            return Err(CheckpointError::malformed(path, "the manifest's seal", seal, found));
        }
        Ok(manifest)
    }
}

impl Entry {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let sha256 = hexadecimal(&Sha256::digest(content));
        Self { name: name.to_owned(), bytes: content.len() as u64, sha256 }
    }

    fn check(&self, manifest: &Path) -> Result<(), CheckpointError> {
        if !is_file_name(&self.name) {
            let found = format!("`{}`", shown(&self.name));
            return Err(CheckpointError::malformed(manifest, "a file's name", FILE_NAME_RULE, found));
        }
        let item = format!("bytes of `{}`", self.name);
        CheckpointError::check_limit(manifest, &item, MAX_FILE_BYTES, self.bytes)
    }
}

/// Refuses files that [`Manifest::parse`] would refuse when they are read again.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), CheckpointError> {
    let mut seen = HashSet::new();
    for name in names {
        let found = || format!("`{}`", shown(name));
        if !is_file_name(name) {
            return Err(CheckpointError::argument("a checkpoint's file", FILE_NAME_RULE, found()));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            let expected = "each name once, capitals or small letters";
            return Err(CheckpointError::argument("a checkpoint's files", expected, found()));
        }
    }
    if seen.len() > MAX_FILES {
        let expected = format!("up to {MAX_FILES}");
        return Err(CheckpointError::argument("a checkpoint's files", expected, seen.len().to_string()));
    }
    Ok(())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
