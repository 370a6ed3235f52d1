//! Constants, arithmetic on shapes, and operations that only rearrange.

use super::super::arithmetic::{self, from_end, product, reshape_target};
use super::super::layout::Layout;
use super::super::tensor::{BFLOAT16, FLOAT, FLOAT16, Numbers, Values};
use super::{Binding, Constant, Feature, Lowering, Step, dims};
use crate::WeightsError;
use crate::graph::malformed;

/// Axes of a value at most; pixel unshuffle needs six on its way.
const MAX_AXES: usize = 8;

impl<'g, 'a> Lowering<'g, 'a> {
    pub(super) fn constant(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let refusal = || step.foreign("a tensor or a number as its value");
        let [attribute] = &step.node.attributes[..] else {
            return Err(refusal());
        };
        let values = match (attribute.name, &attribute.tensor, attribute.float, attribute.int) {
            ("value", Some(tensor), _, _) => {
                return Ok(Binding::Constant(Constant { tensor, dims: dims(tensor)? }));
            }
            ("value_float", _, Some(value), _) => Values::Floats(vec![f64::from(value)]),
            ("value_int", _, _, Some(value)) => Values::Ints(vec![value]),
            ("value_floats", ..) => Values::Floats(attribute.floats.iter().map(|&v| f64::from(v)).collect()),
            ("value_ints", ..) => Values::Ints(attribute.ints.clone()),
            _ => return Err(refusal()),
        };
        let is_scalar = matches!(attribute.name, "value_float" | "value_int");
        let numbers = Numbers { is_scalar, values };
        step.require(numbers.len() <= 64, "a few numbers as its value")?;
        Ok(Binding::Numbers(numbers))
    }

    /// `Identity`, and `Cast` between types that change no value that matters.
    pub(super) fn cast(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let binding = self.binding(step, 0)?.clone();
        if step.node.op_type == "Identity" {
            return Ok(binding);
        }
        let to = step.int("to", 0);
        match binding {
            Binding::Feature(_) if matches!(to, FLOAT | FLOAT16 | BFLOAT16) => Ok(binding),
            Binding::Constant(ref constant)
                if matches!(constant.tensor.data_type, FLOAT | FLOAT16 | BFLOAT16)
                    && (to == FLOAT || to == constant.tensor.data_type) =>
            {
                Ok(binding)
            }
            _ => {
                let numbers = self.numbers(step, 0)?;
                let cast = numbers.and_then(|numbers| arithmetic::cast(&numbers, to));
                cast.map(Binding::Numbers)
                    .ok_or_else(|| step.foreign("a cast that keeps values, such as f16 to f32"))
            }
        }
    }

    pub(super) fn shape(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let sizes = match self.binding(step, 0)? {
            Binding::Feature(feature) => feature.layout.sizes(),
            Binding::Constant(constant) => constant.dims.clone(),
            Binding::Numbers(_) => return Err(step.foreign("a feature map as its input")),
        };
        let sizes = sizes.into_iter().map(|size| size as i64).collect();
        let (start, end) = (step.int("start", 0), step.int("end", i64::MAX));
        Ok(Binding::Numbers(arithmetic::slice(&Numbers::ints(sizes), start, end)))
    }

    pub(super) fn arithmetic(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        let numbers = self.known_numbers(step, 0)?;
        let result = match step.node.op_type {
            "Floor" => Some(arithmetic::floor(&numbers)),
            "Gather" => {
                step.require(step.int("axis", 0) == 0, "axis 0")?;
                arithmetic::gather(&numbers, &self.known_numbers(step, 1)?)
            }
            "Slice" => {
                let argument = |index: usize, attribute: &str, default: i64| {
                    self.slice_argument(step, index, attribute, default)
                };
                let (start, end) = (argument(1, "starts", 0)?, argument(2, "ends", i64::MAX)?);
                let is_plain = argument(3, "axes", 0)? == 0 && argument(4, "steps", 1)? == 1;
                is_plain.then(|| arithmetic::slice(&numbers, start, end))
            }
            op_type => arithmetic::binary(op_type, &numbers, &self.known_numbers(step, 1)?),
        };
        result
            .map(Binding::Numbers)
            .ok_or_else(|| step.foreign("arithmetic on shapes that can be carried out"))
    }

    /// An argument of `Slice`: an input since opset 10, an attribute before.
    fn slice_argument(
        &self,
        step: &Step<'g, 'a>,
        index: usize,
        attribute: &str,
        default: i64,
    ) -> Result<i64, WeightsError> {
        let values = match (step.input(index), step.ints(attribute)) {
            (Some(_), _) => self.known_numbers(step, index)?.as_ints().map(<[i64]>::to_vec),
            (None, Some(values)) => Some(values.to_vec()),
            (None, None) => Some(vec![default]),
        };
        match values.as_deref() {
            Some([value]) => Ok(*value),
            _ => Err(step.foreign("a slice along one axis")),
        }
    }

    pub(super) fn rearrange(&mut self, step: &Step<'g, 'a>) -> Result<Binding<'g, 'a>, WeightsError> {
        match self.binding(step, 0)?.clone() {
            Binding::Feature(feature) => {
                let layout = self.rearranged(step, &feature.layout)?;
                Ok(Binding::Feature(Feature { layout, ..feature }))
            }
            Binding::Constant(constant) => {
                step.require(step.node.op_type != "Transpose", "weights as they are, not transposed")?;
                let dims = self.new_sizes(step, &constant.dims)?;
                Ok(Binding::Constant(Constant { dims, ..constant }))
            }
            Binding::Numbers(numbers) => {
                let sizes = if numbers.is_scalar { vec![] } else { vec![numbers.len()] };
                let is_scalar = match self.new_sizes(step, &sizes)?.len() {
                    0 => true,
                    1 => false,
                    _ => return Err(step.foreign("numbers in one row")),
                };
                Ok(Binding::Numbers(Numbers { is_scalar, ..numbers }))
            }
        }
    }

    fn rearranged(&self, step: &Step<'g, 'a>, layout: &Layout) -> Result<Layout, WeightsError> {
        let sizes = layout.sizes();
        let result = if step.node.op_type == "Transpose" {
            let order = step.ints("perm").unwrap_or(&[]);
            let order: Option<Vec<usize>> = order.iter().map(|&axis| usize::try_from(axis).ok()).collect();
            order.and_then(|order| layout.transpose(&order))
        } else {
            layout.reshape(&self.new_sizes(step, &sizes)?)
        };
        result.ok_or_else(|| step.foreign("a rearrangement as pixel shuffle or unshuffle do it"))
    }

    /// The sizes after `Reshape`, `Unsqueeze` or `Squeeze`.
    fn new_sizes(&self, step: &Step<'g, 'a>, sizes: &[usize]) -> Result<Vec<usize>, WeightsError> {
        let refusal = || {
            malformed(&step.site.to_string(), "a shape of as many elements", format!("another for {sizes:?}"))
        };
        // An input since opset 13 (`Reshape`: 5), an attribute before.
        let attribute = if step.node.op_type == "Reshape" { "shape" } else { "axes" };
        let argument = match (step.input(1), step.ints(attribute)) {
            (Some(_), _) => {
                self.known_numbers(step, 1)?.as_ints().map(<[i64]>::to_vec).ok_or_else(refusal)?
            }
            (None, Some(values)) => values.to_vec(),
            (None, None) => return Err(step.foreign("named axes")),
        };
        step.require(argument.len() <= 8, "at most 8 axes")?;
        let result = match step.node.op_type {
            "Reshape" => reshape_target(sizes, &argument, step.int("allowzero", 0) != 0),
            "Unsqueeze" => unsqueezed(sizes, &argument),
            _ => squeezed(sizes, &argument),
        };
        let is_possible = |sizes: &Vec<usize>| sizes.len() <= MAX_AXES && product(sizes).is_some();
        result.filter(is_possible).ok_or_else(refusal)
    }
}

/// `sizes` with axes of length 1 at `axes`, counted in the result.
fn unsqueezed(sizes: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let rank = sizes.len() + axes.len();
    let axes = axes
        .iter()
        .map(|&axis| from_end(axis, rank).filter(|&axis| axis < rank))
        .collect::<Option<Vec<_>>>()?;
    let mut old = sizes.iter().copied();
    let result: Option<Vec<usize>> =
        (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { old.next() }).collect();
    result.filter(|_| old.next().is_none())
}

/// `sizes` without the axes of length 1 at `axes`.
fn squeezed(sizes: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let axes = axes.iter().map(|&axis| from_end(axis, sizes.len())).collect::<Option<Vec<_>>>()?;
    if axes.iter().any(|&axis| sizes.get(axis) != Some(&1)) {
        return None;
    }
    Some(sizes.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &size)| size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_length_one_come_and_go() {
        assert_eq!(unsqueezed(&[4], &[1, 2]), Some(vec![4, 1, 1]));
        assert_eq!(unsqueezed(&[2, 3, 8, 12], &[3]), Some(vec![2, 3, 8, 1, 12]));
        assert_eq!(unsqueezed(&[4], &[-1]), Some(vec![4, 1]));
        assert_eq!(unsqueezed(&[4], &[5]), None);
        assert_eq!(unsqueezed(&[4], &[1, 1]), None);
        assert_eq!(squeezed(&[2, 1, 3, 1], &[1, -1]), Some(vec![2, 3]));
        assert_eq!(squeezed(&[2, 3], &[1]), None);
        assert_eq!(squeezed(&[2, 3], &[2]), None);
    }
}
