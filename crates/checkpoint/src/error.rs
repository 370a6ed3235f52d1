//! What can go wrong, and who must act.

use std::io;
use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};
use esrgan_weights::WeightsError;

use crate::found::PassedOver;

/// Characters of a text from a file that a message shows at most.
const SHOWN_CHARACTERS: usize = 120;

/// Why checkpoints could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process, or another part of this one, writes its checkpoints here.
    #[error("`{}` is in use by {}: expected a folder of this run's own", folder.display(), owner(*pid))]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process, if it wrote its number down.
        pid: Option<u32>,
    },
    /// Another checkpoint of the same step is there. It stays as it is.
    #[error(
        "`{}`: expected none, or the same as the one to be saved, found one with other {item}; \
         remove it, or name another folder", path.display()
    )]
    Exists {
        /// The checkpoint that is there.
        path: PathBuf,
        /// In what it differs.
        item: String,
    },
    /// A file of a checkpoint is not there.
    #[error("`{}`: expected a file of the checkpoint, found none", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is longer or shorter than its manifest says.
    #[error("`{}`: expected {expected} bytes, found {found}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size in the manifest.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// A file has another content than its manifest says.
    #[error("`{}`: expected the SHA-256 {expected}, found {found}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its hash in the manifest.
        expected: String,
        /// Its hash.
        found: String,
    },
    /// A checkpoint of a version that this program does not know.
    #[error("`{}`: expected format version {expected}, found {found}", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// The version that is read.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
    /// Bytes that are not what they should be.
    #[error("`{}`: {item}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part of it.
        item: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// More of something than a checkpoint may have.
    #[error("`{}`: {item}: {found}, more than the limit of {limit}", path.display())]
    Limit {
        /// The file or folder.
        path: PathBuf,
        /// What there is too much of.
        item: String,
        /// The most that is allowed.
        limit: u64,
        /// How much there is.
        found: u64,
    },
    /// Tensors that cannot be written or read.
    #[error("`{}`: {source}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        source: Box<WeightsError>,
    },
    /// There are checkpoints, and something is wrong with every one of them.
    #[error("`{}`: expected a checkpoint that is whole, found none: {}", folder.display(), list(passed_over))]
    NoneValid {
        /// The folder.
        folder: PathBuf,
        /// The checkpoints, and what is wrong with each.
        passed_over: Vec<PassedOver>,
    },
    /// Memory that the system does not have.
    #[error("`{}`: not enough memory for its {bytes} bytes", path.display())]
    OutOfMemory {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A value that an argument, or a variable of the environment, cannot have.
    #[error("{argument}: expected {expected}, found {found}")]
    Argument {
        /// Which one.
        argument: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or("another run".to_owned(), |pid| format!("the run with process number {pid}"))
}

fn list(passed_over: &[PassedOver]) -> String {
    passed_over.iter().map(|passed| passed.reason.to_string()).collect::<Vec<_>>().join("; ")
}

/// A text from a file without control characters and of bounded length, for messages.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

impl CheckpointError {
    /// Makes the system's refusal an error that names what was tried, and on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn malformed(
        path: &Path,
        item: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            item: item.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn argument(
        argument: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Argument { argument: argument.into(), expected: expected.into(), found: found.into() }
    }

    /// Refuses what is more than a limit.
    pub(crate) fn check_limit(path: &Path, item: &str, limit: u64, found: u64) -> Result<(), Self> {
        if found <= limit {
            return Ok(());
        }
        Err(Self::Limit { path: path.to_owned(), item: item.to_owned(), limit, found })
    }
}

impl Classify for CheckpointError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Io,
            Self::Missing { .. }
            | Self::Size { .. }
            | Self::Hash { .. }
            | Self::Malformed { .. }
            | Self::NoneValid { .. } => Kind::Malformed,
            Self::Version { .. } => Kind::Unsupported,
            Self::Limit { .. } | Self::OutOfMemory { .. } => Kind::Limit,
            Self::Tensors { source, .. } => source.kind(),
            Self::Locked { .. } | Self::Exists { .. } | Self::Argument { .. } => Kind::Argument,
        }
    }
}
