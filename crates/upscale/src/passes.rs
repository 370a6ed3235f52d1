//! How a picture's channels go through a model: one pass of the network, or several.

use esrgan_core::{Picture, Plane};
use esrgan_weights::ModelSpec;

use crate::error::UpscaleError;

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AlphaMode {
    /// Enlarged by the model, as a gray picture.
    #[default]
    Model,
    /// Enlarged by a resampler.
    Resample,
    /// Dropped: the colours alone are enlarged.
    Drop,
}

/// Weights of red, green and blue in a gray value (Rec. ITU-R BT.601, section 2.5.1).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What the network's outputs become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// Output `k` becomes channel `first + k`, for `count` channels.
    Channels { first: usize, count: usize },
    /// Three outputs become one channel by their luma.
    Luma(usize),
    /// Three outputs become channel 0 by their luma, the fourth becomes channel 1.
    LumaAndAlpha,
}

impl Gives {
    /// How many channels of the output it makes, and which is the first.
    pub(crate) fn channels(self) -> std::ops::Range<usize> {
        match self {
            Self::Channels { first, count } => first..first + count,
            Self::Luma(channel) => channel..channel + 1,
            Self::LumaAndAlpha => 0..2,
        }
    }

    /// Writes channel `index` of a row of network outputs.
    pub(crate) fn write(self, index: usize, outputs: &[&[f32]], row: &mut [f32]) {
        match self {
            Self::Channels { .. } => row.copy_from_slice(outputs[index]),
            Self::LumaAndAlpha if index == 1 => row.copy_from_slice(outputs[3]),
            Self::Luma(_) | Self::LumaAndAlpha => {
                for (x, value) in row.iter_mut().enumerate() {
                    *value = LUMA.iter().zip(outputs).map(|(weight, output)| weight * output[x]).sum();
                }
            }
        }
    }
}

/// One pass of the network.
#[derive(Debug)]
pub(crate) struct Pass {
    /// What goes in.
    pub(crate) planes: Vec<Plane>,
    /// What comes out.
    pub(crate) gives: Gives,
}

/// The passes that enlarge a picture, and the channels that they do not.
#[derive(Debug)]
pub(crate) struct Passes {
    pub(crate) passes: Vec<Pass>,
    /// Colour channels of the result.
    pub(crate) color_channels: usize,
    /// Alpha that no pass makes: a plane to be resampled.
    pub(crate) resampled_alpha: Option<Plane>,
    /// Alpha that is the same everywhere.
    pub(crate) constant_alpha: Option<f32>,
}

impl Passes {
    /// Channels of the result, alpha included.
    pub(crate) fn channels(&self) -> usize {
        let alpha_by_model = self.passes.iter().any(|pass| pass.gives.channels().end > self.color_channels);
        let has_alpha = alpha_by_model || self.resampled_alpha.is_some() || self.constant_alpha.is_some();
        self.color_channels + usize::from(has_alpha)
    }

    /// Takes a picture apart for a model.
    ///
    /// # Errors
    /// [`UpscaleError::Channels`] where the model is not for pictures.
    pub(crate) fn new(picture: Picture, spec: &ModelSpec, alpha: AlphaMode) -> Result<Self, UpscaleError> {
        let Picture { color, alpha: plane } = picture;
        let plane = plane.filter(|_| alpha != AlphaMode::Drop);
        let is_gray = color.len() == 1;
        let channels = (spec.in_channels(), spec.out_channels());
        if channels == (4, 4) {
            return Ok(Self::rgba(color, plane));
        }
        let colored = |planes: Vec<Plane>| Pass { planes, gives: Gives::Channels { first: 0, count: 3 } };
        let (passes, color_channels) = match channels {
            (3, 3) if is_gray => (vec![Pass { planes: replicated(&color[0]), gives: Gives::Luma(0) }], 1),
            (3, 3) => (vec![colored(color)], 3),
            (1, 3) => (vec![colored(vec![luma(&color)])], 3),
            (1, 1) => {
                let count = color.len();
                let single =
                    |(first, plane)| Pass { planes: vec![plane], gives: Gives::Channels { first, count: 1 } };
                (color.into_iter().enumerate().map(single).collect(), count)
            }
            (in_channels, out_channels) => return Err(UpscaleError::Channels { in_channels, out_channels }),
        };
        let mut result = Self { passes, color_channels, resampled_alpha: None, constant_alpha: None };
        let Some(plane) = plane else { return Ok(result) };
        match constant(&plane) {
            Some(value) => result.constant_alpha = Some(value),
            None if alpha == AlphaMode::Resample => result.resampled_alpha = Some(plane),
            None => {
                let planes = if channels.0 == 3 { replicated(&plane) } else { vec![plane] };
                let gives = match channels.1 {
                    3 => Gives::Luma(color_channels),
                    _ => Gives::Channels { first: color_channels, count: 1 },
                };
                result.passes.push(Pass { planes, gives });
            }
        }
        Ok(result)
    }

    /// A model that knows transparency: opaque where the picture has none, which is then not kept.
    fn rgba(color: Vec<Plane>, alpha: Option<Plane>) -> Self {
        let is_gray = color.len() == 1;
        let gives = match (is_gray, alpha.is_some()) {
            (true, true) => Gives::LumaAndAlpha,
            (true, false) => Gives::Luma(0),
            (false, has_alpha) => Gives::Channels { first: 0, count: 3 + usize::from(has_alpha) },
        };
        let opaque = || Plane::filled(color[0].width(), color[0].height(), 1.0);
        let alpha = alpha.unwrap_or_else(opaque);
        let color_channels = color.len();
        let mut planes = if is_gray { replicated(&color[0]) } else { color };
        planes.push(alpha);
        let passes = vec![Pass { planes, gives }];
        Self { passes, color_channels, resampled_alpha: None, constant_alpha: None }
    }
}

/// Colour channels of the result for a picture with `colors` of them: gray stays gray, unless the model is for colouring.
pub(crate) fn color_channels(colors: usize, spec: &ModelSpec) -> usize {
    if (spec.in_channels(), spec.out_channels()) == (1, 3) { 3 } else { colors }
}

fn replicated(plane: &Plane) -> Vec<Plane> {
    vec![plane.clone(); 3]
}

/// The gray picture of a coloured one.
fn luma(color: &[Plane]) -> Plane {
    let [red, green, blue] = color else { return color[0].clone() };
    let mut gray = Plane::filled(red.width(), red.height(), 0.0);
    let rows: Vec<&[f32]> = [red, green, blue].map(Plane::samples).to_vec();
    Gives::Luma(0).write(0, &rows, gray.samples_mut());
    gray
}

/// The one value that a plane has, if it has one.
fn constant(plane: &Plane) -> Option<f32> {
    let first = *plane.samples().first()?;
    plane.samples().iter().all(|&value| value == first).then_some(first)
}
