//! What the few known functions of PyTorch's pickles mean: storages, and tensors as views of them.

use super::pickle::Machine;
use super::value::{Global, Storage, TensorView, Value};
use crate::error::WeightsError;
use crate::stored::View;
use crate::text::shown;

/// Arguments of the known functions at most.
const MAX_ARGUMENTS: usize = 8;
/// Sides of a shape that are looked at; [`View::check`] refuses fewer.
const MAX_SIDES: usize = 64;

impl<'a> Machine<'_, 'a> {
    /// The meaning of a call; nothing is called.
    pub(super) fn call(&mut self, global: Global, arguments: Value<'a>) -> Result<Value<'a>, WeightsError> {
        let Value::Tuple(place) = arguments else {
            return Err(self.malformed("a tuple of arguments", arguments.kind()));
        };
        // No known function has more; copying all would let a long tuple be copied many times.
        let arguments: Vec<Value<'a>> = self.heap.tuples[place].iter().take(MAX_ARGUMENTS).copied().collect();
        match (global, arguments.as_slice()) {
            (Global::Inert, _) => Ok(Value::Inert),
            (Global::Dict, []) => Ok(self.heap.dict(Vec::new())),
            (Global::Dict, [first]) => self.dict_from(*first),
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(*tensor),
            (Global::RebuildTensor, [Value::Storage(storage), offset, shape, strides, ..]) => {
                let view = View {
                    offset: self.length(*offset)?,
                    shape: self.lengths(*shape)?,
                    strides: self.lengths(*strides)?,
                };
                self.tensor(*storage, view)
            }
            (_, arguments) => {
                let kinds: Vec<&str> = arguments.iter().take(4).map(Value::kind).collect();
                Err(self.malformed(&format!("arguments of {global:?}"), format!("({})", kinds.join(", "))))
            }
        }
    }

    /// A dictionary from a list of pairs, as Python 2 wrote them; `defaultdict` has a class there instead.
    fn dict_from(&mut self, pairs: Value<'a>) -> Result<Value<'a>, WeightsError> {
        let mut entries = Vec::new();
        if !matches!(pairs, Value::Global(_) | Value::None) {
            let length = self.heap.sequence(pairs).map(<[_]>::len);
            let length = length.ok_or_else(|| self.malformed("a list of pairs", pairs.kind()))?;
            self.spend(length)?;
            for &pair in self.heap.sequence(pairs).unwrap_or_default() {
                match self.heap.sequence(pair) {
                    Some(&[key, value]) => entries.push((key, value)),
                    _ => return Err(self.malformed("a pair", pair.kind())),
                }
            }
        }
        Ok(self.heap.dict(entries))
    }

    fn tensor(&mut self, storage: usize, view: View) -> Result<Value<'a>, WeightsError> {
        let part = self.heap.storages[storage].part.len();
        let key = self.heap.storages[storage].key;
        let elements = view.check(part, || format!("a tensor in the storage `{}`", shown(key)))?;
        self.heap.tensor(TensorView { storage, view }, elements, self.source.limits, self.source.file_bytes)
    }

    /// The storage of a persistent identifier: `("storage", class, key, device, elements)`, and before version 1.6
    /// perhaps the part `(key, offset, elements)` that it is of that storage.
    pub(super) fn storage(&mut self, identifier: Value<'a>) -> Result<Value<'a>, WeightsError> {
        let fields = self.heap.sequence(identifier).unwrap_or_default();
        let [
            Value::Text("storage"),
            Value::Global(Global::Storage(element)),
            Value::Text(key),
            _,
            elements,
            ..,
        ] = fields
        else {
            return Err(self.malformed("the identifier of a storage", identifier.kind()));
        };
        let (element, key, elements) = (*element, *key, *elements);
        let rest = fields.get(5).copied().unwrap_or(Value::None);
        let elements = self.length(elements)?;
        let part = match rest {
            Value::None => 0..elements,
            view => match self.heap.sequence(view) {
                Some(&[_, offset, length]) => {
                    let (start, length) = (self.length(offset)?, self.length(length)?);
                    let end = start.checked_add(length).filter(|&end| end <= elements);
                    let end = end.ok_or_else(|| {
                        let found = format!("{length} elements from {start} of {elements}");
                        self.malformed("a part of a storage within it", found)
                    })?;
                    start..end
                }
                _ => return Err(self.malformed("a part of a storage", view.kind())),
            },
        };
        if self.heap.storages.len() >= self.source.limits.max_tensors {
            let limit = self.source.limits.max_tensors as u64;
            return Err(WeightsError::Limit { item: "storages".to_owned(), limit, found: limit + 1 });
        }
        self.heap.storages.push(Storage { key, element, elements, part });
        Ok(Value::Storage(self.heap.storages.len() - 1))
    }

    fn length(&self, value: Value<'a>) -> Result<usize, WeightsError> {
        let length = match value {
            Value::Int(length) => usize::try_from(length).ok(),
            _ => None,
        };
        length.ok_or_else(|| {
            let found = match value {
                Value::Int(negative) => negative.to_string(),
                other => other.kind().to_owned(),
            };
            self.malformed("a length or offset", found)
        })
    }

    fn lengths(&self, value: Value<'a>) -> Result<Vec<usize>, WeightsError> {
        let values = self.heap.sequence(value);
        let values = values.ok_or_else(|| self.malformed("a tuple of lengths", value.kind()))?;
        values.iter().take(MAX_SIDES).map(|&value| self.length(value)).collect()
    }
}
