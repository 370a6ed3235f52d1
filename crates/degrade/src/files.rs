//! From files to files.

use std::path::Path;

use esrgan_core::{Notice, Picture, Plane, SampleDepth};
use esrgan_image::{EncodeOptions, Limits, Metadata, PictureFormat, Raster, check_writable, decode, encode};

use crate::degradation::Degradation;
use crate::error::DegradeError;
use crate::parameters::Parameters;
use esrgan_random::SampleKey;

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

/// Degrades the picture file `input`, its sides cut to multiples of the scale, into the PNG `output` of 8 bits.
///
/// # Errors
/// [`DegradeError::Image`], [`DegradeError::TooSmall`]; the output file is then as it was before.
pub fn degrade_file(
    degradation: &Degradation,
    input: &Path,
    output: &Path,
    key: SampleKey,
) -> Result<DegradeReport, DegradeError> {
    check_writable(output)?;
    let (hr, notices) = read_hr(input, degradation.scale())?;
    let parameters = degradation.sample(key);
    let lr = degradation.apply(&hr, &parameters)?;
    write_png(&lr, output)?;
    Ok(DegradeReport { parameters, lr_size: (lr.width(), lr.height()), notices })
}

/// Decodes a picture, leaves its alpha behind and cuts its sides to multiples of the scale, at the right and at the bottom.
pub(crate) fn read_hr(path: &Path, scale: usize) -> Result<(Picture, Vec<Notice>), DegradeError> {
    let decoded = decode(path, &Limits::default())?;
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
            "{width}x{height} is no multiple of {scale}: cut to {cut_width}x{cut_height} at the right and at the bottom"
        )));
        picture = part(&picture, (0, 0), (cut_width, cut_height));
    }
    Ok((picture, notices))
}

/// The part of a picture of a size, from a position on.
pub(crate) fn part(
    picture: &Picture,
    (left, top): (usize, usize),
    (width, height): (usize, usize),
) -> Picture {
    let part = |plane: &Plane| {
        let mut part = Plane::filled(width, height, 0.0);
        for y in 0..height {
            part.row_mut(y).copy_from_slice(&plane.row(top + y)[left..left + width]);
        }
        part
    };
    Picture { color: picture.color.iter().map(part).collect(), alpha: None }
}

pub(crate) fn write_png(picture: &Picture, path: &Path) -> Result<(), DegradeError> {
    let raster = Raster::from_picture(picture, SampleDepth::U8);
    encode(&raster, &Metadata::default(), PictureFormat::Png, &EncodeOptions::default(), path)?;
    Ok(())
}
