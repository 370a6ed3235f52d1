//! Everything that can be known before a training starts.
//!
//! What lives here: the pass over pictures and files, and two steps on real batches that nothing keeps. What does not: the recipe's
//! values (`esrgan-recipe`), how it is told. Nothing is written to the disk.

use std::time::Instant;

use esrgan_core::{forget_peak_memory, peak_memory_bytes};
use esrgan_dataset::{Inspection, ValidationFolders, inspect};
use esrgan_model::Isa;
use esrgan_recipe::{Losses, Recipe};
use esrgan_upscale::DeviceChoice;
use esrgan_weights::{Limits, load_tensors};

use crate::device::InsteadOfBf16;
use crate::error::TrainError;
use crate::networks::Networks;
use crate::state::State;
use crate::stepping::{Stepping, dataset_options, not_finite};
use crate::validate::measures;

/// Steps of a trial: the first one warms up, the last one is timed.
const TRIAL_STEPS: u64 = 2;

/// What a check is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckEvent {
    /// So many pictures are decoded. Numbers come from several threads, and may be out of order.
    Pictures {
        /// Finished ones.
        done: usize,
        /// All.
        total: usize,
    },
    /// Files to start from are read.
    Files,
    /// A step of the trial begins.
    Step {
        /// Which, from 1.
        number: u64,
        /// How many there are.
        of: u64,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The pictures; none where there were none to look at, which is then one of the `faults`.
    pub inspection: Option<Inspection>,
    /// What would keep the training from starting, beside problems of single pictures.
    pub faults: Vec<TrainError>,
    /// The GPU that will compute, if one will.
    pub gpu: Option<String>,
    /// Why `f32` will be computed, where bf16 is asked for and will not be.
    pub computed_in_f32: Option<InsteadOfBf16>,
    /// Numbers in the generator.
    pub generator_parameters: Option<usize>,
    /// Numbers in the discriminator, where there is one.
    pub discriminator_parameters: Option<usize>,
    /// The steps that were tried; none where something stood in their way.
    pub trial: Option<Trial>,
}

/// Steps on real batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Seconds of a step, behind the first.
    pub seconds_per_step: f64,
    /// Seconds of all the recipe's steps at that pace, without validations and checkpoints.
    pub estimated_seconds: f64,
    /// The most memory that the process held while it made the steps, where the system says it.
    pub peak_memory_bytes: Option<u64>,
    /// Decoded pictures that a run will keep beside that: two steps see a few of them only.
    pub further_cache_bytes: u64,
}

impl Trial {
    /// What a run will hold at most.
    pub fn expected_memory_bytes(&self) -> Option<u64> {
        self.peak_memory_bytes.map(|peak| peak.saturating_add(self.further_cache_bytes))
    }
}

impl Checked {
    /// Whether pictures were looked at and have problems.
    pub fn has_problems(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| !inspection.problems.is_empty())
    }
}

/// Decodes every picture, reads every file to start from, and tries two steps; goes on behind what it finds as far as that makes
/// sense. The recipe is one that [`Recipe::checked`] has let pass. `computer` is the device and the
/// instruction set of [`TrainOptions`](crate::TrainOptions).
///
/// # Errors
/// [`TrainError::Threads`]; everything else is in [`Checked`].
pub fn check(
    recipe: &Recipe,
    computer: (DeviceChoice, Option<Isa>),
    progress: &(dyn Fn(CheckEvent) + Sync),
) -> Result<Checked, TrainError> {
    let threads = recipe.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| TrainError::Threads { threads, source })?;
    Ok(pool.install(|| {
        let mut checked = Checked::default();
        checked.add_pictures(recipe, progress);
        progress(CheckEvent::Files);
        let networks = checked.add_networks(recipe, computer);
        checked.add_lpips(recipe);
        if let Some(networks) = networks.filter(|_| checked.faults.is_empty()) {
            checked.add_trial(recipe, networks, progress);
        }
        checked
    }))
}

impl Checked {
    fn add_pictures(&mut self, recipe: &Recipe, progress: &(dyn Fn(CheckEvent) + Sync)) {
        let validation = recipe
            .validation
            .as_ref()
            .map(|validation| ValidationFolders { hr: &validation.hr, lr: validation.lr.as_deref() });
        let pictures = |done, total| progress(CheckEvent::Pictures { done, total });
        match inspect(&dataset_options(recipe), validation, pictures) {
            Ok(inspection) => self.inspection = Some(inspection),
            Err(fault) => self.faults.push(fault.into()),
        }
    }

    /// The networks, and the files that they start from; none where they cannot be made.
    fn add_networks(
        &mut self,
        recipe: &Recipe,
        (device, isa): (DeviceChoice, Option<Isa>),
    ) -> Option<Networks> {
        let mut made = Networks::of(recipe, device, isa);
        if let Err(TrainError::Perceptual { .. }) = &made {
            // What has nothing to do with that file is looked at all the same.
            let others = Networks::of(&without_perceptual(recipe), device, isa);
            self.faults.extend(std::mem::replace(&mut made, others).err());
        }
        let networks = made.map_err(|fault| self.faults.push(fault)).ok()?;
        self.gpu = networks.gpu();
        self.computed_in_f32 = networks.computes_f32_instead(recipe);
        match networks.first_generator(recipe) {
            Ok(parameters) => self.generator_parameters = Some(parameters.count()),
            Err(fault) => self.faults.push(fault),
        }
        match networks.first_discriminator(recipe) {
            Ok(found) => self.discriminator_parameters = found.map(|(parameters, _)| parameters.count()),
            Err(fault) => self.faults.push(fault),
        }
        Some(networks)
    }

    /// Whether the files of a validation by LPIPS can be read and fit each other.
    fn add_lpips(&mut self, recipe: &Recipe) {
        let measures_lpips = |metrics: &[String]| metrics.iter().any(|metric| metric.starts_with("lpips-"));
        let Some(validation) = recipe.validation.as_ref().filter(|found| measures_lpips(&found.metrics))
        else {
            return;
        };
        let files = [&validation.lpips_backbone, &validation.lpips_heads].into_iter().flatten();
        let unreadable: Vec<TrainError> = files
            .filter_map(|path| {
                let read = load_tensors(path, &Limits::default());
                read.err().map(|source| TrainError::start(path, source.into()))
            })
            .collect();
        let misfit = unreadable.is_empty().then(|| measures(validation).err()).flatten();
        self.faults.extend(unreadable.into_iter().chain(misfit));
    }

    fn add_trial(&mut self, recipe: &Recipe, networks: Networks, progress: &(dyn Fn(CheckEvent) + Sync)) {
        match trial(recipe, networks, progress) {
            Ok((mut trial, cached_bytes)) => {
                let decoded_bytes = self.inspection.as_ref().map_or(0, |inspection| inspection.decoded_bytes);
                let most_bytes = recipe.data.cache_bytes.min(decoded_bytes);
                trial.further_cache_bytes = most_bytes.saturating_sub(cached_bytes);
                self.trial = Some(trial);
            }
            // One of the problems, which have all been named.
            Err(TrainError::Dataset(_)) if self.has_problems() => {}
            Err(fault) => self.faults.push(fault),
        }
    }
}

fn without_perceptual(recipe: &Recipe) -> Recipe {
    Recipe { losses: Losses { perceptual: None, ..recipe.losses.clone() }, ..recipe.clone() }
}

/// Makes steps and forgets what they gave. Beside the trial, bytes of pictures that were kept in it.
fn trial(
    recipe: &Recipe,
    networks: Networks,
    progress: &(dyn Fn(CheckEvent) + Sync),
) -> Result<(Trial, u64), TrainError> {
    forget_peak_memory();
    let state = State::first(recipe, &networks)?;
    let mut stepping = Stepping::begin(recipe, networks, state)?;
    let mut seconds_per_step = 0.0;
    for number in 1..=TRIAL_STEPS {
        progress(CheckEvent::Step { number, of: TRIAL_STEPS });
        let start = Instant::now();
        let figures = stepping.step()?;
        seconds_per_step = start.elapsed().as_secs_f64();
        if let Some((name, value)) = not_finite(&figures) {
            let last = "in a trial before the training".to_owned();
            return Err(TrainError::NotFinite { step: number, name: name.to_owned(), value, last });
        }
    }
    let trial = Trial {
        seconds_per_step,
        estimated_seconds: seconds_per_step * recipe.steps as f64,
        peak_memory_bytes: peak_memory_bytes(),
        further_cache_bytes: 0,
    };
    Ok((trial, stepping.cached_bytes()))
}
