//! The centred 3x3 convolution, zeros around the map.

use esrgan_kernels::{Arena, CHANNELS_PER_BLOCK, Isa, Kernel, PackedConv, PackedKind, blocks_for};
use rayon::prelude::*;

use crate::map::FeatureMap;
use crate::transformed::{After, ProductSums, Transformed, chunks, convolve_map, units_of};

/// A 3x3 convolution, optionally of the map enlarged by repetition, with an optional leaky ReLU behind it.
#[derive(Clone, Copy, Debug)]
pub struct Conv3x3<'a> {
    /// `[output channel][input channel][3][3]`.
    pub weights: &'a [f32],
    /// One for each output channel.
    pub biases: Option<&'a [f32]>,
    /// Input and output channels.
    pub channels: (usize, usize),
    /// How many times the map is enlarged by repetition first; 1 for none.
    pub factor: usize,
    /// The slope of the leaky ReLU for negative values; none for no activation.
    pub slope: Option<f32>,
}

/// The gradients of a convolution.
#[derive(Clone, Debug)]
pub struct Conv3x3Gradients {
    /// Of the input, if it was asked for.
    pub input: Option<FeatureMap<'static>>,
    /// Of the weights, in their layout, and of the biases, if they were asked for.
    pub parameters: Option<(Vec<f32>, Vec<f32>)>,
}

/// Packs 3x3 filters for transformed maps, blocks of output channels side by side.
///
/// # Panics
/// Where there are not as many weights as the channels ask for.
pub(crate) fn pack(
    inputs: &[usize],
    out_channels: usize,
    weights: &[f32],
    biases: Option<&[f32]>,
) -> PackedConv {
    let filters = inputs.iter().sum::<usize>() * 9;
    assert_eq!(weights.len(), filters * out_channels, "weights of {inputs:?} to {out_channels} channels");
    assert!(
        biases.is_none_or(|biases| biases.len() == out_channels),
        "a bias for each of {out_channels} channels"
    );
    let part = |first: usize| {
        let outputs = first..out_channels.min(first + CHANNELS_PER_BLOCK);
        let kind = PackedKind::OverTransformed;
        let arena = Arena::new(PackedConv::weight_blocks(kind, Kernel::CENTRED_3X3, inputs, outputs.len()));
        let weights = &weights[outputs.start * filters..outputs.end * filters];
        let biases = biases.map(|biases| &biases[outputs.clone()]);
        PackedConv::new_over_transformed(&arena, inputs, outputs.len(), weights, biases)
            .expect("as many values as the channels ask for")
    };
    let blocks = (0..out_channels).into_par_iter().step_by(CHANNELS_PER_BLOCK);
    let parts: Vec<PackedConv> = blocks.map(part).collect();
    let mut parts = parts.into_iter();
    let mut packed = parts.next().expect("a convolution has output channels");
    parts.for_each(|part| packed.join(part));
    packed
}

/// One filter turned by half a turn: what the gradient of the input sees.
pub(crate) fn turned(filter: &[f32]) -> impl Iterator<Item = f32> {
    filter.iter().rev().copied()
}

impl Conv3x3<'_> {
    /// The output.
    ///
    /// # Panics
    /// Where weights, biases and the input do not have the channels' shape.
    pub fn forward(&self, isa: Isa, input: &FeatureMap<'_>) -> FeatureMap<'static> {
        let [samples, channels, height, width] = input.shape();
        assert_eq!(channels, self.channels.0, "channels of the input");
        let packed = pack(&[self.channels.0], self.channels.1, self.weights, self.biases);
        let mut output =
            FeatureMap::to_overwrite(samples, self.channels.1, height * self.factor, width * self.factor);
        let after = After { slope: self.slope, residual: None };
        convolve_map(isa, (input, self.factor), &packed, after, &mut output);
        output
    }

    /// The gradients, from that of the output: of the parameters where the input is given, of the input where it is wanted.
    ///
    /// `output` is what [`Conv3x3::forward`] returned: where there is an activation its signs are needed.
    ///
    /// # Panics
    /// Where the maps do not have the shapes that they had forward, and where an activation's output is missing.
    pub fn backward(
        &self,
        isa: Isa,
        (input, output): (Option<&FeatureMap<'_>>, Option<&FeatureMap<'_>>),
        mut gradient: FeatureMap<'_>,
        wants_input: bool,
    ) -> Conv3x3Gradients {
        if let Some(slope) = self.slope {
            gradient.mask(output.expect("the output of an activation"), slope);
        }
        let parameters = input.map(|input| {
            let mut sums = ProductSums::new(blocks_for(self.channels.0), blocks_for(self.channels.1));
            let [samples, _, height, width] = gradient.shape();
            for units in chunks(units_of(samples, height), width, input.blocks() + gradient.blocks()) {
                let inputs = Transformed::of_inputs(isa, input, units.clone(), self.factor);
                sums.add(&[&inputs], &Transformed::of_gradient(isa, &gradient, units));
            }
            (sums.filter_gradient(&[self.channels.0], self.channels.1), gradient.channel_sums())
        });
        let input = wants_input.then(|| {
            let enlarged = self.input_gradient(isa, &gradient);
            if self.factor == 1 { enlarged } else { enlarged.sums_of_squares(self.factor) }
        });
        Conv3x3Gradients { input, parameters }
    }

    /// The gradient of the enlarged input: the convolution with the filters turned and their channels exchanged.
    fn input_gradient(&self, isa: Isa, gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
        let (inputs, outputs) = self.channels;
        let mut exchanged = Vec::with_capacity(self.weights.len());
        for input in 0..inputs {
            for output in 0..outputs {
                exchanged.extend(turned(&self.weights[(output * inputs + input) * 9..][..9]));
            }
        }
        let packed = pack(&[outputs], inputs, &exchanged, None);
        let mut result = FeatureMap::to_overwrite_like(gradient, inputs);
        convolve_map(isa, (gradient, 1), &packed, After::default(), &mut result);
        result
    }
}
