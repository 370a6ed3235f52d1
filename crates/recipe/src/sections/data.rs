//! Pictures to learn from, and pictures to measure by.

use std::path::PathBuf;

use esrgan_degrade::Preset;
use serde::{Deserialize, Serialize};

use super::text::{byte_size, degradation};

/// Metrics that a validation can measure, as `esrgan eval` names them.
pub const METRICS: &[&str] = &[
    "psnr-y",
    "ssim-y",
    "psnr-rgb",
    "ssim-rgb",
    "ms-ssim-y",
    "niqe",
    "lpips-vgg",
    "lpips-alex",
    "lpips-squeeze",
];

/// What is learned from: crops of pictures, in batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folders of high-resolution pictures; folders in them count too.
    pub hr: Vec<PathBuf>,
    /// Folder of their low-resolution partners, of the same names, or with `x4` or `_x4` behind them. This or `degradation`.
    pub lr: Option<PathBuf>,
    /// How low-resolution crops are made of the others: `bicubic` as MATLAB does it, `mild`, `real-esrgan`. This or `lr`.
    #[serde(default, with = "degradation", skip_serializing_if = "Option::is_none")]
    pub degradation: Option<Preset>,
    /// Side of a high-resolution crop in pixels, a multiple of the scale. ESRGAN: 128; Real-ESRGAN: 256.
    #[serde(default = "default_crop_px")]
    pub crop_px: usize,
    /// Crops in a batch. ESRGAN: 16; Real-ESRGAN: 12 on each of 4 devices.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Batches whose gradients are averaged for one step: the memory of one, the effect of a larger batch. Papers: 1.
    #[serde(default = "default_accumulation")]
    pub accumulation: usize,
    /// Whether every second crop is mirrored, left to right. ESRGAN, Real-ESRGAN: true.
    #[serde(default = "default_true")]
    pub flips: bool,
    /// Whether crops are turned by multiples of 90 degrees. ESRGAN: true; Real-ESRGAN: false.
    #[serde(default = "default_true")]
    pub rotations: bool,
    /// Memory for decoded pictures kept for their next use, such as `1GiB` or `800M`.
    #[serde(rename = "cache", default = "default_cache_bytes", with = "byte_size")]
    pub cache_bytes: u64,
    /// Threads that prepare batches ahead; none: all processors.
    pub workers: Option<usize>,
    /// Whether crops are sharpened by USM before they are degraded, and for pixel and perceptual loss; the discriminator sees
    /// them as they are. ESRGAN: false; Real-ESRGAN: true.
    #[serde(default)]
    pub sharpen: bool,
}

fn default_crop_px() -> usize {
    128
}

fn default_batch() -> usize {
    16
}

fn default_accumulation() -> usize {
    1
}

fn default_true() -> bool {
    true
}

fn default_cache_bytes() -> u64 {
    1 << 30
}

/// Pictures that the averaged generator is measured on, now and then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Folder of high-resolution pictures.
    pub hr: PathBuf,
    /// Folder of their low-resolution partners; none: made by `bicubic`.
    pub lr: Option<PathBuf>,
    /// Steps from one validation to the next. BasicSR: 5000.
    #[serde(default = "default_every")]
    pub every: u64,
    /// Pixels of the border that metrics leave out. BasicSR and the papers at x4: 4.
    #[serde(default = "default_border_px")]
    pub border_px: usize,
    /// What is measured: names of [`METRICS`].
    #[serde(default = "default_metrics")]
    pub metrics: Vec<String>,
    /// Whether the enlarged pictures are kept.
    #[serde(default)]
    pub save_pictures: bool,
    /// The convolutions of LPIPS's network, where a metric is LPIPS.
    pub lpips_backbone: Option<PathBuf>,
    /// The layers' weights of LPIPS, where a metric is LPIPS.
    pub lpips_heads: Option<PathBuf>,
}

fn default_every() -> u64 {
    5_000
}

fn default_border_px() -> usize {
    4
}

fn default_metrics() -> Vec<String> {
    ["psnr-y", "ssim-y", "psnr-rgb"].map(str::to_owned).into()
}
