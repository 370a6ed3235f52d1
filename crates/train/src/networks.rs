//! The networks of a run, as its recipe describes them.

use std::collections::HashSet;

use esrgan_model::{
    Arithmetic, ComputeDevice, Discriminator, FeatureNetwork, Features, Generator, Isa, ModelError,
    Parameters, ProjectedDiscriminator, UnetDiscriminator, VggDiscriminator,
};
use esrgan_recipe::{
    AdversarialKind, Discriminator as DiscriminatorSettings, DiscriminatorKind, Edge, FeatureCriterion,
    Optimizer, OptimizerKind, Perceptual, PerceptualNetwork, PixelKind, Precision, Recipe, Stage,
};
use esrgan_upscale::DeviceChoice;
use esrgan_weights::{Activation, Family, Limits, LoadOptions, ModelSpec, SpecParts, load, load_tensors};

use crate::adam::{Adam, AdamSettings};
use crate::device::{InsteadOfBf16, chosen};
use crate::error::TrainError;
use crate::losses::{AdversarialLoss, FeatureLoss, PerceptualLoss, PixelLoss};
use crate::step::{GanLosses, Trained};

/// What a run trains and by what.
#[derive(Clone, Debug)]
pub(crate) struct Networks {
    pub(crate) generator: Generator,
    pub(crate) pixel: (PixelLoss, f32),
    pub(crate) gan: Option<Gan>,
    /// With what they are computed.
    pub(crate) arithmetic: Arithmetic,
}

/// What the second stage has beside the generator.
#[derive(Clone, Debug)]
pub(crate) struct Gan {
    pub(crate) discriminator: Discriminator,
    pub(crate) losses: GanLosses,
}

impl Networks {
    /// Those of a recipe, computed on a device, and on the processor with an instruction set, the fastest one where it is `None`;
    /// files that the recipe names are read.
    pub(crate) fn of(recipe: &Recipe, device: DeviceChoice, isa: Option<Isa>) -> Result<Self, TrainError> {
        let arithmetic = match chosen(device)? {
            ComputeDevice::Processor => Arithmetic::serving(available(isa)?, precision(recipe.precision)),
            device => Arithmetic::serving_on(device, precision(recipe.precision)),
        };
        let generator = Generator::new(spec(recipe)?)?.computed_with(arithmetic);
        let generator = generator.with_edge(edge(recipe.generator.edge));
        let pixel = (pixel_loss(recipe.losses.pixel.kind), recipe.losses.pixel.weight as f32);
        let perceptual = recipe.losses.perceptual.as_ref();
        let perceptual = perceptual.map(|perceptual| perceptual_loss(perceptual, arithmetic));
        let gan = match (recipe.stage, &recipe.discriminator, &recipe.losses.adversarial) {
            (Stage::Gan, Some(settings), Some(adversarial)) => {
                let perceptual = perceptual.transpose()?;
                let seen = perceptual.as_ref().map_or_else(Vec::new, |(loss, _)| loss.features.channels());
                let discriminator = discriminator(settings, recipe.data.crop_px, seen)?;
                Some(Gan {
                    discriminator: discriminator.computed_with(arithmetic),
                    losses: GanLosses {
                        perceptual,
                        adversarial: (adversarial_loss(adversarial.kind), adversarial.weight as f32),
                        pixel: Some(pixel),
                        checkerboard: recipe.losses.checkerboard.map(|loss| loss.weight as f32),
                        autocorrelation: recipe.losses.autocorrelation.map(|loss| loss.weight as f32),
                    },
                })
            }
            _ => None,
        };
        Ok(Self { generator, pixel, gan, arithmetic })
    }

    /// Why `f32` is computed where the recipe asks for bf16.
    pub(crate) fn computes_f32_instead(&self, recipe: &Recipe) -> Option<InsteadOfBf16> {
        let why = match self.arithmetic.device {
            ComputeDevice::Processor => InsteadOfBf16::InstructionSet(self.arithmetic.isa),
            _ => InsteadOfBf16::Gpu,
        };
        (precision(recipe.precision) != self.arithmetic.precision).then_some(why)
    }

    /// Where they compute.
    pub(crate) fn device(&self) -> ComputeDevice {
        self.arithmetic.device
    }

    /// The GPU's name, where one computes.
    pub(crate) fn gpu(&self) -> Option<String> {
        match self.arithmetic.device {
            #[cfg(feature = "vulkan")]
            ComputeDevice::Vulkan(device) => Some(format!("{} (vulkan:{})", device.name(), device.number())),
            _ => None,
        }
    }

    /// The generator before its first step: a model's weights, or drawn ones.
    pub(crate) fn first_generator(&self, recipe: &Recipe) -> Result<Parameters, TrainError> {
        let Some(start) = &recipe.generator.start else {
            return Ok(self.generator.initial(recipe.seed));
        };
        let model =
            load(start, &LoadOptions::default()).map_err(|source| TrainError::start(start, source.into()))?;
        let widened = || self.generator.widened(&model, recipe.seed);
        if recipe.generator.widen {
            return widened().map_err(|source| TrainError::start(start, source));
        }
        let tensors = self.generator.tensors();
        let parameters = match Parameters::from_weights(&tensors, &model.weights) {
            Err(found @ ModelError::Shape { .. }) if widened().is_ok() => {
                return Err(TrainError::Narrower { path: start.clone(), found });
            }
            found => found.map_err(|source| TrainError::start(start, source))?,
        };
        // A larger scale's upsampling, or a bypass of ESRGAN+, must not be left behind unsaid.
        let known: HashSet<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        match model.weights.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => {
                Err(TrainError::start(start, ModelError::Unexpected { name: name.to_owned() }))
            }
            None => Ok(parameters),
        }
    }

    /// The discriminator before its first step, and what its passes move.
    pub(crate) fn first_discriminator(
        &self,
        recipe: &Recipe,
    ) -> Result<Option<(Parameters, Parameters)>, TrainError> {
        let Some(Gan { discriminator, .. }) = &self.gan else { return Ok(None) };
        let mut statistics = discriminator.statistics(recipe.seed);
        let start = recipe.discriminator.as_ref().and_then(|settings| settings.start.as_deref());
        let Some(start) = start else { return Ok(Some((discriminator.initial(recipe.seed), statistics))) };
        let stored = load_tensors(start, &Limits::default())
            .map_err(|source| TrainError::start(start, source.into()))?;
        let parameters = Parameters::from_weights(&discriminator.tensors(), &stored)
            .map_err(|source| TrainError::start(start, source))?;
        // PyTorch's files hold statistics beside the weights, our own apart.
        statistics.take_from(&stored);
        Ok(Some((parameters, statistics)))
    }
}

/// The set that is asked for, if the processor has it.
fn available(isa: Option<Isa>) -> Result<Isa, TrainError> {
    let isa = isa.unwrap_or_else(Isa::detect);
    if isa.is_available() {
        return Ok(isa);
    }
    let available = Isa::ALL.iter().filter(|isa| isa.is_available()).map(|isa| isa.name());
    Err(TrainError::Isa { isa, available: available.collect::<Vec<_>>().join(", ") })
}

fn spec(recipe: &Recipe) -> Result<ModelSpec, TrainError> {
    // As BasicSR has it: smaller scales read squares of pixels as channels.
    let unshuffle = match recipe.scale {
        1 => 4,
        2 => 2,
        _ => 1,
    };
    let mut rest = recipe.scale * unshuffle;
    let mut upsampling = Vec::new();
    for factor in [2, 3] {
        while rest > 1 && rest.is_multiple_of(factor) {
            upsampling.push(factor);
            rest /= factor;
        }
    }
    let parts = SpecParts {
        family: Family::Rrdb,
        scale: recipe.scale,
        in_channels: 3,
        out_channels: 3,
        num_features: recipe.generator.features,
        num_blocks: recipe.generator.blocks,
        growth_channels: recipe.generator.growth,
        unshuffle,
        upsampling,
        activation: Activation::LeakyRelu,
    };
    ModelSpec::new(parts).map_err(|source| TrainError::Model(source.into()))
}

/// A network with its optimiser before the first step.
pub(crate) fn trained(parameters: Parameters, optimizer: &Optimizer) -> Trained {
    let adam = Adam::new(settings(optimizer), &parameters);
    Trained { parameters, optimizer: adam, clip_norm: optimizer.clip_norm }
}

pub(crate) fn settings(optimizer: &Optimizer) -> AdamSettings {
    let Optimizer { kind, betas, epsilon, weight_decay, .. } = *optimizer;
    let is_decoupled = kind == OptimizerKind::Adamw;
    AdamSettings { betas: (betas[0], betas[1]), epsilon, weight_decay, is_decoupled }
}

fn precision(wanted: Precision) -> esrgan_model::Precision {
    match wanted {
        Precision::F32 => esrgan_model::Precision::F32,
        Precision::Bf16 => esrgan_model::Precision::Bf16,
    }
}

fn edge(wanted: Edge) -> esrgan_model::Edge {
    match wanted {
        Edge::Zero => esrgan_model::Edge::Zero,
        Edge::Replicate => esrgan_model::Edge::Replicate,
    }
}

fn pixel_loss(kind: PixelKind) -> PixelLoss {
    match kind {
        PixelKind::L1 => PixelLoss::L1,
        PixelKind::Charbonnier => PixelLoss::Charbonnier,
        PixelKind::Mse => PixelLoss::Mse,
    }
}

fn adversarial_loss(kind: AdversarialKind) -> AdversarialLoss {
    match kind {
        AdversarialKind::Relativistic => AdversarialLoss::Relativistic,
        AdversarialKind::Vanilla => AdversarialLoss::Vanilla,
        AdversarialKind::Lsgan => AdversarialLoss::Lsgan,
        AdversarialKind::Hinge => AdversarialLoss::Hinge,
    }
}

/// `seen`: name and channels of each layer of the perceptual network.
fn discriminator(
    settings: &DiscriminatorSettings,
    crop_px: usize,
    seen: Vec<(String, usize)>,
) -> Result<Discriminator, TrainError> {
    Ok(match settings.kind {
        DiscriminatorKind::Vgg => Discriminator::Vgg(VggDiscriminator::new(settings.features, crop_px)?),
        DiscriminatorKind::Unet => Discriminator::Unet(UnetDiscriminator::new(settings.features, crop_px)?),
        DiscriminatorKind::Projected => {
            let heads = ProjectedDiscriminator::new(settings.features, seen);
            Discriminator::Projected(heads.with_patches(settings.patch_features))
        }
    })
}

fn perceptual_loss(
    perceptual: &Perceptual,
    arithmetic: Arithmetic,
) -> Result<(PerceptualLoss, f32), TrainError> {
    let network = match perceptual.network {
        PerceptualNetwork::Vgg16 => FeatureNetwork::Vgg16,
        PerceptualNetwork::Vgg19 => FeatureNetwork::Vgg19,
    };
    let path = &perceptual.weights_file;
    let refusal = |source: ModelError| TrainError::Perceptual { path: path.clone(), network, source };
    let weights = load_tensors(path, &Limits::default()).map_err(|source| refusal(source.into()))?;
    let (layers, weights_of_layers): (Vec<String>, Vec<f32>) =
        perceptual.layers.iter().map(|(layer, weight)| (layer.clone(), *weight as f32)).unzip();
    let features = Features::new(network, &layers, &weights).map_err(refusal)?.computed_with(arithmetic);
    let criterion = match perceptual.criterion {
        FeatureCriterion::L1 => FeatureLoss::L1,
        FeatureCriterion::L2 => FeatureLoss::L2,
        FeatureCriterion::Cosine => FeatureLoss::Cosine,
    };
    Ok((PerceptualLoss { features, weights: weights_of_layers, criterion }, perceptual.weight as f32))
}
