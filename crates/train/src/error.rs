//! What can go wrong, and who must act.

use std::error::Error;
use std::path::{Path, PathBuf};

use esrgan_checkpoint::CheckpointError;
use esrgan_core::{Classify, Kind};
use esrgan_dataset::DatasetError;
use esrgan_evaluate::{EvaluateError, UnknownMetricError};
use esrgan_journal::JournalError;
use esrgan_model::{FeatureNetwork, Isa, ModelError};
use esrgan_recipe::RecipeError;
use esrgan_upscale::UpscaleError;

/// Why a run did not begin, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file to start from does not fit.
    #[error("`{}`", path.display())]
    Start {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
    /// A model to start from is of a narrower network, which the recipe does not say.
    #[error("`{}`: {found}\nhint: `generator.widen = true` starts from a narrower network", path.display())]
    Narrower {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        found: ModelError,
    },
    /// The file of the perceptual loss's network does not fit.
    #[error(
        "`losses.perceptual.weights_file`: `{}`: expected the convolutions of {}: {}\nhint: {}",
        path.display(), network.name(), without_path(source), published(*network)
    )]
    Perceptual {
        /// The file.
        path: PathBuf,
        /// Whose weights it should hold.
        network: FeatureNetwork,
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
    /// A GPU is asked for, and none is there.
    #[error(
        "Vulkan shows no GPU; a processor that it shows is taken by its number alone, such as `vulkan:0`"
    )]
    NoGpu,
    /// A GPU is asked for, and the program has been built without any.
    #[error("this program was built without GPUs: it lacks the feature `vulkan`")]
    NoVulkan,
    /// The threads could not be started.
    #[error("{threads} threads could not be started")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// A metric that there is not.
    #[error("`validation.metrics`: {source}")]
    Metric {
        /// Which.
        #[source]
        source: UnknownMetricError,
    },
    /// A validation.
    #[error("validation: {0}")]
    Evaluate(#[from] EvaluateError),
    /// The model could not be made ready for a validation.
    #[error("validation: {0}")]
    Upscale(#[from] UpscaleError),
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

/// An error and its causes, as far as each says something new, on one line.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let what = error.to_string();
        if !text.contains(&what) {
            text = format!("{text}: {what}");
        }
        cause = error.source();
    }
    text
}

/// What is wrong with a file that has been named already.
fn without_path(error: &ModelError) -> String {
    match error {
        ModelError::Weights(error) => in_full(error.problem()),
        error => in_full(error),
    }
}

/// Where the weights of a network are published. The digits in a name are the first of the file's SHA-256, as torchvision
/// names its files.
fn published(network: FeatureNetwork) -> String {
    let digits = match network {
        FeatureNetwork::Vgg16 => "397923af",
        FeatureNetwork::Vgg19 => "dcbb9e9d",
    };
    format!(
        "torchvision's file will do, as it is: https://download.pytorch.org/models/{}-{digits}.pth, whose SHA-256 begins with \
         {digits}; so will a .safetensors with the same names",
        network.name()
    )
}

impl TrainError {
    pub(crate) fn start(path: &Path, source: ModelError) -> Self {
        Self::Start { path: path.to_owned(), source }
    }

    /// The file or folder that it is about, where it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Start { path, .. }
            | Self::Narrower { path, .. }
            | Self::Perceptual { path, .. }
            | Self::OtherRecipe { path, .. }
            | Self::Incomplete { path, .. } => Some(path),
            Self::Dataset(source) => source.path(),
            _ => None,
        }
    }
}

impl Classify for TrainError {
    fn kind(&self) -> Kind {
        match self {
            Self::Start { source, .. } | Self::Perceptual { source, .. } | Self::Model(source) => {
                source.kind()
            }
            Self::Narrower { found, .. } => found.kind(),
            Self::OtherRecipe { .. } | Self::Metric { .. } | Self::Isa { .. } | Self::NoGpu => Kind::Argument,
            Self::NoVulkan => Kind::Unsupported,
            Self::Evaluate(source) => source.kind(),
            Self::Upscale(source) => source.kind(),
            Self::Incomplete { .. } => Kind::Malformed,
            Self::NotFinite { .. } | Self::Threads { .. } => Kind::Internal,
            Self::Recipe(source) => source.kind(),
            Self::Dataset(source) => source.kind(),
            Self::Checkpoint(source) => source.kind(),
            Self::Journal(source) => source.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use esrgan_weights::WeightsError;

    use super::*;

    #[test]
    fn a_wrong_perceptual_file_is_named_once_with_its_cause_and_where_to_get_a_right_one() {
        let path = PathBuf::from("vgg.pth");
        let io = WeightsError::Io { action: "read", path: path.clone(), source: ErrorKind::NotFound.into() };
        let problem = WeightsError::Scale { requested: 2, found: 4 };
        let file = WeightsError::File { path: path.clone(), problem: Box::new(problem) };
        let cases = [(io, "cannot read `vgg.pth`: entity not found"), (file, "vgg19: scale 2 was asked for")];
        for (source, expected) in cases {
            let source = ModelError::Weights(source);
            let error = TrainError::Perceptual { path: path.clone(), network: FeatureNetwork::Vgg19, source };
            let text = error.to_string();
            let beginning =
                "`losses.perceptual.weights_file`: `vgg.pth`: expected the convolutions of vgg19: ";
            assert!(text.starts_with(beginning) && text.contains(expected), "{text}");
            assert!(text.contains("\nhint: ") && text.contains("/models/vgg19-dcbb9e9d.pth,"), "{text}");
            assert_eq!(error.path(), Some(&*path));
        }
    }
}
