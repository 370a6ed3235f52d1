//! What can go wrong between a path and a larger picture.

use std::path::{Path, PathBuf};

use esrgan_builtin::{BUILT_IN_MODELS, DEFAULT_MODEL};
use esrgan_core::{Classify, Kind, format_bytes};
use esrgan_engine::EngineError;
use esrgan_image::ImageError;
use esrgan_weights::WeightsError;

/// What can go wrong between a path and a larger picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpscaleError {
    /// The model could not be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A picture could not be read or written.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The engine could not be started.
    #[error(transparent)]
    Start(EngineError),
    /// No model has this name.
    #[error(
        "{}: no such file, no built-in model of that name ({}){}",
        name.display(), built_in_names(), folder.as_ref().map_or(String::new(), |folder| format!(", and none in {}", folder.display()))
    )]
    UnknownModel {
        /// The name.
        name: PathBuf,
        /// The folder of models, if there is one.
        folder: Option<PathBuf>,
    },
    /// Two models in the folder of models have this name.
    #[error("`{}` could be {} or {}: name it with its extension", name.display(), first.display(), second.display())]
    AmbiguousModel {
        /// The name.
        name: PathBuf,
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A strength was given for a model that takes none.
    #[error("`{model}` takes no strength: it is for the built-in `{}`, a mean of two models", DEFAULT_MODEL.name)]
    Strength {
        /// The model.
        model: String,
    },
    /// A GPU was asked for in a build that knows none.
    #[error(
        "this build has no GPU support: use `cpu` or `auto`, or build with it by `cargo build --release --features vulkan`"
    )]
    NoGpuSupport,
    /// There is no device of the number that was asked for.
    #[error("there is no device `vulkan:{number}`, {found} found; `esrgan devices` lists them")]
    NoDevice {
        /// The number that was asked for.
        number: usize,
        /// How many there are.
        found: usize,
    },
    /// A GPU could not be opened.
    #[cfg(feature = "vulkan")]
    #[error(transparent)]
    Gpu(esrgan_gpu::GpuError),
    /// A picture could not be enlarged.
    #[error("{}: {source}", path.display())]
    Engine {
        /// The picture.
        path: PathBuf,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// Around the engine alone, more memory is needed than may be used.
    #[error(
        "{}: decoding it and holding the result takes {} of memory, but {} may be used; give more by `--memory`",
        path.display(), format_bytes(*needed_bytes), format_bytes(*budget_bytes)
    )]
    Memory {
        /// The picture.
        path: PathBuf,
        /// Bytes for everything but the network's feature maps.
        needed_bytes: u64,
        /// Bytes that may be used.
        budget_bytes: u64,
    },
    /// The model reads or gives channels that no picture has.
    #[error(
        "the model maps {in_channels} channels to {out_channels}: pictures go through models from 1 to 1, 1 to 3, 3 to 3 and 4 to 4"
    )]
    Channels {
        /// Channels that it reads.
        in_channels: usize,
        /// Channels that it gives.
        out_channels: usize,
    },
    /// An output size without pixels, or beyond what can be counted.
    #[error("{}: {width}x{height} pixels make no picture", path.display())]
    OutputSize {
        /// The picture.
        path: PathBuf,
        /// The width that was asked for.
        width: f64,
        /// The height that was asked for.
        height: f64,
    },
    /// The format is only read.
    #[error("{}: `{format}` is read but not written; name another by `--format`, such as `png`", path.display())]
    Format {
        /// The file that should be written.
        path: PathBuf,
        /// The format's extension.
        format: String,
    },
    /// An output's name says one format, the options another.
    #[error("{}: its name says another format than `{format}`, which was asked for", path.display())]
    Contradiction {
        /// The output.
        path: PathBuf,
        /// The format's extension.
        format: String,
    },
    /// Two inputs would be written to one file.
    #[error("{} and {} would both be written to {}", first.display(), second.display(), output.display())]
    Collision {
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Where both would go.
        output: PathBuf,
    },
    /// An output would replace an input.
    #[error("{} is an input and would be overwritten; name another output by `-o`", path.display())]
    Overwrite {
        /// The picture.
        path: PathBuf,
    },
    /// A file or folder could not be looked at.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing among the inputs is a picture.
    #[error("{} holds no picture{}", path.display(), if *has_folders { "; `--recursive` looks into the folders below" } else { "" })]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// Whether there are folders below it that were not looked into.
        has_folders: bool,
    },
}

/// The names of the models that are built in.
fn built_in_names() -> String {
    BUILT_IN_MODELS.map(|model| model.name).join(", ")
}

impl UpscaleError {
    pub(crate) fn engine(path: &Path) -> impl Fn(EngineError) -> Self {
        move |source| Self::Engine { path: path.to_owned(), source }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl Classify for UpscaleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Weights(source) => source.kind(),
            Self::Image(source) => source.kind(),
            Self::Start(source) | Self::Engine { source, .. } => source.kind(),
            #[cfg(feature = "vulkan")]
            Self::Gpu(source) => source.kind(),
            Self::Memory { .. } => Kind::Limit,
            Self::NoGpuSupport | Self::Channels { .. } | Self::Format { .. } => Kind::Unsupported,
            Self::Io { .. } => Kind::Io,
            Self::UnknownModel { .. }
            | Self::AmbiguousModel { .. }
            | Self::Strength { .. }
            | Self::NoDevice { .. }
            | Self::OutputSize { .. }
            | Self::Collision { .. }
            | Self::Contradiction { .. }
            | Self::Overwrite { .. }
            | Self::NoPictures { .. } => Kind::Argument,
        }
    }
}
