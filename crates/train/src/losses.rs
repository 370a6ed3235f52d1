//! Loss terms, each by itself.
//!
//! Wang et al., "ESRGAN", 2018, sections 3.2 and 3.3; the other adversarial losses by the papers named at each.

use std::f64::consts::LN_2;
use std::ops::RangeInclusive;

use burn::tensor::{Tensor, activation};
use esrgan_model::{Features, Map, mean, sum};

/// How pixels are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelLoss {
    /// The mean absolute difference.
    L1,
    /// The mean of `sqrt(difference^2 + 1e-12)` (Lai et al., "Deep Laplacian pyramid networks", 2017; the constant is BasicSR's).
    Charbonnier,
    /// The mean squared difference.
    Mse,
}

/// What is added below Charbonnier's root.
const CHARBONNIER_EPSILON: f64 = 1e-12;

impl PixelLoss {
    /// The loss of a batch against the truth.
    pub fn of(self, sr: Tensor<4>, hr: Tensor<4>) -> Tensor<1> {
        let difference = sr - hr;
        match self {
            Self::L1 => mean(difference.abs()),
            Self::Charbonnier => mean((difference.powi_scalar(2) + CHARBONNIER_EPSILON).sqrt()),
            Self::Mse => mean(difference.powi_scalar(2)),
        }
    }
}

/// How features are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureLoss {
    /// The mean absolute difference.
    L1,
    /// The mean squared difference.
    L2,
    /// The mean over all pixels of the squared distance between both vectors of channels, each brought to unit length: `2 - 2 cos`. So how
    /// large a network's features are makes no difference (as LPIPS has it: Zhang et al., 2018, section 3.1).
    Cosine,
}

/// The perceptual loss: differences of features.
#[derive(Clone, Debug)]
pub struct PerceptualLoss {
    /// The network.
    pub features: Features,
    /// One weight for each of its layers.
    pub weights: Vec<f32>,
    /// How they are compared.
    pub criterion: FeatureLoss,
}

impl PerceptualLoss {
    /// The loss of a batch's features against the truth's, which get no gradient.
    ///
    /// # Panics
    /// Where there are no features.
    pub fn of(&self, found: Vec<Map>, truth: Vec<Map>) -> Tensor<1> {
        let terms = found.into_iter().zip(truth).zip(&self.weights);
        let terms = terms
            .map(|((found, truth), weight)| self.difference(found, truth.detached()).mul_scalar(*weight));
        terms.reduce(|sum, term| sum + term).expect("features of a layer")
    }

    /// Where a map has padding it is zero on both sides, so the mean is over what is no padding.
    fn difference(&self, found: Map, truth: Map) -> Tensor<1> {
        let count = found.count() as f64;
        match self.criterion {
            FeatureLoss::L1 => sum((found.values - truth.values).abs()).div_scalar(count),
            FeatureLoss::L2 => sum((found.values - truth.values).powi_scalar(2)).div_scalar(count),
            FeatureLoss::Cosine => {
                let pixels = count / found.shape[1] as f64;
                found.cosines(truth).div_scalar(-pixels / 2.0) + 2.0
            }
        }
    }
}

/// The loss of a checkerboard: how unlike each other the places are that come of one pixel of the small picture.
///
/// A generator without noise finds that a pattern of `scale` pixels is the easiest texture to draw, and a perceptual loss takes it
/// for one (see Odena et al., "Deconvolution and Checkerboard Artifacts", 2016). So for the mean of the colours, along rows and
/// along columns, the second difference is averaged over all of a crop's pixels at each of the `scale * scale` places, once with
/// its sign and once without; both as parts of the crop's whole average without sign, and averaged over the crops. The loss is the
/// variance of the unsigned averages and the mean square of the signed ones. A texture whose energy is spread evenly over the places is none to
/// it, be it drawn along rows and columns.
///
/// # Shapes
/// `[sample][3][row][column]`, sides multiples of the scale and at least two pixels longer.
pub fn checkerboard(sr: Tensor<4>, scale: usize) -> Tensor<1> {
    let gray = sr.mean_dim(1);
    let along_columns = checkerboard_of_rows(gray.clone().swap_dims(2, 3), scale);
    checkerboard_of_rows(gray, scale) + along_columns
}

/// Half a level of 255, which is added to a crop's average: below it a flat picture's roundings would count.
const CHECKERBOARD_FLOOR: f64 = 0.5 / 255.0;

/// Four times half a level of 255, as the Laplacian has it: likewise.
const DETAIL_FLOOR: f64 = 2.0 / 255.0;

fn checkerboard_of_rows(gray: Tensor<4>, scale: usize) -> Tensor<1> {
    let [samples, _, height, width] = gray.dims();
    let periods = (width - 2) / scale;
    let shifted = |first: usize| gray.clone().narrow(3, first, periods * scale);
    let differences = shifted(1).mul_scalar(2.0) - shifted(0) - shifted(2);
    let of_places = |differences: Tensor<4>| {
        let places = differences.reshape([samples, height / scale, scale, periods, scale]);
        places.mean_dim(1).mean_dim(3).reshape([samples, scale * scale])
    };
    let (signed, unsigned) = (of_places(differences.clone()), of_places(differences.abs()));
    let whole = unsigned.clone().mean_dim(1) + CHECKERBOARD_FLOOR;
    let parts = |places: Tensor<2>| (places / whole.clone()).mean_dim(0);
    let (signed, unsigned) = (parts(signed), parts(unsigned));
    let apart = unsigned.clone() - unsigned.mean_dim(1);
    mean(apart.powi_scalar(2)) + mean(signed.powi_scalar(2))
}

/// The loss of a weave: how much more alike a crop is to itself, shifted, than the truth is.
///
/// Where [`checkerboard`] is forbidden, streaks of three and six pixels are the next easiest texture; a classifier takes them for
/// grass. So the Laplacian of the colours' mean is multiplied with itself, shifted by 2 to 12 pixels along rows, along columns and
/// along both diagonals, and averaged, as a part of its mean square. The loss is the mean square of what lies above the truth's, over crops
/// and shifts.
///
/// # Shapes
/// `[sample][3][row][column]`, sides of at least 15 pixels.
pub fn autocorrelation(sr: Tensor<4>, hr: Tensor<4>) -> Tensor<1> {
    let beyond = activation::relu(autocorrelations(sr) - autocorrelations(hr).detach());
    mean(beyond.powi_scalar(2))
}

/// Shifts in pixels: the periods that the eye sees as a pattern.
const SHIFTS: RangeInclusive<usize> = 2..=12;

/// `[sample][direction and shift]`, the ends of a direction being the same.
fn autocorrelations(images: Tensor<4>) -> Tensor<2> {
    let gray = images.mean_dim(1);
    let [samples, _, height, width] = gray.dims();
    let (height, width) = (height - 2, width - 2);
    let part = |row: usize, column: usize| gray.clone().narrow(2, row, height).narrow(3, column, width);
    let around = part(0, 1) + part(2, 1) + part(1, 0) + part(1, 2);
    let detail = part(1, 1).mul_scalar(4.0) - around;
    let of_samples = |products: Tensor<4>| products.mean_dim(2).mean_dim(3).reshape([samples, 1]);
    let power = of_samples(detail.clone().powi_scalar(2)) + DETAIL_FLOOR.powi(2);
    let alike = |[top, left]: [usize; 2], [bottom, right]: [usize; 2]| {
        let (rows, columns) = (height - top.max(bottom), width - left.max(right));
        let at = |row: usize, column: usize| detail.clone().narrow(2, row, rows).narrow(3, column, columns);
        of_samples(at(top, left) * at(bottom, right))
    };
    let of_shift = |shift: usize| {
        [
            alike([0, 0], [0, shift]),
            alike([0, 0], [shift, 0]),
            alike([0, 0], [shift, shift]),
            alike([0, shift], [shift, 0]),
        ]
    };
    Tensor::cat(SHIFTS.flat_map(of_shift).collect(), 1) / power
}

/// What generator and discriminator play for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdversarialLoss {
    /// The relativistic average GAN (Jolicoeur-Martineau, 2018): how much more real than the average of the others.
    Relativistic,
    /// The original GAN with logits (Goodfellow et al., 2014), non-saturating.
    Vanilla,
    /// Least squares (Mao et al., 2017).
    Lsgan,
    /// The hinge (Lim and Ye, 2017).
    Hinge,
}

impl AdversarialLoss {
    /// Whether the generator's loss compares made pictures with true ones.
    pub fn is_relative(self) -> bool {
        self == Self::Relativistic
    }

    /// The discriminator's loss where it cannot tell made from true pictures.
    pub fn of_a_coin(self) -> f64 {
        match self {
            Self::Relativistic => LN_2,
            Self::Vanilla => 2.0 * LN_2,
            Self::Lsgan => 0.5,
            Self::Hinge => 2.0,
        }
    }

    /// The generator's loss from the logits of both; those of true pictures get no gradient, and are needed only where
    /// [`AdversarialLoss::is_relative`].
    ///
    /// Relativistic: `1/2 (bce(real - mean(fake), 0) + bce(fake - mean(real), 1))`, through both of which the gradient flows.
    ///
    /// # Panics
    /// Where logits of true pictures are needed and missing.
    pub fn of_generator(self, real: Option<Tensor<2>>, fake: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Relativistic => {
                let real = real.expect("logits of true pictures").detach();
                let first = bce(real.clone() - average(fake.clone()), false);
                let second = bce(fake - average(real), true);
                (first + second).mul_scalar(0.5)
            }
            Self::Vanilla => bce(fake, true),
            Self::Lsgan => mean((fake - 1.0).powi_scalar(2)),
            Self::Hinge => mean(fake).neg(),
        }
    }

    /// The discriminator's losses of true and of made pictures; the gradient of each flows through its own logits alone, as
    /// BasicSR has it. Their sum is the loss.
    pub fn of_discriminator(self, real: Tensor<2>, fake: Tensor<2>) -> [Tensor<1>; 2] {
        match self {
            Self::Relativistic => {
                let first = bce(real.clone() - average(fake.clone().detach()), true);
                let second = bce(fake - average(real.detach()), false);
                [first.mul_scalar(0.5), second.mul_scalar(0.5)]
            }
            Self::Vanilla => [bce(real, true), bce(fake, false)],
            Self::Lsgan => [mean((real - 1.0).powi_scalar(2)), mean(fake.powi_scalar(2))],
            Self::Hinge => [mean(activation::relu(real.neg() + 1.0)), mean(activation::relu(fake + 1.0))],
        }
    }
}

fn average(logits: Tensor<2>) -> Tensor<2> {
    mean(logits).reshape([1, 1])
}

/// Binary cross entropy of logits against all ones or all zeros: `mean(max(x, 0) - x * t + ln(1 + exp(-|x|)))`.
fn bce(logits: Tensor<2>, is_real: bool) -> Tensor<1> {
    let signed = if is_real { logits.neg() } else { logits };
    let tail = (signed.clone().abs().neg().exp() + 1.0).log();
    mean(activation::relu(signed) + tail)
}
