//! What a data set is, and everything that is wrong with it, before a training begins.
//!
//! What lives here: a pass over every picture of training and validation. What does not: what is done about it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::DatasetError;
use crate::listing::{Pair, list_pairs};
use crate::options::{DatasetOptions, LrSource, Measured};
use crate::parallel::mapped;
use crate::stored::StoredPicture;

/// Two files with the same picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The one.
    pub picture: PathBuf,
    /// The training picture that it repeats.
    pub of: PathBuf,
}

/// Pictures that a training is measured by.
#[derive(Clone, Copy, Debug)]
pub struct ValidationFolders<'p> {
    /// Their folder.
    pub hr: &'p Path,
    /// The folder of their low-resolution partners; none: made of them.
    pub lr: Option<&'p Path>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// High-resolution pictures for training, problematic ones included.
    pub pictures: usize,
    /// Pixels of those that could be decoded.
    pub pixels: u64,
    /// Bytes of all training pictures, partners included, as they are kept in memory.
    pub decoded_bytes: u64,
    /// Pictures for validation.
    pub validation_pictures: usize,
    /// Everything that would stop a training or a validation, in the files' order; partners first.
    pub problems: Vec<DatasetError>,
    /// Training pictures that repeat an earlier one.
    pub repeats: Vec<Duplicate>,
    /// Validation pictures that are training pictures too.
    pub leaks: Vec<Duplicate>,
}

impl Inspection {
    /// Millions of pixels for training.
    pub fn megapixels(&self) -> f64 {
        self.pixels as f64 / 1e6
    }

    fn note_training<'p>(&mut self, hr: &'p Path, finding: Finding, first_of: &mut HashMap<u64, &'p Path>) {
        self.pixels += finding.pixels;
        self.decoded_bytes += finding.decoded_bytes;
        self.problems.extend(finding.problems);
        match finding.hash.map(|hash| first_of.entry(hash)) {
            Some(Entry::Occupied(first)) => {
                self.repeats.push(Duplicate { picture: hr.to_owned(), of: first.get().to_path_buf() });
            }
            Some(Entry::Vacant(place)) => {
                place.insert(hr);
            }
            None => {}
        }
    }

    fn note_validation(&mut self, path: &Path, finding: Finding, first_of: &HashMap<u64, &Path>) {
        self.validation_pictures += 1;
        self.problems.extend(finding.problems);
        if let Some(of) = finding.hash.and_then(|hash| first_of.get(&hash)) {
            self.leaks.push(Duplicate { picture: path.to_owned(), of: of.to_path_buf() });
        }
    }
}

/// What one file, or pair of files, gave.
#[derive(Default)]
struct Finding {
    pixels: u64,
    decoded_bytes: u64,
    hash: Option<u64>,
    problems: Vec<DatasetError>,
}

/// Decodes every picture and collects what is wrong, beyond the first problem.
///
/// Duplicates are told by a hash of 64 bits of the samples as RGB of 8 bits: two files of one picture in another format are
/// found, crops and turned copies are not. `progress` is given the number of finished pictures and of all, from several threads,
/// so that numbers may come out of order.
///
/// A validation picture whose sides are no multiples of the scale has a partner of the smaller multiple, as measuring cuts it.
///
/// # Errors
/// Where there is nothing to train with: options that do not fit each other, folders that cannot be read or have no pictures. A
/// folder of validation that is so is one of the problems.
pub fn inspect(
    options: &DatasetOptions,
    validation: Option<ValidationFolders<'_>>,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Inspection, DatasetError> {
    options.check()?;
    let (pairs, problems) = list_pairs(options)?;
    let (validation, validation_problems) =
        validation.map(|folders| list_validation(options, folders)).unwrap_or_default();
    let total = pairs.len() + validation.len();
    let done = AtomicUsize::new(0);
    let finished = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
    let of_training = mapped(&pairs, options.threads, |pair| {
        let finding = examine_pair(options, pair, |hr, lr| options.check_sizes(hr, lr));
        finished();
        finding
    });
    let of_validation = mapped(&validation, options.threads, |pair| {
        let finding = examine_pair(options, pair, |hr, lr| check_validation_sizes(options.scale, hr, lr));
        finished();
        finding
    });
    let mut inspection = Inspection { pictures: pairs.len(), problems, ..Inspection::default() };
    let mut first_of = HashMap::new();
    for (pair, finding) in pairs.iter().zip(of_training) {
        inspection.note_training(&pair.hr, finding, &mut first_of);
    }
    inspection.problems.extend(validation_problems);
    for (pair, finding) in validation.iter().zip(of_validation) {
        inspection.note_validation(&pair.hr, finding, &first_of);
    }
    Ok(inspection)
}

/// The pictures of validation with their partners, and what is wrong with folders and partners.
fn list_validation(
    options: &DatasetOptions,
    folders: ValidationFolders<'_>,
) -> (Vec<Pair>, Vec<DatasetError>) {
    let lr = folders.lr.map_or(LrSource::Bicubic, |folder| LrSource::Paired(folder.to_owned()));
    let options = DatasetOptions { hr_folders: vec![folders.hr.to_owned()], lr, ..options.clone() };
    list_pairs(&options).unwrap_or_else(|problem| (Vec::new(), vec![problem]))
}

fn check_validation_sizes(
    scale: usize,
    hr: Measured<'_>,
    lr: Option<Measured<'_>>,
) -> Result<(), DatasetError> {
    match lr.filter(|lr| lr.size != (hr.size.0 / scale, hr.size.1 / scale)) {
        None => Ok(()),
        Some(lr) => Err(DatasetError::PairSize {
            hr: hr.path.to_owned(),
            hr_size: hr.size,
            lr: lr.path.to_owned(),
            lr_size: lr.size,
            scale,
        }),
    }
}

fn examine_pair(
    options: &DatasetOptions,
    pair: &Pair,
    check_sizes: impl Fn(Measured<'_>, Option<Measured<'_>>) -> Result<(), DatasetError>,
) -> Finding {
    let mut finding = Finding::default();
    let hr_size = read(options, &pair.hr, &mut finding);
    let lr_size = pair.lr.as_ref().map(|path| {
        let mut of_lr = Finding::default();
        let size = read(options, path, &mut of_lr);
        finding.problems.append(&mut of_lr.problems);
        finding.decoded_bytes += of_lr.decoded_bytes;
        size.map(|size| Measured { path, size })
    });
    if let Some(size) = hr_size {
        let hr = Measured { path: &pair.hr, size };
        let checked = check_sizes(hr, lr_size.flatten());
        finding.problems.extend(checked.err());
    }
    finding
}

/// Decodes a picture, notes what there is to note, and gives its size.
fn read(options: &DatasetOptions, path: &Path, finding: &mut Finding) -> Option<(usize, usize)> {
    match StoredPicture::read(path, &options.limits) {
        Ok(picture) => {
            let (width, height) = picture.size();
            finding.pixels = width as u64 * height as u64;
            finding.decoded_bytes = picture.bytes();
            finding.hash = Some(picture.content_hash());
            Some((width, height))
        }
        Err(problem) => {
            finding.problems.push(problem);
            None
        }
    }
}

#[cfg(test)]
mod tests;
