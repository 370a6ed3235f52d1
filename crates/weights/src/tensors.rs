//! Named tensors to the bytes of a safetensors file and back, whichever network they are, under exactly their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::WeightsError;
use crate::limits::Limits;
use crate::map::WeightMap;
use crate::safetensors::{self, METADATA};
use crate::tensor::Tensor;

/// The bytes of a safetensors file with these tensors. Equal maps have equal bytes, in whichever order they were filled.
///
/// # Errors
/// [`WeightsError::Argument`] for the one name that the format keeps for itself, `__metadata__`.
pub fn tensors_to_bytes(tensors: &WeightMap) -> Result<Vec<u8>, WeightsError> {
    if tensors.get(METADATA).is_some() {
        let (expected, found) = (format!("names other than `{METADATA}`"), METADATA.to_owned());
        return Err(WeightsError::Argument { argument: "tensors", expected, found });
    }
    let mut named: Vec<(String, Tensor)> =
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    named.sort_by(|(first, _), (second, _)| first.cmp(second));
    // `format` is what other programs look for.
    Ok(safetensors::write(&named, &BTreeMap::from([("format", "pt".to_owned())])))
}

/// The tensors of a safetensors file's bytes, which they share, in the order of its header. Unlike
/// [`load_tensors`](crate::load_tensors) it keeps every name as it is.
///
/// # Errors
/// [`WeightsError`], without the name of a file.
pub fn tensors_from_bytes(bytes: &Arc<Vec<u8>>, limits: &Limits) -> Result<WeightMap, WeightsError> {
    let state = safetensors::read(bytes, limits)?;
    state.tensors.into_iter().map(|(key, tensor)| Ok((key.clone(), tensor.materialise(&key)?))).collect()
}

/// Writes tensors as a safetensors file, which appears complete or not at all.
///
/// # Errors
/// As [`tensors_to_bytes`], and [`WeightsError::Io`].
pub fn save_tensors(tensors: &WeightMap, path: &Path) -> Result<(), WeightsError> {
    let bytes = tensors_to_bytes(tensors).map_err(|error| error.in_file(path))?;
    crate::save::write_file(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn tensors() -> WeightMap {
        let tensor = |shape: &[usize], values: &[f32]| Tensor::from_f32(shape.to_vec(), values).unwrap();
        [
            // `load_tensors` would take the prefix off, and leave out the others.
            ("generator.conv_first.weight", tensor(&[2, 2], &[1.0, -0.0, f32::NAN, f32::INFINITY])),
            ("adam.step", tensor(&[], &[7.0])),
            ("half", tensor(&[3], &[0.5, 1.5, 2.5]).cast(DType::F16, "half").unwrap()),
            ("nothing", tensor(&[0, 4], &[])),
            ("a \"quoted\" näme", tensor(&[1], &[3.0])),
        ]
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
    }

    #[test]
    fn names_and_bits_come_back() {
        let bytes = Arc::new(tensors_to_bytes(&tensors()).unwrap());
        assert_eq!(tensors_from_bytes(&bytes, &Limits::default()).unwrap(), tensors());
        let empty = Arc::new(tensors_to_bytes(&WeightMap::new()).unwrap());
        assert!(tensors_from_bytes(&empty, &Limits::default()).unwrap().is_empty());
    }

    #[test]
    fn equal_maps_have_equal_bytes() {
        let entries: Vec<_> =
            tensors().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
        let reversed: WeightMap = entries.into_iter().rev().collect();
        assert_eq!(tensors_to_bytes(&tensors()).unwrap(), tensors_to_bytes(&reversed).unwrap());
    }

    #[test]
    fn a_saved_file_loads_as_any_other() {
        let path = std::env::temp_dir().join(format!("esrgan-tensors-{}.safetensors", std::process::id()));
        let plain: WeightMap =
            [("body.0.weight".to_owned(), Tensor::from_f32(vec![2], &[1.0, 2.0]).unwrap())]
                .into_iter()
                .collect();
        save_tensors(&plain, &path).unwrap();
        let loaded = crate::load_tensors(&path, &Limits::default());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded.unwrap(), plain);
    }

    #[test]
    fn the_name_of_the_metadata_is_refused() {
        let mut map = tensors();
        map.insert(METADATA.to_owned(), Tensor::from_f32(vec![1], &[0.0]).unwrap());
        let error = tensors_to_bytes(&map).unwrap_err();
        assert!(matches!(error, WeightsError::Argument { argument: "tensors", .. }), "{error}");
    }

    #[test]
    fn truncated_bytes_are_refused_at_every_length() {
        let bytes = tensors_to_bytes(&tensors()).unwrap();
        for length in 0..bytes.len() {
            let truncated = Arc::new(bytes[..length].to_vec());
            assert!(tensors_from_bytes(&truncated, &Limits::default()).is_err(), "{length}");
        }
    }
}
