//! A model: what it is, its weights, and where they came from.

use std::path::PathBuf;

use esrgan_core::Notice;

use crate::dtype::DType;
use crate::error::{TensorProblem, WeightsError};
use crate::map::WeightMap;
use crate::spec::{Family, ModelSpec};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// PyTorch's checkpoint, a zip archive or (before version 1.6) a sequence of pickles.
    Pth,
    /// safetensors.
    Safetensors,
    /// ncnn's pair of `.param` and `.bin`.
    Ncnn,
    /// ONNX.
    Onnx,
}

impl Format {
    /// Its name: `pth`, `safetensors`, `ncnn`, `onnx`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pth => "pth",
            Self::Safetensors => "safetensors",
            Self::Ncnn => "ncnn",
            Self::Onnx => "onnx",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How a file names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyLayout {
    /// BasicSR and Real-ESRGAN: `body.0.rdb1.conv1.weight`.
    BasicSr,
    /// The ESRGAN of 2019, BSRGAN, RealSR: `RRDB_trunk.0.RDB1.conv1.weight`.
    RrdbTrunk,
    /// The ESRGAN of 2018: `model.1.sub.0.RDB1.conv1.0.weight`.
    Old,
    /// SRVGGNetCompact: `body.0.weight`.
    Compact,
    /// An ncnn graph, whose tensors have no names.
    Ncnn,
    /// An ONNX graph, whose tensors have any names.
    Onnx,
}

impl KeyLayout {
    /// Its name: `basicsr`, `trunk`, `old`, `compact`, `ncnn`, `onnx`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BasicSr => "basicsr",
            Self::RrdbTrunk => "trunk",
            Self::Old => "old",
            Self::Compact => "compact",
            Self::Ncnn => "ncnn",
            Self::Onnx => "onnx",
        }
    }
}

impl std::fmt::Display for KeyLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a model's weights came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file; `None` for a model made in memory.
    pub path: Option<PathBuf>,
    /// Its kind.
    pub format: Format,
    /// How it names its tensors.
    pub key_layout: KeyLayout,
    /// The type of its convolutions' weights.
    pub dtype: DType,
    /// Elements of all tensors.
    pub parameters: u64,
    /// The file's SHA-256 in hexadecimal digits (of ncnn's pair, the `.bin`'s); empty for a model made in memory, and
    /// where `LoadOptions` asked for none.
    pub sha256: String,
    /// What the user should know about the reading.
    pub notices: Vec<Notice>,
    /// Whether the file would be the same for x2 and x3.
    pub scale_is_ambiguous: bool,
    /// Whether it is known to have been trained with the edge pixel repeated beyond the edge, where networks usually see zeros.
    pub repeats_edge: bool,
}

/// A model: what it is, its weights, and where they came from.
///
/// A value of this type made by [`Model::new`] has every tensor that its specification names, each of its exact shape.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub spec: ModelSpec,
    /// Its tensors under canonical names, in the specification's order.
    pub weights: WeightMap,
    /// Where they came from.
    pub origin: Origin,
}

impl Model {
    /// A model made in memory, its tensors in the specification's order; its type is that of the first.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn in_memory(spec: ModelSpec, weights: WeightMap) -> Result<Self, WeightsError> {
        let is_compact = spec.family() == Family::Compact;
        let origin = Origin {
            path: None,
            format: Format::Safetensors,
            key_layout: if is_compact { KeyLayout::Compact } else { KeyLayout::BasicSr },
            dtype: weights.iter().next().map_or(DType::F32, |(_, tensor)| tensor.dtype),
            parameters: 0,
            sha256: String::new(),
            notices: Vec::new(),
            scale_is_ambiguous: false,
            repeats_edge: false,
        };
        Self::new(spec, weights, origin)
    }

    /// Puts a model together, its tensors in the specification's order; sets the origin's number of parameters.
    ///
    /// # Errors
    /// [`WeightsError::Tensors`] where a tensor is missing, has another shape, or belongs to no such network.
    pub fn new(spec: ModelSpec, weights: WeightMap, mut origin: Origin) -> Result<Self, WeightsError> {
        let expected = spec.tensors();
        let mut problems = Vec::new();
        let mut ordered = WeightMap::new();
        for (name, shape) in &expected {
            match weights.get(name) {
                None => problems.push(TensorProblem::Missing { key: name.clone(), shape: shape.clone() }),
                Some(tensor) if tensor.shape != *shape => problems.push(TensorProblem::Shape {
                    key: name.clone(),
                    expected: shape.clone(),
                    found: tensor.shape.clone(),
                }),
                Some(tensor) => {
                    ordered.insert(name.clone(), tensor.clone());
                }
            }
        }
        let foreign = weights.iter().map(|(name, _)| name).filter(|name| ordered.get(name).is_none());
        let foreign = foreign.filter(|name| !problems.iter().any(|problem| problem.key() == *name));
        let foreign: Vec<_> =
            foreign.map(|name| TensorProblem::Unexpected { key: name.to_owned() }).collect();
        problems.extend(foreign);
        if !problems.is_empty() {
            return Err(WeightsError::Tensors { nearest: origin.key_layout, problems });
        }
        origin.parameters = ordered.iter().map(|(_, tensor)| tensor.num_elements() as u64).sum();
        Ok(Self { spec, weights: ordered, origin })
    }
}
