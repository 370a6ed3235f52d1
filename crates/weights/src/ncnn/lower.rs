//! Turns `.param` layers and `.bin` weights into the graph that the recogniser reads.

use std::collections::HashMap;

use super::bin::BinReader;
use super::param::{Layer, Value};
use crate::WeightsError;
use crate::graph::{ChannelOrder, Graph, Op, ValueId, foreign, malformed};

/// The graph that the layers draw; reads every weight on the way.
///
/// # Errors
/// An error that names the first layer that no RRDB or compact network has, or whose weights are not all there.
pub(super) fn lower(layers: &[Layer<'_>], bin: &mut BinReader<'_>) -> Result<Graph, WeightsError> {
    let mut lowering = Lowering { graph: Graph::default(), blobs: HashMap::new(), bin };
    for layer in layers {
        lowering.layer(layer)?;
    }
    lowering.finish(layers)
}

struct Blob {
    value: ValueId,
    is_read: bool,
}

struct Lowering<'a, 'b> {
    graph: Graph,
    blobs: HashMap<&'a str, Blob>,
    bin: &'a mut BinReader<'b>,
}

impl<'a> Lowering<'a, '_> {
    fn layer(&mut self, layer: &Layer<'a>) -> Result<(), WeightsError> {
        let inputs = self.inputs(layer)?;
        if let ("Split", [input]) = (layer.kind, inputs.as_slice()) {
            layer.allow_params(&[])?;
            for output in &layer.outputs {
                self.define(layer, output, *input)?;
            }
            return Ok(());
        }
        let value = self.value(layer, inputs)?;
        match layer.outputs[..] {
            [output] => self.define(layer, output, value),
            _ => Err(foreign(&layer.site(), "one output")),
        }
    }

    /// What a layer with one output makes.
    fn value(&mut self, layer: &Layer<'a>, inputs: Vec<ValueId>) -> Result<ValueId, WeightsError> {
        match (layer.kind, inputs.as_slice()) {
            ("Input", []) => {
                layer.allow_params(&[0, 1, 2, 11])?;
                Ok(self.graph.push(layer.site(), Op::Picture))
            }
            ("Noop", &[input]) => Ok(input),
            ("Convolution", &[input]) => self.convolution(layer, input),
            ("Padding", &[input]) => self.padding(layer, input),
            ("PReLU", &[input]) => self.prelu(layer, input),
            ("ReLU", &[input]) => self.relu(layer, input),
            ("Concat", [_, ..]) => self.concat(layer, inputs),
            ("Eltwise", &[left, right]) => self.eltwise(layer, left, right),
            ("BinaryOp", &[left, right]) => self.sum(layer, left, right),
            ("BinaryOp", &[input]) => self.product(layer, input),
            ("Interp", &[input]) => self.interp(layer, input),
            ("PixelShuffle", &[input]) => self.pixel_shuffle(layer, input),
            ("Reorg", &[input]) => self.reorg(layer, input),
            _ => Err(foreign(&layer.site(), "a layer that RRDB and compact networks have")),
        }
    }

    fn relu(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0])?;
        let slope = layer.float(0, 0.0)?;
        Ok(self.graph.push(layer.site(), Op::LeakyRelu { input, slope }))
    }

    fn concat(&mut self, layer: &Layer<'a>, inputs: Vec<ValueId>) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0])?;
        require(layer, layer.int(0, 0)? == 0, "concatenation of channels (0=0)")?;
        Ok(self.graph.push(layer.site(), Op::Concatenate { inputs }))
    }

    fn sum(&mut self, layer: &Layer<'a>, left: ValueId, right: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1, 2])?;
        let is_sum = layer.int(0, 0)? == 0 && layer.int(1, 0)? == 0;
        require(layer, is_sum, "an addition of two blobs (0=0)")?;
        Ok(self.graph.push(layer.site(), Op::Add { left, right }))
    }

    fn product(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1, 2])?;
        let is_product = layer.int(0, 0)? == 2 && layer.int(1, 0)? == 1;
        require(layer, is_product, "a product with a number (0=2 1=1)")?;
        let factor = layer.float(2, 0.0)?;
        Ok(self.graph.push(layer.site(), Op::Scale { input, factor }))
    }

    fn inputs(&mut self, layer: &Layer<'a>) -> Result<Vec<ValueId>, WeightsError> {
        layer
            .inputs
            .iter()
            .map(|name| match self.blobs.get_mut(name) {
                Some(blob) => {
                    blob.is_read = true;
                    Ok(blob.value)
                }
                None => Err(malformed(
                    &format!("the inputs of {}", layer.site()),
                    "blobs that an earlier line makes",
                    format!("`{}`", name.chars().take(60).collect::<String>()),
                )),
            })
            .collect()
    }

    fn define(&mut self, layer: &Layer<'a>, name: &'a str, value: ValueId) -> Result<(), WeightsError> {
        match self.blobs.insert(name, Blob { value, is_read: false }) {
            None => Ok(()),
            Some(_) => Err(malformed(
                &format!("the outputs of {}", layer.site()),
                "a blob of a new name",
                format!("`{}` once more", name.chars().take(60).collect::<String>()),
            )),
        }
    }

    fn convolution(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        let kernel = checked_kernel(layer, |kernel| self.graph.zero_padding(input, kernel))?;
        let (outputs, elements) = (layer.int(0, 0)?, layer.int(6, 0)?);
        let window = outputs.checked_mul(kernel * kernel).filter(|_| outputs > 0);
        let channels =
            window.filter(|window| elements > 0 && elements % window == 0).map(|window| elements / window);
        let Some(channels) = channels else {
            let item = format!("the weights of {}", layer.site());
            let found = format!("{elements} for {outputs} outputs");
            return Err(malformed(&item, "a multiple of outputs x kernel", found));
        };
        let (site, kernel, outputs) = (layer.site(), kernel as usize, outputs as usize);
        let weight = self.bin.tagged(&site, &[outputs, channels as usize, kernel, kernel])?;
        let bias = match layer.int(5, 0)? {
            0 => None,
            _ => Some(self.bin.plain(&site, &[outputs])?),
        };
        let value = self.graph.push(site, Op::Convolve { input, weight, bias });
        self.fused_activation(layer, value)
    }

    /// A ring of the edge, as converters write a convolution's `padding_mode="replicate"`.
    fn padding(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1, 2, 3, 4, 5, 7, 8])?;
        let sides = [layer.int(0, 0)?, layer.int(1, 0)?, layer.int(2, 0)?, layer.int(3, 0)?];
        require(layer, sides == [1; 4], "one pixel at each side (0=1 1=1 2=1 3=1)")?;
        require(layer, layer.int(4, 0)? == 1, "padding by the edge pixel (4=1)")?;
        require(layer, [layer.int(7, 0)?, layer.int(8, 0)?] == [0; 2], "no padding of channels")?;
        Ok(self.graph.push(layer.site(), Op::RepeatEdge { input }))
    }

    fn fused_activation(&mut self, layer: &Layer<'a>, value: ValueId) -> Result<ValueId, WeightsError> {
        match layer.int(9, 0)? {
            0 => Ok(value),
            2 => match layer.array(10)?[..] {
                [slope] => Ok(self.graph.push(layer.site(), Op::LeakyRelu { input: value, slope })),
                _ => Err(foreign(&layer.site(), "one slope for its LeakyReLU (-23310=1,0.2)")),
            },
            _ => Err(foreign(&layer.site(), "no activation or LeakyReLU (9=2)")),
        }
    }

    fn prelu(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0])?;
        let slopes = layer.int(0, 0)?;
        require(layer, slopes > 0, "one slope for each channel")?;
        let site = layer.site();
        let slopes = self.bin.plain(&site, &[slopes as usize])?;
        Ok(self.graph.push(site, Op::PRelu { input, slopes }))
    }

    fn eltwise(&mut self, layer: &Layer<'a>, left: ValueId, right: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1])?;
        require(layer, layer.int(0, 0)? == 1, "a sum (0=1)")?;
        let factors = match layer.array(1)?[..] {
            [] => [1.0, 1.0],
            [left, right] => [left, right],
            _ => return Err(foreign(&layer.site(), "two factors (-23301=2,0.2,1.0)")),
        };
        let mut scaled = |input, factor: f32| match factor == 1.0 {
            true => input,
            false => self.graph.push(layer.site(), Op::Scale { input, factor }),
        };
        let (left, right) = (scaled(left, factors[0]), scaled(right, factors[1]));
        Ok(self.graph.push(layer.site(), Op::Add { left, right }))
    }

    fn interp(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1, 2, 3, 4, 5, 6])?;
        require(layer, layer.int(0, 0)? == 1, "nearest-neighbour enlargement (0=1)")?;
        let is_relative = [layer.int(3, 0)?, layer.int(4, 0)?, layer.int(5, 0)?, layer.int(6, 0)?] == [0; 4];
        require(layer, is_relative, "an enlargement by a factor, not to a size")?;
        let (vertical, horizontal) = (layer.float(1, 1.0)?, layer.float(2, 1.0)?);
        let is_whole = vertical == horizontal && vertical.fract() == 0.0 && (1.0..=16.0).contains(&vertical);
        require(layer, is_whole, "one whole factor for both sides (1=2.0 2=2.0)")?;
        match vertical as usize {
            1 => Ok(input),
            factor => Ok(self.graph.push(layer.site(), Op::Enlarge { input, factor })),
        }
    }

    fn pixel_shuffle(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1])?;
        require(layer, layer.int(1, 0)? == 0, "PyTorch's order of channels (1=0)")?;
        match layer.value(0)? {
            None | Some(Value::Int(1)) => Ok(input),
            Some(Value::Int(factor @ 2..=16)) => {
                Ok(self.graph.push(layer.site(), Op::Shuffle { input, factor: factor as usize }))
            }
            Some(_) => Err(foreign(&layer.site(), "a factor of 1 to 16")),
        }
    }

    fn reorg(&mut self, layer: &Layer<'a>, input: ValueId) -> Result<ValueId, WeightsError> {
        layer.allow_params(&[0, 1])?;
        let order = match layer.int(1, 0)? {
            0 => ChannelOrder::ChannelFirst,
            1 => ChannelOrder::PositionFirst,
            _ => return Err(foreign(&layer.site(), "a known order of channels (1=0 or 1=1)")),
        };
        match layer.int(0, 1)? {
            1 => Ok(input),
            factor @ 2..=16 => {
                Ok(self.graph.push(layer.site(), Op::Unshuffle { input, factor: factor as usize, order }))
            }
            _ => Err(foreign(&layer.site(), "a factor of 1 to 16")),
        }
    }

    /// The one blob that nothing reads is the output.
    fn finish(mut self, layers: &[Layer<'a>]) -> Result<Graph, WeightsError> {
        let mut unread = layers
            .iter()
            .flat_map(|layer| layer.outputs.iter().map(move |name| (layer, name)))
            .filter(|(_, name)| self.blobs.get(*name).is_some_and(|blob| !blob.is_read));
        match (unread.next(), unread.next()) {
            (Some((_, name)), None) => {
                self.graph.output = self.blobs[name].value;
                Ok(self.graph)
            }
            (Some((first, _)), Some(_)) => {
                Err(foreign(&first.site(), "one output of the whole graph, not a blob that nothing reads"))
            }
            (None, _) => Err(malformed("the layers", "an output", "none".to_owned())),
        }
    }
}

/// The side of a convolution's kernel, 3 or 1; anything that skips pixels or has other zeros around its input than
/// `zero_padding` pixels is foreign.
fn checked_kernel(layer: &Layer<'_>, zero_padding: impl Fn(usize) -> usize) -> Result<i64, WeightsError> {
    layer.allow_params(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19])?;
    let kernel = layer.int(1, 0)?;
    require(layer, kernel == 3 || kernel == 1, "a kernel of 3x3 or 1x1 (1=3)")?;
    require(layer, layer.int(11, kernel)? == kernel, "a square kernel")?;
    let (stride, dilation) = (layer.int(3, 1)?, layer.int(2, 1)?);
    let steps = [stride, layer.int(13, stride)?, dilation, layer.int(12, dilation)?];
    require(layer, steps == [1; 4], "stride 1 and dilation 1")?;
    let left = layer.int(4, 0)?;
    let top = layer.int(14, left)?;
    let padding = [left, top, layer.int(15, left)?, layer.int(16, top)?];
    let expected = zero_padding(kernel as usize) as i64;
    require(
        layer,
        padding == [expected; 4],
        "padding that keeps the size (4=1 for 3x3, 4=0 after a ring of the edge)",
    )?;
    require(layer, layer.float(18, 0.0)? == 0.0, "padding by zeros")?;
    require(layer, layer.int(7, 1)? == 1, "one group (7=1)")?;
    require(layer, layer.int(8, 0)? == 0, "weights without int8 scales (8=0)")?;
    require(layer, layer.int(19, 0)? == 0, "weights of its own (19=0)")?;
    Ok(kernel)
}

fn require(layer: &Layer<'_>, is_met: bool, expected: &str) -> Result<(), WeightsError> {
    match is_met {
        true => Ok(()),
        false => Err(foreign(&layer.site(), expected)),
    }
}
