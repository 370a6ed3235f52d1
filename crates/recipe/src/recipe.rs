//! The recipe as a whole, and the ways to it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::deserialize::from_node;
use crate::error::{Place, RecipeError};
use crate::preset::{PRESETS, preset};
use crate::schedule::Schedule;
use crate::sections::data::{Data, Validation};
use crate::sections::losses::Losses;
use crate::sections::networks::{Discriminator, Generator};
use crate::sections::optimization::{Average, Checkpoints, Optimizers};
use crate::suggest::nearest;
use crate::tree::{Node, apply_overrides};

/// Longest file that is read: a recipe has a few thousand bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Every hyper-parameter of a training run.
///
/// Overrides are pairs of a dotted key and a TOML value: `data.batch` and `8`, `data.hr` and `["a", "b"]`. A value that is no
/// TOML, such as a bare word, is text; an empty one takes the key out of the recipe; an inline table replaces a section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// `psnr`: the generator alone; `gan`: generator and discriminator in turn.
    pub stage: Stage,
    /// The factor between both pictures' sides. ESRGAN: 4.
    pub scale: usize,
    /// What all that is random depends on.
    #[serde(default)]
    pub seed: u64,
    /// Steps of the generator's optimiser in all. BasicSR: 1000000 for PSNR, 400000 for the GAN.
    pub steps: u64,
    /// Numbers in the networks: `f32`, or `bf16` with weights and sums in f32. Papers: `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// Threads that compute; none: all processors.
    pub threads: Option<usize>,
    /// The network that is trained.
    #[serde(default)]
    pub generator: Generator,
    /// Its opponent, for stage `gan` alone.
    pub discriminator: Option<Discriminator>,
    /// What is learned from.
    pub data: Data,
    /// What is measured now and then; none: nothing.
    pub validation: Option<Validation>,
    /// What is minimised.
    pub losses: Losses,
    /// How weights move.
    pub optimizer: Optimizers,
    /// How learning rates change.
    pub schedule: Schedule,
    /// Which average of the weights is kept; none: the weights themselves.
    pub average: Option<Average>,
    /// What is written down when.
    #[serde(default)]
    pub checkpoints: Checkpoints,
}

/// Stages of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The generator alone, for the least error.
    Psnr,
    /// Generator and discriminator in turn, for the most natural pictures.
    Gan,
}

/// Numbers in the networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits in products; 32 in weights and sums.
    Bf16,
}

impl Recipe {
    /// Reads a file. Relative paths in it start at its folder; those of overrides at the current one.
    ///
    /// # Errors
    /// [`RecipeError::Read`], [`RecipeError::TooLong`], [`RecipeError::NotUnicode`] for the file; else as
    /// [`Recipe::from_toml`].
    pub fn read(path: &Path, overrides: &[(String, String)]) -> Result<Self, RecipeError> {
        let name = path.to_str().ok_or_else(|| RecipeError::NotUnicode { path: path.to_owned() })?;
        let text = read_text(path)?;
        let mut recipe = Self::parse(name, &text, overrides)?;
        if let Some(folder) = path.parent() {
            recipe.start_paths_at(folder, overrides);
        }
        Ok(recipe)
    }

    /// Takes a preset by its name. Relative paths start at the current folder.
    ///
    /// # Errors
    /// [`RecipeError::UnknownPreset`]; else as [`Recipe::from_toml`].
    pub fn from_preset(name: &str, overrides: &[(String, String)]) -> Result<Self, RecipeError> {
        let text = preset(name).ok_or_else(|| RecipeError::UnknownPreset {
            name: name.to_owned(),
            suggestion: nearest(name, PRESETS.iter().map(|preset| preset.name)).map(str::to_owned),
        })?;
        Self::parse(&format!("preset {name}"), text, overrides)
    }

    /// Reads text, such as what [`Recipe::to_toml`] wrote. Relative paths stay as they are.
    ///
    /// # Errors
    /// [`RecipeError::Syntax`], [`RecipeError::UnknownKey`], [`RecipeError::UnknownWord`], [`RecipeError::WrongType`],
    /// [`RecipeError::WrongValue`] and [`RecipeError::MissingKey`] for what the text or an override says;
    /// [`RecipeError::Override`] for one that cannot be applied.
    pub fn from_toml(text: &str, overrides: &[(String, String)]) -> Result<Self, RecipeError> {
        Self::parse("recipe", text, overrides)
    }

    fn parse(name: &str, text: &str, overrides: &[(String, String)]) -> Result<Self, RecipeError> {
        let mut root = Node::parse(text).map_err(|fault| fault.into_error(name))?;
        apply_overrides(&mut root, overrides)?;
        from_node(&root).map_err(|fault| fault.into_error(name))
    }

    /// Writes the recipe as it takes effect, with all that was left out.
    ///
    /// # Errors
    /// [`RecipeError::Write`] where TOML cannot hold it: a path that is no Unicode, a seed of 2^63 or more.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        let failed = |source| RecipeError::Write { source };
        // The writer takes numbers that no reader takes; the value does not.
        toml::Value::try_from(self).map_err(failed)?;
        toml::to_string(self).map_err(failed)
    }

    /// Lets relative paths start at a folder, but for those that overrides have set.
    fn start_paths_at(&mut self, folder: &Path, overrides: &[(String, String)]) {
        for (key, path) in self.paths_mut() {
            let is_overridden = overrides.iter().any(|(overridden, _)| {
                key.strip_prefix(overridden.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            if !is_overridden {
                *path = folder.join(&*path);
            }
        }
    }

    /// Every path with its key.
    fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths: Vec<_> = self.data.hr.iter_mut().map(|path| ("data.hr", path)).collect();
        let mut add = |key, path: Option<_>| paths.extend(path.map(|path| (key, path)));
        add("data.lr", self.data.lr.as_mut());
        add("generator.start", self.generator.start.as_mut());
        if let Some(discriminator) = &mut self.discriminator {
            add("discriminator.start", discriminator.start.as_mut());
        }
        if let Some(validation) = &mut self.validation {
            add("validation.hr", Some(&mut validation.hr));
            add("validation.lr", validation.lr.as_mut());
            add("validation.lpips_backbone", validation.lpips_backbone.as_mut());
            add("validation.lpips_heads", validation.lpips_heads.as_mut());
        }
        if let Some(perceptual) = &mut self.losses.perceptual {
            add("losses.perceptual.weights_file", Some(&mut perceptual.weights_file));
        }
        paths
    }
}

fn read_text(path: &Path) -> Result<String, RecipeError> {
    let failed = |source| RecipeError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(RecipeError::TooLong { path: path.to_owned(), allowed_bytes: MAX_FILE_BYTES });
    }
    String::from_utf8(bytes).map_err(|error| RecipeError::Syntax {
        place: Place { name: path.display().to_string(), line: None },
        message: format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()),
    })
}

#[cfg(test)]
mod tests;
