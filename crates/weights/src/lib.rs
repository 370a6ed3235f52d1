//! Untrusted checkpoints in, checked models out; and back to files.
//!
//! What lives here: the file formats, the ways in which networks name their tensors, and the types that the rest of the
//! workspace takes: a [`Model`] has every tensor that its [`ModelSpec`] names. What does not: any arithmetic on
//! pictures. The rooms and the data flow between them are drawn in `docs/architecture.md`.

pub(crate) mod graph;
pub(crate) mod ncnn;
pub(crate) mod onnx;

mod dtype;
mod error;
mod interpolate;
mod keys;
mod limits;
mod load;
mod map;
mod model;
mod pth;
mod safetensors;
mod save;
mod spec;
mod state;
mod stored;
mod tensor;
mod tensors;
mod text;

pub use dtype::DType;
pub use error::{TensorProblem, WeightsError};
pub use interpolate::interpolate;
pub use limits::Limits;
pub use load::{LoadOptions, load, load_bytes, load_tensors};
pub use map::WeightMap;
pub use model::{Format, KeyLayout, Model, Origin};
pub use save::{SaveOptions, save};
pub use spec::{Activation, Family, ModelSpec, SpecParts};
pub use tensor::Tensor;
pub use tensors::{save_tensors, tensors_from_bytes, tensors_to_bytes};
