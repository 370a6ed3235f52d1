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
mod limits;
mod map;
mod model;
mod spec;
mod tensor;

pub use dtype::DType;
pub use error::{TensorProblem, WeightsError};
pub use limits::Limits;
pub use map::WeightMap;
pub use model::{Format, KeyLayout, Model, Origin};
pub use spec::{Activation, Family, ModelSpec, SpecParts};
pub use tensor::Tensor;
