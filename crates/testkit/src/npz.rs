//! Reads the goldens that NumPy wrote: `.npz` of little-endian f32, f64 or f16 arrays in C order.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::DeflateDecoder;

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
    let archive = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let arrays = entries(&archive).unwrap_or_else(|| panic!("{}: no archive of NumPy's", path.display()));
    arrays.into_iter().map(|(name, bytes)| (name, parse_npy(&bytes))).collect()
}

// A reader of archives would bring other features of crates that the program is built with, and so a second build of all that
// stands on them.
/// Names and contents of an archive's files, by its directory (APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16).
fn entries(archive: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    const DIRECTORY_END: &[u8] = b"PK\x05\x06";
    const DIRECTORY_END_BYTES: usize = 22;
    const ENTRY_BYTES: usize = 46;
    const FILE_BYTES: usize = 30;
    let two = |at: usize| Some(usize::from(u16::from_le_bytes(archive.get(at..at + 2)?.try_into().ok()?)));
    let four = |at: usize| Some(u32::from_le_bytes(archive.get(at..at + 4)?.try_into().ok()?) as usize);
    let end = (0..=archive.len().checked_sub(DIRECTORY_END_BYTES)?)
        .rev()
        .find(|at| archive[*at..].starts_with(DIRECTORY_END))?;
    let mut entry = four(end + 16)?;
    let mut found = Vec::new();
    for _ in 0..two(end + 10)? {
        let (method, packed, plain) = (two(entry + 10)?, four(entry + 20)?, four(entry + 24)?);
        let (name_bytes, file) = (two(entry + 28)?, four(entry + 42)?);
        let name =
            std::str::from_utf8(archive.get(entry + ENTRY_BYTES..entry + ENTRY_BYTES + name_bytes)?).ok()?;
        let start = file + FILE_BYTES + two(file + 26)? + two(file + 28)?;
        let bytes = archive.get(start..start + packed)?;
        let mut contents = Vec::with_capacity(plain);
        match method {
            0 => contents.extend_from_slice(bytes),
            8 => drop(DeflateDecoder::new(bytes).read_to_end(&mut contents).ok()?),
            _ => return None,
        }
        (contents.len() == plain).then_some(())?;
        found.push((name.trim_end_matches(".npy").to_owned(), contents));
        entry += ENTRY_BYTES + name_bytes + two(entry + 30)? + two(entry + 32)?;
    }
    Some(found)
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
