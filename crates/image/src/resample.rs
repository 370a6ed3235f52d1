//! Resampling to any size, antialiased, in 32-bit floating point.

use bytemuck::{cast_slice, cast_slice_mut};
use esrgan_core::{Picture, Plane, SampleDepth};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::imresize::{Boundary, imresize};

/// How new samples are made of old ones. When shrinking, all but [`Filter::Nearest`] widen with the scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The nearest sample: no new values.
    Nearest,
    /// Triangle, support 1: smooth, no overshoot.
    Bilinear,
    /// The cubic of Keys (a = -0.5), support 2: [`imresize`](crate::imresize).
    Bicubic,
    /// Windowed sinc, support 3: the sharpest.
    #[default]
    Lanczos3,
}

impl Filter {
    /// How another crate does it, if not this one.
    fn algorithm(self) -> Option<ResizeAlg> {
        match self {
            Self::Nearest => Some(ResizeAlg::Nearest),
            Self::Bilinear => Some(ResizeAlg::Convolution(FilterType::Bilinear)),
            Self::Bicubic => None,
            Self::Lanczos3 => Some(ResizeAlg::Convolution(FilterType::Lanczos3)),
        }
    }
}

/// Resamples one plane to `width` x `height`.
///
/// # Values
/// Samples are taken as they are encoded; the filters with negative lobes may overshoot the range of the input. An equal size
/// gives an equal plane. The result does not depend on threads.
///
/// # Panics
/// Where a side exceeds `u32::MAX`.
pub fn resample(plane: &Plane, width: usize, height: usize, filter: Filter) -> Plane {
    if (plane.width(), plane.height()) == (width, height) {
        return plane.clone();
    }
    let mut resampled = Plane::filled(width, height, 0.0);
    if plane.samples().is_empty() || resampled.samples().is_empty() {
        return resampled;
    }
    let Some(algorithm) = filter.algorithm() else {
        return imresize(plane, width, height, SampleDepth::F32, Boundary::Symmetric);
    };
    let side = |pixels: usize| u32::try_from(pixels).expect("sides of pictures fit in 32 bits");
    // By type: chosen at run time, every pixel type's code would be compiled into this crate, which takes minutes.
    let source: TypedImageRef<'_, F32> =
        TypedImageRef::from_buffer(side(plane.width()), side(plane.height()), cast_slice(plane.samples()))
            .expect("a plane has width * height samples");
    let mut target: TypedImage<'_, F32> =
        TypedImage::from_buffer(side(width), side(height), cast_slice_mut(resampled.samples_mut()))
            .expect("a plane has width * height samples");
    let options = ResizeOptions::new().resize_alg(algorithm);
    Resizer::new().resize_typed(&source, &mut target, &options).expect("the whole picture is resampled");
    drop(target);
    resampled
}

/// Resamples a picture to `width` x `height`.
///
/// Where there is alpha, colours are weighted by it, so that hidden colours do not show at edges. Pixels that become wholly
/// transparent keep the colour that plain resampling gives them.
///
/// # Panics
/// As [`resample`].
pub fn resample_picture(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    if (picture.width(), picture.height()) == (width, height) {
        return picture.clone();
    }
    let Some(alpha) = &picture.alpha else {
        let color = picture.color.iter().map(|plane| resample(plane, width, height, filter)).collect();
        return Picture { color, alpha: None };
    };
    let new_alpha = resample(alpha, width, height, filter);
    let color = picture
        .color
        .iter()
        .map(|plane| {
            let mut weighted = plane.clone();
            for (sample, alpha) in weighted.samples_mut().iter_mut().zip(alpha.samples()) {
                *sample *= *alpha;
            }
            let mut resampled = resample(&weighted, width, height, filter);
            drop(weighted);
            let plain = resample(plane, width, height, filter);
            let pixels = resampled.samples_mut().iter_mut().zip(new_alpha.samples());
            for ((sample, alpha), plain) in pixels.zip(plain.samples()) {
                *sample = if *alpha >= LEAST_ALPHA { *sample / *alpha } else { *plain };
            }
            resampled
        })
        .collect();
    Picture { color, alpha: Some(new_alpha) }
}

/// Below half a step of 16 bits a pixel cannot be seen, and the quotient would be noise.
const LEAST_ALPHA: f32 = 0.5 / 65_535.0;

#[cfg(test)]
mod tests;
