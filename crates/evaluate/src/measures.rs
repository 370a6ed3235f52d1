//! The metrics by name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use esrgan_core::Picture;
use esrgan_metrics::{
    Lpips, LpipsNetwork, MetricError, ms_ssim_y, niqe, psnr_rgb_db, psnr_y_db, ssim_rgb, ssim_y,
};
use esrgan_weights::{Limits, load_tensors};

use crate::error::EvaluateError;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// PSNR of luma, in dB.
    PsnrY,
    /// SSIM of luma.
    SsimY,
    /// PSNR of red, green and blue together, in dB.
    PsnrRgb,
    /// Mean of the SSIM of red, green and blue.
    SsimRgb,
    /// SSIM of luma over five scales.
    MsSsimY,
    /// NIQE of the result, without the true picture.
    Niqe,
    /// LPIPS with VGG16.
    LpipsVgg,
    /// LPIPS with AlexNet.
    LpipsAlex,
    /// LPIPS with SqueezeNet.
    LpipsSqueeze,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 9] = [
        Self::PsnrY,
        Self::SsimY,
        Self::PsnrRgb,
        Self::SsimRgb,
        Self::MsSsimY,
        Self::Niqe,
        Self::LpipsVgg,
        Self::LpipsAlex,
        Self::LpipsSqueeze,
    ];
    /// What is measured unasked.
    pub const USUAL: [Self; 4] = [Self::PsnrY, Self::SsimY, Self::PsnrRgb, Self::SsimRgb];

    /// Its name: `psnr-y`, `ssim-y`, `psnr-rgb`, `ssim-rgb`, `ms-ssim-y`, `niqe`, `lpips-vgg`, `lpips-alex`, `lpips-squeeze`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PsnrY => "psnr-y",
            Self::SsimY => "ssim-y",
            Self::PsnrRgb => "psnr-rgb",
            Self::SsimRgb => "ssim-rgb",
            Self::MsSsimY => "ms-ssim-y",
            Self::Niqe => "niqe",
            Self::LpipsVgg => "lpips-vgg",
            Self::LpipsAlex => "lpips-alex",
            Self::LpipsSqueeze => "lpips-squeeze",
        }
    }

    /// Whether more is better.
    pub fn is_better_when_larger(self) -> bool {
        !matches!(self, Self::Niqe | Self::LpipsVgg | Self::LpipsAlex | Self::LpipsSqueeze)
    }

    /// Decimals that tables show.
    pub fn decimals(self) -> usize {
        if matches!(self, Self::PsnrY | Self::PsnrRgb | Self::Niqe) { 2 } else { 4 }
    }

    /// The network of LPIPS.
    fn network(self) -> Option<LpipsNetwork> {
        match self {
            Self::LpipsVgg => Some(LpipsNetwork::Vgg),
            Self::LpipsAlex => Some(LpipsNetwork::Alex),
            Self::LpipsSqueeze => Some(LpipsNetwork::Squeeze),
            _ => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no metric: expected one of {}", Metric::ALL.map(Metric::name).join(", "))]
pub struct UnknownMetricError {
    /// The text as it was given.
    pub found: String,
}

impl FromStr for Metric {
    type Err = UnknownMetricError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| UnknownMetricError { found: text.to_owned() })
    }
}

/// Files that LPIPS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LpipsFiles {
    /// The network's convolutions, with torchvision's names.
    pub backbone: PathBuf,
    /// The weights of its layers, as version 0.1 names them.
    pub heads: PathBuf,
}

/// Metrics, ready to measure.
#[derive(Debug)]
pub struct Measures {
    metrics: Vec<Metric>,
    lpips: Option<Lpips>,
}

impl Measures {
    /// Prepares metrics.
    ///
    /// # Errors
    /// [`EvaluateError::NoWeights`] where LPIPS is among them and `lpips` is none, [`EvaluateError::Weights`] and
    /// [`EvaluateError::Metric`] for its files.
    pub fn new(metrics: &[Metric], lpips: Option<&LpipsFiles>) -> Result<Self, EvaluateError> {
        let mut prepared = Self { metrics: metrics.to_vec(), lpips: None };
        let mut first = None;
        for &metric in metrics {
            let Some(network) = metric.network() else { continue };
            let first = *first.get_or_insert(metric);
            if first != metric {
                return Err(EvaluateError::TwoNetworks { first: first.name(), second: metric.name() });
            }
            let files = lpips.ok_or(EvaluateError::NoWeights { metric: metric.name() })?;
            let backbone = load_tensors(&files.backbone, &Limits::default())?;
            let heads = load_tensors(&files.heads, &Limits::default())?;
            let failed = |source| EvaluateError::Metric { path: files.backbone.clone(), source };
            prepared.lpips = Some(Lpips::new(network, &backbone, &heads).map_err(failed)?);
        }
        Ok(prepared)
    }

    /// The metrics, in their order.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Measures a result.
    ///
    /// # Errors
    /// [`MetricError`] of the first metric that cannot be computed.
    pub fn of(&self, hr: &Picture, sr: &Picture, border_px: usize) -> Result<Vec<f64>, MetricError> {
        self.metrics.iter().map(|metric| self.one(*metric, hr, sr, border_px)).collect()
    }

    fn one(&self, metric: Metric, hr: &Picture, sr: &Picture, border_px: usize) -> Result<f64, MetricError> {
        match metric {
            Metric::PsnrY => psnr_y_db(hr, sr, border_px),
            Metric::SsimY => ssim_y(hr, sr, border_px),
            Metric::PsnrRgb => psnr_rgb_db(hr, sr, border_px),
            Metric::SsimRgb => ssim_rgb(hr, sr, border_px),
            Metric::MsSsimY => ms_ssim_y(hr, sr, border_px),
            Metric::Niqe => niqe(sr, border_px),
            Metric::LpipsVgg | Metric::LpipsAlex | Metric::LpipsSqueeze => {
                let lpips = self.lpips.as_ref().expect("`new` has loaded what the metrics need");
                lpips.distance(hr, sr)
            }
        }
    }
}
