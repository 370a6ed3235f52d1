//! Flags of `downscale`.

use std::path::PathBuf;

use clap::Args;

use super::upscale::threads;
use super::{BoundaryFlag, FormatFlag};

/// Flags of `downscale`.
#[derive(Args, Debug)]
pub(crate) struct DownscaleFlags {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Output file, or folder
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) output: PathBuf,
    /// By how much; inputs are cut to a multiple of it
    #[arg(short, long, value_name = "SCALE", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) scale: u16,
    /// What lies beyond the edge
    #[arg(long, value_enum, value_name = "MODE", default_value = "replicate")]
    pub(crate) edge: BoundaryFlag,
    /// Output format: `keep`, or png, jpg, webp, tif, bmp, qoi, exr, ppm, tga
    #[arg(long, value_name = "FORMAT", default_value = "keep")]
    pub(crate) format: FormatFlag,
    /// JPEG quality, 1 to 100
    #[arg(long, value_name = "Q", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", env = "ESRGAN_THREADS", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Look into folders below the named ones, and mirror their tree
    #[arg(long)]
    pub(crate) recursive: bool,
    /// One JSON object a line on stdout for each picture
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<DownscaleFlags, clap::Error> {
        match Cli::try_parse_from(["esrgan", "downscale", "a.png"].iter().chain(arguments))?.command {
            Command::Downscale(flags) => Ok(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_are_read_and_nonsense_is_refused() {
        let flags = parse(&["-o", "b.png", "-s", "3", "--edge", "symmetric"]).unwrap();
        assert_eq!((flags.scale, flags.edge), (3, BoundaryFlag::Symmetric));
        assert_eq!(parse(&["-o", "b.png"]).unwrap().scale, 4);
        for arguments in
            [&[][..], &["-o", "b", "-s", "0"], &["-o", "b", "-s", "2.5"], &["-o", "b", "--edge", "wrap"]]
        {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
