//! Flags of `check`.

use std::path::PathBuf;

use clap::Args;
use esrgan_train::DeviceChoice;

use super::train::setting;

/// Flags of `check`.
#[derive(Args, Debug)]
pub(crate) struct CheckFlags {
    /// Recipe: a TOML file, or the name of a preset
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: PathBuf,
    /// One key of the recipe, such as `data.batch=8`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// `auto`: a GPU, if this build can use one and there is one, else the processor; `vulkan:N`: Vulkan device N
    #[arg(long, value_name = "auto|cpu|vulkan[:N]", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Print one JSON object instead of the report
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::DeviceChoice;

    #[test]
    fn a_recipe_is_needed_and_settings_are_pairs() {
        let arguments = ["esrgan", "check", "tiny-x4", "--set", "data.batch = 8", "--json"];
        let Command::Check(flags) = Cli::try_parse_from(arguments).unwrap().command else { panic!("check") };
        assert_eq!(flags.recipe.to_str(), Some("tiny-x4"));
        assert_eq!(flags.settings, [("data.batch".to_owned(), "8".to_owned())]);
        assert!(flags.json);
        assert_eq!(flags.device, DeviceChoice::Auto);
        assert!(Cli::try_parse_from(["esrgan", "check"]).is_err());
        assert!(Cli::try_parse_from(["esrgan", "check", "a.toml", "--set", "steps"]).is_err());
    }
}
