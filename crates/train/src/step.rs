//! One training step: of the generator alone, or of generator and discriminator in turn.

use burn::tensor::{Tensor, TensorData};
use esrgan_model::{
    ComputeDevice, Discriminator, Generator, NetworkGradient, Parameters, Resident, View, mean, sum, to_host,
};

use crate::adam::Adam;
use crate::figures::{Figure, Unread};
use crate::losses::{AdversarialLoss, PerceptualLoss, PixelLoss, autocorrelation, checkerboard};

/// A batch: low- and high-resolution crops, `[sample][channel][row][column]`, RGB in 0..1.
#[derive(Clone, Debug)]
pub struct Crops {
    /// Values of the small crops.
    pub lr: Vec<f32>,
    /// Values of the large ones.
    pub hr: Vec<f32>,
    /// What pixels and features of results are compared with instead of the large ones, if anything.
    pub sharpened: Option<Vec<f32>>,
    /// Samples of the batch.
    pub samples: usize,
    /// Pixels of a small crop's side.
    pub lr_px: usize,
    /// Pixels of a large crop's side.
    pub hr_px: usize,
}

impl Crops {
    fn lr(&self, device: ComputeDevice) -> Tensor<4> {
        images(&self.lr, self.samples, self.lr_px, device)
    }

    fn hr(&self, device: ComputeDevice) -> Tensor<4> {
        images(&self.hr, self.samples, self.hr_px, device)
    }

    /// What results are compared with.
    fn target(&self, device: ComputeDevice) -> Tensor<4> {
        images(self.sharpened.as_ref().unwrap_or(&self.hr), self.samples, self.hr_px, device)
    }
}

fn images(values: &[f32], samples: usize, side: usize, device: ComputeDevice) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [samples, 3, side, side]), &device.tensors())
}

/// What PyTorch's `clip_grad_norm_` adds to a norm.
const CLIP_EPSILON: f64 = 1e-6;

/// A network with what trains it.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its parameters.
    pub parameters: Parameters,
    /// Its optimiser.
    pub optimizer: Adam,
    /// The norm that gradients are cut to, if any.
    pub clip_norm: Option<f64>,
}

impl Trained {
    /// Moves the parameters along their gradient; returns its norm before it is cut.
    ///
    /// On the host the norm is summed in f64, tensor after tensor; on a device in `f32`.
    pub fn update(&mut self, gradient: NetworkGradient, learning_rate: f64) -> Figure {
        match (gradient, self.parameters.resident()) {
            (NetworkGradient::Device(gradient), Some(_)) => self.update_resident(gradient, learning_rate),
            (gradient, _) => Figure::Known(self.update_host(gradient.into_host(), learning_rate)),
        }
    }

    fn update_host(&mut self, mut gradients: Vec<Vec<f32>>, learning_rate: f64) -> f64 {
        let squares = gradients.iter().flatten().map(|value| f64::from(*value).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if let Some(most) = self.clip_norm.filter(|most| norm > *most) {
            let factor = (most / (norm + CLIP_EPSILON)) as f32;
            gradients.iter_mut().flatten().for_each(|value| *value *= factor);
        }
        self.optimizer.update(&mut self.parameters, &gradients, learning_rate);
        norm
    }

    fn update_resident(&mut self, gradient: Resident, learning_rate: f64) -> Figure {
        let mut values = gradient.values();
        let norm = sum(values.clone().powi_scalar(2)).sqrt();
        if let Some(most) = self.clip_norm {
            let factor = (norm.clone() + CLIP_EPSILON).recip().mul_scalar(most).clamp_max(1.0);
            values = values * factor;
        }
        self.optimizer.update_resident(&mut self.parameters, values, learning_rate);
        Figure::Tensor(Box::new(norm))
    }

    /// Moves everything to where a device's layers and the optimiser read it.
    pub(crate) fn move_to(&mut self, device: ComputeDevice) {
        self.parameters.move_to(device);
    }
}

/// What the generator is trained with in the second stage.
#[derive(Clone, Debug)]
pub struct GanLosses {
    /// The perceptual loss and its weight.
    pub perceptual: Option<(PerceptualLoss, f32)>,
    /// The adversarial loss and its weight (lambda in the paper).
    pub adversarial: (AdversarialLoss, f32),
    /// The loss of pixels and its weight (eta in the paper).
    pub pixel: Option<(PixelLoss, f32)>,
    /// The weight of [`checkerboard`].
    pub checkerboard: Option<f32>,
    /// The weight of [`autocorrelation`].
    pub autocorrelation: Option<f32>,
}

/// A gradient with the figures on the way to it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The parameters'.
    pub gradient: NetworkGradient,
    /// Losses, weighted as they are added.
    pub figures: Unread,
}

/// The sum of each colour's values, divided by the pixels of all samples.
fn colors(values: &[f32], samples: usize) -> [f64; 3] {
    let mut sums = [0.0_f64; 3];
    let pixels = values.len() / samples / 3;
    for (plane, values) in values.chunks_exact(pixels).enumerate() {
        sums[plane % 3] += values.iter().map(|value| f64::from(*value)).sum::<f64>();
    }
    sums.map(|sum| sum / (pixels * samples) as f64)
}

/// How far the mean colour of a batch is from that of its small crops, in the channel in which it is furthest: what bicubic
/// enlargement would keep. Sums are taken in f64 on the processor, in `f32` on a device.
fn color_difference(sr: &Tensor<4>, crops: &Crops) -> Figure {
    let sr = sr.clone().without_autodiff();
    let of_lr = colors(&crops.lr, crops.samples);
    if sr.device() == ComputeDevice::Processor.tensors() {
        let pairs = colors(&to_host(sr), crops.samples).into_iter().zip(of_lr);
        return Figure::Known(pairs.map(|(sr, lr)| (sr - lr).abs()).fold(0.0, f64::max));
    }
    let [samples, channels, height, width] = sr.dims();
    let of_lr = of_lr.map(|mean| mean as f32);
    let of_lr = Tensor::<1>::from_data(TensorData::new(of_lr.to_vec(), [channels]), &sr.device());
    let sums = sr.reshape([samples, channels, height * width]).sum_dim(2).sum_dim(0).reshape([channels]);
    let means = sums.div_scalar((samples * height * width) as f64);
    Figure::Tensor(Box::new((means - of_lr).abs().max_dim(0)))
}

/// The gradient of the first stage's loss: that of pixels alone.
pub fn pixel_gradient(
    generator: &Generator,
    parameters: &Parameters,
    loss: (PixelLoss, f32),
    crops: &Crops,
) -> Found {
    let device = generator.device();
    let leaves = parameters.tracked(device);
    let sr = generator.forward(&leaves, crops.lr(device));
    let loss = loss.0.of(sr, crops.target(device)).mul_scalar(loss.1);
    let mut figures = Unread::default();
    figures.add_tensor("loss_pixel", &loss);
    Found { gradient: leaves.gradients(&loss.backward()), figures }
}

/// Both networks of the second stage.
#[derive(Clone, Debug)]
pub struct Adversaries<'a> {
    /// The generator.
    pub generator: &'a Generator,
    /// The discriminator.
    pub discriminator: &'a Discriminator,
}

impl Adversaries<'_> {
    /// The gradient of the generator's loss, and what the discriminator is to look at.
    ///
    /// The discriminator stays as it is; its running statistics move with each batch that it sees, as BasicSR's do.
    ///
    /// # Panics
    /// Where the discriminator looks at features and there is no perceptual loss whose they would be.
    pub fn generator_gradient(
        &self,
        generator: &Parameters,
        (discriminator, running): (&Parameters, &mut Parameters),
        losses: &GanLosses,
        crops: &Crops,
    ) -> (Found, Judged) {
        let device = self.generator.device();
        let (leaves, judge) = (generator.tracked(device), discriminator.frozen(device));
        let sr = self.generator.forward(&leaves, crops.lr(device));
        let mut terms = Vec::new();
        if let Some((loss, weight)) = losses.pixel {
            terms.push(("loss_pixel", loss.of(sr.clone(), crops.target(device)).mul_scalar(weight)));
        }
        if let Some(weight) = losses.checkerboard {
            let scale = crops.hr_px / crops.lr_px;
            terms.push(("loss_checkerboard", checkerboard(sr.clone(), scale).mul_scalar(weight)));
        }
        let (mut fake, mut real) = (
            View { crops: sr.clone(), features: Vec::new() },
            View { crops: crops.hr(device), features: Vec::new() },
        );
        if let Some(weight) = losses.autocorrelation {
            let beyond = autocorrelation(sr.clone(), real.crops.clone());
            terms.push(("loss_autocorrelation", beyond.mul_scalar(weight)));
        }
        if let Some((loss, weight)) = &losses.perceptual {
            let network = loss.features.leaves();
            let maps = |images: Tensor<4>| loss.features.forward(&network, images);
            let (found, target) = (maps(sr.clone()), maps(crops.target(device)));
            if self.discriminator.sees_features() {
                let is_target = crops.sharpened.is_none();
                real.features = if is_target { target.clone() } else { maps(real.crops.clone()) };
                fake.features = found.clone();
            }
            terms.push(("loss_perceptual", loss.of(found, target).mul_scalar(*weight)));
        }
        let judged = Judged { real: real.detached(), fake: fake.clone().detached() };
        let (loss, weight) = losses.adversarial;
        let of_real =
            loss.is_relative().then(|| self.discriminator.forward(&judge, running, judged.real.clone()));
        let of_fake = self.discriminator.forward(&judge, running, fake);
        let mut of_real = of_real.into_iter().flatten().map(Tensor::detach);
        let of_heads = of_fake.into_iter().map(|fake| loss.of_generator(of_real.next(), fake)).collect();
        terms.push(("loss_adversarial", mean_of(of_heads).mul_scalar(weight)));
        let mut figures = Unread::default();
        terms.iter().for_each(|(name, term)| figures.add_tensor(name, term));
        figures.add("color_difference", color_difference(&sr, crops));
        let total = terms.into_iter().map(|(_, term)| term).reduce(|sum, term| sum + term);
        let gradient = total.map(|total| leaves.gradients(&total.backward()));
        let gradient = gradient.unwrap_or(NetworkGradient::Host(Vec::new()));
        (Found { gradient, figures }, judged)
    }

    /// The gradient of the discriminator's loss for what the generator made of the batch.
    pub fn discriminator_gradient(
        &self,
        (discriminator, running): (&Parameters, &mut Parameters),
        loss: AdversarialLoss,
        judged: Judged,
    ) -> Found {
        let leaves = discriminator.tracked(self.discriminator.device());
        let real = self.discriminator.forward(&leaves, running, judged.real);
        let fake = self.discriminator.forward(&leaves, running, judged.fake);
        let [logit_real, logit_fake] =
            [&real, &fake].map(|heads| mean_of(heads.iter().map(|logits| mean(logits.clone())).collect()));
        let of_heads = real.into_iter().zip(fake).map(|(real, fake)| loss.of_discriminator(real, fake));
        let (of_real, of_fake) = of_heads.map(|[real, fake]| (real, fake)).unzip();
        let (of_real, of_fake) = (mean_of(of_real), mean_of(of_fake));
        let total = of_real.clone() + of_fake.clone();
        let mut figures = Unread::default();
        for (name, figure) in [
            ("loss_d_real", &of_real),
            ("loss_d_fake", &of_fake),
            ("loss_d", &total),
            ("logit_real", &logit_real),
            ("logit_fake", &logit_fake),
        ] {
            figures.add_tensor(name, figure);
        }
        Found { gradient: leaves.gradients(&total.backward()), figures }
    }
}

/// What a discriminator is to tell apart, without a way back to the generator.
#[derive(Clone, Debug)]
pub struct Judged {
    real: View,
    fake: View,
}

/// The mean of a figure over all heads.
fn mean_of(heads: Vec<Tensor<1>>) -> Tensor<1> {
    let count = heads.len() as f64;
    let sum = heads.into_iter().reduce(|sum, head| sum + head).expect("a discriminator with a head");
    if count > 1.0 { sum.div_scalar(count) } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adam::AdamSettings;

    #[test]
    fn longer_gradients_are_cut_and_shorter_ones_are_not() {
        let mut parameters = Parameters::new();
        parameters.push("a".to_owned(), vec![2], vec![0.0; 2]);
        parameters.push("b".to_owned(), vec![1], vec![0.0]);
        let optimizer = Adam::new(AdamSettings::default(), &parameters);
        let trained = Trained { parameters, optimizer, clip_norm: Some(2.5) };
        for device in [ComputeDevice::Processor, ComputeDevice::Reference] {
            let mut trained = trained.clone();
            trained.move_to(device);
            // The first step of Adam is the learning rate, so that what was cut shows in its memory.
            let norm = trained.update(gradient(&trained.parameters, &[3.0, 0.0], -4.0), 0.1);
            assert_eq!(value(norm), 5.0);
            for ((means, _), expected) in trained.optimizer.moments().iter().zip([[0.15, 0.0], [-0.2, 0.0]]) {
                for (found, expected) in means.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-7, "{device:?}: {means:?}");
                }
            }
            let norm = trained.update(gradient(&trained.parameters, &[1.5, 0.0], -2.0), 0.1);
            assert_eq!(value(norm), 2.5);
        }
    }

    fn value(figure: Figure) -> f64 {
        let mut figures = Unread::default();
        figures.add("norm", figure);
        figures.read()[0].1
    }

    /// A gradient where the parameters are.
    fn gradient(parameters: &Parameters, first: &[f32], second: f32) -> NetworkGradient {
        let host = vec![first.to_vec(), vec![second]];
        match parameters.resident() {
            None => NetworkGradient::Host(host),
            Some(resident) => NetworkGradient::Device(resident.of_host_like(&host).expect("as many values")),
        }
    }
}
