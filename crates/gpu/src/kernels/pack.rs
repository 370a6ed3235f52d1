//! Weights in the order in which kernels read them.

use super::direct::{CHUNK, TILE_OUTPUTS};
use super::{matrix, padded};

/// A convolution's weights as a model has them.
#[derive(Clone, Debug)]
pub(crate) struct PackedConvolution {
    /// Channels of each source, without the lanes that fill them up.
    pub(crate) sources: Vec<usize>,
    /// Output channels.
    pub(crate) outputs: usize,
    /// `[output][input][row][column]`.
    pub(crate) weights: Vec<f32>,
    /// One for each output; none are zeros.
    pub(crate) biases: Option<Vec<f32>>,
    /// What multiplies negative sums of each output.
    pub(crate) slopes: Option<Vec<f32>>,
}

impl PackedConvolution {
    /// Input channels of all sources.
    fn inputs(&self) -> usize {
        self.sources.iter().sum()
    }

    /// Places of the filled-up sources behind each other: the input channel that lies there, if any.
    fn places(&self) -> Vec<Option<usize>> {
        let mut places = Vec::new();
        let mut first = 0;
        for &channels in &self.sources {
            places.extend((0..padded(channels)).map(|lane| (lane < channels).then_some(first + lane)));
            first += channels;
        }
        places
    }

    fn weight(&self, output: usize, input: Option<usize>, tap: usize) -> f32 {
        match input {
            Some(input) if output < self.outputs => self.weights[(output * self.inputs() + input) * 9 + tap],
            _ => 0.0,
        }
    }

    /// For the direct kernel: `[block of outputs][chunk][channel][tap][output]`.
    pub(crate) fn direct(&self) -> Vec<f32> {
        let places = self.places();
        let blocks = padded(self.outputs).div_ceil(TILE_OUTPUTS as usize);
        let mut packed = Vec::with_capacity(blocks * places.len() * 9 * TILE_OUTPUTS as usize);
        for block in 0..blocks {
            for chunk in places.chunks(CHUNK as usize) {
                for &input in chunk {
                    for tap in 0..9 {
                        let outputs = block * TILE_OUTPUTS as usize..(block + 1) * TILE_OUTPUTS as usize;
                        packed.extend(outputs.map(|output| self.weight(output, input, tap)));
                    }
                }
            }
        }
        packed
    }

    /// For the matrix kernel: `[chunk][tap][channel][output]`.
    pub(crate) fn matrix(&self) -> Vec<f32> {
        let places = self.places();
        let outputs = padded(self.outputs);
        let mut packed = Vec::with_capacity(places.len() * 9 * outputs);
        for chunk in places.chunks(matrix::CHUNK as usize) {
            for tap in 0..9 {
                for &input in chunk {
                    packed.extend((0..outputs).map(|output| self.weight(output, input, tap)));
                }
            }
        }
        packed
    }

    /// Biases, then slopes, filled up.
    pub(crate) fn channels(&self) -> Vec<f32> {
        let filled = |values: &Option<Vec<f32>>| {
            let values = values.as_deref().unwrap_or_default();
            (0..padded(self.outputs))
                .map(|output| values.get(output).copied().unwrap_or(0.0))
                .collect::<Vec<_>>()
        };
        let mut packed = filled(&self.biases);
        if self.slopes.is_some() {
            packed.extend(filled(&self.slopes));
        }
        packed
    }
}
