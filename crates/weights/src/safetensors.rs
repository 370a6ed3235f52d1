//! safetensors: a 64-bit length, a JSON header of that length, and the elements.
//!
//! What lives here: the format, read as strictly as its reference does (no hole, no overlap, nothing after the end) and
//! with narrower limits. The crate of the format's authors was weighed: it says neither which tensor is wrong nor what was
//! expected, keeps the last of two equal keys, and holds the whole header in memory twice before any limit of ours could
//! apply; the reading is 100 lines either way. The format: <https://huggingface.co/docs/safetensors/index>.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::dtype::DType;
use crate::error::WeightsError;
use crate::limits::Limits;
use crate::state::{EDGE, REPLICATE, StateDict};
use crate::stored::{Element, StoredTensor};
use crate::tensor::Tensor;
use crate::text::shown;

/// Bytes of the length before the header.
const LENGTH_BYTES: usize = 8;
/// The header's entry that is no tensor.
pub(crate) const METADATA: &str = "__metadata__";

/// Whether bytes begin as a safetensors file does: a length within the file, and a JSON object.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    header_length(bytes).is_some_and(|length| length <= (bytes.len() - LENGTH_BYTES) as u64)
        && bytes.get(LENGTH_BYTES) == Some(&b'{')
}

fn header_length(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

/// What the header says of one tensor.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The header, its tensors in the order of the text.
#[derive(Default)]
struct Header {
    tensors: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

/// Reads all tensors; their elements stay in the file's bytes.
///
/// # Errors
/// [`WeightsError::Malformed`] where the header is none, or does not describe the file's bytes exactly;
/// [`WeightsError::Limit`].
pub(crate) fn read(file: &Arc<Vec<u8>>, limits: &Limits) -> Result<StateDict, WeightsError> {
    let length = header_length(file).unwrap_or(0);
    if length > limits.max_header_bytes {
        let item = "bytes of the safetensors header".to_owned();
        return Err(WeightsError::Limit { item, limit: limits.max_header_bytes, found: length });
    }
    let end = LENGTH_BYTES + length as usize;
    let text = file.get(LENGTH_BYTES..end);
    let text =
        text.ok_or_else(|| malformed("the header", format!("{length} bytes"), "the end of the file"))?;
    let (data_bytes, limit) = (file.len() - end, limits.max_total_bytes_for(file.len() as u64));
    if data_bytes as u64 > limit {
        let item = "bytes of all tensors".to_owned();
        return Err(WeightsError::Limit { item, limit, found: data_bytes as u64 });
    }
    let header = parse(text, limits.max_tensors)?;
    check_offsets(&header, data_bytes)?;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for (key, entry) in header.tensors {
        let item = format!("the tensor `{}`", shown(&key));
        let element = element(&entry.dtype)
            .ok_or_else(|| malformed(&item, "a known element type", shown(&entry.dtype)))?;
        let bytes =
            entry.shape.iter().try_fold(element.size_bytes(), |product, &side| product.checked_mul(side));
        let (from, to) = entry.data_offsets;
        if bytes != Some(to - from) {
            let found = format!("the shape {:?} of {}", entry.shape, entry.dtype);
            return Err(malformed(&item, format!("{} bytes", to - from), found));
        }
        tensors.push((key, StoredTensor::contiguous(entry.shape, element, file, end + from)));
    }
    let declared_scale = header.metadata.get("scale").and_then(|scale| scale.parse().ok());
    let repeats_edge = header.metadata.get(EDGE).is_some_and(|edge| edge == REPLICATE);
    Ok(StateDict { tensors, declared_scale, repeats_edge, ..StateDict::default() })
}

fn parse(text: &[u8], max_tensors: usize) -> Result<Header, WeightsError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let header = HeaderVisitor { max_tensors }.deserialize(&mut deserializer);
    let header = header.and_then(|header| deserializer.end().map(|()| header));
    let header =
        header.map_err(|error| malformed("the header", "JSON of tensors", shown(&error.to_string())))?;
    if header.tensors.len() > max_tensors {
        let (item, limit) = ("tensors".to_owned(), max_tensors as u64);
        return Err(WeightsError::Limit { item, limit, found: header.tensors.len() as u64 });
    }
    Ok(header)
}

/// Offsets must cover the bytes behind the header from first to last, each once.
fn check_offsets(header: &Header, data_bytes: usize) -> Result<(), WeightsError> {
    let mut offsets: Vec<(usize, usize, &str)> = header
        .tensors
        .iter()
        .map(|(key, entry)| (entry.data_offsets.0, entry.data_offsets.1, key.as_str()))
        .collect();
    offsets.sort_unstable();
    let mut covered = 0;
    for (from, to, key) in offsets {
        if from != covered || to < from || to > data_bytes {
            let expected = format!("offsets from {covered}, up to {data_bytes}");
            return Err(malformed(
                &format!("the tensor `{}`", shown(key)),
                expected,
                format!("{from} to {to}"),
            ));
        }
        covered = to;
    }
    if covered != data_bytes {
        return Err(malformed("the elements", format!("{covered} bytes"), format!("{data_bytes} bytes")));
    }
    Ok(())
}

/// Reads the header's entries one by one, and stops behind the limit.
struct HeaderVisitor {
    max_tensors: usize,
}

impl<'de> DeserializeSeed<'de> for HeaderVisitor {
    type Value = Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{}` is there twice", shown(&key))));
            }
            if key == METADATA {
                header.metadata = map.next_value()?;
                continue;
            }
            let entry = map.next_value::<Entry>()?;
            header.tensors.push((key, entry));
            if header.tensors.len() > self.max_tensors {
                // The caller sees the number; the rest of the text is not worth reading.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            }
        }
        Ok(header)
    }
}

fn element(name: &str) -> Option<Element> {
    Some(match name {
        "F32" => Element::Weight(DType::F32),
        "F16" => Element::Weight(DType::F16),
        "BF16" => Element::Weight(DType::BF16),
        "F64" => Element::F64,
        "I64" => Element::Other("int64", 8),
        "U64" => Element::Other("uint64", 8),
        "C64" => Element::Other("complex64", 8),
        "I32" => Element::Other("int32", 4),
        "U32" => Element::Other("uint32", 4),
        "I16" => Element::Other("int16", 2),
        "U16" => Element::Other("uint16", 2),
        "I8" => Element::Other("int8", 1),
        "U8" => Element::Other("uint8", 1),
        "BOOL" => Element::Other("bool", 1),
        "F8_E4M3" | "F8_E5M2" => Element::Other("float8", 1),
        _ => return None,
    })
}

/// What the written header says under one key.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum WrittenItem<'a> {
    Metadata(&'a BTreeMap<&'a str, String>),
    Tensor { data_offsets: [usize; 2], dtype: String, shape: &'a [usize] },
}

/// The bytes of a file with these tensors, the widest element types first so that all are aligned.
///
/// The header's order is spelled out: that of JSON maps depends on a feature that any package of a build may switch on.
pub(crate) fn write(tensors: &[(String, Tensor)], metadata: &BTreeMap<&str, String>) -> Vec<u8> {
    let mut order: Vec<&(String, Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype.size_bytes()));
    let mut header = BTreeMap::from([(METADATA, WrittenItem::Metadata(metadata))]);
    let mut offset = 0;
    for (key, tensor) in &order {
        let end = offset + tensor.bytes().len();
        let dtype = tensor.dtype.name().to_ascii_uppercase();
        let item = WrittenItem::Tensor { data_offsets: [offset, end], dtype, shape: &tensor.shape };
        header.insert(key, item);
        offset = end;
    }
    let mut text = serde_json::to_vec(&header).expect("names, numbers and lists are JSON");
    text.resize(text.len().next_multiple_of(LENGTH_BYTES), b' ');
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + text.len() + offset);
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&text);
    for (_, tensor) in order {
        bytes.extend_from_slice(tensor.bytes());
    }
    bytes
}

fn malformed(item: &str, expected: impl Into<String>, found: impl Into<String>) -> WeightsError {
    WeightsError::Malformed { item: item.to_owned(), expected: expected.into(), found: found.into() }
}
