//! Presets: published configurations and small ones to begin with, as commented files.

use std::fmt;

/// A preset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// The file's text, with comments.
    pub toml: &'static str,
}

impl fmt::Debug for Preset {
    /// Without the text.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Preset").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All presets.
pub const PRESETS: [Preset; 7] = [
    Preset {
        name: "esrgan-psnr-x4",
        summary: "ESRGAN's first stage: the generator alone, by L1 (BasicSR's train_RRDBNet_PSNR_x4)",
        toml: include_str!("../presets/esrgan-psnr-x4.toml"),
    },
    Preset {
        name: "esrgan-x4",
        summary: "ESRGAN's second stage: relativistic GAN on the first's result (BasicSR's train_ESRGAN_x4)",
        toml: include_str!("../presets/esrgan-x4.toml"),
    },
    Preset {
        name: "esrgan-article-x4",
        summary: "ESRGAN in one stage, on crops of 256 from 64 px, with a learning rate of 2e-4",
        toml: include_str!("../presets/esrgan-article-x4.toml"),
    },
    Preset {
        name: "realesrnet-x4",
        summary: "Real-ESRGAN's first stage: the generator alone, on degraded pictures",
        toml: include_str!("../presets/realesrnet-x4.toml"),
    },
    Preset {
        name: "realesrgan-x4",
        summary: "Real-ESRGAN's second stage: GAN with a U-Net on the first's result",
        toml: include_str!("../presets/realesrgan-x4.toml"),
    },
    Preset {
        name: "tiny-psnr-x4",
        summary: "a small generator by L1, to see a training work on a laptop",
        toml: include_str!("../presets/tiny-psnr-x4.toml"),
    },
    Preset {
        name: "tiny-x4",
        summary: "a small GAN on the small generator's result",
        toml: include_str!("../presets/tiny-x4.toml"),
    },
];

/// The commented text of a preset.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|preset| preset.name == name).map(|preset| preset.toml)
}

#[cfg(test)]
mod tests;
