//! PyTorch's checkpoints: `.pth`, `.pt`, `.ckpt`.
//!
//! What lives here: the containers, the pickle, and the dictionary of weights within it. What does not: what the weights'
//! names mean (`keys`).
//!
//! # Why not the crate `pytorch-reader`
//! Its version 0.22.1 was tried on the layouts that this program must read. It executes nothing either, but
//! - a name that it does not know becomes an opaque value: a checkpoint whose pickle asks for `posix.system` opens as one
//!   without tensors, where a refusal has to say what the file asked for;
//! - it refused one of the plain `torch.save` archives ("Invalid Central Directory header");
//! - its limits are constants (10 GiB a tensor, 100 MiB of pickle), with none on the sum of all tensors or their number,
//!   and an archive with two `data.pkl` opens;
//! - it hands out tensors in no order under dotted names, so wrappers can only be guessed at;
//! - it brings tar, zip with deflate, file times and extended attributes.

mod archive;
mod legacy;
mod opcode;
mod pickle;
mod rebuild;
mod state;
mod value;
mod write;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::WeightsError;
use crate::limits::Limits;
use crate::state::{EDGE, REPLICATE, StateDict};
use crate::stored::StoredTensor;
use crate::text::shown;
use archive::Member;
use pickle::{Pickled, Source};

pub(crate) use write::write;

/// Whether bytes begin as an archive of PyTorch 1.6 and later does.
pub(crate) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Whether bytes begin as a pickle of protocol 2 to 5 does.
pub(crate) fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// Reads the dictionary of weights from a checkpoint; nothing in it is run.
///
/// # Errors
/// Those of [`WeightsError`] that concern files: malformed, forbidden, beyond the limits.
pub(crate) fn read(file: &Arc<Vec<u8>>, limits: &Limits) -> Result<StateDict, WeightsError> {
    let source = |bytes, start| Source { bytes, start, limits, file_bytes: file.len() as u64 };
    if !is_archive(file) {
        let legacy = legacy::open(source(file.as_slice(), 0))?;
        return state_dict(file, &legacy.object, &legacy.storages);
    }
    // Each tensor may have a member of its own; PyTorch adds fewer than ten.
    let members = archive::members(file, limits.max_tensors.saturating_add(100))?;
    check_sums(file, &members)?;
    let (root, pickle) = find_pickle(&members)?;
    if pickle.range.len() as u64 > limits.max_header_bytes {
        let (limit, found) = (limits.max_header_bytes, pickle.range.len() as u64);
        return Err(WeightsError::Limit { item: "bytes of data.pkl".to_owned(), limit, found });
    }
    let order = members.iter().find(|member| member.name.strip_prefix(root) == Some("byteorder"));
    if let Some(order) = order.filter(|order| file[order.range.clone()].trim_ascii() != b"little") {
        let found = crate::text::shown_bytes(&file[order.range.clone()]);
        return Err(malformed("the byte order", "little", found));
    }
    let object = pickle::read(&source(&file[..pickle.range.end], pickle.range.start))?;
    let folder = format!("{root}data/");
    let storages =
        members.iter().filter_map(|member| Some((member.name.strip_prefix(&folder)?, member.range.clone())));
    state_dict(file, &object, &storages.collect())
}

/// Compares the archive's checksums; PyTorch writes 0 where it was told to compute none.
fn check_sums(file: &[u8], members: &[Member]) -> Result<(), WeightsError> {
    for member in members.iter().filter(|member| member.crc32 != 0) {
        let found = crc32fast::hash(&file[member.range.clone()]);
        if found != member.crc32 {
            let item = format!("the checksum of the zip member `{}`", shown(&member.name));
            return Err(malformed(
                &item,
                format!("{:08x}", member.crc32),
                format!("{found:08x}: the file is damaged"),
            ));
        }
    }
    Ok(())
}

/// The one `data.pkl`, and the folder that it lies in.
fn find_pickle(members: &[Member]) -> Result<(&str, &Member), WeightsError> {
    let root = |member: &'_ Member| match member.name.strip_suffix("data.pkl") {
        Some(root) if root.is_empty() || root.ends_with('/') => Some(root.len()),
        _ => None,
    };
    let mut found = members.iter().filter_map(|member| Some((root(member)?, member)));
    match (found.next(), found.next()) {
        (Some((length, member)), None) => Ok((&member.name[..length], member)),
        (None, _) => {
            Err(malformed("the zip archive", "a checkpoint of PyTorch", "an archive without data.pkl"))
        }
        (_, Some((_, second))) => {
            Err(malformed("the zip archive", "one data.pkl", format!("`{}` as well", shown(&second.name))))
        }
    }
}

/// The weights among what a pickle has built, with their places in the file.
fn state_dict(
    file: &Arc<Vec<u8>>,
    object: &Pickled<'_>,
    storages: &HashMap<&str, Range<usize>>,
) -> Result<StateDict, WeightsError> {
    let mut tensors = Vec::new();
    for (key, place) in state::weights(object)? {
        let tensor = &object.heap.tensors[place];
        let storage = &object.heap.storages[tensor.storage];
        let item = format!("the storage `{}` of the tensor `{}`", shown(storage.key), shown(key));
        let range = storages.get(storage.key).cloned();
        let range = range.ok_or_else(|| malformed(&item, "its elements in the file", "none"))?;
        let size = storage.element.size_bytes();
        if storage.elements.checked_mul(size) != Some(range.len()) {
            let expected = format!("{} elements of {size} bytes", storage.elements);
            return Err(malformed(&item, expected, format!("{} bytes", range.len())));
        }
        // The part is within the storage, and the storage within the file: no overflow.
        let part = range.start + storage.part.start * size..range.start + storage.part.end * size;
        let stored = StoredTensor::new(key, storage.element, tensor.view.clone(), file, part)?;
        tensors.push((key.to_owned(), stored));
    }
    let repeats_edge = state::text(object, EDGE) == Some(REPLICATE);
    Ok(StateDict { tensors, repeats_edge, ..StateDict::default() })
}

fn malformed(item: &str, expected: impl Into<String>, found: impl Into<String>) -> WeightsError {
    WeightsError::Malformed { item: item.to_owned(), expected: expected.into(), found: found.into() }
}
