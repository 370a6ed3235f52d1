//! Parameters before training, drawn by counter: the same seed gives the same bits.

use esrgan_random::{Purpose, RandomStream, SampleKey};

use crate::parameters::Parameters;

/// Streams of initial values.
const INITIAL: Purpose = Purpose(0x696E_0000);

/// How a tensor's first values are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    /// Normal with the deviation `scale * sqrt(2 / fan_in)` (He et al., 2015), as ESRGAN has it with 0.1 in dense blocks.
    ScaledKaiming {
        /// Inputs of an output.
        fan_in: usize,
        /// The factor.
        scale: f64,
    },
    /// Uniform within `1 / sqrt(fan_in)` of zero: what PyTorch gives weights and biases of convolutions and linear layers.
    Uniform {
        /// Inputs of an output.
        fan_in: usize,
    },
    /// A direction: normal values, divided by their length.
    Direction,
    /// All the same.
    Constant(f32),
}

impl Initial {
    /// The values of tensor number `index` of a network.
    pub(crate) fn draw(self, seed: u64, index: usize, count: usize) -> Vec<f32> {
        let mut random = RandomStream::new(SampleKey { seed, step: 0, sample: index as u64 }, INITIAL);
        match self {
            Self::ScaledKaiming { fan_in, scale } => {
                let deviation = scale * (2.0 / fan_in as f64).sqrt();
                (0..count).map(|_| (random.normal() * deviation) as f32).collect()
            }
            Self::Uniform { fan_in } => {
                let bound = 1.0 / (fan_in as f64).sqrt();
                (0..count).map(|_| random.uniform(-bound, bound) as f32).collect()
            }
            Self::Direction => {
                let values: Vec<f64> = (0..count).map(|_| random.normal()).collect();
                let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
                values.into_iter().map(|value| (value / length) as f32).collect()
            }
            Self::Constant(value) => vec![value; count],
        }
    }
}

/// The parameters of these names and shapes; `kind` says how one is drawn by its name, whether it has more than one dimension, and
/// the inputs of an output of the last that had.
pub(crate) fn drawn(
    tensors: Vec<(String, Vec<usize>)>,
    seed: u64,
    kind: impl Fn(&str, bool, usize) -> Initial,
) -> Parameters {
    let mut parameters = Parameters::new();
    let mut fan_in = 0;
    for (index, (name, shape)) in tensors.into_iter().enumerate() {
        let is_weight = shape.len() > 1;
        if is_weight {
            fan_in = shape[1..].iter().product();
        }
        let count = shape.iter().product();
        let values = kind(&name, is_weight, fan_in).draw(seed, index, count);
        parameters.push(name, shape, values);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_deviation_and_bounds() {
        let values = Initial::ScaledKaiming { fan_in: 72, scale: 0.1 }.draw(3, 5, 100_000);
        let variance =
            values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64;
        let expected = 0.01 * 2.0 / 72.0;
        // Five standard errors.
        assert!((variance / expected - 1.0).abs() < 5.0 * (2.0 / 100_000_f64).sqrt(), "{variance}");
        let values = Initial::Uniform { fan_in: 25 }.draw(3, 6, 10_000);
        assert!(values.iter().all(|value| value.abs() <= 0.2));
        assert!(values.iter().any(|value| *value > 0.19) && values.iter().any(|value| *value < -0.19));
        assert_eq!(Initial::Uniform { fan_in: 25 }.draw(3, 6, 10_000), values);
        assert_ne!(Initial::Uniform { fan_in: 25 }.draw(3, 7, 10_000), values);
    }
}
