//! The centred 3x3 convolution.

use std::sync::OnceLock;

use esrgan_kernels::Isa;

use crate::edge::{Edge, ringed, without_ring};
use crate::map::FeatureMap;
use crate::method::{FilterBank, KeptFilters, Method, Precision, Winograd};
use crate::paired::Bf16;
use crate::transformed::After;

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
    /// What it sees beyond the edge.
    pub edge: Edge,
    /// In what it multiplies.
    pub precision: Precision,
    /// Where the packed weights and biases stay from one use to the next, if these are always the same ones.
    pub kept: Option<&'a KeptFilters>,
}

/// The gradients of a convolution.
#[derive(Clone, Debug)]
pub struct Conv3x3Gradients {
    /// Of the input, if it was asked for.
    pub input: Option<FeatureMap<'static>>,
    /// Of the weights, in their layout, and of the biases, if they were asked for.
    pub parameters: Option<(Vec<f32>, Vec<f32>)>,
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
        let input = &self.edge.around(input);
        let [samples, channels, height, width] = input.shape();
        assert_eq!(channels, self.channels.0, "channels of the input");
        let mut output =
            FeatureMap::to_overwrite(samples, self.channels.1, height * self.factor, width * self.factor);
        let after = After { slope: self.slope, residual: None };
        match self.precision {
            Precision::F32 => self.convolve::<Winograd>(isa, input, after, &mut output),
            Precision::Bf16 => self.convolve::<Bf16>(isa, input, after, &mut output),
        }
        without_ring(output, self.edge.ring() * self.factor)
    }

    fn convolve<M: Method>(
        &self,
        isa: Isa,
        input: &FeatureMap<'_>,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) {
        let pack = || {
            M::pack(FilterBank {
                inputs: &[self.channels.0],
                out_channels: self.channels.1,
                weights: self.weights,
                biases: self.biases,
                factor: self.factor,
            })
        };
        let own = OnceLock::new();
        let place = self.kept.map_or(&own, |kept| &M::kept(kept).forward);
        M::convolve_map(isa, (input, self.factor), packed(place, pack), after, output);
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
        let gradient = ringed(&gradient, self.edge.ring() * self.factor);
        let parameters = input.map(|input| {
            let map = (&self.edge.around(input), self.factor);
            let weights = match self.precision {
                Precision::F32 => Winograd::weight_gradient_of_map(isa, map, &gradient, self.channels),
                Precision::Bf16 => Bf16::weight_gradient_of_map(isa, map, &gradient, self.channels),
            };
            (weights, gradient.channel_sums())
        });
        let input = wants_input.then(|| {
            let enlarged = self.input_gradient(isa, &gradient);
            let mut found = if self.factor == 1 { enlarged } else { enlarged.sums_of_squares(self.factor) };
            self.edge.fold(&mut found);
            without_ring(found, self.edge.ring())
        });
        Conv3x3Gradients { input, parameters }
    }

    /// The gradient of the enlarged input.
    fn input_gradient(&self, isa: Isa, gradient: &FeatureMap<'_>) -> FeatureMap<'static> {
        let mut result = FeatureMap::to_overwrite_like(gradient, self.channels.0);
        match self.precision {
            Precision::F32 => self.convolve_back::<Winograd>(isa, gradient, &mut result),
            Precision::Bf16 => self.convolve_back::<Bf16>(isa, gradient, &mut result),
        }
        result
    }

    /// The convolution with the filters turned and their channels exchanged.
    fn convolve_back<M: Method>(&self, isa: Isa, gradient: &FeatureMap<'_>, result: &mut FeatureMap<'_>) {
        let (inputs, outputs) = self.channels;
        let pack = || {
            let mut exchanged = Vec::with_capacity(self.weights.len());
            for input in 0..inputs {
                for output in 0..outputs {
                    exchanged.extend(turned(&self.weights[(output * inputs + input) * 9..][..9]));
                }
            }
            M::pack(FilterBank {
                inputs: &[outputs],
                out_channels: inputs,
                weights: &exchanged,
                biases: None,
                factor: 1,
            })
        };
        let own = OnceLock::new();
        let place = self.kept.map_or(&own, |kept| &M::kept(kept).back);
        M::convolve_map(isa, (gradient, 1), packed(place, pack), After::default(), result);
    }
}

/// What lies at a place; nobody waits for it there, since threads that pack lend themselves to other work meanwhile.
fn packed<F>(place: &OnceLock<F>, pack: impl FnOnce() -> F) -> &F {
    match place.get() {
        Some(filters) => filters,
        None => {
            let filters = pack();
            place.get_or_init(|| filters)
        }
    }
}
