//! From a step's number to its batch.
//!
//! What lives here: opening a data set, and one batch on the calling thread. What does not: threads ahead of the training
//! ([`crate::Batches`]), what is drawn (`draw`).

use std::path::Path;
use std::sync::Arc;

use esrgan_core::{Picture, Plane, SampleDepth};
use esrgan_degrade::{Degradation, SampleKey, sharpen};
use esrgan_image::{Boundary, imresize, probe};

use crate::batches::Batches;
use crate::cache::PictureCache;
use crate::draw::{Epochs, draw_crop};
use crate::error::DatasetError;
use crate::listing::{Pair, list_pairs};
use crate::options::{DatasetOptions, LrSource, Measured};
use crate::parallel::mapped;
use crate::stored::{CHANNELS, Region, StoredPicture, planes, push_planes};

/// Crops of a step and their low-resolution pictures.
///
/// # Shapes
/// - `lr`: `[size][3][lr_px][lr_px]`
/// - `hr`, `sharpened`: `[size][3][hr_px][hr_px]`
///
/// # Values
/// 0..1, red, green, blue; multiples of 1/255, but for HR crops of files deeper than 8 bits and their paired LR crops.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step that it is for.
    pub step: u64,
    /// Low-resolution samples.
    pub lr: Vec<f32>,
    /// High-resolution samples.
    pub hr: Vec<f32>,
    /// The same sharpened, where the options ask for it; then the low-resolution ones are made of these.
    pub sharpened: Option<Vec<f32>>,
    /// The side of a low-resolution crop.
    pub lr_px: usize,
    /// The side of a high-resolution crop.
    pub hr_px: usize,
    /// Crops.
    pub size: usize,
}

/// How a crop gets its low-resolution picture.
enum LrMaker {
    Paired,
    Bicubic,
    Degraded(Degradation),
}

/// Pictures of which batches are made.
pub struct Dataset {
    options: DatasetOptions,
    maker: LrMaker,
    pairs: Vec<Pair>,
    epochs: Epochs,
    /// File `2 i` is the high-resolution picture of pair `i`, file `2 i + 1` the low-resolution one.
    cache: PictureCache,
}

impl Dataset {
    /// Lists all pictures, reads their headers, and holds sizes against the options.
    ///
    /// # Errors
    /// Of several, the first in the pictures' order: numbers that do not fit each other
    /// ([`DatasetError::OutOfRange`], [`DatasetError::CropNotMultiple`], [`DatasetError::BatchTooLarge`]), folders without
    /// pictures, partners that are missing, shared or of a wrong size, pictures smaller than a crop, and [`DatasetError::Image`]
    /// where a header cannot be read, or a file is shorter than its headers say. Other damage is found when the picture is first used, or by
    /// [`crate::inspect`].
    pub fn open(options: &DatasetOptions) -> Result<Self, DatasetError> {
        options.check()?;
        let maker = match options.lr {
            LrSource::Paired(_) => LrMaker::Paired,
            LrSource::Bicubic => LrMaker::Bicubic,
            LrSource::Degraded(preset) => LrMaker::Degraded(Degradation::preset(preset, options.scale)?),
        };
        let (pairs, problems) = list_pairs(options)?;
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        mapped(&pairs, options.threads, |pair| check_headers(options, pair))
            .into_iter()
            .collect::<Result<(), _>>()?;
        Ok(Self {
            maker,
            epochs: Epochs::new(options.seed, pairs.len()),
            cache: PictureCache::new(2 * pairs.len(), options.cache_bytes),
            pairs,
            options: options.clone(),
        })
    }

    /// What it was opened with.
    pub fn options(&self) -> &DatasetOptions {
        &self.options
    }

    /// High-resolution pictures; as many samples are an epoch.
    pub fn picture_count(&self) -> usize {
        self.pairs.len()
    }

    /// Bytes of decoded pictures that are kept at present.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// The high-resolution picture that a sample of a step's batch is taken from.
    pub fn picture_of(&self, step: u64, index: usize) -> &Path {
        &self.pairs[self.epochs.picture(self.key(step, index))].hr
    }

    /// The batch of a step, made on this thread: a function of files, options (`batch` included; not of `threads` and
    /// `cache_bytes`) and step alone.
    ///
    /// # Errors
    /// [`DatasetError::Image`] where a picture cannot be decoded; sizes that changed since the data set was opened.
    pub fn batch(&self, step: u64) -> Result<Batch, DatasetError> {
        let (hr_px, lr_px, size) = (self.options.hr_crop_px, self.options.lr_crop_px(), self.options.batch);
        let room = |side: usize| Vec::with_capacity(size * side * side * CHANNELS);
        let sharpened = self.options.is_sharpened.then(|| room(hr_px));
        let mut batch = Batch { step, lr: room(lr_px), hr: room(hr_px), sharpened, lr_px, hr_px, size };
        for index in 0..size {
            self.push_sample(self.key(step, index), &mut batch)?;
        }
        Ok(batch)
    }

    /// Threads that prepare batches from a step on.
    ///
    /// # Errors
    /// [`DatasetError::Thread`].
    pub fn batches(self: &Arc<Self>, first_step: u64) -> Result<Batches, DatasetError> {
        let dataset = Arc::clone(self);
        Batches::start(self.options.threads, first_step, move |step| dataset.batch(step))
    }

    fn key(&self, step: u64, index: usize) -> SampleKey {
        self.epochs.key(u128::from(step) * self.options.batch as u128 + index as u128)
    }

    fn push_sample(&self, key: SampleKey, batch: &mut Batch) -> Result<(), DatasetError> {
        let number = self.epochs.picture(key);
        let pair = &self.pairs[number];
        let hr = self.decoded(2 * number, &pair.hr)?;
        let lr = match &pair.lr {
            Some(path) => Some((path, self.decoded(2 * number + 1, path)?)),
            None => None,
        };
        let measured = lr.as_ref().map(|(path, lr)| Measured { path, size: lr.size() });
        self.options.check_sizes(Measured { path: &pair.hr, size: hr.size() }, measured)?;
        // Pairs are cut along pixels of the smaller picture.
        let grid_px = if lr.is_some() { self.options.scale } else { 1 };
        let places = |side: usize| (side - batch.hr_px) / grid_px + 1;
        let (width, height) = hr.size();
        let (has_flips, has_rotations) = (self.options.has_flips, self.options.has_rotations);
        let choice = draw_crop(key, (places(width), places(height)), has_flips, has_rotations);
        let region = |step_px: usize, side: usize| Region {
            left: choice.column * step_px,
            top: choice.row * step_px,
            side,
            orientation: choice.orientation,
        };
        let start = batch.hr.len();
        hr.push_crop(region(grid_px, batch.hr_px), &mut batch.hr);
        let mut crop = planes(&batch.hr[start..], batch.hr_px);
        if let Some(sharpened) = &mut batch.sharpened {
            crop = crop.iter().map(sharpen).collect();
            push_planes(&crop, sharpened);
        }
        match lr {
            Some((_, lr)) => lr.push_crop(region(1, batch.lr_px), &mut batch.lr),
            None => push_planes(&self.made(key, crop, batch.lr_px)?, &mut batch.lr),
        }
        Ok(())
    }

    /// The small picture of a crop.
    fn made(&self, key: SampleKey, color: Vec<Plane>, lr_px: usize) -> Result<Vec<Plane>, DatasetError> {
        match &self.maker {
            LrMaker::Degraded(degradation) => {
                Ok(degradation.apply(&Picture { color, alpha: None }, &degradation.sample(key))?.color)
            }
            LrMaker::Paired | LrMaker::Bicubic => {
                let small = |plane| imresize(plane, lr_px, lr_px, SampleDepth::U8, Boundary::Replicate);
                Ok(color.iter().map(small).collect())
            }
        }
    }

    fn decoded(&self, file: usize, path: &Path) -> Result<Arc<StoredPicture>, DatasetError> {
        self.cache.get(file, || StoredPicture::read(path, &self.options.limits))
    }
}

/// Holds what headers say against the options.
fn check_headers(options: &DatasetOptions, pair: &Pair) -> Result<(), DatasetError> {
    let hr = probe(&pair.hr, &options.limits)?;
    let hr = Measured { path: &pair.hr, size: (hr.width, hr.height) };
    let Some(path) = &pair.lr else {
        return options.check_sizes(hr, None);
    };
    let lr = probe(path, &options.limits)?;
    options.check_sizes(hr, Some(Measured { path, size: (lr.width, lr.height) }))
}

#[cfg(test)]
mod tests;
