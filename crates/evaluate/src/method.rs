//! How an enlarged picture is made.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use esrgan_core::{Notice, Picture, SampleDepth};
use esrgan_image::{Boundary, Filter, Limits, decode, imresize, resample_picture};
use esrgan_upscale::{PictureOptions, Raster, Upscaler};

use crate::error::EvaluateError;
use crate::pairs::partner;

/// What is measured.
#[derive(Debug)]
pub enum Method<'a> {
    /// A model.
    Model {
        /// The model.
        upscaler: &'a Upscaler,
        /// How pictures are enlarged.
        options: Box<PictureOptions>,
    },
    /// A filter, by a whole factor.
    Filter(Filter),
    /// Pictures that something has made already.
    Results(PathBuf),
}

/// The small picture, and what is known of the true one.
pub(crate) struct Task<'a> {
    pub(crate) hr_path: &'a Path,
    pub(crate) depth: SampleDepth,
    pub(crate) lr: &'a Picture,
    pub(crate) scale: usize,
}

impl Method<'_> {
    /// Makes the enlarged picture, rounded to the true picture's levels, as a file of it would be; and the file that it came
    /// from, or the true picture's.
    pub(crate) fn enlarge<'p>(
        &self,
        task: &Task<'p>,
        results: &'p [PathBuf],
        notices: &mut Vec<Notice>,
    ) -> Result<(Picture, &'p Path), EvaluateError> {
        let Task { hr_path, depth, lr, scale } = *task;
        match self {
            Self::Model { upscaler, options } => {
                let plan = upscaler.plan_picture(hr_path, lr, depth, options)?;
                let enlarged = upscaler
                    .upscale_picture(lr.clone(), depth, &plan, options, &|_| ControlFlow::Continue(()))
                    .map_err(|source| EvaluateError::Engine { path: hr_path.to_owned(), source })?;
                notices.extend(enlarged.notices);
                Ok((enlarged.raster.to_picture(), hr_path))
            }
            Self::Filter(filter) => Ok((by_filter(lr, scale, *filter, depth), hr_path)),
            Self::Results(folder) => {
                let path = partner(hr_path, folder, results, scale)?;
                let decoded = decode(path, &Limits::default())?;
                if decoded.header.depth != depth {
                    return Err(EvaluateError::Depth {
                        hr: hr_path.to_owned(),
                        hr_depth: depth,
                        sr: path.to_owned(),
                        sr_depth: decoded.header.depth,
                    });
                }
                Ok((decoded.picture, path))
            }
        }
    }
}

/// Enlarges by a filter. The cubic is MATLAB's, whose enlargements are the bicubic figures of the papers.
pub(crate) fn by_filter(lr: &Picture, scale: usize, filter: Filter, depth: SampleDepth) -> Picture {
    let (width, height) = (lr.width() * scale, lr.height() * scale);
    if filter == Filter::Bicubic {
        let larger = |plane| imresize(plane, width, height, depth, Boundary::Replicate);
        return Picture { color: lr.color.iter().map(larger).collect(), alpha: None };
    }
    let larger = resample_picture(&Picture { color: lr.color.clone(), alpha: None }, width, height, filter);
    Raster::from_picture(&larger, depth).to_picture()
}
