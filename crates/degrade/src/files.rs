//! From files to files, on all cores; and the contact sheet.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use esrgan_core::{Notice, Picture, Plane, SampleDepth};
use esrgan_image::{EncodeOptions, Limits, Metadata, PictureFormat, Raster, decode, encode};

use crate::degradation::Degradation;
use crate::error::DegradeError;
use crate::parameters::Parameters;
use crate::random::SampleKey;

/// One file to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DegradeJob {
    /// The good picture.
    pub input: PathBuf,
    /// The PNG that is made of it.
    pub output: PathBuf,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct DegradeReport {
    /// Every choice.
    pub parameters: Parameters,
    /// Width and height of what was written.
    pub lr_size: (usize, usize),
    /// What a user should know.
    pub notices: Vec<Notice>,
}

/// Degrades one file, its sides cut to multiples of the scale.
///
/// # Errors
/// [`DegradeError::Image`], [`DegradeError::Folder`], [`DegradeError::TooSmall`].
pub fn degrade_file(
    degradation: &Degradation,
    job: &DegradeJob,
    key: SampleKey,
    limits: &Limits,
) -> Result<DegradeReport, DegradeError> {
    let (hr, notices) = read(&job.input, degradation.scale(), limits)?;
    let parameters = degradation.sample(key);
    let lr = degradation.apply(&hr, &parameters)?;
    if let Some(folder) = job.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|source| DegradeError::Folder { path: folder.to_owned(), source })?;
    }
    write(&lr, &job.output)?;
    Ok(DegradeReport { parameters, lr_size: (lr.width(), lr.height()), notices })
}

/// Degrades files on `threads` threads; the file at an index is the sample of that number. `done` hears of each as it ends.
pub fn degrade_files(
    degradation: &Degradation,
    jobs: &[DegradeJob],
    seed: u64,
    threads: usize,
    done: impl FnMut(usize, Result<DegradeReport, DegradeError>) + Send,
) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(done);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let key = SampleKey { seed, step: 0, sample: index as u64 };
                    let result = degrade_file(degradation, job, key, &Limits::default());
                    (done.lock().expect("no listener has panicked"))(index, result);
                }
            });
        }
    });
}

/// Pixels of a side of the crop that a contact sheet shows.
const PREVIEW_PX: usize = 256;
const PREVIEW_COLUMNS: usize = 3;

/// Writes a contact sheet: the middle of a picture and `count` degraded samples of it, enlarged by repetition.
///
/// # Errors
/// As [`degrade_file`].
pub fn preview(
    degradation: &Degradation,
    input: &Path,
    output: &Path,
    seed: u64,
    count: usize,
) -> Result<Vec<Parameters>, DegradeError> {
    let scale = degradation.scale();
    let (hr, _) = read(input, scale, &Limits::default())?;
    let side = |length: usize| length.min((PREVIEW_PX / scale).max(1) * scale);
    let hr = crop(&hr, side(hr.width()), side(hr.height()));
    let (width, height) = (hr.width(), hr.height());
    let rows = (count + 1).div_ceil(PREVIEW_COLUMNS);
    let blank = Plane::filled(width * PREVIEW_COLUMNS, height * rows, 1.0);
    let mut sheet = Picture { color: vec![blank; hr.color.len()], alpha: None };
    paste(&mut sheet, &hr, 0, 1);
    let mut drawn = Vec::with_capacity(count);
    for sample in 0..count {
        let parameters = degradation.sample(SampleKey { seed, step: 0, sample: sample as u64 });
        paste(&mut sheet, &degradation.apply(&hr, &parameters)?, sample + 1, scale);
        drawn.push(parameters);
    }
    write(&sheet, output)?;
    Ok(drawn)
}

fn paste(sheet: &mut Picture, picture: &Picture, cell: usize, scale: usize) {
    let (width, height) = (picture.width() * scale, picture.height() * scale);
    let (left, top) = (cell % PREVIEW_COLUMNS * width, cell / PREVIEW_COLUMNS * height);
    for (target, source) in sheet.color.iter_mut().zip(&picture.color) {
        for y in 0..height {
            let line = source.row(y / scale);
            let target = &mut target.row_mut(top + y)[left..left + width];
            target.iter_mut().enumerate().for_each(|(x, sample)| *sample = line[x / scale]);
        }
    }
}

/// A picture without alpha, its sides multiples of the scale.
fn read(path: &Path, scale: usize, limits: &Limits) -> Result<(Picture, Vec<Notice>), DegradeError> {
    let decoded = decode(path, limits)?;
    let (mut notices, mut picture) = (decoded.notices, decoded.picture);
    let (width, height) = (picture.width(), picture.height());
    let (cut_width, cut_height) = (width / scale * scale, height / scale * scale);
    if cut_width == 0 || cut_height == 0 {
        return Err(DegradeError::TooSmall { path: path.to_owned(), width, height, scale });
    }
    if picture.alpha.take().is_some() {
        notices.push(Notice::new("transparency is left behind"));
    }
    if (cut_width, cut_height) != (width, height) {
        notices.push(Notice::new(format!(
            "cut from {width}x{height} to {cut_width}x{cut_height}, multiples of the scale {scale}"
        )));
        picture.color = picture.color.iter().map(|plane| part(plane, 0, 0, cut_width, cut_height)).collect();
    }
    Ok((picture, notices))
}

fn crop(picture: &Picture, width: usize, height: usize) -> Picture {
    let (left, top) = ((picture.width() - width) / 2, (picture.height() - height) / 2);
    let color = picture.color.iter().map(|plane| part(plane, left, top, width, height)).collect();
    Picture { color, alpha: None }
}

fn part(plane: &Plane, left: usize, top: usize, width: usize, height: usize) -> Plane {
    let mut part = Plane::filled(width, height, 0.0);
    for y in 0..height {
        part.row_mut(y).copy_from_slice(&plane.row(top + y)[left..left + width]);
    }
    part
}

fn write(picture: &Picture, path: &Path) -> Result<(), DegradeError> {
    let raster = Raster::from_picture(picture, SampleDepth::U8);
    encode(&raster, &Metadata::default(), PictureFormat::Png, &EncodeOptions::default(), path)?;
    Ok(())
}
