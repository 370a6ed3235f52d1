//! Flags of `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use esrgan_core::parse_bytes;
use esrgan_evaluate::Metric;
use esrgan_upscale::{DeviceChoice, Filter};

use super::upscale::threads;
use super::values::share;
use super::{EdgeFlag, PrecisionFlag};

/// `--method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodFlag {
    /// MATLAB's cubic, as the papers' bicubic figures
    Bicubic,
    /// A windowed sinc over six samples
    Lanczos,
    /// Samples repeated
    Nearest,
}

impl From<MethodFlag> for Filter {
    fn from(flag: MethodFlag) -> Self {
        match flag {
            MethodFlag::Bicubic => Self::Bicubic,
            MethodFlag::Lanczos => Self::Lanczos3,
            MethodFlag::Nearest => Self::Nearest,
        }
    }
}

impl MethodFlag {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
            Self::Nearest => "nearest",
        }
    }
}

/// Flags of `eval`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["model", "method", "sr"])))]
pub(crate) struct EvalFlags {
    /// Measure a model: a file, or a name that `models` lists
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Of the built-in model, between 0 (faithful to the input) and 1 (most texture) [default: 0.9]
    #[arg(long, value_name = "0..1", conflicts_with_all = ["method", "sr"], value_parser = share)]
    pub(crate) strength: Option<f64>,
    /// Measure a filter
    #[arg(long, value_enum, value_name = "METHOD")]
    pub(crate) method: Option<MethodFlag>,
    /// Measure a folder of results, which have the true pictures' names
    #[arg(long, value_name = "DIR")]
    pub(crate) sr: Option<PathBuf>,
    /// Folder of the true pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) hr: PathBuf,
    /// Folder of the small pictures [default: made of the true ones, as `downscale` does]
    #[arg(long, value_name = "DIR")]
    pub(crate) lr: Option<PathBuf>,
    /// How much larger the true pictures are [default: the model's scale, or 4]
    #[arg(short, long, value_name = "SCALE", value_parser = clap::value_parser!(u16).range(1..=64), conflicts_with = "model")]
    pub(crate) scale: Option<u16>,
    /// Pixels cut off at each side before measuring [default: the scale]
    #[arg(long, value_name = "PX")]
    pub(crate) border: Option<usize>,
    /// What is measured: psnr-y, ssim-y, psnr-rgb, ssim-rgb, ms-ssim-y, niqe, lpips-vgg, lpips-alex, lpips-squeeze
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "psnr-y,ssim-y,psnr-rgb,ssim-rgb"
    )]
    pub(crate) metrics: Vec<Metric>,
    /// Weights of the network that LPIPS looks with, by torchvision's names
    #[arg(long, value_name = "FILE", requires = "lpips_heads")]
    pub(crate) lpips_backbone: Option<PathBuf>,
    /// Weights of LPIPS itself, version 0.1
    #[arg(long, value_name = "FILE", requires = "lpips_backbone")]
    pub(crate) lpips_heads: Option<PathBuf>,
    /// Write a page with tables and pictures, DIR/index.html
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Folder in which models are found by name
    #[arg(long, value_name = "DIR", env = "ESRGAN_MODELS")]
    pub(crate) models_dir: Option<PathBuf>,
    /// Arithmetic of the network
    #[arg(long, value_enum, value_name = "TYPE", default_value = "auto")]
    pub(crate) precision: PrecisionFlag,
    /// Where the network runs: `auto` (a GPU if there is one), `cpu`, `vulkan` or `vulkan:N`
    ///
    /// `devices` lists them. GPUs need a build with the feature `vulkan`. Where `vulkan` finds no GPU, the processor computes, and a
    /// note says why; `vulkan:N` takes that device or nothing starts.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// What the network sees beyond the edge [default: what the model file names, or `zero`]
    #[arg(long, value_enum, value_name = "MODE", conflicts_with_all = ["method", "sr"])]
    pub(crate) edge: Option<EdgeFlag>,
    /// Average over all eight turned and mirrored views
    #[arg(long)]
    pub(crate) tta: bool,
    /// Memory that may be taken, such as 800M or 4G [default: 80 % of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) memory: Option<u64>,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", env = "ESRGAN_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// One JSON object a line on stdout for each picture, and one with the means
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<EvalFlags, clap::Error> {
        match Cli::try_parse_from(["esrgan", "eval", "--hr", "hr"].iter().chain(arguments))?.command {
            Command::Eval(flags) => Ok(*flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_method_is_asked_for() {
        assert_eq!(parse(&["--method", "bicubic"]).unwrap().metrics, Metric::USUAL);
        let flags = parse(&["-m", "m.pth", "--device", "vulkan:1", "--precision", "f16"]).unwrap();
        assert_eq!(flags.device, DeviceChoice::Vulkan(Some(1)));
        let flags = parse(&["-m", "m.pth", "--metrics", "niqe,lpips-alex"]).unwrap();
        assert_eq!(flags.metrics, [Metric::Niqe, Metric::LpipsAlex]);
        for arguments in [
            &[][..],
            &["-m", "m.pth", "--sr", "results"],
            &["-m", "m.pth", "-s", "2"],
            &["--method", "cubic"],
            &["--method", "bicubic", "--metrics", "psnr"],
            &["--method", "bicubic", "--lpips-heads", "h"],
            &["--method", "bicubic", "--edge", "zero"],
            &["--method", "bicubic", "--strength", "0.5"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
