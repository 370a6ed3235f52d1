//! What is saved, and what saving says.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use esrgan_weights::{Limits, WeightMap, WeightsError, tensors_from_bytes, tensors_to_bytes};

use crate::error::CheckpointError;
use crate::manifest::MAX_FILE_BYTES;

/// Tensors of a file at most, and the bytes of their list.
const MAX_TENSORS: usize = 20_000;
const MAX_HEADER_BYTES: u64 = 10_000_000;

/// Everything of one step.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The step after which it was taken.
    pub step: u64,
    /// Files by name; a name has up to 100 letters, digits, `.`, `_` and `-`.
    pub files: Vec<(String, Contents)>,
    /// What else is to be known, such as metrics.
    pub notes: BTreeMap<String, String>,
}

/// What a file of a checkpoint holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// Text in UTF-8.
    Text(String),
    /// Named tensors, written as safetensors.
    Tensors(WeightMap),
}

impl Contents {
    /// The file's bytes; tensors that could not be read again are refused.
    pub(crate) fn encode(&self, path: &Path) -> Result<Cow<'_, [u8]>, CheckpointError> {
        match self {
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Self::Tensors(tensors) => {
                let bytes = Arc::new(tensors_to_bytes(tensors).map_err(tensors_error(path))?);
                // The result shares the bytes, and goes before they are taken.
                drop(decode(&bytes, path)?);
                Ok(Cow::Owned(Arc::unwrap_or_clone(bytes)))
            }
        }
    }
}

/// The tensors of a file's bytes, whose size has been checked.
pub(crate) fn decode(bytes: &Arc<Vec<u8>>, path: &Path) -> Result<WeightMap, CheckpointError> {
    let limits = Limits {
        max_file_bytes: MAX_FILE_BYTES,
        max_total_bytes: MAX_FILE_BYTES,
        max_tensors: MAX_TENSORS,
        max_header_bytes: MAX_HEADER_BYTES,
    };
    tensors_from_bytes(bytes, &limits).map_err(tensors_error(path))
}

fn tensors_error(path: &Path) -> impl FnOnce(WeightsError) -> CheckpointError + '_ {
    move |source| CheckpointError::Tensors { path: path.to_owned(), source: Box::new(source) }
}

/// A checkpoint that is on the disk.
#[derive(Debug)]
#[non_exhaustive]
pub struct Saved {
    /// Its directory.
    pub path: PathBuf,
    /// The size of its files, the manifest among them.
    pub bytes: u64,
    /// Whether the same one was there before, so that nothing was written.
    pub was_there: bool,
    /// What was wrong with one of the same step that was there before, and is now replaced.
    pub replaced: Option<CheckpointError>,
}
