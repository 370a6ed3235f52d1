//! CMYK to sRGB, through the file's profile where it has a usable one.
//!
//! Without a profile: `R = (1 - C)(1 - K)`, which is what viewers without colour management show.

use std::sync::Arc;

use esrgan_core::{Notice, dequantise_u16};
use moxcms::{ColorProfile, Layout, RenderingIntent, TransformExecutor, TransformOptions};

use crate::metadata::icc;

/// How a JPEG stores its inks.
#[derive(Clone, Copy)]
pub(super) struct Inks {
    /// Cyan, magenta and yellow are coded as YCbCr.
    pub is_ycck: bool,
    /// 255 stands for no ink, as Adobe's programs write it.
    pub is_inverted: bool,
}

impl Inks {
    /// Amounts of cyan, magenta, yellow and black, 255 full.
    pub(super) fn amounts(self, [a, b, c, k]: [u8; 4]) -> [u8; 4] {
        // The three coded colours are red, green and blue, so their complements are the stored inks.
        let [c, m, y] = if self.is_ycck { Self::rgb([a, b, c]).map(|v| 255 - v) } else { [a, b, c] };
        if self.is_inverted { [255 - c, 255 - m, 255 - y, 255 - k] } else { [c, m, y, k] }
    }

    /// Red, green and blue of luma and chroma. JFIF 1.02, full range.
    pub(super) fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
        [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
            .map(|v| v.round().clamp(0.0, 255.0) as u8)
    }
}

/// Converts rows of inks to sRGB.
pub(super) struct Separations {
    transform: Option<Arc<dyn TransformExecutor<u16> + Send + Sync>>,
    converted: Vec<u16>,
    rgb: Vec<f32>,
}

impl Separations {
    /// From the file's profile; says in a notice what colours can be expected.
    pub(super) fn new(icc: Option<Vec<u8>>, notices: &mut Vec<Notice>) -> Self {
        let transform = icc.as_deref().and_then(transform);
        notices.push(Notice::new(match (&transform, &icc) {
            (Some(_), _) => "CMYK was converted to sRGB through the file's profile",
            (None, Some(_)) => {
                "CMYK was converted to sRGB without its profile, which is not usable: colours are approximate"
            }
            (None, None) => "CMYK was converted to sRGB without a profile: colours are approximate",
        }));
        Self { transform, converted: Vec::new(), rgb: Vec::new() }
    }

    /// RGB of a row, 0..1, interleaved; `inks` are four a pixel, 65,535 full.
    pub(super) fn converted(&mut self, inks: &[u16]) -> &[f32] {
        self.rgb.clear();
        if let Some(transform) = &self.transform {
            self.converted.resize(inks.len() / 4 * 3, 0);
            if transform.transform(inks, &mut self.converted).is_ok() {
                self.rgb.extend(self.converted.iter().map(|v| dequantise_u16(*v)));
                return &self.rgb;
            }
        }
        for ink in inks.as_chunks::<4>().0 {
            let [c, m, y, k] = ink.map(|v| 1.0 - dequantise_u16(v));
            self.rgb.extend([c * k, m * k, y * k]);
        }
        &self.rgb
    }
}

fn transform(profile: &[u8]) -> Option<Arc<dyn TransformExecutor<u16> + Send + Sync>> {
    if icc::color_space(profile) != Some(icc::ColorSpace::Cmyk) {
        return None;
    }
    let source = ColorProfile::new_from_slice(profile).ok()?;
    let options =
        TransformOptions { rendering_intent: RenderingIntent::Perceptual, ..TransformOptions::default() };
    source.create_transform_16bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options).ok()
}
