//! Adam and AdamW over a network's parameters.
//!
//! Kingma and Ba, "Adam", 2015, algorithm 1; Loshchilov and Hutter, "Decoupled weight decay", 2019. Operation by operation as
//! PyTorch computes them, in one pass over each tensor, or over all tensors in one vector of a device.

use std::borrow::Cow;

use burn::tensor::Tensor;
use esrgan_model::{Parameters, Resident};
use rayon::prelude::*;

/// Settings of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Decay of the mean of gradients and of their squares.
    pub betas: (f64, f64),
    /// What is added to the root of the squares' mean.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether the decay is taken from the weights (AdamW) rather than added to the gradient (Adam).
    pub is_decoupled: bool,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0, is_decoupled: false }
    }
}

/// What the optimiser remembers.
#[derive(Clone, Debug)]
pub struct Adam {
    settings: AdamSettings,
    step: u64,
    moments: Moments,
}

/// The means of gradients and of their squares.
#[derive(Clone, Debug)]
enum Moments {
    /// Of each parameter, on the host.
    Host(Vec<(Vec<f32>, Vec<f32>)>),
    /// Of all parameters, on a device.
    Device(Resident, Resident),
}

impl PartialEq for Adam {
    fn eq(&self, other: &Self) -> bool {
        (self.settings, self.step) == (other.settings, other.step) && self.moments() == other.moments()
    }
}

impl Adam {
    /// An optimiser that has seen nothing.
    pub fn new(settings: AdamSettings, parameters: &Parameters) -> Self {
        let zeros = |count: usize| (vec![0.0; count], vec![0.0; count]);
        let count = |shape: &[usize]| shape.iter().product();
        let moments = parameters.iter().map(|parameter| zeros(count(&parameter.shape))).collect();
        Self { settings, step: 0, moments: Moments::Host(moments) }
    }

    /// An optimiser as it was after some steps; nothing where the moments do not fit the parameters.
    pub fn resume(
        settings: AdamSettings,
        parameters: &Parameters,
        step: u64,
        moments: Vec<(Vec<f32>, Vec<f32>)>,
    ) -> Option<Self> {
        let fits = moments.len() == parameters.iter().len()
            && moments.iter().zip(parameters.iter()).all(|((first, second), parameter)| {
                let count = parameter.shape.iter().product::<usize>();
                first.len() == count && second.len() == count
            });
        fits.then_some(Self { settings, step, moments: Moments::Host(moments) })
    }

    /// Steps so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// For each parameter, in the parameters' order, the means of its gradients and of their squares.
    pub fn moments(&self) -> Cow<'_, [(Vec<f32>, Vec<f32>)]> {
        match &self.moments {
            Moments::Host(moments) => Cow::Borrowed(moments),
            Moments::Device(first, second) => {
                Cow::Owned(first.to_host().into_iter().zip(second.to_host()).collect())
            }
        }
    }

    /// Moves the parameters by one step, on the host. A parameter without a gradient (an empty one) stays.
    pub fn update(&mut self, parameters: &mut Parameters, gradients: &[Vec<f32>], learning_rate: f64) {
        let line = self.next_step(learning_rate);
        if let Moments::Device(..) = self.moments {
            self.moments = Moments::Host(self.moments().into_owned());
        }
        let Moments::Host(moments) = &mut self.moments else { return };
        let tensors: Vec<_> = parameters.values_mut().zip(gradients).zip(moments).collect();
        tensors.into_par_iter().for_each(|((values, gradients), (first, second))| {
            let elements = values.iter_mut().zip(gradients).zip(first.iter_mut().zip(second.iter_mut()));
            elements.for_each(|((value, gradient), moments)| line.move_one(value, *gradient, moments));
        });
    }

    /// As [`Adam::update`], on the device where the parameters lie; the gradient is a vector as theirs is.
    ///
    /// # Panics
    /// Where the vector has another length.
    pub(crate) fn update_resident(
        &mut self,
        parameters: &mut Parameters,
        gradient: Tensor<1>,
        learning_rate: f64,
    ) {
        let line = self.next_step(learning_rate);
        let Some(resident) = parameters.resident() else { return };
        let (first, second) = match &self.moments {
            Moments::Device(first, second) => (first.clone(), second.clone()),
            Moments::Host(moments) => {
                let (first, second): (Vec<_>, Vec<_>) = moments.iter().cloned().unzip();
                let brought =
                    |values: &[Vec<f32>]| resident.of_host_like(values).unwrap_or_else(|| resident.zeros());
                (brought(&first), brought(&second))
            }
        };
        let (values, moments) = line.move_all(resident.values(), gradient, (first.values(), second.values()));
        let moved = resident.with_values(values);
        self.moments = Moments::Device(first.with_values(moments.0), second.with_values(moments.1));
        parameters.put(moved);
    }

    fn next_step(&mut self, learning_rate: f64) -> Line {
        self.step += 1;
        let AdamSettings { betas, epsilon, weight_decay, is_decoupled } = self.settings;
        let steps = self.step as f64;
        let corrections = (1.0 - betas.0.powf(steps), 1.0 - betas.1.powf(steps));
        Line {
            beta_squares: betas.1 as f32,
            shares: ((1.0 - betas.0) as f32, (1.0 - betas.1) as f32),
            step_size: (learning_rate / corrections.0) as f32,
            root_correction: corrections.1.sqrt() as f32,
            epsilon: epsilon as f32,
            added_decay: if is_decoupled { 0.0 } else { weight_decay as f32 },
            kept: if is_decoupled { (1.0 - learning_rate * weight_decay) as f32 } else { 1.0 },
        }
    }
}

/// One element's step.
struct Line {
    beta_squares: f32,
    /// One minus the betas, rounded once: in `f32` the difference would lose five digits.
    shares: (f32, f32),
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
    added_decay: f32,
    kept: f32,
}

impl Line {
    #[inline(always)]
    fn move_one(&self, value: &mut f32, gradient: f32, (first, second): (&mut f32, &mut f32)) {
        *value *= self.kept;
        let gradient = gradient + self.added_decay * *value;
        *first += (gradient - *first) * self.shares.0;
        *second = *second * self.beta_squares + self.shares.1 * gradient * gradient;
        let root = second.sqrt() / self.root_correction + self.epsilon;
        *value -= self.step_size * *first / root;
    }

    /// As [`Line::move_one`], of whole vectors.
    fn move_all(
        &self,
        values: Tensor<1>,
        gradient: Tensor<1>,
        (first, second): (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, (Tensor<1>, Tensor<1>)) {
        let values = if self.kept == 1.0 { values } else { values.mul_scalar(self.kept) };
        let gradient = match self.added_decay {
            0.0 => gradient,
            decay => gradient + values.clone().mul_scalar(decay),
        };
        let towards = (gradient.clone() - first.clone()).mul_scalar(self.shares.0);
        let first = first + towards;
        let squares = gradient.clone().mul_scalar(self.shares.1) * gradient;
        let second = second.mul_scalar(self.beta_squares) + squares;
        let root = second.clone().sqrt().div_scalar(self.root_correction).add_scalar(self.epsilon);
        let values = values - first.clone().mul_scalar(self.step_size) / root;
        (values, (first, second))
    }
}

#[cfg(test)]
mod tests {
    use esrgan_model::ComputeDevice;

    use super::*;

    fn parameters() -> Parameters {
        let mut parameters = Parameters::new();
        parameters.push("a".to_owned(), vec![2], vec![1.0, -2.0]);
        parameters.push("b".to_owned(), vec![1], vec![0.5]);
        parameters
    }

    /// The first step is the learning rate in the gradient's direction, whatever its size.
    #[test]
    fn steps_are_those_of_the_algorithm() {
        let mut parameters = parameters();
        let mut adam = Adam::new(AdamSettings::default(), &parameters);
        adam.update(&mut parameters, &[vec![3.0, -0.01], Vec::new()], 0.1);
        let values = |parameters: &Parameters, name| parameters.get(name).unwrap().values.to_vec();
        let found = values(&parameters, "a");
        assert!((found[0] - 0.9).abs() < 1e-6 && (found[1] + 1.9).abs() < 1e-6, "{found:?}");
        assert_eq!(values(&parameters, "b"), [0.5]);
        adam.update(&mut parameters, &[vec![1.0, 0.0], vec![0.0]], 0.1);
        // m = 0.9 * 0.3 + 0.1, v = 0.999 * 0.009 + 0.001; corrected by 1 - 0.81 and 1 - 0.998001.
        let (m, v) = (0.37_f64 / 0.19, 0.009_991_f64 / 0.001_999);
        let expected = 0.9 - 0.1 * m / (v.sqrt() + 1e-8);
        assert!((f64::from(values(&parameters, "a")[0]) - expected).abs() < 1e-6);
        assert_eq!(adam.step(), 2);
    }

    #[test]
    fn decay_shrinks_weights_by_itself_or_through_the_gradient() {
        for is_decoupled in [true, false] {
            let settings = AdamSettings { weight_decay: 0.1, is_decoupled, ..AdamSettings::default() };
            let mut parameters = parameters();
            Adam::new(settings, &parameters).update(&mut parameters, &[vec![0.0; 2], vec![0.0]], 0.01);
            let found = parameters.get("a").unwrap().values[0];
            let expected = if is_decoupled { 1.0 - 0.01 * 0.1 } else { 0.99 };
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }

    /// Both ways, one after the other, are those of the host alone, but for what a device rounds otherwise.
    #[test]
    fn steps_on_a_device_are_those_of_the_host() {
        for is_decoupled in [true, false] {
            let settings = AdamSettings { weight_decay: 0.1, is_decoupled, ..AdamSettings::default() };
            let mut on_host = parameters();
            let mut moving = parameters();
            let (mut expected, mut found) = (Adam::new(settings, &on_host), Adam::new(settings, &moving));
            for (step, device) in
                [ComputeDevice::Reference, ComputeDevice::Processor, ComputeDevice::Reference]
                    .into_iter()
                    .enumerate()
            {
                let gradients = vec![vec![3.0 - step as f32, -0.01], vec![0.5]];
                expected.update(&mut on_host, &gradients, 0.1);
                moving.move_to(device);
                match moving.resident().map(|resident| resident.of_host_like(&gradients)) {
                    Some(gradient) => {
                        let gradient = gradient.expect("as many values").values();
                        found.update_resident(&mut moving, gradient, 0.1);
                    }
                    None => found.update(&mut moving, &gradients, 0.1),
                }
            }
            assert_eq!(found.step(), 3);
            let pairs = |(first, second): &(Vec<f32>, Vec<f32>)| [first.clone(), second.clone()].concat();
            let all = |parameters: &Parameters, adam: &Adam| -> Vec<f32> {
                let host = parameters.on_host();
                let values = host.iter().flat_map(|parameter| parameter.values.to_vec());
                values.chain(adam.moments().iter().flat_map(pairs)).collect()
            };
            let (expected, found) = (all(&on_host, &expected), all(&moving, &found));
            assert_eq!(expected.len(), 9);
            for (found, expected) in found.iter().zip(&expected) {
                // Some ten operations of a rounding each, three times.
                assert!(
                    (found - expected).abs() <= 30.0 * f32::EPSILON * expected.abs(),
                    "{found} {expected}"
                );
            }
        }
    }

    #[test]
    fn what_it_remembers_must_fit() {
        let parameters = parameters();
        let adam = Adam::new(AdamSettings::default(), &parameters);
        let moments = adam.moments().into_owned();
        assert_eq!(Adam::resume(AdamSettings::default(), &parameters, 0, moments.clone()), Some(adam));
        assert_eq!(Adam::resume(AdamSettings::default(), &parameters, 0, moments[1..].to_vec()), None);
    }
}
