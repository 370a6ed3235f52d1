//! Flags of `degrade`.

use std::path::PathBuf;

use clap::Args;
use esrgan_degrade::Preset;

use super::upscale::threads;

/// Flags of `degrade`.
#[derive(Args, Debug)]
pub(crate) struct DegradeFlags {
    /// Pictures, or folders of pictures; sides are cut to multiples of the scale
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Output file, or folder; PNG of 8 bits
    #[arg(short, long, value_name = "FILE|DIR", required_unless_present = "preview")]
    pub(crate) output: Option<PathBuf>,
    /// What is done: `real-esrgan` (two passes of blur, resizing, noise and JPEG, and a final sinc), `mild` (two passes of
    /// resizing and light JPEG) or `bicubic` (as `downscale`)
    #[arg(long, value_name = "NAME", default_value = "real-esrgan")]
    pub(crate) preset: Preset,
    /// Seed of all random choices: the same inputs in the same order with the same seed give the same pictures
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How many times smaller the results are, 1 to 16
    #[arg(short, long, value_name = "SCALE", default_value_t = 4)]
    pub(crate) scale: usize,
    /// Contact sheet of the first input, a PNG: its middle, then eight degraded samples of it, row by row; their parameters
    /// are written to stdout, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) preview: Option<PathBuf>,
    /// Look into folders below the named ones, and mirror their tree
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", env = "ESRGAN_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// One JSON object a line on stdout for each picture, with all choices
    #[arg(long)]
    pub(crate) json: bool,
}
