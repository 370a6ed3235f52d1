//! Everything that a run carries from one step to the next, and its way into checkpoints and back.
//!
//! There is no random state: whatever is drawn is a function of the seed and of the step.

use std::collections::BTreeMap;

use esrgan_checkpoint::{Checkpoint, Contents, Found};
use esrgan_model::{ComputeDevice, Parameters};
use esrgan_recipe::{Optimizer, Recipe};
use esrgan_weights::{Tensor, WeightMap};
use rayon::prelude::*;

use crate::adam::Adam;
use crate::error::TrainError;
use crate::networks::{Gan, Networks, settings, trained};
use crate::step::Trained;

/// Names of a checkpoint's files.
const GENERATOR: &str = "generator.safetensors";
const AVERAGE: &str = "average.safetensors";
const DISCRIMINATOR: &str = "discriminator.safetensors";
const STATISTICS: &str = "discriminator-statistics.safetensors";
const OF_GENERATOR: &str = "optimizer-generator.safetensors";
const OF_DISCRIMINATOR: &str = "optimizer-discriminator.safetensors";
const RECIPE: &str = "recipe.toml";

/// A run between two steps.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Steps done.
    pub(crate) step: u64,
    pub(crate) generator: Trained,
    pub(crate) average: Option<Parameters>,
    /// The discriminator, and its running statistics.
    pub(crate) discriminator: Option<(Trained, Parameters)>,
}

impl State {
    /// Before the first step.
    pub(crate) fn first(recipe: &Recipe, networks: &Networks) -> Result<Self, TrainError> {
        let generator = networks.first_generator(recipe)?;
        let average = recipe.average.as_ref().map(|_| generator.clone());
        let discriminator = match (networks.first_discriminator(recipe)?, &recipe.optimizer.discriminator) {
            (Some((parameters, statistics)), Some(optimizer)) => {
                Some((trained(parameters, optimizer), statistics))
            }
            _ => None,
        };
        Ok(Self {
            step: 0,
            generator: trained(generator, &recipe.optimizer.generator),
            average,
            discriminator,
        })
    }

    /// Moves everything that steps change to where a device's layers read it.
    pub(crate) fn move_to(&mut self, device: ComputeDevice) {
        self.generator.move_to(device);
        if let Some(average) = &mut self.average {
            average.move_to(device);
        }
        if let Some((discriminator, statistics)) = &mut self.discriminator {
            discriminator.move_to(device);
            statistics.move_to(device);
        }
    }

    /// What a run gives: the average, or the weights themselves.
    pub(crate) fn result(&self) -> &Parameters {
        self.average.as_ref().unwrap_or(&self.generator.parameters)
    }

    /// Moves the average towards the weights: `decay * average + (1 - decay) * weights`.
    pub(crate) fn follow(&mut self, decay: f64) {
        let Some(average) = &mut self.average else { return };
        let (kept, taken) = (decay as f32, (1.0 - decay) as f32);
        if let (Some(resident), Some(weights)) = (average.resident(), self.generator.parameters.resident()) {
            let values = resident.values().mul_scalar(kept) + weights.values().mul_scalar(taken);
            let moved = resident.with_values(values);
            average.put(moved);
            return;
        }
        let tensors: Vec<_> = average.values_mut().zip(self.generator.parameters.iter()).collect();
        tensors.into_par_iter().for_each(|(average, parameter)| {
            let values = average.iter_mut().zip(parameter.values.iter());
            values.for_each(|(average, value)| *average = kept * *average + taken * value);
        });
    }

    /// The checkpoint of this state.
    pub(crate) fn checkpoint(
        &self,
        recipe: &Recipe,
        notes: BTreeMap<String, String>,
    ) -> Result<Checkpoint, TrainError> {
        let mut files = vec![
            (RECIPE.to_owned(), Contents::Text(recipe.to_toml()?)),
            (GENERATOR.to_owned(), Contents::Tensors(self.generator.parameters.to_weights()?)),
            (OF_GENERATOR.to_owned(), Contents::Tensors(moments(&self.generator)?)),
        ];
        if let Some(average) = &self.average {
            files.push((AVERAGE.to_owned(), Contents::Tensors(average.to_weights()?)));
        }
        if let Some((discriminator, statistics)) = &self.discriminator {
            files.push((DISCRIMINATOR.to_owned(), Contents::Tensors(discriminator.parameters.to_weights()?)));
            files.push((STATISTICS.to_owned(), Contents::Tensors(statistics.to_weights()?)));
            files.push((OF_DISCRIMINATOR.to_owned(), Contents::Tensors(moments(discriminator)?)));
        }
        Ok(Checkpoint { step: self.step, files, notes })
    }

    /// The state of a checkpoint.
    pub(crate) fn resume(recipe: &Recipe, networks: &Networks, found: &Found) -> Result<Self, TrainError> {
        refuse_other_recipe(recipe, found)?;
        let tensors = networks.generator.tensors();
        let generator = network(found, (GENERATOR, OF_GENERATOR), &tensors, &recipe.optimizer.generator)?;
        let average = recipe.average.as_ref().map(|_| parameters(found, AVERAGE, &tensors)).transpose()?;
        let discriminator = match (&networks.gan, &recipe.optimizer.discriminator) {
            (Some(Gan { discriminator, .. }), Some(optimizer)) => {
                let names = (DISCRIMINATOR, OF_DISCRIMINATOR);
                let trained = network(found, names, &discriminator.tensors(), optimizer)?;
                let statistics: Vec<_> = discriminator
                    .statistics(recipe.seed)
                    .iter()
                    .map(|statistic| (statistic.name.clone(), statistic.shape.clone()))
                    .collect();
                Some((trained, parameters(found, STATISTICS, &statistics)?))
            }
            _ => None,
        };
        Ok(Self { step: found.step, generator, average, discriminator })
    }
}

fn refuse_other_recipe(recipe: &Recipe, found: &Found) -> Result<(), TrainError> {
    let theirs = Recipe::from_toml(&found.text(RECIPE)?, &[])?;
    let differences: Vec<String> = recipe
        .differences(&theirs)?
        .into_iter()
        .filter(|difference| !difference.is_harmless)
        .map(|difference| {
            let word = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            format!(
                "`{}` is {} here and {} there",
                difference.key,
                word(difference.here),
                word(difference.there)
            )
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::OtherRecipe { path: found.path.clone(), keys: differences.join(", ") })
}

/// Tensors of a file, which must have these names and shapes.
fn parameters(found: &Found, file: &str, tensors: &[(String, Vec<usize>)]) -> Result<Parameters, TrainError> {
    Parameters::from_weights(tensors, &found.tensors(file)?)
        .map_err(|source| incomplete(found, file, source.to_string()))
}

fn network(
    found: &Found,
    (weights, moments): (&str, &str),
    tensors: &[(String, Vec<usize>)],
    optimizer: &Optimizer,
) -> Result<Trained, TrainError> {
    let parameters = parameters(found, weights, tensors)?;
    let stored = found.tensors(moments)?;
    let vector = |name: String| {
        let tensor =
            stored.get(&name).ok_or_else(|| incomplete(found, moments, format!("`{name}` is missing")))?;
        Ok::<_, TrainError>(tensor.to_f32())
    };
    let mut pairs = Vec::new();
    for parameter in parameters.iter() {
        pairs.push((vector(mean(&parameter.name))?, vector(square(&parameter.name))?));
    }
    let adam = Adam::resume(settings(optimizer), &parameters, found.step, pairs)
        .ok_or_else(|| incomplete(found, moments, "of another network".to_owned()))?;
    Ok(Trained { parameters, optimizer: adam, clip_norm: optimizer.clip_norm })
}

fn incomplete(found: &Found, file: &str, what: String) -> TrainError {
    TrainError::Incomplete { path: found.path.clone(), file: file.to_owned(), what }
}

fn mean(name: &str) -> String {
    format!("{name}.mean")
}

fn square(name: &str) -> String {
    format!("{name}.square")
}

/// What an optimiser remembers, as tensors. Its step is the checkpoint's.
fn moments(trained: &Trained) -> Result<WeightMap, TrainError> {
    let mut weights = WeightMap::new();
    for (parameter, (first, second)) in trained.parameters.iter().zip(trained.optimizer.moments().iter()) {
        for (name, values) in [(mean(&parameter.name), first), (square(&parameter.name), second)] {
            let tensor = Tensor::from_f32(parameter.shape.clone(), values)
                .map_err(|source| TrainError::Model(source.into()))?;
            weights.insert(name, tensor);
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adam::AdamSettings;

    #[test]
    fn the_average_follows_the_weights() {
        let parameters = |value: f32| {
            let mut parameters = Parameters::new();
            parameters.push("a".to_owned(), vec![2], vec![value, -value]);
            parameters
        };
        let optimizer = Adam::new(AdamSettings::default(), &parameters(8.0));
        let generator = Trained { parameters: parameters(8.0), optimizer, clip_norm: None };
        let state = State { step: 0, generator, average: Some(parameters(4.0)), discriminator: None };
        for device in [ComputeDevice::Processor, ComputeDevice::Reference] {
            let mut state = state.clone();
            state.move_to(device);
            state.follow(0.75);
            state.follow(0.75);
            let values = |parameters: &Parameters| parameters.on_host().get("a").unwrap().values.to_vec();
            assert_eq!(values(state.result()), [5.75, -5.75]);
            assert_eq!(values(&state.generator.parameters), [8.0, -8.0]);
        }
    }
}
