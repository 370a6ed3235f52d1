//! Flags of the commands about models.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use esrgan_upscale::{DType, DeviceChoice, KeyLayout};

use super::PrecisionFlag;
use super::upscale::threads;
use super::values::share;

/// Flags of `inspect`.
#[derive(Args, Debug)]
pub(crate) struct InspectFlags {
    /// Model file, or the name of a built-in model
    pub(crate) model: PathBuf,
    /// The model's scale, where its file fits x2 and x3 alike
    #[arg(short, long, value_name = "SCALE")]
    pub(crate) scale: Option<usize>,
    /// One JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `convert`.
#[derive(Args, Debug)]
pub(crate) struct ConvertFlags {
    /// Model file to read, or the name of a built-in model
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// Model file to write: .safetensors, .pth, .onnx, or .param (with .bin beside it)
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// How the keys are spelled [default: as they were, else basicsr]
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(crate) layout: Option<LayoutFlag>,
    /// Of the built-in model, between 0 (faithful to the input) and 1 (most texture) [default: 0.9]
    #[arg(long, value_name = "0..1", value_parser = share)]
    pub(crate) strength: Option<f64>,
    /// Type of the weights [default: as they were]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) dtype: Option<DTypeFlag>,
    /// The model's scale, where its file fits x2 and x3 alike
    #[arg(short, long, value_name = "SCALE")]
    pub(crate) scale: Option<usize>,
}

/// Flags of `interpolate`.
#[derive(Args, Debug)]
pub(crate) struct InterpolateFlags {
    /// The model that alpha 0 gives
    pub(crate) a: PathBuf,
    /// The model that alpha 1 gives
    pub(crate) b: PathBuf,
    /// Share of B, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) alpha: f64,
    /// Model file to write
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The models' scale, where their files fit x2 and x3 alike
    #[arg(short, long, value_name = "SCALE")]
    pub(crate) scale: Option<usize>,
}

/// Flags of `models`.
#[derive(Args, Debug)]
pub(crate) struct ListFlags {
    /// Folder whose models are listed behind the built-in ones
    #[arg(long, value_name = "DIR", env = "ESRGAN_MODELS")]
    pub(crate) models_dir: Option<PathBuf>,
    /// One JSON object a line on stdout for each model
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchFlags {
    /// A table of models, sizes, precisions and numbers of threads
    ///
    /// Each row is measured in a process of its own. Models are those of `--model`, which may be given several times, or
    /// networks of the published shapes with weights that mean nothing. GFLOP/s count a network as published, whatever
    /// shortcuts are taken, so that its share of the measured ceiling of multiplications may be above 100 %.
    #[arg(long, conflicts_with_all = ["input", "output"])]
    pub(crate) suite: bool,
    /// Model file, or the name of a built-in model [default: photo-x4]
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Vec<PathBuf>,
    /// Of the built-in model, between 0 (faithful to the input) and 1 (most texture) [default: 0.9]
    #[arg(long, value_name = "0..1", conflicts_with = "suite", value_parser = share)]
    pub(crate) strength: Option<f64>,
    /// Picture to enlarge
    #[arg(short, long, value_name = "LR", required_unless_present = "suite")]
    pub(crate) input: Option<PathBuf>,
    /// Sides of the suite's square pictures, in px [default: 64,128,256]
    #[arg(long, value_name = "PX,...", value_delimiter = ',', requires = "suite", value_parser = side)]
    pub(crate) sizes: Vec<usize>,
    /// Arithmetic of the network; a suite takes f32 and bf16 where it is `auto`
    #[arg(long, value_enum, value_name = "TYPE", default_value = "auto")]
    pub(crate) precision: PrecisionFlag,
    /// Threads [default: all processors; in a suite one, then all]
    #[arg(long, value_name = "N", env = "ESRGAN_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Forward passes to time; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Where the network runs: `auto` (a GPU if there is one), `cpu`, `vulkan` or `vulkan:N`
    ///
    /// `devices` lists them. GPUs need a build with the feature `vulkan`. Where `vulkan` finds no GPU, the processor computes, and a
    /// note says why; `vulkan:N` takes that device or nothing starts.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Picture to write the result to
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) output: Option<PathBuf>,
    /// The model's scale, where its file fits x2 and x3 alike
    #[arg(short, long, value_name = "SCALE")]
    pub(crate) scale: Option<usize>,
    /// One JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// A picture's side in pixels.
fn side(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(side) if (1..=8192).contains(&side) => Ok(side),
        _ => Err("expected a number from 1 to 8192".to_owned()),
    }
}

/// `--layout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutFlag {
    /// BasicSR and Real-ESRGAN: body.0.rdb1.conv1.weight
    Basicsr,
    /// ESRGAN of 2018: model.1.sub.0.RDB1.conv1.0.weight
    Old,
    /// ESRGAN of 2019, BSRGAN: RRDB_trunk.0.RDB1.conv1.weight
    Trunk,
}

impl From<LayoutFlag> for KeyLayout {
    fn from(flag: LayoutFlag) -> Self {
        match flag {
            LayoutFlag::Basicsr => Self::BasicSr,
            LayoutFlag::Old => Self::Old,
            LayoutFlag::Trunk => Self::RrdbTrunk,
        }
    }
}

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DTypeFlag {
    /// 32-bit floating point
    F32,
    /// 16-bit floating point
    F16,
    /// bfloat16
    Bf16,
}

impl From<DTypeFlag> for DType {
    fn from(flag: DTypeFlag) -> Self {
        match flag {
            DTypeFlag::F32 => Self::F32,
            DTypeFlag::F16 => Self::F16,
            DTypeFlag::Bf16 => Self::BF16,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;

    #[test]
    fn commands_about_models_are_read() {
        for (arguments, is_good) in [
            (&["inspect", "m.pth", "--json", "-s", "3"][..], true),
            (&["convert", "a.pth", "b.onnx", "--layout", "old", "--dtype", "bf16"], true),
            (&["convert", "a.pth"], false),
            (&["interpolate", "a", "b", "--alpha", "0.8", "-o", "c.pth"], true),
            (&["interpolate", "a", "b", "--alpha", "1.5", "-o", "c.pth"], false),
            (&["models", "--models-dir", "x"], true),
            (&["devices", "--json"], true),
            (&["devices", "vulkan:0"], false),
            (&["bench", "--model", "m", "--input", "i.png", "--device", "vulkan:0"], true),
            (&["bench", "--model", "m", "--input", "i.png", "--device", "gpu"], false),
            (&["bench", "--model", "m", "--input", "i.png", "--repeat", "0"], false),
            (
                &[
                    "bench",
                    "--model",
                    "m",
                    "--input",
                    "i.png",
                    "--threads",
                    "2",
                    "--output",
                    "o.png",
                    "--json",
                ],
                true,
            ),
        ] {
            let all = std::iter::once(&"esrgan").chain(arguments);
            assert_eq!(Cli::try_parse_from(all).is_ok(), is_good, "{arguments:?}");
        }
    }
}
