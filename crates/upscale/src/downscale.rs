//! Pictures made smaller as the papers do it.

use std::time::Instant;

use esrgan_core::{Notice, Picture, Plane};
use esrgan_image::{
    Boundary, EncodeOptions, Limits, Raster, bleed_colors, check_writable, decode, encode, imresize,
};

use crate::error::UpscaleError;
use crate::upscaler::Job;

/// How pictures are made smaller.
#[derive(Clone, Debug)]
pub struct DownscaleOptions {
    /// How large inputs may be.
    pub limits: Limits,
    /// By how much; above zero.
    pub scale: usize,
    /// What lies beyond a picture's edge.
    pub boundary: Boundary,
    /// How the output is written.
    pub encode: EncodeOptions,
}

/// What was done to one picture.
#[derive(Clone, Debug)]
pub struct DownscaleReport {
    /// Width and height of the input.
    pub hr_size: (usize, usize),
    /// Width and height of the output.
    pub lr_size: (usize, usize),
    /// Seconds from opening the input to the finished output.
    pub seconds: f64,
    /// What the user should know.
    pub notices: Vec<Notice>,
}

/// Makes one picture file smaller into another: see [`downscale_picture`].
///
/// # Errors
/// [`UpscaleError::Image`] for the files, [`UpscaleError::OutputSize`] for a picture smaller than the scale; the output file is
/// then as it was before.
pub fn downscale_file(job: &Job<'_>, options: &DownscaleOptions) -> Result<DownscaleReport, UpscaleError> {
    let start = Instant::now();
    check_writable(job.output)?;
    let mut decoded = decode(job.input, &options.limits)?;
    let mut notices = std::mem::take(&mut decoded.notices);
    let (hr_width, hr_height) = (decoded.picture.width(), decoded.picture.height());
    let (width, height) = (hr_width / options.scale, hr_height / options.scale);
    if width == 0 || height == 0 {
        let part = |side: usize| side as f64 / options.scale as f64;
        let (width, height) = (part(hr_width), part(hr_height));
        return Err(UpscaleError::OutputSize { path: job.input.to_owned(), width, height });
    }
    let used = (width * options.scale, height * options.scale);
    if used != (hr_width, hr_height) {
        notices.push(Notice::new(format!(
            "{hr_width}x{hr_height} is no multiple of {}: cut to {}x{} at the right and at the bottom",
            options.scale, used.0, used.1
        )));
    }
    let depth = decoded.header.depth;
    bleed_colors(&mut decoded.picture);
    let small = downscale_picture(&decoded.picture, options.scale, depth, options.boundary);
    let raster = Raster::from_picture(&small, job.format.encoded_depth(depth));
    notices.extend(encode(&raster, &decoded.metadata, job.format, &options.encode, job.output)?);
    let seconds = start.elapsed().as_secs_f64();
    Ok(DownscaleReport { hr_size: (hr_width, hr_height), lr_size: (width, height), seconds, notices })
}

/// Makes a picture smaller by a whole number, as the LR pictures of the usual benchmarks were made: cut to a multiple of
/// `scale` at the right and at the bottom, then [`imresize`], each plane by itself.
///
/// # Panics
/// Where the picture is smaller than `scale`, or that is zero.
pub fn downscale_picture(
    picture: &Picture,
    scale: usize,
    depth: esrgan_core::SampleDepth,
    boundary: Boundary,
) -> Picture {
    let (width, height) = (picture.width() / scale, picture.height() / scale);
    let shrunk = |plane: &Plane| {
        let plane = cut(plane, width * scale, height * scale);
        imresize(&plane, width, height, depth, boundary)
    };
    Picture { color: picture.color.iter().map(shrunk).collect(), alpha: picture.alpha.as_ref().map(shrunk) }
}

/// The upper left part of a plane.
fn cut(plane: &Plane, width: usize, height: usize) -> std::borrow::Cow<'_, Plane> {
    if (plane.width(), plane.height()) == (width, height) {
        return std::borrow::Cow::Borrowed(plane);
    }
    let samples = (0..height).flat_map(|y| plane.row(y)[..width].iter().copied()).collect();
    std::borrow::Cow::Owned(Plane::new(width, height, samples).expect("as many samples as the part has"))
}
