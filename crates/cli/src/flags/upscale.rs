//! Flags of `upscale`.

use std::path::PathBuf;

use clap::Args;
use esrgan_core::parse_bytes;
use esrgan_upscale::{DeviceChoice, OutputSize};

use super::values::share;
use super::{AlphaFlag, EdgeFlag, FormatFlag, PrecisionFlag, TileFlag};

/// Flags of `upscale`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(crate) struct UpscaleFlags {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Output file, or folder [default: beside the input, as NAME_x4.EXT]
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Model file (.pth, .safetensors, .param, .onnx), or a name that `models` lists [default: photo-x4]
    #[arg(short, long, value_name = "MODEL", env = "ESRGAN_MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Of the built-in model, between 0 (faithful to the input) and 1 (most texture) [default: 0.9]
    #[arg(long, value_name = "0..1", value_parser = share)]
    pub(crate) strength: Option<f64>,
    /// Folder in which models are found by name
    #[arg(long, value_name = "DIR", env = "ESRGAN_MODELS")]
    pub(crate) models_dir: Option<PathBuf>,
    /// Output size as a factor of the input's [default: the model's scale]
    ///
    /// The model runs at its own scale; another size is made from its result by the cubic of `downscale`, without rounding. Only where a model's
    /// file fits x2 and x3 alike does `--scale 3` read it as x3.
    #[arg(short, long, value_name = "SCALE", value_parser = positive, conflicts_with_all = ["width", "height"])]
    pub(crate) scale: Option<f64>,
    /// Output width; the height follows unless given
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) width: Option<u32>,
    /// Output height; the width follows unless given
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) height: Option<u32>,
    /// The model's own scale, where its file fits x2 and x3 alike
    #[arg(long, value_name = "SCALE")]
    pub(crate) model_scale: Option<usize>,
    /// Arithmetic of the network
    #[arg(long, value_enum, value_name = "TYPE", default_value = "auto")]
    pub(crate) precision: PrecisionFlag,
    /// Where the network runs: `auto` (a GPU if there is one), `cpu`, `vulkan` or `vulkan:N`
    ///
    /// `devices` lists them. GPUs need a build with the feature `vulkan`. Where `vulkan` finds no GPU, the processor computes, and a
    /// note says why; `vulkan:N` takes that device or nothing starts.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Tiles: `auto` (only for lack of memory), `off` (an error then), or a side in input px
    #[arg(long, value_name = "auto|off|PX", default_value = "auto")]
    pub(crate) tile: TileFlag,
    /// Memory that may be taken, such as 800M or 4G [default: 80 % of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) memory: Option<u64>,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", env = "ESRGAN_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Output format: `keep`, or png, jpg, webp, tif, bmp, qoi, exr, ppm, tga
    #[arg(long, value_name = "FORMAT", default_value = "keep")]
    pub(crate) format: FormatFlag,
    /// JPEG quality, 1 to 100
    #[arg(long, value_name = "Q", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
    /// What becomes of transparency
    #[arg(long, value_enum, value_name = "MODE", default_value = "model")]
    pub(crate) alpha: AlphaFlag,
    /// What the network sees beyond the edge [default: what the model file names, or `zero`]
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) edge: Option<EdgeFlag>,
    /// Look into folders below the named ones, and mirror their tree
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Leave outputs alone that are there already
    #[arg(long)]
    pub(crate) skip_existing: bool,
    /// Average over all eight turned and mirrored views: eight times slower, slightly better
    #[arg(long)]
    pub(crate) tta: bool,
    /// One JSON object a line on stdout for each picture
    #[arg(long)]
    pub(crate) json: bool,
    /// Most pixels of an input; 0 lifts the limit
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000)]
    pub(crate) max_pixels: u64,
    /// Longest side of an input; 0 lifts the limit
    #[arg(long, value_name = "PX", default_value_t = 65_535)]
    pub(crate) max_side: u32,
}

impl UpscaleFlags {
    /// The output size that the flags ask for.
    pub(crate) fn size(&self) -> OutputSize {
        match (self.scale, self.width, self.height) {
            (Some(scale), _, _) => OutputSize::Scale(scale),
            (None, Some(width), Some(height)) => OutputSize::Exact(width as usize, height as usize),
            (None, Some(width), None) => OutputSize::Width(width as usize),
            (None, None, Some(height)) => OutputSize::Height(height as usize),
            (None, None, None) => OutputSize::Model,
        }
    }
}

/// A factor above zero.
fn positive(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("expected a number above zero, such as 4 or 2.5".to_owned()),
    }
}

/// A number of threads, at least one.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(count) if (1..=4096).contains(&count) => Ok(count),
        _ => Err("expected a number from 1 to 4096".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use esrgan_upscale::Precision;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<UpscaleFlags, clap::Error> {
        let fixed = ["esrgan", "upscale", "a.png", "-m", "m.pth"];
        match Cli::try_parse_from(fixed.iter().chain(arguments))?.command {
            Command::Upscale(flags) => Ok(*flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sizes_are_read() {
        for (arguments, size) in [
            (&[][..], OutputSize::Model),
            (&["-s", "2.5"], OutputSize::Scale(2.5)),
            (&["--scale", "4x"], OutputSize::Scale(4.0)),
            (&["--width", "100"], OutputSize::Width(100)),
            (&["--height", "7"], OutputSize::Height(7)),
            (&["--height", "7", "--width", "9"], OutputSize::Exact(9, 7)),
        ] {
            assert_eq!(parse(arguments).unwrap().size(), size, "{arguments:?}");
        }
    }

    #[test]
    fn devices_and_precisions_are_read() {
        let flags = parse(&[]).unwrap();
        assert_eq!((flags.device, flags.precision.wanted()), (DeviceChoice::Auto, None));
        for (arguments, device, precision) in [
            (["--device", "vulkan", "--precision", "f16"], DeviceChoice::Vulkan(None), Precision::F16),
            (["--device", "vulkan:2", "--precision", "bf16"], DeviceChoice::Vulkan(Some(2)), Precision::Bf16),
            (["--device", "cpu", "--precision", "f32"], DeviceChoice::Cpu, Precision::F32),
        ] {
            let flags = parse(&arguments).unwrap();
            assert_eq!((flags.device, flags.precision.wanted()), (device, Some(precision)), "{arguments:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            &["-s", "0"][..],
            &["-s", "nan"],
            &["-s", "2", "--width", "5"],
            &["--width", "0"],
            &["--quality", "101"],
            &["--threads", "0"],
            &["--memory", "lots"],
            &["--device", "gpu"],
            &["--device", "vulkan:x"],
            &["--precision", "f64"],
            &["--format", "gif"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
