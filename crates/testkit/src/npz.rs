//! Reads the goldens that NumPy wrote: `.npz` of little-endian f32, f64 or f16 arrays in C order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// An array of a NumPy file, widened to f64.
#[derive(Clone, Debug)]
pub struct Array {
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Its values in C order.
    pub values: Vec<f64>,
}

/// Reads every array of an `.npz` file.
///
/// # Panics
/// Where the file is not such a file: goldens are ours, and a test should stop.
pub fn read_npz(path: &Path) -> BTreeMap<String, Array> {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut archive = zip::ZipArchive::new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).expect("a listed entry can be read");
            let name = entry.name().expect("a UTF-8 name").trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("a golden is complete");
            (name, parse_npy(&bytes))
        })
        .collect()
}

fn parse_npy(bytes: &[u8]) -> Array {
    assert_eq!(&bytes[..6], b"\x93NUMPY", "not a .npy file");
    let (header_start, header_len) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    let header =
        std::str::from_utf8(&bytes[header_start..header_start + header_len]).expect("an ASCII header");
    assert!(header.contains("'fortran_order': False"), "C order expected: {header}");
    let shape = header
        .split_once("'shape': (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(dims, _)| dims.split(',').filter_map(|d| d.trim().parse().ok()).collect::<Vec<usize>>())
        .unwrap_or_else(|| panic!("no shape: {header}"));
    let data = &bytes[header_start + header_len..];
    let values: Vec<f64> = if header.contains("'<f4'") {
        data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    } else if header.contains("'<f8'") {
        data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    } else {
        panic!("an element type that goldens do not use: {header}");
    };
    assert_eq!(values.len(), shape.iter().product::<usize>(), "as many values as the shape says");
    Array { shape, values }
}
