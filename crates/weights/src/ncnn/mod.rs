//! ncnn's model files: a text that draws the graph (`.param`), and the weights in its order (`.bin`).
//!
//! What lives here: both files' syntax, and the layers that RRDB, ESRGAN+ and compact networks are made of. What does
//! not: how the graph is recognised (`graph`). The format: <https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure>.

mod bin;
mod emit;
mod lower;
mod param;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::graph::{Recognised, build, recognise};
use crate::{ModelSpec, WeightMap, WeightsError};

pub(crate) use emit::NcnnFiles;

/// Reads a network from the bytes of its two files, of which tensors share the second. They keep their types: f16 or f32
/// weights, f32 biases.
///
/// # Errors
/// Where a file is not what its format says, or the graph is of another family; the message names the first such layer.
pub(crate) fn read(param: &[u8], bin: &Arc<Vec<u8>>) -> Result<Recognised, WeightsError> {
    let layers = param::parse(param)?;
    let mut reader = bin::BinReader::new(bin);
    let graph = lower::lower(&layers, &mut reader)?;
    let network = recognise(&graph)?;
    reader.finish()?;
    Ok(network)
}

/// Writes a checked model. Weights of f16 stay f16, all others and every bias become f32.
///
/// # Errors
/// Where a tensor of the model is missing, which a checked model's is not.
pub(crate) fn write(
    spec: &ModelSpec,
    weights: &WeightMap,
    repeats_edge: bool,
) -> Result<NcnnFiles, WeightsError> {
    Ok(emit::emit(&build(spec, weights, repeats_edge)?))
}
