//! What can go wrong, and who must act.

use std::io;
use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};

/// Why a journal could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A new run would write over the journal of another one.
    #[error("`{}`: expected a folder without a journal, found one: resume it, or name another folder", path.display())]
    AlreadyExists {
        /// The file that is there.
        path: PathBuf,
    },
    /// A run is resumed whose journal is not there.
    #[error("`{}`: expected the journal of a run that is resumed at step {step}, found no such file", path.display())]
    Missing {
        /// The file that is not there.
        path: PathBuf,
        /// The step of the resume.
        step: u64,
    },
    /// A line is no record.
    #[error("`{}`: line {line}: expected a record, found `{found}`: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1 on.
        line: usize,
        /// The beginning of the line.
        found: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A record that does not follow the last one: cutting back to a step would not be cutting off the end.
    #[error("`{}`: {item} of step {step}: expected one behind step {last}", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        item: String,
        /// Its step.
        step: u64,
        /// The step of the last one.
        last: u64,
    },
    /// A scalar that a line cannot hold under its name.
    #[error(
        "`{}`: scalar `{name}` of the {item} of step {step}: expected a name of its own, other than `step` and `kind`",
        path.display()
    )]
    ScalarName {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        item: String,
        /// Its step.
        step: u64,
        /// The name.
        name: String,
    },
    /// The bytes of a picture are no PNG.
    #[error(
        "picture `{name}` of step {step}: expected a PNG, found {found} bytes that do not begin like one"
    )]
    NotPng {
        /// The picture's name.
        name: String,
        /// The step.
        step: u64,
        /// How many bytes there are.
        found: usize,
    },
}

impl JournalError {
    /// Makes the system's refusal an error that names the file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl Classify for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Io,
            Self::Line { .. } => Kind::Malformed,
            Self::AlreadyExists { .. } | Self::Missing { .. } => Kind::Argument,
            Self::Order { .. } | Self::ScalarName { .. } | Self::NotPng { .. } => Kind::Internal,
        }
    }
}
