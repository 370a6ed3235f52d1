//! What a pickle may be made of: inert values, with containers in a heap of their own.
//!
//! Containers are named by their place in the [`Heap`], so a value is a few words that can be copied, a container may hold
//! itself, and neither dropping nor copying anything walks a graph that a file has drawn.

use std::collections::HashMap;

use crate::error::WeightsError;
use crate::limits::Limits;
use crate::stored::{Element, View};

/// A value. Text and bytes lie in the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: two's complement, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Global(Global),
    Storage(usize),
    Tensor(usize),
    /// Something that was understood as harmless and is never looked into.
    Inert,
}

impl Value<'_> {
    /// What a message calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Long(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Global(_) => "a class or function",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::Inert => "an object",
        }
    }
}

/// A class or function that a pickle may name. None is ever called: each has a fixed meaning here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    /// `collections.OrderedDict` and the like.
    Dict,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter` and `_rebuild_parameter_with_state`.
    RebuildParameter,
    /// A class such as `torch.FloatStorage`.
    Storage(Element),
    /// One whose objects are inert.
    Inert,
}

impl Global {
    /// The meaning of a name, where it is one that checkpoints need.
    pub(super) fn from_name(module: &str, name: &str) -> Option<Self> {
        use crate::dtype::DType;
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Self::Dict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => {
                Self::Storage(match storage {
                    "FloatStorage" => Element::Weight(DType::F32),
                    "HalfStorage" => Element::Weight(DType::F16),
                    "BFloat16Storage" => Element::Weight(DType::BF16),
                    "DoubleStorage" => Element::F64,
                    "LongStorage" => Element::Other("int64", 8),
                    "IntStorage" => Element::Other("int32", 4),
                    "ShortStorage" => Element::Other("int16", 2),
                    "CharStorage" => Element::Other("int8", 1),
                    "ByteStorage" => Element::Other("uint8", 1),
                    "BoolStorage" => Element::Other("bool", 1),
                    "ComplexFloatStorage" => Element::Other("complex64", 8),
                    "ComplexDoubleStorage" => Element::Other("complex128", 16),
                    _ => return None,
                })
            }
            // Beside the weights in training checkpoints: shapes, scores, schedules, arguments.
            ("torch", "Size" | "device" | "float32" | "float16" | "bfloat16" | "float64" | "int64")
            | ("collections", "Counter")
            | ("numpy", "dtype" | "ndarray")
            | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct")
            | ("_codecs", "encode")
            | ("__builtin__" | "builtins", "set" | "frozenset")
            | ("argparse", "Namespace") => Self::Inert,
            _ => return None,
        })
    }
}

/// Elements somewhere in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements of the whole storage.
    pub(super) elements: usize,
    /// The part that this one is, in elements; files of before version 1.6 have storages that are views of others.
    pub(super) part: std::ops::Range<usize>,
}

/// A tensor: a view of a storage that was checked to lie within it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorView {
    pub(super) storage: usize,
    pub(super) view: View,
}

/// Everything that a pickle builds.
#[derive(Debug, Default)]
pub(super) struct Heap<'a> {
    pub(super) tuples: Vec<Vec<Value<'a>>>,
    pub(super) lists: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<TensorView>,
    /// Bytes of all tensors, as materialised.
    total_bytes: u64,
}

impl<'a> Heap<'a> {
    /// The place of a new tuple.
    pub(super) fn tuple(&mut self, values: Vec<Value<'a>>) -> Value<'a> {
        self.tuples.push(values);
        Value::Tuple(self.tuples.len() - 1)
    }

    /// The place of a new list.
    pub(super) fn list(&mut self, values: Vec<Value<'a>>) -> Value<'a> {
        self.lists.push(values);
        Value::List(self.lists.len() - 1)
    }

    /// The place of a new dictionary.
    pub(super) fn dict(&mut self, entries: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
        self.dicts.push(entries);
        Value::Dict(self.dicts.len() - 1)
    }

    /// The values of a tuple or list.
    pub(super) fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::Tuple(place) => self.tuples.get(place).map(Vec::as_slice),
            Value::List(place) => self.lists.get(place).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The entries of a dictionary that have text for a key, in the order of their first appearance; the last of equal
    /// keys counts.
    pub(super) fn text_entries(&self, dict: usize) -> Vec<(&'a str, Value<'a>)> {
        let mut places = HashMap::new();
        let mut entries: Vec<(&'a str, Value<'a>)> = Vec::new();
        for &(key, value) in self.dicts.get(dict).into_iter().flatten() {
            let Value::Text(key) = key else { continue };
            match places.get(key) {
                Some(&place) => entries[place] = (key, value),
                None => {
                    places.insert(key, entries.len());
                    entries.push((key, value));
                }
            }
        }
        entries
    }

    /// Adds a tensor whose view was checked; `elements` is what the check returned.
    ///
    /// # Errors
    /// [`WeightsError::Limit`] where the file has too many tensors, or they are too large together. Nothing of them has
    /// been read by then.
    pub(super) fn tensor(
        &mut self,
        tensor: TensorView,
        elements: usize,
        limits: &Limits,
        file_bytes: u64,
    ) -> Result<Value<'a>, WeightsError> {
        let element_bytes = self.storages[tensor.storage].element.size_bytes() as u64;
        let bytes = (elements as u64).saturating_mul(element_bytes);
        self.total_bytes = self.total_bytes.saturating_add(bytes);
        let limit = limits.max_total_bytes_for(file_bytes);
        if self.total_bytes > limit {
            let item = format!("bytes of all tensors of a file of {file_bytes} bytes");
            return Err(WeightsError::Limit { item, limit, found: self.total_bytes });
        }
        if self.tensors.len() >= limits.max_tensors {
            let (limit, found) = (limits.max_tensors as u64, self.tensors.len() as u64 + 1);
            return Err(WeightsError::Limit { item: "tensors".to_owned(), limit, found });
        }
        self.tensors.push(tensor);
        Ok(Value::Tensor(self.tensors.len() - 1))
    }
}
