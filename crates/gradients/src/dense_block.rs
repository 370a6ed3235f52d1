//! The residual dense block: five 3x3 convolutions, each of everything before it.
//!
//! Wang et al., "ESRGAN", 2018, section 3.1; its backward pass has the shape of its forward pass: the gradient of a feature is
//! one convolution of the gradients of all later ones, so their transforms are shared as the features' are.

use esrgan_kernels::{Isa, PackedConv, blocks_for};
use rayon::prelude::*;

use crate::conv3x3::{pack, turned};
use crate::map::FeatureMap;
use crate::transformed::{After, ProductSums, Transformed, convolve};

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

/// What a forward pass leaves for the backward pass.
#[derive(Clone, Debug)]
pub struct DenseBlockPass {
    /// The input and the four features.
    maps: [FeatureMap; CONVOLUTIONS],
}

/// The gradients of a dense block.
#[derive(Clone, Debug)]
pub struct DenseBlockGradients {
    /// Of the input.
    pub input: FeatureMap,
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
    pub fn forward(&self, isa: Isa, input: FeatureMap) -> (FeatureMap, DenseBlockPass) {
        assert_eq!(input.shape()[1], self.features, "channels of the input");
        let packed: Vec<PackedConv> = (0..CONVOLUTIONS)
            .into_par_iter()
            .map(|index| {
                let inputs = self.inputs(index);
                pack(&inputs, self.outputs(index), self.weights[index], Some(self.biases[index]))
            })
            .collect();
        let mut output = FeatureMap::zeros_like(&input, self.features);
        let mut maps = vec![input];
        let mut transformed: Vec<Transformed> = Vec::with_capacity(CONVOLUTIONS);
        for (index, packed) in packed.iter().enumerate() {
            transformed.push(Transformed::of_inputs(isa, &maps[index], 1));
            let inputs: Vec<&Transformed> = transformed.iter().collect();
            if index + 1 == CONVOLUTIONS {
                let after = After { slope: None, residual: Some((self.scale, &maps[0])) };
                convolve(&inputs, packed, after, &mut output);
            } else {
                let mut feature = FeatureMap::zeros_like(&maps[0], self.growth);
                convolve(&inputs, packed, After { slope: Some(SLOPE), residual: None }, &mut feature);
                maps.push(feature);
            }
        }
        let maps = maps.try_into().unwrap_or_else(|_| unreachable!("the input and four features"));
        (output, DenseBlockPass { maps })
    }

    /// The gradients, from that of the output.
    ///
    /// # Panics
    /// Where the gradient has another shape than the output.
    pub fn backward(&self, isa: Isa, pass: &DenseBlockPass, gradient: &FeatureMap) -> DenseBlockGradients {
        assert_eq!(gradient.shape(), pass.maps[0].shape(), "the gradient's shape");
        let packed: Vec<PackedConv> =
            (0..CONVOLUTIONS).into_par_iter().map(|part| self.pack_backward(part)).collect();
        // Gradients of the convolutions' sums, from the last to the first, and their transforms.
        let mut sums = FeatureMap::zeros_like(gradient, self.features);
        sums.add(gradient, self.scale);
        let mut later = vec![sums];
        let mut transformed: Vec<Transformed> = Vec::with_capacity(CONVOLUTIONS);
        for part in (0..CONVOLUTIONS).rev() {
            transformed.push(Transformed::of_inputs(isa, &later[later.len() - 1], 1));
            let inputs: Vec<&Transformed> = transformed.iter().collect();
            if part == 0 {
                let mut input = FeatureMap::zeros_like(gradient, self.features);
                convolve(
                    &inputs,
                    &packed[0],
                    After { slope: None, residual: Some((1.0, gradient)) },
                    &mut input,
                );
                later.push(input);
            } else {
                let mut feature = FeatureMap::zeros_like(gradient, self.growth);
                convolve(&inputs, &packed[part], After::default(), &mut feature);
                feature.mask(&pass.maps[part], SLOPE);
                later.push(feature);
            }
        }
        drop(transformed);
        let input = later.pop().expect("the input's gradient was pushed last");
        later.reverse();
        let (weights, biases) = self.parameter_gradients(isa, pass, &later);
        DenseBlockGradients { input, weights, biases }
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
        pass: &DenseBlockPass,
        sums: &[FeatureMap],
    ) -> ([Vec<f32>; CONVOLUTIONS], [Vec<f32>; CONVOLUTIONS]) {
        let features: Vec<Transformed> =
            pass.maps.iter().map(|map| Transformed::of_inputs(isa, map, 1)).collect();
        let weights = std::array::from_fn(|index| {
            let inputs = self.inputs(index);
            let blocks = inputs.iter().map(|channels| blocks_for(*channels)).sum();
            let mut products = ProductSums::new(blocks, blocks_for(self.outputs(index)));
            let features: Vec<&Transformed> = features[..=index].iter().collect();
            products.add(&features, &Transformed::of_gradient(isa, &sums[index]));
            products.filter_gradient(&inputs, self.outputs(index))
        });
        (weights, std::array::from_fn(|index| sums[index].channel_sums()))
    }
}
