//! Turns an ONNX graph into the graph that the recogniser reads.
//!
//! Shapes are followed for one picture of a concrete size: what the file declares, or sides that every factor divides.
//! Constants and arithmetic on shapes are carried out; what remains are the operations on feature maps.

mod features;
mod values;

use std::collections::HashMap;

use super::arithmetic::product;
use super::layout::{Layout, Rearrangement};
use super::proto;
use super::shorten;
use super::tensor::{Numbers, require_inline, to_numbers, to_weights};
use crate::graph::{Graph, Op, Site, ValueId, foreign, malformed};
use crate::{Tensor, WeightsError};

/// Height and width of the picture that shapes are followed for, where the file leaves them open.
const PROBE_SIZE: [usize; 2] = [96, 160];

/// The graph that the nodes draw.
///
/// # Errors
/// An error that names the first node that no RRDB or compact network has.
pub(super) fn lower(graph: &proto::Graph<'_>) -> Result<Graph, WeightsError> {
    if graph.has_sparse_initializers {
        return Err(foreign(&named_site("sparse initializer", ""), "dense weights"));
    }
    let mut lowering = Lowering::default();
    for tensor in &graph.initializers {
        require_inline(tensor)?;
        let constant = Constant { tensor, dims: dims(tensor)? };
        lowering.define(tensor.name, Binding::Constant(constant), "the initializers")?;
    }
    lowering.picture(graph)?;
    for (index, node) in graph.nodes.iter().enumerate() {
        let site = Site {
            kind: shorten(&qualified(node)),
            name: shorten(node.name),
            place: format!("node {index}"),
        };
        let step = Step { site, node };
        let result = lowering.node(&step)?;
        lowering.define(step.output()?, result, &format!("the outputs of {}", step.site))?;
    }
    lowering.finish(graph)
}

/// A node, and where it stands.
struct Step<'g, 'a> {
    site: Site,
    node: &'g proto::Node<'a>,
}

impl<'a> Step<'_, 'a> {
    fn foreign(&self, expected: &str) -> WeightsError {
        foreign(&self.site, expected)
    }

    fn require(&self, is_met: bool, expected: &str) -> Result<(), WeightsError> {
        match is_met {
            true => Ok(()),
            false => Err(self.foreign(expected)),
        }
    }

    fn output(&self) -> Result<&'a str, WeightsError> {
        match self.node.outputs[..] {
            [output] => Ok(output),
            _ => Err(self.foreign("one output")),
        }
    }

    fn attribute(&self, name: &str) -> Option<&proto::Attribute<'a>> {
        self.node.attributes.iter().find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.int).unwrap_or(default)
    }

    fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    fn text(&self, name: &str) -> Option<&'a [u8]> {
        self.attribute(name).and_then(|attribute| attribute.text)
    }

    /// Input `index`, unless it is left out.
    fn input(&self, index: usize) -> Option<&'a str> {
        self.node.inputs.get(index).copied().filter(|name| !name.is_empty())
    }
}

/// A tensor of the file, perhaps with its axes of length 1 moved.
#[derive(Clone, Debug)]
struct Constant<'g, 'a> {
    tensor: &'g proto::Tensor<'a>,
    dims: Vec<usize>,
}

/// A feature map: a value of the graph, perhaps rearranged since.
#[derive(Clone, Debug)]
struct Feature {
    value: ValueId,
    layout: Layout,
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Binding<'g, 'a> {
    Feature(Feature),
    Constant(Constant<'g, 'a>),
    Numbers(Numbers),
}

#[derive(Default)]
struct Lowering<'g, 'a> {
    graph: Graph,
    /// `[N, C, H, W]` of each value of the graph.
    shapes: Vec<[usize; 4]>,
    bindings: HashMap<&'a str, Binding<'g, 'a>>,
    /// Weights that were read already, by their place in memory: several nodes may share a tensor.
    weights: HashMap<(*const proto::Tensor<'a>, Vec<usize>), Tensor>,
}

impl<'g, 'a> Lowering<'g, 'a> {
    fn define(&mut self, name: &'a str, binding: Binding<'g, 'a>, item: &str) -> Result<(), WeightsError> {
        match self.bindings.insert(name, binding) {
            None => Ok(()),
            Some(_) => {
                Err(malformed(item, "a value of a new name", format!("`{}` once more", shorten(name))))
            }
        }
    }

    /// Makes the graph's one input that is no initializer the picture.
    fn picture(&mut self, graph: &proto::Graph<'a>) -> Result<(), WeightsError> {
        let is_initializer = |port: &&proto::Port<'a>| self.bindings.contains_key(port.name);
        let mut inputs = graph.inputs.iter().filter(|port| !is_initializer(port));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(foreign(&named_site("graph", ""), "one input, the picture"));
        };
        let site = named_site("input", input.name);
        let shape = picture_shape(&input.dims).ok_or_else(|| {
            foreign(&site, "a shape of batch, channels, height and width, the channels being a number")
        })?;
        let value = self.push(&site, Op::Picture, shape)?;
        let layout = Layout::plain(shape);
        self.define(input.name, Binding::Feature(Feature { value, layout }), "the inputs")
    }

    fn push(&mut self, site: &Site, op: Op, shape: [usize; 4]) -> Result<ValueId, WeightsError> {
        if product(&shape).is_none_or(|elements| elements == 0) {
            return Err(foreign(site, "feature maps of a possible size"));
        }
        self.shapes.push(shape);
        Ok(self.graph.push(site.clone(), op))
    }

    /// What a node makes.
    fn node(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        match step.node.op_type {
            _ if !matches!(step.node.domain, "" | "ai.onnx") => {}
            "Constant" => return self.constant(step),
            "Identity" | "Cast" => return self.cast(step),
            "Shape" => return self.shape(step),
            "Gather" | "Slice" | "Floor" | "Sub" | "Div" => return self.arithmetic(step),
            "Reshape" | "Unsqueeze" | "Squeeze" | "Transpose" => return self.rearrange(step),
            "Concat" => return self.concat(step),
            "Add" | "Mul" => return self.sum_or_product(step),
            "Conv" => return self.conv(step),
            "Pad" => return self.pad(step),
            "LeakyRelu" => return self.leaky_relu(step),
            "PRelu" => return self.prelu(step),
            "Resize" | "Upsample" => return self.resize(step),
            "DepthToSpace" => return self.depth_to_space(step),
            "SpaceToDepth" => return self.space_to_depth(step),
            _ => {}
        }
        Err(step.foreign("an operation that RRDB and compact networks have"))
    }

    fn binding(&self, step: &Step<'_, 'a>, index: usize) -> Result<&Binding<'g, 'a>, WeightsError> {
        let name = step.input(index).ok_or_else(|| {
            malformed(&step.site.to_string(), format!("an input {index}"), "none".to_owned())
        })?;
        self.bindings.get(name).ok_or_else(|| {
            malformed(
                &format!("input {index} of {}", step.site),
                "a value that an earlier node makes",
                format!("`{}`", shorten(name)),
            )
        })
    }

    /// Input `index` as a feature map, with a rearrangement that came before made into a node.
    fn feature(&mut self, step: &Step<'_, 'a>, index: usize) -> Result<ValueId, WeightsError> {
        let Binding::Feature(Feature { value, layout }) = self.binding(step, index)?.clone() else {
            return Err(step.foreign("feature maps, not constants, as its input"));
        };
        let shape = self.shapes[value];
        let rearrangement = layout.rearrangement(shape);
        let (Some(rearrangement), Some(new_shape)) =
            (rearrangement, rearrangement.and_then(|rearrangement| rearrangement.shape(shape)))
        else {
            return Err(step.foreign("an input rearranged as pixel shuffle or unshuffle do, or not at all"));
        };
        let input = value;
        match rearrangement {
            Rearrangement::None => Ok(value),
            Rearrangement::Unshuffle { factor, order } => {
                self.push(&step.site, Op::Unshuffle { input, factor, order }, new_shape)
            }
            Rearrangement::Shuffle { factor } => {
                self.push(&step.site, Op::Shuffle { input, factor }, new_shape)
            }
        }
    }

    /// Input `index` as a few numbers; `None` where it is something else.
    fn numbers(&self, step: &Step<'_, 'a>, index: usize) -> Result<Option<Numbers>, WeightsError> {
        match self.binding(step, index)? {
            Binding::Numbers(numbers) => Ok(Some(numbers.clone())),
            Binding::Constant(constant) => {
                let numbers = to_numbers(constant.tensor)?;
                Ok(numbers.map(|numbers| Numbers { is_scalar: constant.dims.is_empty(), ..numbers }))
            }
            Binding::Feature(_) => Ok(None),
        }
    }

    /// Input `index` as numbers; anything else is foreign.
    fn known_numbers(&self, step: &Step<'_, 'a>, index: usize) -> Result<Numbers, WeightsError> {
        self.numbers(step, index)?
            .ok_or_else(|| step.foreign("constants or arithmetic on shapes as its inputs"))
    }

    /// Input `index` as weights, in the shape that `dims` makes of theirs.
    fn weights(
        &mut self,
        step: &Step<'_, 'a>,
        index: usize,
        dims: impl Fn(&[usize]) -> Option<Vec<usize>>,
    ) -> Result<Tensor, WeightsError> {
        let Binding::Constant(constant) = self.binding(step, index)?.clone() else {
            return Err(step.foreign("weights that are constants of the file"));
        };
        let dims =
            dims(&constant.dims).ok_or_else(|| step.foreign("weights of the shape that a 2-D layer has"))?;
        let key = (std::ptr::from_ref(constant.tensor), dims);
        if let Some(known) = self.weights.get(&key) {
            return Ok(known.clone());
        }
        let weights = to_weights(constant.tensor, &key.1)?;
        self.weights.insert(key, weights.clone());
        Ok(weights)
    }

    fn finish(mut self, graph: &proto::Graph<'a>) -> Result<Graph, WeightsError> {
        let [output] = &graph.outputs[..] else {
            return Err(foreign(&named_site("graph", ""), "one output"));
        };
        let node = proto::Node { inputs: vec![output.name], ..proto::Node::default() };
        let site = named_site("output", output.name);
        self.graph.output = self.feature(&Step { site, node: &node }, 0)?;
        Ok(self.graph)
    }
}

/// The shape that is followed for an input of these declared dimensions.
fn picture_shape(dims: &[Option<i64>]) -> Option<[usize; 4]> {
    let declared = |dim: Option<i64>| dim.and_then(|dim| usize::try_from(dim).ok()).filter(|&dim| dim > 0);
    let [batch, channels, height, width] = *dims else {
        return None;
    };
    let [probe_height, probe_width] = PROBE_SIZE;
    Some([
        declared(batch).unwrap_or(1),
        declared(channels)?,
        declared(height).unwrap_or(probe_height),
        declared(width).unwrap_or(probe_width),
    ])
}

/// A part of the graph that is no node.
fn named_site(kind: &str, name: &str) -> Site {
    Site { kind: kind.to_owned(), name: shorten(name), place: String::new() }
}

/// The operation with its domain, where that is not ONNX's own.
fn qualified(node: &proto::Node<'_>) -> String {
    match node.domain {
        "" | "ai.onnx" => node.op_type.to_owned(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

fn dims(tensor: &proto::Tensor<'_>) -> Result<Vec<usize>, WeightsError> {
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    dims.filter(|dims| dims.len() <= 8).ok_or_else(|| {
        malformed(
            &format!("the initializer `{}`", shorten(tensor.name)),
            "at most 8 dimensions of 0 or more",
            format!("{:?}", &tensor.dims[..tensor.dims.len().min(9)]),
        )
    })
}
