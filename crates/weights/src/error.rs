//! What can go wrong between a file and a checked model, and back.

use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};

use crate::dtype::DType;
use crate::model::KeyLayout;
use crate::text::shown;

/// Problems with tensors that a message lists; the rest is counted.
const LISTED_PROBLEMS: usize = 5;

/// What can go wrong between a file and a checked model, and back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Something is wrong with a file; `problem` says what.
    #[error("`{}`: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<WeightsError>,
    },
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No format that is known.
    #[error("not a model file: expected .pth, .safetensors, ncnn or ONNX content, found {found}")]
    UnknownFormat {
        /// What the file begins with.
        found: String,
    },
    /// Bytes that are not what their format says.
    #[error("{item}: expected {expected}, found {found}")]
    Malformed {
        /// The part of the file, with its place.
        item: String,
        /// What the format asks for.
        expected: String,
        /// What there is.
        found: String,
    },
    /// A pickle names something that is neither a tensor nor a plain container. Nothing was run.
    #[error(
        "the pickle asks for `{global}` at byte {offset} of the file, which no weights need: refused, nothing was run"
    )]
    ForbiddenGlobal {
        /// The thing's full name, such as `posix.system`.
        global: String,
        /// Where in the file it is named.
        offset: u64,
    },
    /// A pickle has an instruction that no weights need. Nothing was run.
    #[error(
        "the pickle has the instruction {opcode} at byte {offset} of the file, which no weights need: refused, nothing was run"
    )]
    ForbiddenOpcode {
        /// The instruction's name, or its number where it has none.
        opcode: String,
        /// Where in the file it stands.
        offset: u64,
    },
    /// More of something than the limits allow.
    #[error("{item}: {found}, more than the limit of {limit}")]
    Limit {
        /// What there is too much of, with its unit.
        item: String,
        /// The most that is allowed.
        limit: u64,
        /// What the file declares.
        found: u64,
    },
    /// A layer of a graph that belongs to no network of a known family.
    #[error("the layer {layer} belongs to no network that can be read: expected {expected}")]
    ForeignLayer {
        /// The first such layer: type, name, place.
        layer: String,
        /// What could have stood there.
        expected: String,
    },
    /// A tensor of an element type that weights are not made of.
    #[error("the tensor `{tensor}` has elements of type {found}: expected f32, f16, bf16 or f64")]
    ElementType {
        /// The tensor's key in the file.
        tensor: String,
        /// The type as the format calls it.
        found: String,
    },
    /// Tensors that are not those of a network of a known family.
    #[error("not a network that can be read; nearest is the layout {nearest}: {}", list(problems))]
    Tensors {
        /// The layout with the fewest problems.
        nearest: KeyLayout,
        /// What is wrong, in the order of the network.
        problems: Vec<TensorProblem>,
    },
    /// A network that contradicts itself, or is larger than any that can be run.
    #[error("{field}: expected {expected}, found {found}")]
    Spec {
        /// The part of the specification.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A scale was named that the file's network cannot have.
    #[error("scale {requested} was asked for, but the model's tensors make it x{found}")]
    Scale {
        /// The scale that was named.
        requested: usize,
        /// The scale that the tensors make.
        found: usize,
    },
    /// Two models that cannot be mixed.
    #[error("the models cannot be mixed: {what} is {first} in the first and {second} in the second")]
    Incompatible {
        /// The first thing in which they differ.
        what: &'static str,
        /// Its value in the first.
        first: String,
        /// Its value in the second.
        second: String,
    },
    /// A value that an argument cannot have.
    #[error("{argument}: expected {expected}, found {found}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A value that becomes infinite in the type asked for.
    #[error("element {index} of the tensor `{tensor}`, {value:e}, is beyond the range of {dtype}")]
    Overflow {
        /// The tensor's canonical name.
        tensor: String,
        /// The element's place in C order.
        index: usize,
        /// Its value.
        value: f64,
        /// The type asked for.
        dtype: DType,
    },
    /// Memory that the system does not have.
    #[error("not enough memory for {item}: {bytes} bytes")]
    OutOfMemory {
        /// What it is for.
        item: String,
        /// How much.
        bytes: u64,
    },
}

/// A tensor that a network should have and a file has not, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The file lacks it.
    Missing {
        /// Its name in the file's layout.
        key: String,
        /// The shape that it should have; empty where that follows from other missing tensors.
        shape: Vec<usize>,
    },
    /// It has another shape than the rest of the network asks for.
    Shape {
        /// Its name in the file's layout.
        key: String,
        /// The shape that it should have.
        expected: Vec<usize>,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// It has another number of dimensions than its kind of layer.
    Rank {
        /// Its name in the file's layout.
        key: String,
        /// The number of dimensions that it should have.
        expected: usize,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// The network has no such tensor.
    Unexpected {
        /// Its name in the file.
        key: String,
    },
}

impl TensorProblem {
    /// The tensor's name in the file's layout.
    pub fn key(&self) -> &str {
        match self {
            Self::Missing { key, .. }
            | Self::Shape { key, .. }
            | Self::Rank { key, .. }
            | Self::Unexpected { key } => key,
        }
    }
}

impl std::fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = shown(self.key());
        match self {
            Self::Missing { shape, .. } if shape.is_empty() => write!(f, "`{key}` is missing"),
            Self::Missing { shape, .. } => write!(f, "`{key}` {shape:?} is missing"),
            Self::Shape { expected, found, .. } => write!(f, "`{key}` is {found:?} instead of {expected:?}"),
            Self::Rank { expected, found, .. } => {
                write!(f, "`{key}` is {found:?} instead of {expected}-dimensional")
            }
            Self::Unexpected { .. } => write!(f, "`{key}` belongs to no such network"),
        }
    }
}

fn list(problems: &[TensorProblem]) -> String {
    let listed: Vec<String> = problems.iter().take(LISTED_PROBLEMS).map(ToString::to_string).collect();
    match problems.len().saturating_sub(LISTED_PROBLEMS) {
        0 => listed.join(", "),
        more => format!("{}, and {more} more", listed.join(", ")),
    }
}

impl WeightsError {
    /// The same error with the file's name; errors that name a file already are kept.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::File { .. } | Self::Io { .. } => self,
            problem => Self::File { path: path.to_owned(), problem: Box::new(problem) },
        }
    }

    /// What went wrong, without the file's name.
    pub fn problem(&self) -> &Self {
        match self {
            Self::File { problem, .. } => problem.problem(),
            other => other,
        }
    }
}

impl Classify for WeightsError {
    fn kind(&self) -> Kind {
        match self {
            Self::File { problem, .. } => problem.kind(),
            Self::Io { .. } => Kind::Io,
            Self::Malformed { .. } => Kind::Malformed,
            Self::UnknownFormat { .. }
            | Self::ForbiddenGlobal { .. }
            | Self::ForbiddenOpcode { .. }
            | Self::ForeignLayer { .. }
            | Self::ElementType { .. }
            | Self::Tensors { .. }
            | Self::Spec { .. } => Kind::Unsupported,
            Self::Limit { .. } | Self::OutOfMemory { .. } => Kind::Limit,
            Self::Scale { .. }
            | Self::Incompatible { .. }
            | Self::Argument { .. }
            | Self::Overflow { .. } => Kind::Argument,
        }
    }
}
