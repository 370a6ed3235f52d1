//! The files that PyTorch wrote before version 1.6: pickles one after the other, then the storages.
//!
//! In order: a magic number, a version, a description of the machine, the object, the keys of the storages, and for each
//! of them a 64-bit number of elements and the elements.

use std::collections::HashMap;
use std::ops::Range;

use super::pickle::{Pickled, Source, read};
use super::value::Value;
use crate::error::WeightsError;
use crate::text::shown;

/// `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The version of all such files.
const VERSION: i64 = 1001;

/// The saved object, and where in the file each storage lies.
pub(super) struct Legacy<'a> {
    pub(super) object: Pickled<'a>,
    pub(super) storages: HashMap<&'a str, Range<usize>>,
}

/// Reads everything but the elements.
///
/// # Errors
/// As those of [`read`]; [`WeightsError::Malformed`] where the file is another pickle, or cut off.
pub(super) fn open<'a>(source: Source<'a>) -> Result<Legacy<'a>, WeightsError> {
    let next = |start: usize| read(&Source { start, ..source });
    let magic = next(source.start)?;
    if magic.root != Value::Long(&MAGIC) {
        return Err(malformed("the pickle", "a checkpoint of PyTorch", magic.root.kind()));
    }
    let version = next(magic.end)?;
    if version.root != Value::Int(VERSION) {
        return Err(malformed("the version", VERSION, format!("{:?}", version.root)));
    }
    let machine = next(version.end)?;
    if let Value::Dict(place) = machine.root {
        let is_big = |&(key, value): &(&str, Value)| key == "little_endian" && value == Value::Bool(false);
        if machine.heap.text_entries(place).iter().any(is_big) {
            return Err(malformed("the byte order", "little-endian", "big-endian"));
        }
    }
    let object = next(machine.end)?;
    let keys = next(object.end)?;
    let storages = places(&source, &object, &keys)?;
    Ok(Legacy { object, storages })
}

/// Where each of the storages lies that are listed in `keys`, one after the other behind that list.
fn places<'a>(
    source: &Source<'a>,
    object: &Pickled<'a>,
    keys: &Pickled<'a>,
) -> Result<HashMap<&'a str, Range<usize>>, WeightsError> {
    let listed = keys.heap.sequence(keys.root);
    let listed = listed.ok_or_else(|| malformed("the storages' keys", "a list", keys.root.kind()))?;
    let declared: HashMap<&str, (usize, usize)> = object
        .heap
        .storages
        .iter()
        .map(|storage| (storage.key, (storage.elements, storage.element.size_bytes())))
        .collect();
    let mut places = HashMap::new();
    let mut at = keys.end;
    for &key in listed {
        let Value::Text(key) = key else { return Err(malformed("a storage's key", "a string", key.kind())) };
        let item = format!("the storage `{}`", shown(key));
        let &(elements, size) = declared
            .get(key)
            .ok_or_else(|| malformed(&item, "a storage that a tensor uses", "one that none does"))?;
        let count =
            source.bytes.get(at..).and_then(<[u8]>::first_chunk).map(|eight| u64::from_le_bytes(*eight));
        if count != Some(elements as u64) {
            let found = count.map_or("the end of the file".to_owned(), |count| count.to_string());
            return Err(malformed(&item, format!("{elements} elements"), found));
        }
        let start = at + 8;
        let end = elements.checked_mul(size).and_then(|length| start.checked_add(length));
        let end = end.filter(|&end| end <= source.bytes.len());
        at = end.ok_or_else(|| {
            let left = source.bytes.len() - start;
            malformed(&item, format!("{elements} elements of {size} bytes"), format!("{left} bytes"))
        })?;
        places.insert(key, start..at);
    }
    Ok(places)
}

fn malformed(item: &str, expected: impl ToString, found: impl ToString) -> WeightsError {
    WeightsError::Malformed {
        item: item.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}
