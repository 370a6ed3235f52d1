//! What a data set is made of, and what is asked of these numbers before any file is opened.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use esrgan_degrade::Preset;
use esrgan_image::Limits;

use crate::error::DatasetError;

/// Largest factor between both pictures' sides, as degradations have it.
const LARGEST_SCALE: usize = 16;
const MOST_THREADS: usize = 1024;
const MOST_CROPS: usize = 1 << 20;
/// Most samples of a batch's crops: 4 GiB of them.
const MOST_SAMPLES: u64 = 1 << 30;

/// Where low-resolution pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LrSource {
    /// A folder with a partner for each picture: of the same path below its folder but for the extension, or with the scale
    /// behind its name, as `0001x4.png` or `0001_x4.png`.
    Paired(PathBuf),
    /// Each crop resized as MATLAB's bicubic does it, in 8 bits.
    Bicubic,
    /// Each crop degraded.
    Degraded(Preset),
}

/// What a data set is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Folders of high-resolution pictures, and of further folders.
    pub hr_folders: Vec<PathBuf>,
    /// Where low-resolution pictures come from.
    pub lr: LrSource,
    /// The factor between both pictures' sides.
    pub scale: usize,
    /// The side of a high-resolution crop, a multiple of the scale.
    pub hr_crop_px: usize,
    /// Crops in a batch.
    pub batch: usize,
    /// What all that is random depends on.
    pub seed: u64,
    /// Whether every second crop is mirrored, left to right.
    pub has_flips: bool,
    /// Whether every second crop is turned upside down and, independently, every second one has columns for rows.
    pub has_rotations: bool,
    /// Whether high-resolution crops are sharpened before low-resolution ones are made of them.
    pub is_sharpened: bool,
    /// Most bytes of decoded pictures kept for their next use. What threads are working on comes on top.
    pub cache_bytes: u64,
    /// Threads that read headers and prepare batches.
    pub threads: usize,
    /// What a single picture may ask for.
    pub limits: Limits,
}

impl Default for DatasetOptions {
    /// Bicubic at scale 4, 16 crops of 128 px, all orientations, seed 0, 1 GiB of pictures, all processors. No folders.
    fn default() -> Self {
        Self {
            hr_folders: Vec::new(),
            lr: LrSource::Bicubic,
            scale: 4,
            hr_crop_px: 128,
            batch: 16,
            seed: 0,
            has_flips: true,
            has_rotations: true,
            is_sharpened: false,
            cache_bytes: 1 << 30,
            threads: std::thread::available_parallelism().map_or(1, NonZero::get),
            limits: Limits::default(),
        }
    }
}

impl DatasetOptions {
    /// The side of a low-resolution crop.
    pub fn lr_crop_px(&self) -> usize {
        self.hr_crop_px / self.scale.max(1)
    }

    /// Refuses what no files could make right.
    pub(crate) fn check(&self) -> Result<(), DatasetError> {
        let numbers = [
            ("scale", self.scale, LARGEST_SCALE),
            ("crops in a batch", self.batch, MOST_CROPS),
            ("threads", self.threads, MOST_THREADS),
        ];
        for (name, found, max) in numbers {
            if found == 0 || found > max {
                return Err(DatasetError::OutOfRange { name, found, min: 1, max });
            }
        }
        let (hr_crop_px, scale, batch) = (self.hr_crop_px, self.scale, self.batch);
        if hr_crop_px == 0 || !hr_crop_px.is_multiple_of(scale) {
            return Err(DatasetError::CropNotMultiple { hr_crop_px, scale });
        }
        let crop_samples =
            (hr_crop_px as u64).checked_mul(hr_crop_px as u64).and_then(|px| px.checked_mul(3));
        let samples = crop_samples.and_then(|samples| samples.checked_mul(batch as u64));
        if samples.is_none_or(|samples| samples > MOST_SAMPLES) {
            return Err(DatasetError::BatchTooLarge { batch, hr_crop_px, allowed: MOST_SAMPLES });
        }
        if self.hr_folders.is_empty() {
            return Err(DatasetError::NoFolders);
        }
        Ok(())
    }

    /// Refuses sizes of a picture, and of its partner, that no crop can be taken from.
    pub(crate) fn check_sizes(&self, hr: Measured<'_>, lr: Option<Measured<'_>>) -> Result<(), DatasetError> {
        let (hr_crop_px, scale) = (self.hr_crop_px, self.scale);
        let (width, height) = hr.size;
        if width < hr_crop_px || height < hr_crop_px {
            return Err(DatasetError::TooSmall { path: hr.path.to_owned(), width, height, hr_crop_px });
        }
        let Some(lr) = lr else {
            return Ok(());
        };
        let enlarged = (lr.size.0.checked_mul(scale), lr.size.1.checked_mul(scale));
        if enlarged != (Some(width), Some(height)) {
            return Err(DatasetError::PairSize {
                hr: hr.path.to_owned(),
                hr_size: hr.size,
                lr: lr.path.to_owned(),
                lr_size: lr.size,
                scale,
            });
        }
        Ok(())
    }
}

/// A file, and the width and height of its picture.
#[derive(Clone, Copy)]
pub(crate) struct Measured<'a> {
    pub path: &'a Path,
    pub size: (usize, usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked_before_files() {
        let good = DatasetOptions { hr_folders: vec!["absent".into()], ..DatasetOptions::default() };
        assert!(good.check().is_ok());
        let cases = [
            (DatasetOptions { scale: 0, ..good.clone() }, "scale 0: expected 1 to 16"),
            (DatasetOptions { scale: 17, ..good.clone() }, "scale 17: expected 1 to 16"),
            (DatasetOptions { threads: 0, ..good.clone() }, "threads 0: expected 1 to 1024"),
            (DatasetOptions { batch: 0, ..good.clone() }, "crops in a batch 0: expected 1 to 1048576"),
            (DatasetOptions { hr_crop_px: 0, ..good.clone() }, "crops of 0 px: expected a multiple"),
            (
                DatasetOptions { hr_crop_px: 130, ..good.clone() },
                "crops of 130 px: expected a multiple of the scale 4",
            ),
            (
                DatasetOptions { batch: 1 << 20, ..good.clone() },
                "expected batches of at most 1073741824 samples",
            ),
            (DatasetOptions { hr_crop_px: usize::MAX - 3, ..good.clone() }, "expected batches of at most"),
            (DatasetOptions { hr_folders: vec![], ..good }, "expected at least one folder"),
        ];
        for (options, expected) in cases {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}: expected {expected}");
        }
    }
}
