//! What can go wrong, and who must act.

use std::path::{Path, PathBuf};

use esrgan_checkpoint::CheckpointError;
use esrgan_core::{Classify, Kind};
use esrgan_dataset::DatasetError;
use esrgan_journal::JournalError;
use esrgan_model::{Isa, ModelError};
use esrgan_recipe::RecipeError;

/// Why a run did not begin, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe asks for what is not built.
    #[error("`{key}`: expected {expected}, found {found}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What there is.
        expected: &'static str,
    },
    /// A file to start from does not fit.
    #[error("`{}`", path.display())]
    Start {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
    /// A checkpoint of another run.
    #[error("`{}`: made by another recipe: {keys}", path.display())]
    OtherRecipe {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, and how.
        keys: String,
    },
    /// A checkpoint that lacks something.
    #[error("`{}`: `{file}`: {what}", path.display())]
    Incomplete {
        /// The checkpoint.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// There is nothing to resume.
    #[error("`{}`: no checkpoint to resume", path.display())]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// A figure is no number any more.
    #[error("step {step}: {name} is {value}: {last}")]
    NotFinite {
        /// The step.
        step: u64,
        /// Which figure.
        name: String,
        /// Its value.
        value: f64,
        /// The last good checkpoint, in words.
        last: String,
    },
    /// The instruction set is not available here.
    #[error("this processor does not offer {isa}: it has {available}")]
    Isa {
        /// What was asked for.
        isa: Isa,
        /// What there is.
        available: String,
    },
    /// The threads could not be started.
    #[error("{threads} threads could not be started")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The networks.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The data.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl TrainError {
    pub(crate) fn start(path: &Path, source: ModelError) -> Self {
        Self::Start { path: path.to_owned(), source }
    }
}

impl Classify for TrainError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Start { source, .. } | Self::Model(source) => source.kind(),
            Self::OtherRecipe { .. } | Self::NothingToResume { .. } | Self::Isa { .. } => Kind::Argument,
            Self::Incomplete { .. } => Kind::Malformed,
            Self::NotFinite { .. } | Self::Threads { .. } => Kind::Internal,
            Self::Recipe(source) => source.kind(),
            Self::Dataset(source) => source.kind(),
            Self::Checkpoint(source) => source.kind(),
            Self::Journal(source) => source.kind(),
        }
    }
}
