//! The small graph that ncnn and ONNX files are read into and written from.
//!
//! What lives here: the operations that RRDB, ESRGAN+ and compact networks are made of, the recogniser that follows a
//! graph's wiring and names its weights, and the builder that draws the graph of a checked model. What does not: either
//! file format. A graph is in execution order: a node's inputs come before it, so it cannot have cycles.

mod build;
mod recognise;
mod refusal;
#[cfg(test)]
pub(crate) mod samples;

use std::fmt;

use crate::Tensor;

pub(crate) use build::{body_conv, build};
pub(crate) use recognise::{Recognised, recognise};
pub(crate) use refusal::{foreign, limit, malformed};

/// A node's place in [`Graph::nodes`], which also names the value it makes.
pub(crate) type ValueId = usize;

/// Where a node came from, for error messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    /// The type as the file's format calls it, such as `Convolution`.
    pub kind: String,
    /// The node's own name, which may be empty.
    pub name: String,
    /// Where it stands, such as `line 12`.
    pub place: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.name.is_empty() {
            write!(f, " `{}`", self.name)?;
        }
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        Ok(())
    }
}

/// In which order pixel-unshuffle lays out its output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelOrder {
    /// `channel * factor² + position`, as PyTorch does.
    ChannelFirst,
    /// `position * channels + channel`, as ONNX's SpaceToDepth does.
    PositionFirst,
}

/// One operation. Feature maps are `[C, H, W]`; convolutions have stride 1 and keep the size, by zeros around their input or by
/// the ring that it has already.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The network's input.
    Picture,
    /// A convolution with weights `[out, in, k, k]`, k = 1 or 3, and perhaps a bias `[out]`.
    Convolve { input: ValueId, weight: Tensor, bias: Option<Tensor> },
    /// A ring of one pixel around the input, the nearest pixel repeated: `[C, H + 2, W + 2]`. Only 3x3 convolutions read it.
    RepeatEdge { input: ValueId },
    /// `max(x, 0) + slope * min(x, 0)`.
    LeakyRelu { input: ValueId, slope: f32 },
    /// The same with one learned slope per channel.
    PRelu { input: ValueId, slopes: Tensor },
    /// Channels one after the other.
    Concatenate { inputs: Vec<ValueId> },
    /// `left + right`.
    Add { left: ValueId, right: ValueId },
    /// `factor * input`.
    Scale { input: ValueId, factor: f32 },
    /// Every pixel repeated to `factor` by `factor`.
    Enlarge { input: ValueId, factor: usize },
    /// `[C, H, W]` to `[C * factor², H / factor, W / factor]`.
    Unshuffle { input: ValueId, factor: usize, order: ChannelOrder },
    /// `[C * factor², H, W]` to `[C, H * factor, W * factor]`, channels in PyTorch's order.
    Shuffle { input: ValueId, factor: usize },
}

/// An operation and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub site: Site,
    pub op: Op,
}

/// Operations in execution order; the last value made need not be the output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    pub output: ValueId,
}

impl Graph {
    /// Adds a node and returns the value it makes.
    pub fn push(&mut self, site: Site, op: Op) -> ValueId {
        self.nodes.push(Node { site, op });
        self.nodes.len() - 1
    }

    /// How many pixels of zeros a convolution needs at each side to keep the size of its input.
    pub fn zero_padding(&self, input: ValueId, kernel: usize) -> usize {
        match self.nodes[input].op {
            Op::RepeatEdge { .. } => 0,
            _ => kernel / 2,
        }
    }

    /// The values that an operation reads, in order.
    pub fn inputs(op: &Op) -> Vec<ValueId> {
        match op {
            Op::Picture => vec![],
            Op::Concatenate { inputs } => inputs.clone(),
            Op::Add { left, right } => vec![*left, *right],
            Op::Convolve { input, .. }
            | Op::RepeatEdge { input }
            | Op::LeakyRelu { input, .. }
            | Op::PRelu { input, .. }
            | Op::Scale { input, .. }
            | Op::Enlarge { input, .. }
            | Op::Unshuffle { input, .. }
            | Op::Shuffle { input, .. } => vec![*input],
        }
    }
}

/// The factor on each residual branch of an RRDB (ESRGAN paper, section 3.1).
pub(crate) const RESIDUAL_SCALE: f32 = 0.2;
/// LeakyReLU's slope in RRDB networks.
pub(crate) const RRDB_SLOPE: f32 = 0.2;
/// LeakyReLU's slope in compact networks that use it.
pub(crate) const COMPACT_SLOPE: f32 = 0.1;

/// Whether `found` is `nominal` as f32, bf16 or f16 hold it.
///
/// Files of half precision keep their constants in half precision; anything further off is another network.
pub(crate) fn is_nominal(found: f32, nominal: f32) -> bool {
    let bits = nominal.to_bits();
    // bf16 keeps the upper 16 bits, f16 ten bits of mantissa: round to nearest (0.1 and 0.2 are no ties).
    let rounded_to = |dropped: u32| f32::from_bits(((bits + (1 << (dropped - 1))) >> dropped) << dropped);
    let text_error = nominal * 4.0 * f32::EPSILON;
    (found - nominal).abs() <= text_error || found == rounded_to(16) || found == rounded_to(13)
}
