//! Writes a graph as an ONNX model: opset 17, any batch, height and width.
//!
//! Weights keep their type and their canonical names. Those of half precision pass a `Cast`, so that the arithmetic is
//! single precision on every engine. Field numbers are those of `onnx.proto`, as in [`super::proto`].

use std::collections::BTreeSet;

use super::tensor::{BFLOAT16, FLOAT, FLOAT16, INT64};
use super::wire::Message;
use crate::graph::{ChannelOrder, Graph, Node, Op, ValueId};
use crate::{DType, ModelSpec, Tensor};

/// The opset that the operations below are of.
const OPSET: i64 = 17;
/// The version of the file format that belongs to it.
const IR_VERSION: i64 = 8;

/// The bytes of the `.onnx` file.
pub(super) fn emit(spec: &ModelSpec, graph: &Graph) -> Vec<u8> {
    let mut emitter = Emitter { graph, body: Message::default(), constants: BTreeSet::new(), spec };
    for value in 0..graph.nodes.len() {
        emitter.node(value);
    }
    let scale = spec.scale();
    let side = |name: &str| match scale {
        1 => name.to_owned(),
        _ => format!("{scale}*{name}"),
    };
    let body = emitter
        .body
        .text(2, "esrgan")
        .message(11, &port("input", spec.in_channels(), "height", "width"))
        .message(12, &port("output", spec.out_channels(), &side("height"), &side("width")));
    Message::default()
        .int(1, IR_VERSION)
        .text(2, "esrgan")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &body)
        .message(8, &Message::default().text(1, "").int(2, OPSET))
        .message(14, &entry("family", spec.family().name()))
        .message(14, &entry("scale", &scale.to_string()))
        .into_bytes()
}

fn entry(key: &str, value: &str) -> Message {
    Message::default().text(1, key).text(2, value)
}

/// A `ValueInfoProto` of a `[batch, channels, height, width]` picture.
fn port(name: &str, channels: usize, height: &str, width: &str) -> Message {
    let named = |name: &str| Message::default().text(2, name);
    let shape = Message::default()
        .message(1, &named("batch"))
        .message(1, &Message::default().int(1, channels as i64))
        .message(1, &named(height))
        .message(1, &named(width));
    let tensor_type = Message::default().int(1, FLOAT).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor_type))
}

/// An attribute, by the types that are needed.
enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let message = Message::default().text(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).int(20, 1),
        Attribute::Int(value) => message.int(3, *value).int(20, 2),
        Attribute::Text(value) => message.text(4, value).int(20, 3),
        Attribute::Ints(values) => {
            values.iter().fold(message, |message, &value| message.int(8, value)).int(20, 7)
        }
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    spec: &'a ModelSpec,
    body: Message,
    /// Names of the initializers that were written already.
    constants: BTreeSet<String>,
}

impl Emitter<'_> {
    fn name(&self, value: ValueId) -> String {
        let node = &self.graph.nodes[value];
        match node.op {
            Op::Picture => "input".to_owned(),
            _ if value == self.graph.output => "output".to_owned(),
            _ => node.site.name.clone(),
        }
    }

    fn node(&mut self, value: ValueId) {
        let Node { site, op } = &self.graph.nodes[value];
        let output = self.name(value);
        let inputs: Vec<String> = Graph::inputs(op).into_iter().map(|input| self.name(input)).collect();
        let mut inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        match op {
            Op::Picture => {}
            Op::Convolve { input, weight, bias } => {
                let kernel = weight.shape[2];
                let pads = [self.graph.zero_padding(*input, kernel) as i64; 4];
                let sizes = [kernel as i64; 2];
                let (weight, bias) = self.layer(&site.name, weight, bias.as_ref());
                inputs.push(&weight);
                inputs.extend(bias.as_deref());
                let attributes =
                    [("kernel_shape", Attribute::Ints(&sizes)), ("pads", Attribute::Ints(&pads))];
                self.write("Conv", &output, &inputs, &attributes);
            }
            Op::RepeatEdge { .. } => {
                let pads = self.ints("ring", &[0, 0, 1, 1, 0, 0, 1, 1]);
                inputs.push(&pads);
                self.write("Pad", &output, &inputs, &[("mode", Attribute::Text("edge"))]);
            }
            Op::LeakyRelu { slope, .. } => {
                self.write("LeakyRelu", &output, &inputs, &[("alpha", Attribute::Float(*slope))]);
            }
            Op::PRelu { slopes, .. } => {
                // `[C, 1, 1]` broadcasts over height and width.
                let slopes =
                    self.weights(&format!("{}.weight", site.name), &[slopes.num_elements(), 1, 1], slopes);
                inputs.push(&slopes);
                self.write("PRelu", &output, &inputs, &[]);
            }
            Op::Concatenate { .. } => self.write("Concat", &output, &inputs, &[("axis", Attribute::Int(1))]),
            Op::Add { .. } => self.write("Add", &output, &inputs, &[]),
            Op::Scale { factor, .. } => {
                let factor = self.floats(&format!("scale_{factor}"), &[], &[*factor]);
                inputs.push(&factor);
                self.write("Mul", &output, &inputs, &[]);
            }
            Op::Enlarge { factor, .. } => self.enlarge(&output, inputs[0], *factor),
            Op::Unshuffle { factor, order, .. } => self.unshuffle(&output, inputs[0], *factor, *order),
            Op::Shuffle { factor, .. } => {
                let attributes =
                    [("blocksize", Attribute::Int(*factor as i64)), ("mode", Attribute::Text("CRD"))];
                self.write("DepthToSpace", &output, &inputs, &attributes);
            }
        }
    }

    /// The weights and the bias of a convolution as initializers; returns their names.
    fn layer(&mut self, layer: &str, weight: &Tensor, bias: Option<&Tensor>) -> (String, Option<String>) {
        let weight = self.weights(&format!("{layer}.weight"), &weight.shape, weight);
        (weight, bias.map(|bias| self.weights(&format!("{layer}.bias"), &bias.shape, bias)))
    }

    fn enlarge(&mut self, output: &str, input: &str, factor: usize) {
        let scales = [1.0, 1.0, factor as f32, factor as f32];
        let scales = self.floats(&format!("enlarge_{factor}"), &[4], &scales);
        let attributes = [
            ("mode", Attribute::Text("nearest")),
            ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
            ("nearest_mode", Attribute::Text("floor")),
        ];
        self.write("Resize", output, &[input, "", &scales], &attributes);
    }

    /// Pixel unshuffle of a picture whose size is not known: SpaceToDepth has another order of channels.
    fn unshuffle(&mut self, output: &str, input: &str, factor: usize, order: ChannelOrder) {
        if order == ChannelOrder::PositionFirst {
            return self.write(
                "SpaceToDepth",
                output,
                &[input],
                &[("blocksize", Attribute::Int(factor as i64))],
            );
        }
        let factor = factor as i64;
        let channels = self.spec.in_channels() as i64 * factor * factor;
        let step = |number: usize| format!("{output}.step{number}");
        let [split, rows, columns, ordered, merged] = [1, 2, 3, 4, 5].map(step);
        // [N, C, H, W] to [N, C, H, 1, W] to [N, C, H/f, f, W] to [N, C, H/f, f, W/f, f] …
        let axes = self.ints(&step(10), &[3]);
        self.write("Unsqueeze", &split, &[input, &axes], &[]);
        let shape = self.ints(&step(20), &[0, 0, -1, factor, 0]);
        self.write("Reshape", &rows, &[&split, &shape], &[]);
        let shape = self.ints(&step(30), &[0, 0, 0, 0, -1, factor]);
        self.write("Reshape", &columns, &[&rows, &shape], &[]);
        // … to [N, C, f, f, H/f, W/f] to [N, C*f*f, 1, 1, H/f, W/f] to [N, C*f*f, H/f, W/f].
        self.write("Transpose", &ordered, &[&columns], &[("perm", Attribute::Ints(&[0, 1, 3, 5, 2, 4]))]);
        let shape = self.ints(&step(50), &[0, channels, 1, 1, 0, 0]);
        self.write("Reshape", &merged, &[&ordered, &shape], &[]);
        let axes = self.ints(&step(60), &[2, 3]);
        self.write("Squeeze", output, &[&merged, &axes], &[]);
    }

    /// A `NodeProto` that is named as its output.
    fn write(&mut self, op_type: &str, output: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)]) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let node = node.text(2, output).text(3, output).text(4, op_type);
        let node =
            attributes.iter().fold(node, |node, (name, value)| node.message(5, &attribute(name, value)));
        self.append(1, &node);
    }

    fn append(&mut self, number: u32, message: &Message) {
        self.body = std::mem::take(&mut self.body).message(number, message);
    }

    /// Weights as an initializer; returns the name of their single-precision value.
    fn weights(&mut self, name: &str, dims: &[usize], tensor: &Tensor) -> String {
        let data_type = match tensor.dtype {
            DType::F32 => FLOAT,
            DType::F16 => FLOAT16,
            DType::BF16 => BFLOAT16,
        };
        self.initializer(name, dims, data_type, tensor.bytes());
        if data_type == FLOAT {
            return name.to_owned();
        }
        let cast = format!("{name}.f32");
        self.write("Cast", &cast, &[name], &[("to", Attribute::Int(FLOAT))]);
        cast
    }

    fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, dims, FLOAT, &bytes);
        name.to_owned()
    }

    fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, &[values.len()], INT64, &bytes);
        name.to_owned()
    }

    /// A `TensorProto` among the initializers, once.
    fn initializer(&mut self, name: &str, dims: &[usize], data_type: i64, bytes: &[u8]) {
        if self.constants.insert(name.to_owned()) {
            let tensor = dims.iter().fold(Message::default(), |tensor, &dim| tensor.int(1, dim as i64));
            self.append(5, &tensor.int(2, data_type).text(8, name).slice(9, bytes));
        }
    }
}
