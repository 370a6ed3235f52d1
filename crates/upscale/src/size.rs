//! How large the output shall be.

use std::path::Path;

use crate::error::UpscaleError;

/// How large the output shall be. The model always runs at its own scale; another size is made from its result.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum OutputSize {
    /// What the model gives.
    #[default]
    Model,
    /// The input's size times a factor.
    Scale(f64),
    /// A width in pixels, the height in proportion.
    Width(usize),
    /// A height in pixels, the width in proportion.
    Height(usize),
    /// Both sides in pixels.
    Exact(usize, usize),
}

impl OutputSize {
    /// Width and height in pixels, for an input of `width` x `height` and a model of scale `model_scale`.
    ///
    /// # Errors
    /// [`UpscaleError::OutputSize`] where a side would be zero, or beyond 32 bits.
    pub fn of(
        self,
        path: &Path,
        (width, height): (usize, usize),
        model_scale: usize,
    ) -> Result<(usize, usize), UpscaleError> {
        let (width, height) = (width as f64, height as f64);
        let scaled = |factor: f64| (width * factor, height * factor);
        let (width, height) = match self {
            Self::Model => scaled(model_scale as f64),
            Self::Scale(factor) => scaled(factor),
            Self::Width(pixels) => (pixels as f64, (height * pixels as f64 / width).max(1.0)),
            Self::Height(pixels) => ((width * pixels as f64 / height).max(1.0), pixels as f64),
            Self::Exact(width, height) => (width as f64, height as f64),
        };
        let is_possible = |side: f64| (1.0..=f64::from(u32::MAX)).contains(&side.round());
        if is_possible(width) && is_possible(height) {
            Ok((width.round() as usize, height.round() as usize))
        } else {
            Err(UpscaleError::OutputSize { path: path.to_owned(), width, height })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_keep_their_proportion() {
        let of = |size: OutputSize| size.of(Path::new("a.png"), (300, 200), 4).unwrap();
        assert_eq!(of(OutputSize::Model), (1200, 800));
        assert_eq!(of(OutputSize::Scale(1.5)), (450, 300));
        assert_eq!(of(OutputSize::Width(100)), (100, 67));
        assert_eq!(of(OutputSize::Height(1000)), (1500, 1000));
        assert_eq!(of(OutputSize::Exact(5, 7)), (5, 7));
        assert_eq!(OutputSize::Width(1).of(Path::new("a"), (1000, 10), 4).unwrap(), (1, 1));
    }

    #[test]
    fn sizes_without_pixels_are_refused() {
        for size in [
            OutputSize::Scale(0.001),
            OutputSize::Scale(f64::NAN),
            OutputSize::Scale(1e12),
            OutputSize::Width(0),
        ] {
            assert!(size.of(Path::new("a.png"), (30, 20), 4).is_err(), "{size:?}");
        }
    }
}
