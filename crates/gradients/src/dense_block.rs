//! The residual dense block: five 3x3 convolutions, each of everything before it.
//!
//! Wang et al., "ESRGAN", 2018, section 3.1; its backward pass has the shape of its forward pass: the gradient of a feature is
//! one convolution of the gradients of all later ones, so their transforms are shared as the features' are.

use esrgan_kernels::{Isa, PackedConv, blocks_for};
use rayon::prelude::*;

use crate::conv3x3::{pack, turned};
use crate::map::FeatureMap;
use crate::transformed::{After, ProductSums, Transformed, convolve, units_of};

/// Convolutions of a block.
const CONVOLUTIONS: usize = 5;
/// The slope of the leaky ReLU behind all but the last.
const SLOPE: f32 = 0.2;

/// A residual dense block: `output = input + scale * conv5([input, f1, f2, f3, f4])` with
/// `f_k = leaky_relu(conv_k([input, f1, .., f_(k-1)]), 0.2)`.
#[derive(Clone, Copy, Debug)]
pub struct DenseBlock<'a> {
    /// Weights of each convolution, `[output channel][input channel][3][3]`.
    pub weights: [&'a [f32]; CONVOLUTIONS],
    /// Biases of each convolution.
    pub biases: [&'a [f32]; CONVOLUTIONS],
    /// Channels of the input and of the output.
    pub features: usize,
    /// Channels that each of the first four convolutions adds.
    pub growth: usize,
    /// What the last convolution is multiplied with, 0.2 in the paper.
    pub scale: f32,
}

/// What a forward pass leaves: its output, and the four features for the backward pass.
#[derive(Clone, Debug)]
pub struct DenseBlockPass {
    /// The output.
    pub output: FeatureMap<'static>,
    /// The features.
    pub features: [FeatureMap<'static>; CONVOLUTIONS - 1],
}

/// The gradients of a dense block.
#[derive(Clone, Debug)]
pub struct DenseBlockGradients {
    /// Of the input.
    pub input: FeatureMap<'static>,
    /// Of the weights, in their layout.
    pub weights: [Vec<f32>; CONVOLUTIONS],
    /// Of the biases.
    pub biases: [Vec<f32>; CONVOLUTIONS],
}

impl DenseBlock<'_> {
    /// Channels of the input and of the features before convolution `index`.
    fn inputs(&self, index: usize) -> Vec<usize> {
        let mut inputs = vec![self.growth; index + 1];
        inputs[0] = self.features;
        inputs
    }

    fn outputs(&self, index: usize) -> usize {
        if index + 1 == CONVOLUTIONS { self.features } else { self.growth }
    }

    /// The output, and what the backward pass needs.
    ///
    /// # Panics
    /// Where weights, biases and the input do not have the channels' shape.
    pub fn forward(&self, isa: Isa, input: &FeatureMap<'_>) -> DenseBlockPass {
        assert_eq!(input.shape()[1], self.features, "channels of the input");
        let packed: Vec<PackedConv> = (0..CONVOLUTIONS)
            .into_par_iter()
            .map(|index| {
                let inputs = self.inputs(index);
                pack(&inputs, self.outputs(index), self.weights[index], Some(self.biases[index]))
            })
            .collect();
        let units = units_of(input.shape()[0], input.shape()[2]);
        let mut transformed = vec![Transformed::of_inputs(isa, input, units.clone(), 1)];
        let features = std::array::from_fn(|index| {
            let mut feature = FeatureMap::to_overwrite_like(input, self.growth);
            let inputs: Vec<&Transformed> = transformed.iter().collect();
            convolve(&inputs, &packed[index], After { slope: Some(SLOPE), residual: None }, &mut feature);
            transformed.push(Transformed::of_inputs(isa, &feature, units.clone(), 1));
            feature
        });
        let mut output = FeatureMap::to_overwrite_like(input, self.features);
        let inputs: Vec<&Transformed> = transformed.iter().collect();
        let after = After { slope: None, residual: Some((self.scale, input)) };
        convolve(&inputs, &packed[CONVOLUTIONS - 1], after, &mut output);
        DenseBlockPass { output, features }
    }

    /// The gradients, from the input, the features that the forward pass left, and the output's gradient.
    ///
    /// # Panics
    /// Where a map has another shape than forward.
    pub fn backward(
        &self,
        isa: Isa,
        input: &FeatureMap<'_>,
        features: &[FeatureMap<'_>; CONVOLUTIONS - 1],
        gradient: &FeatureMap<'_>,
    ) -> DenseBlockGradients {
        assert_eq!(gradient.shape(), input.shape(), "the gradient's shape");
        let packed: Vec<PackedConv> =
            (0..CONVOLUTIONS).into_par_iter().map(|part| self.pack_backward(part)).collect();
        let units = units_of(gradient.shape()[0], gradient.shape()[2]);
        // Gradients of the convolutions' sums, from the last to the first, and their transforms.
        let mut sums = vec![gradient.scaled(self.scale)];
        let mut transformed = vec![Transformed::of_inputs(isa, &sums[0], units.clone(), 1)];
        for part in (1..CONVOLUTIONS).rev() {
            let mut sum = FeatureMap::to_overwrite_like(gradient, self.growth);
            let inputs: Vec<&Transformed> = transformed.iter().collect();
            convolve(&inputs, &packed[part], After::default(), &mut sum);
            sum.mask(&features[part - 1], SLOPE);
            transformed.push(Transformed::of_inputs(isa, &sum, units.clone(), 1));
            sums.push(sum);
        }
        let mut of_input = FeatureMap::to_overwrite_like(gradient, self.features);
        let inputs: Vec<&Transformed> = transformed.iter().collect();
        convolve(&inputs, &packed[0], After { slope: None, residual: Some((1.0, gradient)) }, &mut of_input);
        drop(transformed);
        sums.reverse();
        let (weights, biases) = self.parameter_gradients(isa, (input, features), &sums);
        DenseBlockGradients { input: of_input, weights, biases }
    }

    /// The filters by which the gradients of the sums of all later convolutions, the last first, become that of the input
    /// (`part` 0) or of a feature.
    fn pack_backward(&self, part: usize) -> PackedConv {
        let channels = if part == 0 { self.features } else { self.growth };
        let first = if part == 0 { 0 } else { self.features + (part - 1) * self.growth };
        let later: Vec<usize> = (part..CONVOLUTIONS).rev().collect();
        let mut exchanged = Vec::new();
        for input in first..first + channels {
            for &convolution in &later {
                let inputs: usize = self.inputs(convolution).iter().sum();
                for output in 0..self.outputs(convolution) {
                    exchanged
                        .extend(turned(&self.weights[convolution][(output * inputs + input) * 9..][..9]));
                }
            }
        }
        let inputs: Vec<usize> = later.iter().map(|&convolution| self.outputs(convolution)).collect();
        pack(&inputs, channels, &exchanged, None)
    }

    /// Gradients of weights and biases from those of the convolutions' sums, the first convolution first.
    fn parameter_gradients(
        &self,
        isa: Isa,
        (input, features): (&FeatureMap<'_>, &[FeatureMap<'_>]),
        sums: &[FeatureMap<'_>],
    ) -> ([Vec<f32>; CONVOLUTIONS], [Vec<f32>; CONVOLUTIONS]) {
        let units = units_of(input.shape()[0], input.shape()[2]);
        let features: Vec<Transformed> = std::iter::once(input)
            .chain(features)
            .map(|map| Transformed::of_inputs(isa, map, units.clone(), 1))
            .collect();
        let weights = std::array::from_fn(|index| {
            let inputs = self.inputs(index);
            let blocks = inputs.iter().map(|channels| blocks_for(*channels)).sum();
            let mut products = ProductSums::new(blocks, blocks_for(self.outputs(index)));
            let features: Vec<&Transformed> = features[..=index].iter().collect();
            products.add(&features, &Transformed::of_gradient(isa, &sums[index], units.clone()));
            products.filter_gradient(&inputs, self.outputs(index))
        });
        (weights, std::array::from_fn(|index| sums[index].channel_sums()))
    }
}
