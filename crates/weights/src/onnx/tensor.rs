//! Constants of an ONNX graph: weights, and the few numbers that shapes are computed from.

use super::proto;
use super::wire::{Value, take_varint};
use crate::graph::{Site, foreign, malformed};
use crate::{DType, Tensor, WeightsError};

/// `TensorProto.DataType`: FLOAT.
pub(super) const FLOAT: i64 = 1;
/// `TensorProto.DataType`: INT32.
pub(super) const INT32: i64 = 6;
/// `TensorProto.DataType`: INT64.
pub(super) const INT64: i64 = 7;
/// `TensorProto.DataType`: FLOAT16.
pub(super) const FLOAT16: i64 = 10;
/// `TensorProto.DataType`: DOUBLE.
pub(super) const DOUBLE: i64 = 11;
/// `TensorProto.DataType`: BFLOAT16.
pub(super) const BFLOAT16: i64 = 16;

/// Shapes have at most this many numbers; a constant with more is weights.
const MAX_NUMBERS: usize = 64;

/// A few numbers: a shape, a scale, a factor. No dimensions means a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    pub is_scalar: bool,
    pub values: Values,
}

/// The numbers themselves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
}

impl Numbers {
    /// A vector of integers.
    pub fn ints(values: Vec<i64>) -> Self {
        Self { is_scalar: false, values: Values::Ints(values) }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Ints(values) => values.len(),
            Values::Floats(values) => values.len(),
        }
    }

    /// As integers, if they are.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Ints(values) => Some(values),
            Values::Floats(_) => None,
        }
    }

    /// As floats, whatever they are.
    pub fn to_floats(&self) -> Vec<f64> {
        match &self.values {
            Values::Ints(values) => values.iter().map(|&value| value as f64).collect(),
            Values::Floats(values) => values.clone(),
        }
    }
}

/// How many elements a tensor says it has.
fn num_elements(tensor: &proto::Tensor<'_>) -> Result<usize, WeightsError> {
    let product =
        tensor.dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
    product.ok_or_else(|| {
        malformed(
            &item(tensor),
            "dimensions of a possible product",
            format!("{:?}", &tensor.dims[..tensor.dims.len().min(8)]),
        )
    })
}

fn item(tensor: &proto::Tensor<'_>) -> String {
    match tensor.name {
        "" => "constant".to_owned(),
        name => format!("initializer `{}`", super::shorten(name)),
    }
}

/// Refuses a tensor whose data lies in another file.
pub(super) fn require_inline(tensor: &proto::Tensor<'_>) -> Result<(), WeightsError> {
    match tensor.is_external {
        false => Ok(()),
        true => {
            let site = Site { kind: item(tensor), ..Site::default() };
            Err(foreign(&site, "its data inside the .onnx file, not in another one (external data)"))
        }
    }
}

/// The tensor as weights of shape `dims`, which has as many elements.
pub(super) fn to_weights(tensor: &proto::Tensor<'_>, dims: &[usize]) -> Result<Tensor, WeightsError> {
    require_inline(tensor)?;
    let (dtype, element_bytes) = match tensor.data_type {
        FLOAT => (DType::F32, 4),
        FLOAT16 => (DType::F16, 2),
        BFLOAT16 => (DType::BF16, 2),
        other => {
            return Err(WeightsError::ElementType {
                tensor: super::shorten(tensor.name),
                found: format!("ONNX data type {other}"),
            });
        }
    };
    let elements = num_elements(tensor)?;
    let wrong = |found: usize| {
        malformed(
            &item(tensor),
            format!("{elements} elements of {element_bytes} bytes"),
            format!("{found} bytes"),
        )
    };
    let bytes = match (tensor.raw, element_bytes) {
        (Some(raw), _) => raw.to_vec(),
        (None, 4) => joined_floats(&tensor.floats).ok_or_else(|| wrong(0))?,
        (None, _) => joined_halves(&tensor.int32s, elements).ok_or_else(|| wrong(0))?,
    };
    if elements.checked_mul(element_bytes) != Some(bytes.len()) {
        return Err(wrong(bytes.len()));
    }
    Tensor::new(dims.to_vec(), dtype, bytes)
}

/// `float_data`, packed or not, as bytes.
fn joined_floats(chunks: &[Value<'_>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        match chunk {
            Value::Bytes(packed) => bytes.extend_from_slice(packed),
            Value::Fixed32(single) => bytes.extend_from_slice(single),
            _ => return None,
        }
    }
    Some(bytes)
}

/// `int32_data` that holds 16-bit floats, as bytes. Each takes a byte of the file or more, so memory is bounded by it.
fn joined_halves(chunks: &[Value<'_>], elements: usize) -> Option<Vec<u8>> {
    let ints = joined_ints(chunks, elements)?;
    let halves = ints.into_iter().map(|value| u16::try_from(value).ok()).collect::<Option<Vec<u16>>>()?;
    Some(halves.into_iter().flat_map(u16::to_le_bytes).collect())
}

/// `int32_data` or `int64_data`, packed or not; `None` where there are more than `most`.
fn joined_ints(chunks: &[Value<'_>], most: usize) -> Option<Vec<i64>> {
    let mut ints = Vec::new();
    for chunk in chunks {
        match *chunk {
            Value::Varint(value) => ints.push(value as i64),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() && ints.len() <= most {
                    ints.push(take_varint(&mut packed)? as i64);
                }
            }
            _ => return None,
        }
    }
    (ints.len() <= most).then_some(ints)
}

/// The tensor as a few numbers; `None` where it is none: too many, or of a type that shapes do not have.
pub(super) fn to_numbers(tensor: &proto::Tensor<'_>) -> Result<Option<Numbers>, WeightsError> {
    let elements = num_elements(tensor)?;
    if elements > MAX_NUMBERS || tensor.dims.len() > 4 {
        return Ok(None);
    }
    require_inline(tensor)?;
    let values = match (tensor.data_type, tensor.raw) {
        (INT64, Some(raw)) => Some(Values::Ints(elements_of(raw, i64::from_le_bytes))),
        (INT64, None) => joined_ints(&tensor.int64s, elements).map(Values::Ints),
        (INT32, Some(raw)) => Some(Values::Ints(elements_of(raw, |b| i64::from(i32::from_le_bytes(b))))),
        (INT32, None) => joined_ints(&tensor.int32s, elements).map(Values::Ints),
        (DOUBLE, Some(raw)) => Some(Values::Floats(elements_of(raw, f64::from_le_bytes))),
        (FLOAT | FLOAT16 | BFLOAT16, _) => {
            let floats = to_weights(tensor, &[elements])?.to_f32();
            Some(Values::Floats(floats.into_iter().map(f64::from).collect()))
        }
        _ => None,
    };
    let is_scalar = tensor.dims.is_empty();
    let numbers = values.map(|values| Numbers { is_scalar, values });
    match numbers {
        Some(numbers) if numbers.len() != elements => {
            let found = numbers.len().to_string();
            Err(malformed(&item(tensor), format!("{elements} elements"), found))
        }
        other => Ok(other),
    }
}

/// The whole elements of `raw_data`.
fn elements_of<T, const N: usize>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)).collect()
}
