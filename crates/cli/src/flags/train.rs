//! Flags of `train`.

use std::path::PathBuf;

use clap::Args;
use esrgan_train::DeviceChoice;

/// Flags of `train`.
#[derive(Args, Debug)]
pub(crate) struct TrainFlags {
    /// Recipe: a TOML file, or the name of a preset
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: PathBuf,
    /// Folder of the run: its model, checkpoints, log and curves [default: runs/ and the recipe's name]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// One key of the recipe, such as `data.batch=8`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// `auto`: the newest valid checkpoint, if there is one; `none`: from the beginning; or the folder of a checkpoint
    #[arg(long, value_name = "auto|none|DIR", default_value = "auto")]
    pub(crate) resume: PathBuf,
    /// `auto`: a GPU, if this build can use one and there is one, else the processor; `vulkan:N`: Vulkan device N
    #[arg(long, value_name = "auto|cpu|vulkan[:N]", default_value = "auto")]
    pub(crate) device: DeviceChoice,
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected `key=value`")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::DeviceChoice;

    #[test]
    fn a_device_is_asked_for_by_its_number() {
        let arguments = ["esrgan", "train", "a.toml", "--device", "vulkan:1"];
        let Command::Train(flags) = Cli::try_parse_from(arguments).unwrap().command else { panic!("train") };
        assert_eq!(flags.device, DeviceChoice::Vulkan(Some(1)));
        assert!(Cli::try_parse_from(["esrgan", "train", "a.toml", "--device", "gpu"]).is_err());
    }

    #[test]
    fn settings_are_pairs() {
        let arguments = ["esrgan", "train", "a.toml", "--set", "data.batch=8", "--set", "data.hr=[\"a=b\"]"];
        let Command::Train(flags) = Cli::try_parse_from(arguments).unwrap().command else { panic!("train") };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(flags.settings, [pair("data.batch", "8"), pair("data.hr", "[\"a=b\"]")]);
        assert!(Cli::try_parse_from(["esrgan", "train", "a.toml", "--set", "data.batch"]).is_err());
    }
}
