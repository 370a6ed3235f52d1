//! One training step: of the generator alone, or of generator and discriminator in turn.

use burn::tensor::{Tensor, TensorData};
use esrgan_model::{ComputeDevice, Discriminator, Generator, Parameters, mean, to_host};

use crate::adam::Adam;
use crate::losses::{AdversarialLoss, PerceptualLoss, PixelLoss};

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
    /// Moves the parameters along gradients; returns their norm before it is cut.
    ///
    /// The norm is summed in f64, tensor after tensor.
    pub fn update(&mut self, gradients: &mut [Vec<f32>], learning_rate: f64) -> f64 {
        let squares = gradients.iter().flatten().map(|value| f64::from(*value).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        if let Some(most) = self.clip_norm.filter(|most| norm > *most) {
            // PyTorch's `clip_grad_norm_`, its constant included.
            let factor = (most / (norm + 1e-6)) as f32;
            gradients.iter_mut().flatten().for_each(|value| *value *= factor);
        }
        self.optimizer.update(&mut self.parameters, gradients, learning_rate);
        norm
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
}

/// Named figures of a step.
pub type Figures = Vec<(&'static str, f64)>;

/// A gradient with the figures on the way to it.
#[derive(Clone, Debug)]
pub struct Found {
    /// One for each parameter, in the parameters' order.
    pub gradients: Vec<Vec<f32>>,
    /// Losses, weighted as they are added.
    pub figures: Figures,
}

/// The values of terms, all brought to the host at once.
fn read<'t>(terms: impl IntoIterator<Item = (&'static str, &'t Tensor<1>)>) -> Figures {
    let (names, values): (Vec<&'static str>, Vec<Tensor<1>>) =
        terms.into_iter().map(|(name, term)| (name, term.clone().detach())).unzip();
    if names.is_empty() {
        return Figures::new();
    }
    names.into_iter().zip(to_host(Tensor::cat(values, 0)).into_iter().map(f64::from)).collect()
}

/// How far the mean colour of a batch is from that of its small crops, in the channel in which it is furthest: what bicubic
/// enlargement would keep.
fn color_difference(sr: &Tensor<4>, crops: &Crops) -> f64 {
    let means = |values: &[f32]| {
        let mut sums = [0.0_f64; 3];
        let pixels = values.len() / crops.samples / 3;
        for (plane, values) in values.chunks_exact(pixels).enumerate() {
            sums[plane % 3] += values.iter().map(|value| f64::from(*value)).sum::<f64>();
        }
        sums.map(|sum| sum / (pixels * crops.samples) as f64)
    };
    let pairs = means(&to_host(sr.clone())).into_iter().zip(means(&crops.lr));
    pairs.map(|(sr, lr)| (sr - lr).abs()).fold(0.0, f64::max)
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
    let figures = read([("loss_pixel", &loss)]);
    let gradients = leaves.gradients(&loss.backward());
    Found { gradients, figures }
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
    /// The gradient of the generator's loss, and the batch that it made, for the discriminator.
    ///
    /// The discriminator stays as it is; its running statistics move with each batch that it sees, as BasicSR's do.
    pub fn generator_gradient(
        &self,
        generator: &Parameters,
        (discriminator, running): (&Parameters, &mut Parameters),
        losses: &GanLosses,
        crops: &Crops,
    ) -> (Found, Tensor<4>) {
        let device = self.generator.device();
        let (leaves, judge) = (generator.tracked(device), discriminator.frozen(device));
        let sr = self.generator.forward(&leaves, crops.lr(device));
        let mut terms = Vec::new();
        if let Some((loss, weight)) = losses.pixel {
            terms.push(("loss_pixel", loss.of(sr.clone(), crops.target(device)).mul_scalar(weight)));
        }
        if let Some((loss, weight)) = &losses.perceptual {
            let network = loss.features.leaves();
            let term = loss.of(&network, sr.clone(), crops.target(device)).mul_scalar(*weight);
            terms.push(("loss_perceptual", term));
        }
        let (loss, weight) = losses.adversarial;
        let real = loss
            .is_relative()
            .then(|| self.discriminator.forward(&judge, running, crops.hr(device)).detach());
        let fake = self.discriminator.forward(&judge, running, sr.clone());
        terms.push(("loss_adversarial", loss.of_generator(real, fake).mul_scalar(weight)));
        let mut figures = read(terms.iter().map(|(name, term)| (*name, term)));
        figures.push(("color_difference", color_difference(&sr, crops)));
        let total = terms.into_iter().map(|(_, term)| term).reduce(|sum, term| sum + term);
        let made = sr.detach();
        let gradients = total.map(|total| leaves.gradients(&total.backward())).unwrap_or_default();
        (Found { gradients, figures }, made)
    }

    /// The gradient of the discriminator's loss for what the generator made of the batch.
    pub fn discriminator_gradient(
        &self,
        (discriminator, running): (&Parameters, &mut Parameters),
        loss: AdversarialLoss,
        made: Tensor<4>,
        crops: &Crops,
    ) -> Found {
        let device = self.discriminator.device();
        let leaves = discriminator.tracked(device);
        let real = self.discriminator.forward(&leaves, running, crops.hr(device));
        let fake = self.discriminator.forward(&leaves, running, made);
        let [logit_real, logit_fake] = [&real, &fake].map(|logits| mean(logits.clone()));
        let [of_real, of_fake] = loss.of_discriminator(real, fake);
        let total = of_real.clone() + of_fake.clone();
        let figures = read([
            ("loss_d_real", &of_real),
            ("loss_d_fake", &of_fake),
            ("loss_d", &total),
            ("logit_real", &logit_real),
            ("logit_fake", &logit_fake),
        ]);
        Found { gradients: leaves.gradients(&total.backward()), figures }
    }
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
        let mut trained = Trained { parameters, optimizer, clip_norm: Some(2.5) };
        let mut gradients = vec![vec![3.0, 0.0], vec![-4.0]];
        assert_eq!(trained.update(&mut gradients, 0.1), 5.0);
        for (found, expected) in gradients.iter().flatten().zip([1.5, 0.0, -2.0]) {
            assert!((found - expected).abs() < 1e-6, "{gradients:?}");
        }
        let norm = trained.update(&mut gradients, 0.1);
        assert!((norm - 2.5).abs() < 1e-6 && (gradients[0][0] - 1.5).abs() < 1e-6, "{norm}: {gradients:?}");
    }
}
