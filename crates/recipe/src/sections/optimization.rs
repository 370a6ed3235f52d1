//! How weights move, which average of them is kept, and what is written down when.

use serde::{Deserialize, Serialize};

/// One optimiser for each network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizers {
    /// Of the generator.
    pub generator: Optimizer,
    /// Of the discriminator; for stage `gan` alone.
    pub discriminator: Option<Optimizer>,
}

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Its rule. ESRGAN, Real-ESRGAN: `adam`.
    #[serde(default)]
    pub kind: OptimizerKind,
    /// What the schedule starts from. PSNR stages: 2e-4; GAN stages: 1e-4.
    pub learning_rate: f64,
    /// Decays of the means of gradients and of their squares. ESRGAN: 0.9, 0.999; BasicSR, Real-ESRGAN: 0.9, 0.99.
    #[serde(default = "default_betas")]
    pub betas: [f64; 2],
    /// Added to the root of the mean square. PyTorch: 1e-8.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Pull of weights to zero: added to gradients by `adam`, times the learning rate by `adamw`. ESRGAN: 0.
    #[serde(default)]
    pub weight_decay: f64,
    /// Longest gradient, all weights as one vector; longer ones are shortened to it. None, as in the papers: any length.
    pub clip_norm: Option<f64>,
}

fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn default_epsilon() -> f64 {
    1e-8
}

/// Rules of optimisers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Kingma and Ba, "Adam", 2015.
    #[default]
    Adam,
    /// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    Adamw,
}

/// The moving average of the generator's weights, which is what a run gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// What stays of the average in each step. BasicSR, Real-ESRGAN: 0.999.
    pub decay: f64,
}

/// What is written down when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// Steps from one checkpoint to the next. BasicSR: 5000.
    pub every: u64,
    /// How many of the last checkpoints are kept.
    pub keep: usize,
    /// The metric of the validation by which the best model is kept beside the last; none: no best one.
    pub best_by: Option<String>,
    /// Steps from one record of losses to the next. BasicSR: 100.
    pub log_every: u64,
}

impl Default for Checkpoints {
    /// BasicSR's steps, the last three checkpoints.
    fn default() -> Self {
        Self { every: 5_000, keep: 3, best_by: None, log_every: 100 }
    }
}
