//! Operations on feature maps.

use super::super::layout::Rearrangement;
use super::super::tensor::Numbers;
use super::{Binding, Feature, Layout, Lowering, Step};
use crate::WeightsError;
use crate::graph::{ChannelOrder, Op};

impl<'g, 'a> Lowering<'g, 'a> {
    fn emit(
        &mut self,
        step: &Step<'g, 'a>,
        op: Op,
        shape: [usize; 4],
    ) -> Result<Binding<'g, 'a>, WeightsError> {
        let value = self.push(&step.site, op, shape)?;
        Ok(Binding::Feature(Feature { value, layout: Layout::plain(shape) }))
    }

    pub(super) fn concat(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let count = step.node.inputs.len();
        let axis = step.int("axis", 1);
        if !matches!(self.binding(step, 0)?, Binding::Feature(_)) {
            let parts =
                (0..count).map(|index| self.known_numbers(step, index)).collect::<Result<Vec<_>, _>>()?;
            let joined =
                if axis == 0 || axis == -1 { super::super::arithmetic::concatenate(&parts) } else { None };
            return joined.map(Binding::Numbers).ok_or_else(|| step.foreign("shapes, one after the other"));
        }
        step.require(axis == 1 || axis == -3, "concatenation of channels (axis 1)")?;
        let inputs = (0..count).map(|index| self.feature(step, index)).collect::<Result<Vec<_>, _>>()?;
        let mut shape = self.shapes[inputs[0]];
        for &input in &inputs[1..] {
            let [batch, channels, height, width] = self.shapes[input];
            let fits = [batch, height, width] == [shape[0], shape[2], shape[3]];
            step.require(fits, "feature maps of one size")?;
            shape[1] = shape[1].saturating_add(channels);
        }
        self.emit(step, Op::Concatenate { inputs }, shape)
    }

    pub(super) fn sum_or_product(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let numbers = [self.numbers(step, 0)?, self.numbers(step, 1)?];
        match (step.node.op_type, numbers) {
            (op_type, [Some(left), Some(right)]) => super::super::arithmetic::binary(op_type, &left, &right)
                .map(Binding::Numbers)
                .ok_or_else(|| step.foreign("arithmetic on shapes that can be carried out")),
            ("Add", [None, None]) => {
                let (left, right) = (self.feature(step, 0)?, self.feature(step, 1)?);
                let shape = self.shapes[left];
                step.require(shape == self.shapes[right], "two feature maps of one shape")?;
                self.emit(step, Op::Add { left, right }, shape)
            }
            ("Mul", [None, Some(factor)]) => self.scale(step, 0, &factor),
            ("Mul", [Some(factor), None]) => self.scale(step, 1, &factor),
            ("Mul", _) => Err(step.foreign("a product with one number")),
            _ => Err(step.foreign("a sum of two feature maps")),
        }
    }

    fn scale(
        &mut self,
        step: &Step<'g, 'a>,
        feature: usize,
        factor: &Numbers,
    ) -> Result<Binding<'g, 'a>, WeightsError> {
        let [factor] = factor.to_floats()[..] else {
            return Err(step.foreign("a product with one number"));
        };
        let input = self.feature(step, feature)?;
        let shape = self.shapes[input];
        self.emit(step, Op::Scale { input, factor: factor as f32 }, shape)
    }

    pub(super) fn conv(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let weight = self.weights(step, 1, |dims| (dims.len() == 4).then(|| dims.to_vec()))?;
        let bias = match step.input(2) {
            Some(_) => Some(self.weights(step, 2, |dims| (dims.len() == 1).then(|| dims.to_vec()))?),
            None => None,
        };
        let [outputs, inputs, height, width] = weight.shape[..] else {
            return Err(step.foreign("weights of four dimensions"));
        };
        let is_known = height == width && (height == 3 || height == 1);
        step.require(is_known, "a kernel of 3x3 or 1x1")?;
        let padding = self.graph.zero_padding(input, height);
        require_plain_convolution(step, height as i64, padding as i64)?;
        let [batch, channels, rows, columns] = self.shapes[input];
        step.require(channels == inputs, "weights for as many channels as its input has")?;
        // A ring that the input has already is used up.
        let ring = 2 * (height / 2 - padding);
        let op = Op::Convolve { input, weight, bias };
        self.emit(step, op, [batch, outputs, rows - ring, columns - ring])
    }

    /// Padding by the edge, one pixel at each side, as exporters write a convolution's `padding_mode="replicate"`.
    pub(super) fn pad(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        step.require(step.text("mode") == Some(b"edge"), "padding by the edge pixel (mode edge)")?;
        step.require(step.input(3).is_none(), "padding of all axes")?;
        let input = self.feature(step, 0)?;
        // An attribute before opset 11.
        let pads = match step.ints("pads") {
            Some(pads) => pads.iter().map(|&pad| pad as f64).collect(),
            None => self.known_numbers(step, 1)?.to_floats(),
        };
        step.require(pads == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0], "one pixel at each side")?;
        let [batch, channels, height, width] = self.shapes[input];
        let shape = [batch, channels, height.saturating_add(2), width.saturating_add(2)];
        self.emit(step, Op::RepeatEdge { input }, shape)
    }

    pub(super) fn leaky_relu(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let slope = step.attribute("alpha").and_then(|attribute| attribute.float).unwrap_or(0.01);
        let shape = self.shapes[input];
        self.emit(step, Op::LeakyRelu { input, slope }, shape)
    }

    pub(super) fn prelu(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let shape = self.shapes[input];
        // Slopes broadcast from the right: channels come before height and width.
        let slopes = self.weights(step, 1, |dims| match *dims {
            [channels, 1, 1] | [1, channels, 1, 1] if channels == shape[1] => Some(vec![channels]),
            _ => None,
        })?;
        self.emit(step, Op::PRelu { input, slopes }, shape)
    }

    pub(super) fn resize(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let shape = self.shapes[input];
        let mode = step.text("mode").unwrap_or(b"nearest");
        step.require(mode == b"nearest", "nearest-neighbour enlargement")?;
        let factor = self.whole_factor(step, shape)?;
        step.require(repeats_pixels(step, factor), "nearest neighbours that repeat every pixel")?;
        match factor {
            1 => Ok(Binding::Feature(Feature { value: input, layout: Layout::plain(shape) })),
            _ => {
                let shape = [shape[0], shape[1], shape[2] * factor, shape[3] * factor];
                self.emit(step, Op::Enlarge { input, factor }, shape)
            }
        }
    }

    /// The one factor of height and width that a `Resize` or `Upsample` has.
    fn whole_factor(&self, step: &Step<'g, 'a>, shape: [usize; 4]) -> Result<usize, WeightsError> {
        let refusal = || step.foreign("one whole factor for height and width");
        // Resize since opset 11: picture, region, scales, sizes; before, and Upsample since 9: picture, scales.
        let scales_at = if step.node.inputs.len() == 2 { 1 } else { 2 };
        let numbers = |index: usize| -> Result<Vec<f64>, WeightsError> {
            match step.input(index) {
                Some(_) => Ok(self.known_numbers(step, index)?.to_floats()),
                None => Ok(vec![]),
            }
        };
        let mut scales = numbers(scales_at)?;
        if let Some(attribute) = step.attribute("scales") {
            scales = attribute.floats.iter().map(|&scale| f64::from(scale)).collect();
        }
        if scales.is_empty() {
            scales = numbers(3)?.iter().zip(shape).map(|(size, old)| size / old as f64).collect();
        }
        match scales[..] {
            [1.0, 1.0, vertical, horizontal]
                if vertical == horizontal && vertical.fract() == 0.0 && (1.0..=16.0).contains(&vertical) =>
            {
                Ok(vertical as usize)
            }
            _ => Err(refusal()),
        }
    }

    pub(super) fn depth_to_space(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let shape = self.shapes[input];
        let factor = usize::try_from(step.int("blocksize", 0)).unwrap_or(0);
        let new_shape = Rearrangement::Shuffle { factor }.shape(shape);
        let new_shape =
            new_shape.ok_or_else(|| step.foreign("as many channels as its block size asks for"))?;
        // With one channel left, both orders are the same.
        let is_ours = step.text("mode") == Some(b"CRD") || new_shape[1] == 1;
        step.require(is_ours, "PyTorch's order of channels (mode CRD)")?;
        match factor {
            1 => Ok(Binding::Feature(Feature { value: input, layout: Layout::plain(shape) })),
            _ => self.emit(step, Op::Shuffle { input, factor }, new_shape),
        }
    }

    pub(super) fn space_to_depth(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let input = self.feature(step, 0)?;
        let order = ChannelOrder::PositionFirst;
        let factor = usize::try_from(step.int("blocksize", 0)).unwrap_or(0);
        let shape = Rearrangement::Unshuffle { factor, order }.shape(self.shapes[input]);
        let shape = shape.ok_or_else(|| step.foreign("sides that its block size divides"))?;
        self.emit(step, Op::Unshuffle { input, factor, order }, shape)
    }
}

/// Refuses a convolution that skips pixels, or whose padding is not `padding` pixels of zeros at each side.
fn require_plain_convolution(step: &Step<'_, '_>, kernel: i64, padding: i64) -> Result<(), WeightsError> {
    let all =
        |name: &str, value: i64| step.ints(name).is_none_or(|ints| ints.iter().all(|&int| int == value));
    step.require(step.int("group", 1) == 1, "one group")?;
    step.require(all("kernel_shape", kernel), "a kernel_shape as its weights have it")?;
    step.require(all("strides", 1) && all("dilations", 1), "stride 1 and dilation 1")?;
    let keeps_size = match step.text("auto_pad") {
        Some(b"SAME_UPPER" | b"SAME_LOWER") => padding == kernel / 2,
        None | Some(b"NOTSET") => match step.ints("pads") {
            Some(pads) => pads.len() == 4 && pads.iter().all(|&pad| pad == padding),
            None => padding == 0,
        },
        Some(_) => padding == 0,
    };
    step.require(keeps_size, "padding that keeps the size, by zeros or by a ring of the edge before it")
}

/// Whether a `Resize` by this factor repeats every pixel, whatever its rules for coordinates and rounding are.
fn repeats_pixels(step: &Step<'_, '_>, factor: usize) -> bool {
    if step.node.op_type == "Upsample" || step.node.inputs.len() == 2 {
        return true; // before opset 11: floor(x / factor)
    }
    let coordinates = step.text("coordinate_transformation_mode").unwrap_or(b"half_pixel");
    let rounding = step.text("nearest_mode").unwrap_or(b"round_prefer_floor");
    let scale = factor as f64;
    (0..4 * factor).all(|target| {
        let position = match coordinates {
            b"asymmetric" => target as f64 / scale,
            b"half_pixel" | b"pytorch_half_pixel" => (target as f64 + 0.5) / scale - 0.5,
            _ => return false,
        };
        let source = match rounding {
            b"floor" => position.floor(),
            b"ceil" => position.ceil(),
            b"round_prefer_floor" => (position - 0.5).ceil(),
            b"round_prefer_ceil" => (position + 0.5).floor(),
            _ => return false,
        };
        source.max(0.0) as usize == target / factor
    })
}
