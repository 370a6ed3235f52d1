//! The messages of `onnx.proto` that networks need, as views into the file's bytes.
//!
//! Field numbers: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use super::wire::{Fields, ItemBudget, Value};
use crate::WeightsError;
use crate::graph::malformed;

/// A `GraphProto`.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    pub has_sparse_initializers: bool,
    pub inputs: Vec<Port<'a>>,
    pub outputs: Vec<Port<'a>>,
}

/// A `NodeProto`.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub name: &'a str,
    pub op_type: &'a str,
    pub domain: &'a str,
    pub attributes: Vec<Attribute<'a>>,
}

/// An `AttributeProto`.
#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    pub name: &'a str,
    pub float: Option<f32>,
    pub int: Option<i64>,
    pub text: Option<&'a [u8]>,
    pub tensor: Option<Tensor<'a>>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
}

/// A `TensorProto`, its data still as the file has it.
#[derive(Debug, Default)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub dims: Vec<i64>,
    pub data_type: i64,
    pub raw: Option<&'a [u8]>,
    pub floats: Vec<Value<'a>>,
    pub int32s: Vec<Value<'a>>,
    pub int64s: Vec<Value<'a>>,
    pub is_external: bool,
}

/// A `ValueInfoProto` of a tensor; a dimension without a number is `None`.
#[derive(Debug, Default)]
pub(super) struct Port<'a> {
    pub name: &'a str,
    pub dims: Vec<Option<i64>>,
}

/// Reads a `ModelProto` as far as its graph. The version of the operations does not matter: where versions differ, the
/// nodes show by their inputs which one they are of.
///
/// # Errors
/// Where the bytes are no such message, or hold more items than any network needs.
pub(super) fn parse_model(bytes: &[u8]) -> Result<Option<Graph<'_>>, WeightsError> {
    let mut budget = ItemBudget::new();
    let mut graph = None;
    for field in Fields::new(bytes, "the ONNX model") {
        if let (7, value) = field? {
            graph = Some(parse_graph(value.bytes("the graph")?, &mut budget)?);
        }
    }
    Ok(graph)
}

fn parse_graph<'a>(bytes: &'a [u8], budget: &mut ItemBudget) -> Result<Graph<'a>, WeightsError> {
    let mut graph = Graph::default();
    for field in Fields::new(bytes, "the graph") {
        let (number, value) = field?;
        match number {
            1 => graph.nodes.push(parse_node(value.bytes("a node")?, budget)?),
            5 => graph.initializers.push(parse_tensor(value.bytes("an initializer")?, budget)?),
            11 => graph.inputs.push(parse_port(value.bytes("a graph input")?, budget)?),
            12 => graph.outputs.push(parse_port(value.bytes("a graph output")?, budget)?),
            15 => graph.has_sparse_initializers = true,
            _ => {}
        }
    }
    Ok(graph)
}

fn parse_node<'a>(bytes: &'a [u8], budget: &mut ItemBudget) -> Result<Node<'a>, WeightsError> {
    budget.take()?;
    let mut node = Node::default();
    for field in Fields::new(bytes, "a node") {
        let (number, value) = field?;
        match number {
            1 | 2 => {
                budget.take()?;
                let name = value.text("a node's input or output")?;
                if number == 1 { node.inputs.push(name) } else { node.outputs.push(name) }
            }
            3 => node.name = value.text("a node's name")?,
            4 => node.op_type = value.text("a node's op_type")?,
            5 => node.attributes.push(parse_attribute(value.bytes("an attribute")?, budget)?),
            7 => node.domain = value.text("a node's domain")?,
            _ => {}
        }
    }
    Ok(node)
}

fn parse_attribute<'a>(bytes: &'a [u8], budget: &mut ItemBudget) -> Result<Attribute<'a>, WeightsError> {
    budget.take()?;
    let mut attribute = Attribute::default();
    for field in Fields::new(bytes, "an attribute") {
        let (number, value) = field?;
        match number {
            1 => attribute.name = value.text("an attribute's name")?,
            2 => attribute.float = Some(value.float("an attribute's f")?),
            3 => attribute.int = Some(value.int("an attribute's i")?),
            4 => attribute.text = Some(value.bytes("an attribute's s")?),
            5 => attribute.tensor = Some(parse_tensor(value.bytes("an attribute's t")?, budget)?),
            7 => extend_floats(&mut attribute.floats, value, budget)?,
            8 => extend_ints(&mut attribute.ints, value, budget)?,
            _ => {}
        }
    }
    Ok(attribute)
}

fn parse_tensor<'a>(bytes: &'a [u8], budget: &mut ItemBudget) -> Result<Tensor<'a>, WeightsError> {
    budget.take()?;
    let mut tensor = Tensor::default();
    for field in Fields::new(bytes, "a tensor") {
        let (number, value) = field?;
        match number {
            1 => extend_ints(&mut tensor.dims, value, budget)?,
            2 => tensor.data_type = value.int("a tensor's data_type")?,
            4 | 5 | 7 => {
                budget.take()?;
                match number {
                    4 => tensor.floats.push(value),
                    5 => tensor.int32s.push(value),
                    _ => tensor.int64s.push(value),
                }
            }
            8 => tensor.name = value.text("a tensor's name")?,
            9 => tensor.raw = Some(value.bytes("a tensor's raw_data")?),
            13 => tensor.is_external = true,
            14 => tensor.is_external |= value.int("a tensor's data_location")? != 0,
            _ => {}
        }
    }
    Ok(tensor)
}

fn parse_port<'a>(bytes: &'a [u8], budget: &mut ItemBudget) -> Result<Port<'a>, WeightsError> {
    budget.take()?;
    let mut port = Port::default();
    for field in Fields::new(bytes, "a graph input or output") {
        match field? {
            (1, value) => port.name = value.text("the name of a graph input or output")?,
            (2, value) => {
                let tensor_type = submessage(value.bytes("a type")?, 1, "a type")?;
                let shape = submessage(tensor_type, 2, "a tensor type")?;
                for field in Fields::new(shape, "a shape") {
                    if let (1, dimension) = field? {
                        budget.take()?;
                        port.dims.push(parse_dimension(dimension.bytes("a dimension")?)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn parse_dimension(bytes: &[u8]) -> Result<Option<i64>, WeightsError> {
    let mut size = None;
    for field in Fields::new(bytes, "a dimension") {
        if let (1, value) = field? {
            size = Some(value.int("a dimension's size")?);
        }
    }
    Ok(size)
}

/// The last field `number` of a message, or an empty message.
fn submessage<'a>(bytes: &'a [u8], number: u32, what: &'static str) -> Result<&'a [u8], WeightsError> {
    let mut found = &bytes[..0];
    for field in Fields::new(bytes, what) {
        match field? {
            (field_number, value) if field_number == number => found = value.bytes(what)?,
            _ => {}
        }
    }
    Ok(found)
}

/// Appends a repeated integer, packed or not.
pub(super) fn extend_ints(
    values: &mut Vec<i64>,
    field: Value<'_>,
    budget: &mut ItemBudget,
) -> Result<(), WeightsError> {
    let Value::Bytes(mut packed) = field else {
        budget.take()?;
        values.push(field.int("a repeated integer")?);
        return Ok(());
    };
    while !packed.is_empty() {
        budget.take()?;
        let value = super::wire::take_varint(&mut packed)
            .ok_or_else(|| malformed("repeated integers", "a whole varint", "a cut one".to_owned()))?;
        values.push(value as i64);
    }
    Ok(())
}

/// Appends a repeated float, packed or not.
pub(super) fn extend_floats(
    values: &mut Vec<f32>,
    field: Value<'_>,
    budget: &mut ItemBudget,
) -> Result<(), WeightsError> {
    let Value::Bytes(packed) = field else {
        budget.take()?;
        values.push(field.float("a repeated float")?);
        return Ok(());
    };
    let (chunks, rest) = packed.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(malformed("repeated floats", "a multiple of 4 bytes", packed.len().to_string()));
    }
    for chunk in chunks {
        budget.take()?;
        values.push(f32::from_le_bytes(*chunk));
    }
    Ok(())
}
