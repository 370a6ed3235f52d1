//! Checkpoints to save, and what a folder holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use esrgan_checkpoint::{Checkpoint, Contents};
use esrgan_weights::{Tensor, WeightMap};

/// Tensors of a step; the names are such that prefixes would get lost, were they taken for a network's.
pub(crate) fn tensors(step: u64) -> WeightMap {
    let values: Vec<f32> = (0..64).map(|index| (index as f32 + step as f32).sin()).collect();
    [("generator.conv_first.weight", vec![8, 8]), ("adam.moment.body.0.bias", vec![64])]
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), Tensor::from_f32(shape, &values).unwrap()))
        .collect()
}

/// The checkpoint of a step, the same at every call.
pub(crate) fn checkpoint(step: u64) -> Checkpoint {
    Checkpoint {
        step,
        files: vec![
            ("generator.safetensors".to_owned(), Contents::Tensors(tensors(step))),
            (
                "schedule.json".to_owned(),
                Contents::Text(format!("{{\"step\": {step}, \"name\": \"größer\"}}")),
            ),
        ],
        notes: BTreeMap::from([("psnr_y_db".to_owned(), format!("27.{step}"))]),
    }
}

/// The same, and a file of random-looking bytes.
pub(crate) fn large_checkpoint(step: u64, bytes: usize) -> Checkpoint {
    let mut checkpoint = checkpoint(step);
    let content = (0..bytes).map(|index| (index * 31 % 251) as u8).collect();
    checkpoint.files.push(("large.bin".to_owned(), Contents::Bytes(content)));
    checkpoint
}

/// All files of a folder but the lock, by their paths within it.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(
                tree(&entry.path()).into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)),
            );
        } else if name != "lock" {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
