//! The residual dense block: five 3x3 convolutions, each of everything before it.
//!
//! Wang et al., "ESRGAN", 2018, section 3.1; its backward pass has the shape of its forward pass: the gradient of a feature is
//! one convolution of the gradients of all later ones, so what is prepared of them is shared as the features' is.

use esrgan_kernels::Isa;
use rayon::prelude::*;

use crate::conv3x3::turned;
use crate::edge::{Edge, ringed, without_ring};
use crate::map::FeatureMap;
use crate::method::{FilterBank, Method, Precision, Winograd};
use crate::paired::Bf16;
use crate::transformed::After;

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
    /// What its convolutions see beyond the edge.
    pub edge: Edge,
    /// In what its convolutions multiply.
    pub precision: Precision,
}

/// What a forward pass leaves: its output, and the four features for the backward pass.
#[derive(Clone, Debug)]
pub struct DenseBlockPass {
    /// The output.
    pub output: FeatureMap<'static>,
    /// The features, within the [`Edge::ring`] that convolutions saw around them.
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
        match self.precision {
            Precision::F32 => self.forward_by::<Winograd>(isa, input),
            Precision::Bf16 => self.forward_by::<Bf16>(isa, input),
        }
    }

    fn forward_by<M: Method>(&self, isa: Isa, input: &FeatureMap<'_>) -> DenseBlockPass {
        let packed: Vec<M::Filters> = (0..CONVOLUTIONS)
            .into_par_iter()
            .map(|index| {
                M::pack(FilterBank {
                    inputs: &self.inputs(index),
                    out_channels: self.outputs(index),
                    weights: self.weights[index],
                    biases: Some(self.biases[index]),
                    factor: 1,
                })
            })
            .collect();
        let input = &self.edge.around(input);
        let mut read = vec![M::read(isa, input)];
        let features = std::array::from_fn(|index| {
            let mut feature = FeatureMap::to_overwrite_like(input, self.growth);
            let inputs: Vec<&M::Input> = read.iter().collect();
            let after = After { slope: Some(SLOPE), residual: None };
            read.push(match self.edge {
                Edge::Zero => M::convolve_and_read(isa, &inputs, &packed[index], after, &mut feature),
                edge @ Edge::Replicate => {
                    M::convolve(isa, &inputs, &packed[index], after, &mut feature);
                    edge.write(&mut feature);
                    M::read(isa, &feature)
                }
            });
            feature
        });
        let mut output = FeatureMap::to_overwrite_like(input, self.features);
        let inputs: Vec<&M::Input> = read.iter().collect();
        let after = After { slope: None, residual: Some((self.scale, input)) };
        M::convolve(isa, &inputs, &packed[CONVOLUTIONS - 1], after, &mut output);
        DenseBlockPass { output: without_ring(output, self.edge.ring()), features }
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
        match self.precision {
            Precision::F32 => self.backward_by::<Winograd>(isa, (input, features), gradient),
            Precision::Bf16 => self.backward_by::<Bf16>(isa, (input, features), gradient),
        }
    }

    fn backward_by<M: Method>(
        &self,
        isa: Isa,
        (input, features): (&FeatureMap<'_>, &[FeatureMap<'_>]),
        gradient: &FeatureMap<'_>,
    ) -> DenseBlockGradients {
        let (of_input, sums) = self.sum_gradients::<M>(isa, features, &ringed(gradient, self.edge.ring()));
        let seen = (&self.edge.around(input), features);
        let (weights, biases) = self.parameter_gradients::<M>(isa, seen, &sums);
        DenseBlockGradients { input: of_input, weights, biases }
    }

    /// The gradients of the input and of the convolutions' sums, the first convolution first. The output's gradient and those of
    /// the sums lie in a ring of zeros.
    pub(crate) fn sum_gradients<M: Method>(
        &self,
        isa: Isa,
        features: &[FeatureMap<'_>],
        gradient: &FeatureMap<'_>,
    ) -> (FeatureMap<'static>, Vec<FeatureMap<'static>>) {
        let packed: Vec<M::Filters> =
            (0..CONVOLUTIONS).into_par_iter().map(|part| self.pack_backward::<M>(part)).collect();
        // From the last to the first, and as convolutions read them.
        let mut sums = vec![gradient.scaled(self.scale)];
        let mut read = vec![M::read(isa, &sums[0])];
        for part in (1..CONVOLUTIONS).rev() {
            let mut sum = FeatureMap::to_overwrite_like(gradient, self.growth);
            let inputs: Vec<&M::Input> = read.iter().collect();
            M::convolve(isa, &inputs, &packed[part], After::default(), &mut sum);
            self.edge.fold(&mut sum);
            sum.mask(&features[part - 1], SLOPE);
            read.push(M::read(isa, &sum));
            sums.push(sum);
        }
        let mut of_input = FeatureMap::to_overwrite_like(gradient, self.features);
        let inputs: Vec<&M::Input> = read.iter().collect();
        let after = After { slope: None, residual: Some((1.0, gradient)) };
        M::convolve(isa, &inputs, &packed[0], after, &mut of_input);
        self.edge.fold(&mut of_input);
        sums.reverse();
        (without_ring(of_input, self.edge.ring()), sums)
    }

    /// The filters by which the gradients of the sums of all later convolutions, the last first, become that of the input
    /// (`part` 0) or of a feature.
    fn pack_backward<M: Method>(&self, part: usize) -> M::Filters {
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
        M::pack(FilterBank {
            inputs: &inputs,
            out_channels: channels,
            weights: &exchanged,
            biases: None,
            factor: 1,
        })
    }

    /// Gradients of weights and biases from those of the convolutions' sums, the first convolution first.
    fn parameter_gradients<M: Method>(
        &self,
        isa: Isa,
        (input, features): (&FeatureMap<'_>, &[FeatureMap<'_>]),
        sums: &[FeatureMap<'_>],
    ) -> ([Vec<f32>; CONVOLUTIONS], [Vec<f32>; CONVOLUTIONS]) {
        let seen: Vec<M::Seen> = std::iter::once(input).chain(features).map(|map| M::see(isa, map)).collect();
        let weights = std::array::from_fn(|index| {
            let seen: Vec<&M::Seen> = seen[..=index].iter().collect();
            M::weight_gradient(isa, &seen, &sums[index], (&self.inputs(index), self.outputs(index)))
        });
        (weights, std::array::from_fn(|index| sums[index].channel_sums()))
    }
}
