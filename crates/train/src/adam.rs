//! Adam and AdamW over a network's parameters.
//!
//! Kingma and Ba, "Adam", 2015, algorithm 1; Loshchilov and Hutter, "Decoupled weight decay", 2019. Operation by operation as
//! PyTorch computes them, in one pass over each tensor.

use esrgan_model::Parameters;
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
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    settings: AdamSettings,
    step: u64,
    /// For each parameter the means of its gradients and of their squares.
    moments: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Adam {
    /// An optimiser that has seen nothing.
    pub fn new(settings: AdamSettings, parameters: &Parameters) -> Self {
        let zeros = |count: usize| (vec![0.0; count], vec![0.0; count]);
        let moments = parameters.iter().map(|parameter| zeros(parameter.values.len())).collect();
        Self { settings, step: 0, moments }
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
                first.len() == parameter.values.len() && second.len() == parameter.values.len()
            });
        fits.then_some(Self { settings, step, moments })
    }

    /// Steps so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// For each parameter, in the parameters' order, the means of its gradients and of their squares.
    pub fn moments(&self) -> &[(Vec<f32>, Vec<f32>)] {
        &self.moments
    }

    /// Moves the parameters by one step. A parameter without a gradient (an empty one) stays.
    pub fn update(&mut self, parameters: &mut Parameters, gradients: &[Vec<f32>], learning_rate: f64) {
        self.step += 1;
        let AdamSettings { betas, epsilon, weight_decay, is_decoupled } = self.settings;
        let steps = self.step as f64;
        let corrections = (1.0 - betas.0.powf(steps), 1.0 - betas.1.powf(steps));
        let line = Line {
            beta_squares: betas.1 as f32,
            shares: ((1.0 - betas.0) as f32, (1.0 - betas.1) as f32),
            step_size: (learning_rate / corrections.0) as f32,
            root_correction: corrections.1.sqrt() as f32,
            epsilon: epsilon as f32,
            added_decay: if is_decoupled { 0.0 } else { weight_decay as f32 },
            kept: if is_decoupled { (1.0 - learning_rate * weight_decay) as f32 } else { 1.0 },
        };
        let tensors: Vec<_> = parameters.values_mut().zip(gradients).zip(&mut self.moments).collect();
        tensors.into_par_iter().for_each(|((values, gradients), (first, second))| {
            let elements = values.iter_mut().zip(gradients).zip(first.iter_mut().zip(second.iter_mut()));
            elements.for_each(|((value, gradient), moments)| line.move_one(value, *gradient, moments));
        });
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
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_it_remembers_must_fit() {
        let parameters = parameters();
        let adam = Adam::new(AdamSettings::default(), &parameters);
        let moments = adam.moments().to_vec();
        assert_eq!(Adam::resume(AdamSettings::default(), &parameters, 0, moments.clone()), Some(adam));
        assert_eq!(Adam::resume(AdamSettings::default(), &parameters, 0, moments[1..].to_vec()), None);
    }
}
