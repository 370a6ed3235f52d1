//! The dictionary of weights among what a checkpoint holds.

use super::pickle::Pickled;
use super::value::Value;
use crate::error::WeightsError;

/// Keys that weights are kept under, the most wanted first: moving averages make better pictures than the last step.
const WRAPPERS: [&str; 13] = [
    "params_ema",
    "params",
    "model_state_dict",
    "state_dict",
    "params-ema",
    "model",
    "net",
    "generator_ema",
    "g_ema",
    "generator",
    "netG",
    "net_g",
    "gen",
];
/// Dictionaries within each other at most.
const MAX_DEPTH: usize = 5;

/// Key and place of each tensor of the dictionary of weights; what is no tensor is left out.
///
/// # Errors
/// [`WeightsError::Malformed`] where the checkpoint is no dictionary, or has none with tensors.
pub(super) fn weights<'a>(object: &Pickled<'a>) -> Result<Vec<(&'a str, usize)>, WeightsError> {
    let malformed = |found: &str| WeightsError::Malformed {
        item: "the checkpoint".to_owned(),
        expected: "a dictionary of tensors".to_owned(),
        found: found.to_owned(),
    };
    let Value::Dict(mut place) = object.root else { return Err(malformed(object.root.kind())) };
    for _ in 0..MAX_DEPTH {
        let entries = object.heap.text_entries(place);
        match inner(&entries) {
            Some(inner) => place = inner,
            None => {
                let tensors = entries.into_iter().filter_map(|(key, value)| match value {
                    Value::Tensor(tensor) => Some((key, tensor)),
                    _ => None,
                });
                let tensors: Vec<_> = tensors.collect();
                return if tensors.is_empty() { Err(malformed("one without tensors")) } else { Ok(tensors) };
            }
        }
    }
    Err(malformed("dictionaries within dictionaries"))
}

/// What the outermost dictionary holds under `key`, where that is a text.
pub(super) fn text<'a>(object: &Pickled<'a>, key: &str) -> Option<&'a str> {
    let Value::Dict(place) = object.root else { return None };
    object.heap.text_entries(place).into_iter().find_map(|(found, value)| match value {
        Value::Text(text) if found == key => Some(text),
        _ => None,
    })
}

/// The dictionary within this one that the weights are in, if they are not in this one.
fn inner(entries: &[(&str, Value<'_>)]) -> Option<usize> {
    let dict_of = |value: &Value<'_>| match value {
        Value::Dict(place) => Some(*place),
        _ => None,
    };
    let under =
        |wanted: &&str| entries.iter().find(|(key, _)| key == wanted).and_then(|(_, value)| dict_of(value));
    WRAPPERS.iter().find_map(under).or(match entries {
        [(_, only)] => dict_of(only),
        _ => None,
    })
}
