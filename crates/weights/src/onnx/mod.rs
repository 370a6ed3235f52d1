//! ONNX models: a protocol buffers file with a graph of operations and its weights.
//!
//! What lives here: the file's encoding, constants, the arithmetic on shapes that exporters leave behind, and the
//! operations that RRDB, ESRGAN+ and compact networks are made of. What does not: how the graph is recognised (`graph`).
//! The operations: <https://onnx.ai/onnx/operators/>.

mod arithmetic;
mod emit;
mod layout;
mod lower;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use crate::graph::{Recognised, build, malformed, recognise};
use crate::{ModelSpec, WeightMap, WeightsError};

/// Reads a network from the bytes of an `.onnx` file. Tensors keep their types.
///
/// # Errors
/// Where the bytes are no ONNX model, or the graph is of another family; the message names the first such node.
pub(crate) fn read(bytes: &[u8]) -> Result<Recognised, WeightsError> {
    let graph = proto::parse_model(bytes)?
        .ok_or_else(|| malformed("the ONNX model", "a graph", "none".to_owned()))?;
    recognise(&lower::lower(&graph)?)
}

/// Writes a checked model for any batch, height and width: input `input`, output `output`, f32. Weights keep their types.
/// With `repeats_edge` a `Pad` is before every 3x3 convolution, so that every engine sees the edge as the network did in training.
///
/// # Errors
/// Where a tensor of the model is missing, which a checked model's is not.
pub(crate) fn write(
    spec: &ModelSpec,
    weights: &WeightMap,
    repeats_edge: bool,
) -> Result<Vec<u8>, WeightsError> {
    Ok(emit::emit(spec, &build(spec, weights, repeats_edge)?))
}

/// As much of a hostile name as fits an error message.
fn shorten(text: &str) -> String {
    text.chars().take(120).filter(|c| !c.is_control()).collect()
}
