//! The configuration of a training run: a TOML file, its presets, its checks.
//!
//! What lives here: every hyper-parameter of a run ([`Recipe`]), the way from and to TOML with errors that name key, line and
//! the nearest known word, commented presets of published configurations ([`PRESETS`]), learning rates
//! ([`Schedule::learning_rate`]), checks that need no files ([`Recipe::check`]), and what differs between two runs
//! ([`Recipe::differences`]). What does not: training, networks, data, flags.
//! Theory: Wang et al., "ESRGAN", 2018, section 4.1; Wang et al., "Real-ESRGAN", 2021, section 4.1.
//!
//! # Examples
//! ```
//! use esrgan_recipe::Recipe;
//!
//! let overrides = [("data.batch".to_owned(), "8".to_owned())];
//! let recipe = Recipe::from_preset("esrgan-psnr-x4", &overrides)?;
//! assert_eq!(recipe.data.batch, 8);
//! assert!(recipe.check().is_empty());
//! assert_eq!(recipe.schedule.learning_rate(recipe.optimizer.generator.learning_rate, 0), 2e-4);
//! # Ok::<(), esrgan_recipe::RecipeError>(())
//! ```

mod check;
mod deserialize;
mod difference;
mod error;
mod fault;
mod keys;
mod preset;
mod recipe;
mod schedule;
mod sections;
mod suggest;
mod tree;

pub use check::Problem;
pub use difference::Difference;
pub use error::{Place, RecipeError};
pub use keys::KEYS;
pub use preset::{PRESETS, Preset, preset};
pub use recipe::{Precision, Recipe, Stage};
pub use schedule::Schedule;
pub use sections::data::{Data, METRICS, Validation};
pub use sections::losses::{
    Adversarial, AdversarialKind, FeatureCriterion, Losses, Perceptual, PerceptualNetwork, Pixel, PixelKind,
};
pub use sections::networks::{Discriminator, DiscriminatorKind, Edge, Generator};
pub use sections::optimization::{Average, Checkpoints, Optimizer, OptimizerKind, Optimizers};
