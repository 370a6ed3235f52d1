//! Writes a graph as ncnn's `.param` and `.bin`.
//!
//! An activation goes into its convolution and a residual scale into its sum, as ncnn's own tools leave them. A value
//! that several layers read passes a `Split`, since in ncnn each blob has one reader.

use std::fmt::Write as _;

use super::bin::{write_plain, write_tagged};
use crate::Tensor;
use crate::graph::{ChannelOrder, Graph, Op, ValueId};

/// A network in ncnn's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NcnnFiles {
    /// The text of the `.param` file.
    pub param: String,
    /// The bytes of the `.bin` file.
    pub bin: Vec<u8>,
}

/// The layers of a graph. The input blob is `data` and the output blob `output`, as upscalers built on ncnn expect.
pub(super) fn emit(graph: &Graph) -> NcnnFiles {
    let fusion = Fusion::new(graph);
    let mut bin = Vec::new();
    let layers: Vec<Layer> =
        (0..graph.nodes.len()).filter_map(|value| fusion.layer(graph, value, &mut bin)).collect();
    NcnnFiles { param: Writer::new(graph, &layers).write(&layers), bin }
}

struct Layer {
    kind: &'static str,
    name: String,
    inputs: Vec<ValueId>,
    output: ValueId,
    params: String,
}

/// Which nodes become part of another node's layer, because nothing else reads them.
struct Fusion {
    /// For a convolution, the LeakyReLU that is fused into it and its slope.
    activation: Vec<Option<(ValueId, f32)>>,
    /// Whether a node has no layer of its own.
    is_fused: Vec<bool>,
}

impl Fusion {
    fn new(graph: &Graph) -> Self {
        let mut uses = vec![0; graph.nodes.len()];
        for input in graph.nodes.iter().flat_map(|node| Graph::inputs(&node.op)) {
            uses[input] += 1;
        }
        let mut fusion = Self { activation: vec![None; uses.len()], is_fused: vec![false; uses.len()] };
        for (value, node) in graph.nodes.iter().enumerate() {
            match node.op {
                Op::LeakyRelu { input, slope }
                    if uses[input] == 1 && matches!(graph.nodes[input].op, Op::Convolve { .. }) =>
                {
                    fusion.activation[input] = Some((value, slope));
                    fusion.is_fused[value] = true;
                }
                Op::Add { left, .. }
                    if uses[left] == 1 && matches!(graph.nodes[left].op, Op::Scale { .. }) =>
                {
                    fusion.is_fused[left] = true;
                }
                _ => {}
            }
        }
        fusion
    }

    /// The layer that makes `value`; `None` where it is part of another one.
    fn layer(&self, graph: &Graph, value: ValueId, bin: &mut Vec<u8>) -> Option<Layer> {
        if self.is_fused[value] {
            return None;
        }
        let node = &graph.nodes[value];
        let mut inputs = Graph::inputs(&node.op);
        let (kind, params) = match &node.op {
            Op::Picture => ("Input", String::new()),
            Op::Convolve { input, weight, bias } => {
                write_tagged(bin, weight);
                bias.iter().for_each(|bias| write_plain(bin, bias));
                let padding = graph.zero_padding(*input, weight.shape[2]);
                let params = convolution_params(weight, padding, bias.is_some(), self.activation[value]);
                ("Convolution", params)
            }
            Op::RepeatEdge { .. } => ("Padding", " 0=1 1=1 2=1 3=1 4=1".to_owned()),
            Op::LeakyRelu { slope, .. } => ("ReLU", format!(" 0={slope:.6e}")),
            Op::PRelu { slopes, .. } => {
                write_plain(bin, slopes);
                ("PReLU", format!(" 0={}", slopes.num_elements()))
            }
            Op::Concatenate { .. } => ("Concat", String::new()),
            Op::Scale { factor, .. } => ("BinaryOp", format!(" 0=2 1=1 2={factor:.6e}")),
            Op::Add { left, right } => match graph.nodes[*left].op {
                Op::Scale { input, factor } if self.is_fused[*left] => {
                    inputs = vec![input, *right];
                    ("Eltwise", format!(" 0=1 -23301=2,{factor:.6e},1.000000e0"))
                }
                _ => ("BinaryOp", " 0=0".to_owned()),
            },
            Op::Enlarge { factor, .. } => ("Interp", format!(" 0=1 1={factor}.0 2={factor}.0")),
            Op::Unshuffle { factor, order, .. } => {
                ("Reorg", format!(" 0={factor} 1={}", i32::from(*order == ChannelOrder::PositionFirst)))
            }
            Op::Shuffle { factor, .. } => ("PixelShuffle", format!(" 0={factor}")),
        };
        let output = self.activation[value].map_or(value, |(activation, _)| activation);
        Some(Layer { kind, name: node.site.name.clone(), inputs, output, params })
    }
}

fn convolution_params(
    weight: &Tensor,
    padding: usize,
    has_bias: bool,
    activation: Option<(ValueId, f32)>,
) -> String {
    let (outputs, kernel) = (weight.shape[0], weight.shape[2]);
    let activation = activation.map_or(String::new(), |(_, slope)| format!(" 9=2 -23310=1,{slope:.6e}"));
    format!(
        " 0={outputs} 1={kernel} 4={padding} 5={} 6={}{activation}",
        u8::from(has_bias),
        weight.num_elements()
    )
}

/// Hands out blob names, a new one to each reader of a value.
struct Writer<'a> {
    graph: &'a Graph,
    /// How many layers read each value.
    readers: Vec<usize>,
    /// How many readers have their blob already.
    served: Vec<usize>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph, layers: &[Layer]) -> Self {
        let mut readers = vec![0; graph.nodes.len()];
        for input in layers.iter().flat_map(|layer| &layer.inputs) {
            readers[*input] += 1;
        }
        Self { graph, served: vec![0; readers.len()], readers }
    }

    fn blob(&self, value: ValueId) -> String {
        match self.graph.nodes[value].op {
            Op::Picture => "data".to_owned(),
            _ if value == self.graph.output => "output".to_owned(),
            _ => format!("b{value}"),
        }
    }

    fn write(mut self, layers: &[Layer]) -> String {
        let mut body = String::new();
        let (mut num_layers, mut num_blobs) = (0, 0);
        for layer in layers {
            let inputs: Vec<String> = layer.inputs.iter().map(|&input| self.serve(input)).collect();
            let output = self.blob(layer.output);
            line(&mut body, layer.kind, &layer.name, &inputs, std::slice::from_ref(&output), &layer.params);
            (num_layers, num_blobs) = (num_layers + 1, num_blobs + 1);
            let readers = self.readers[layer.output];
            if readers > 1 {
                let outputs: Vec<String> = (0..readers).map(|reader| format!("{output}_{reader}")).collect();
                line(
                    &mut body,
                    "Split",
                    &format!("split_{output}"),
                    std::slice::from_ref(&output),
                    &outputs,
                    "",
                );
                (num_layers, num_blobs) = (num_layers + 1, num_blobs + readers);
            }
        }
        format!("7767517\n{num_layers} {num_blobs}\n{body}")
    }

    fn serve(&mut self, value: ValueId) -> String {
        let blob = self.blob(value);
        if self.readers[value] <= 1 {
            return blob;
        }
        self.served[value] += 1;
        format!("{blob}_{}", self.served[value] - 1)
    }
}

fn line(text: &mut String, kind: &str, name: &str, inputs: &[String], outputs: &[String], params: &str) {
    let _ = write!(text, "{kind:<16} {name:<24} {} {}", inputs.len(), outputs.len());
    for blob in inputs.iter().chain(outputs) {
        let _ = write!(text, " {blob}");
    }
    let _ = writeln!(text, "{params}");
}
