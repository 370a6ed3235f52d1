//! Drawing a sample's parameters, and carrying them out.

use esrgan_core::{Picture, Plane, SampleDepth, dequantise_u8, quantise_u8};
use esrgan_image::{Boundary, imresize};

use crate::draw::{Preset, draw};
use crate::error::DegradeError;
use crate::filter::filter;
use crate::jpeg::jpeg;
use crate::kernel::Kernel;
use crate::noise::add_noise;
use crate::parameters::{Parameters, Step, Target};
use crate::resize::resize;
use esrgan_random::{Purpose, RandomStream, SampleKey};

/// Streams of a sample: the choices, and the noise of the step at an index.
const CHOICES: Purpose = Purpose(0x6465_0000);
const NOISE: u32 = 0x6465_0100;
const LARGEST_SCALE: usize = 16;

/// A preset at a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degradation {
    preset: Preset,
    scale: usize,
}

impl Degradation {
    /// A preset whose results are `scale` times smaller each way.
    ///
    /// # Errors
    /// [`DegradeError::Scale`] outside 1..=16.
    pub fn preset(preset: Preset, scale: usize) -> Result<Self, DegradeError> {
        match scale {
            1..=LARGEST_SCALE => Ok(Self { preset, scale }),
            _ => Err(DegradeError::Scale { scale }),
        }
    }

    /// The factor between both pictures' sides.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Draws every choice of a sample: the same key, the same choices.
    pub fn sample(&self, key: SampleKey) -> Parameters {
        let steps = draw(self.preset, &mut RandomStream::new(key, CHOICES));
        Parameters { key, scale: self.scale, steps }
    }

    /// Makes the low-resolution picture. Alpha is left behind.
    ///
    /// # Values
    /// 0..1 in; multiples of 1/255 out. The bits depend on the arguments alone.
    ///
    /// # Errors
    /// [`DegradeError::NotMultiple`], also for a picture without pixels; [`DegradeError::OtherScale`].
    pub fn apply(&self, hr: &Picture, parameters: &Parameters) -> Result<Picture, DegradeError> {
        let (width, height, scale) = (hr.width(), hr.height(), self.scale);
        if parameters.scale != scale {
            return Err(DegradeError::OtherScale { expected: scale, found: parameters.scale });
        }
        let is_multiple = width.is_multiple_of(scale) && height.is_multiple_of(scale);
        if width == 0 || height == 0 || !is_multiple {
            return Err(DegradeError::NotMultiple { width, height, scale });
        }
        let lr_size = (width / scale, height / scale);
        let mut planes = hr.color.clone();
        for (index, step) in parameters.steps.iter().enumerate() {
            match step {
                Step::Noise(noise) => {
                    let purpose = Purpose(NOISE + index as u32);
                    add_noise(&mut planes, *noise, &mut RandomStream::new(parameters.key, purpose));
                }
                step => planes = carried_out(planes, step, lr_size),
            }
        }
        for sample in planes.iter_mut().flat_map(Plane::samples_mut) {
            *sample = dequantise_u8(quantise_u8(*sample));
        }
        Ok(Picture { color: planes, alpha: None })
    }
}

/// A step that draws nothing.
fn carried_out(planes: Vec<Plane>, step: &Step, lr_size: (usize, usize)) -> Vec<Plane> {
    match step {
        Step::Blur { shape, size } => {
            let kernel = Kernel::new(shape, *size);
            planes.iter().map(|plane| filter(plane, &kernel)).collect()
        }
        Step::Resize { target, mode } => {
            let scaled = |side: usize, factor: f64| ((side as f64 * factor) as usize).max(1);
            let present = (planes[0].width(), planes[0].height());
            let (from, factor, coordinates) = match *target {
                Target::Present(factor) => (present, factor, Some(factor)),
                Target::Final(factor) => (lr_size, factor, None),
            };
            let size = (scaled(from.0, factor), scaled(from.1, factor));
            planes.iter().map(|plane| resize(plane, size, coordinates, *mode)).collect()
        }
        Step::Jpeg { quality } => jpeg(&planes, *quality),
        Step::Downscale => {
            let small = |plane| imresize(plane, lr_size.0, lr_size.1, SampleDepth::U8, Boundary::Replicate);
            planes.iter().map(small).collect()
        }
        Step::Noise(_) => planes,
    }
}

#[cfg(test)]
mod tests;
