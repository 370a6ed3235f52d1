//! Draws the graph of a checked model, for the writers.

use super::{COMPACT_SLOPE, ChannelOrder, Graph, Op, RESIDUAL_SCALE, RRDB_SLOPE, Site, ValueId, malformed};
use crate::{Activation, Family, ModelSpec, Tensor, WeightMap, WeightsError};

/// The canonical name of a dense block's convolution: RRDB from 0, dense block 0 to 2, convolution 1 to 5.
pub(crate) fn body_conv(rrdb: usize, dense: usize, conv: usize) -> String {
    format!("body.{rrdb}.rdb{}.conv{conv}", dense + 1)
}

/// The graph of a model; every node has a name of its own, made from the canonical names of the tensors. With `repeats_edge`
/// every 3x3 convolution reads its input with the edge repeated instead of zeros around it.
///
/// # Errors
/// Where the map lacks a tensor that the model has, which a checked model does not.
pub(crate) fn build(
    spec: &ModelSpec,
    weights: &WeightMap,
    repeats_edge: bool,
) -> Result<Graph, WeightsError> {
    let mut builder = Builder { graph: Graph::default(), weights, repeats_edge };
    let picture = builder.push("picture", Op::Picture);
    builder.graph.output = match spec.family() {
        Family::Rrdb | Family::EsrganPlus => builder.rrdb(spec, picture)?,
        Family::Compact => builder.compact(spec, picture)?,
    };
    Ok(builder.graph)
}

struct Builder<'a> {
    graph: Graph,
    weights: &'a WeightMap,
    repeats_edge: bool,
}

impl Builder<'_> {
    fn push(&mut self, name: &str, op: Op) -> ValueId {
        self.graph.push(Site { name: name.to_owned(), ..Site::default() }, op)
    }

    fn tensor(&self, layer: &str, leaf: &str) -> Result<Tensor, WeightsError> {
        let name = format!("{layer}.{leaf}");
        let tensor = self.weights.get(&name).cloned();
        tensor.ok_or_else(|| malformed("the model", format!("the tensor `{name}`"), "none".to_owned()))
    }

    fn convolve(&mut self, layer: &str, input: ValueId) -> Result<ValueId, WeightsError> {
        let (weight, bias) = (self.tensor(layer, "weight")?, Some(self.tensor(layer, "bias")?));
        let input = match self.repeats_edge {
            true => self.push(&format!("{layer}.edge"), Op::RepeatEdge { input }),
            false => input,
        };
        Ok(self.push(layer, Op::Convolve { input, weight, bias }))
    }

    fn activated(&mut self, layer: &str, input: ValueId) -> Result<ValueId, WeightsError> {
        let input = self.convolve(layer, input)?;
        Ok(self.push(&format!("{layer}.lrelu"), Op::LeakyRelu { input, slope: RRDB_SLOPE }))
    }

    fn rrdb(&mut self, spec: &ModelSpec, picture: ValueId) -> Result<ValueId, WeightsError> {
        let input = match spec.unshuffle() {
            1 => picture,
            factor => {
                let order = ChannelOrder::ChannelFirst;
                self.push("unshuffle", Op::Unshuffle { input: picture, factor, order })
            }
        };
        let first = self.convolve("conv_first", input)?;
        let mut stream = first;
        for rrdb in 0..spec.num_blocks() {
            let skip = stream;
            for dense in 0..3 {
                stream = self.dense_block(spec.family(), rrdb, dense, stream)?;
            }
            stream = self.residual(&format!("body.{rrdb}"), stream, skip);
        }
        let left = self.convolve("conv_body", stream)?;
        stream = self.push("trunk", Op::Add { left, right: first });
        for (index, &factor) in spec.upsampling().iter().enumerate() {
            let layer = format!("conv_up{}", index + 1);
            stream = self.push(&format!("enlarge{}", index + 1), Op::Enlarge { input: stream, factor });
            stream = self.activated(&layer, stream)?;
        }
        stream = self.activated("conv_hr", stream)?;
        self.convolve("conv_last", stream)
    }

    fn dense_block(
        &mut self,
        family: Family,
        rrdb: usize,
        dense: usize,
        input: ValueId,
    ) -> Result<ValueId, WeightsError> {
        let prefix = format!("body.{rrdb}.rdb{}", dense + 1);
        let bypass = match family {
            Family::EsrganPlus => {
                let layer = format!("{prefix}.conv1x1");
                let weight = self.tensor(&layer, "weight")?;
                Some(self.push(&layer, Op::Convolve { input, weight, bias: None }))
            }
            _ => None,
        };
        let mut joined = vec![input];
        for conv in 1..=4 {
            let source = self.concatenate(&format!("{prefix}.cat{conv}"), &joined);
            let mut feature = self.activated(&body_conv(rrdb, dense, conv), source)?;
            // ESRGAN+ adds conv1x1 of the input to feature 2, and the sum to feature 4.
            let addend = if conv == 4 { joined[2..].first().copied() } else { bypass };
            if let (Some(_), Some(right)) = (bypass.filter(|_| conv % 2 == 0), addend) {
                feature = self.push(&format!("{prefix}.add{conv}"), Op::Add { left: feature, right });
            }
            joined.push(feature);
        }
        let source = self.concatenate(&format!("{prefix}.cat5"), &joined);
        let branch = self.convolve(&body_conv(rrdb, dense, 5), source)?;
        Ok(self.residual(&prefix, branch, input))
    }

    fn concatenate(&mut self, name: &str, inputs: &[ValueId]) -> ValueId {
        match inputs {
            [single] => *single,
            _ => self.push(name, Op::Concatenate { inputs: inputs.to_vec() }),
        }
    }

    /// `RESIDUAL_SCALE * branch + base`.
    fn residual(&mut self, prefix: &str, branch: ValueId, base: ValueId) -> ValueId {
        let scale = Op::Scale { input: branch, factor: RESIDUAL_SCALE };
        let left = self.push(&format!("{prefix}.scale"), scale);
        self.push(&format!("{prefix}.sum"), Op::Add { left, right: base })
    }

    fn compact(&mut self, spec: &ModelSpec, picture: ValueId) -> Result<ValueId, WeightsError> {
        let mut stream = picture;
        for index in 0..=spec.num_blocks() {
            let input = self.convolve(&format!("body.{}", 2 * index), stream)?;
            let layer = format!("body.{}", 2 * index + 1);
            let op = match spec.activation() {
                Activation::PRelu => Op::PRelu { input, slopes: self.tensor(&layer, "weight")? },
                Activation::LeakyRelu => Op::LeakyRelu { input, slope: COMPACT_SLOPE },
            };
            stream = self.push(&layer, op);
        }
        let mut left = self.convolve(&format!("body.{}", 2 * spec.num_blocks() + 2), stream)?;
        let mut right = picture;
        let factor = spec.scale();
        if factor > 1 {
            left = self.push("shuffle", Op::Shuffle { input: left, factor });
            right = self.push("enlarge", Op::Enlarge { input: picture, factor });
        }
        Ok(self.push("sum", Op::Add { left, right }))
    }
}
