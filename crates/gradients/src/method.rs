//! The two ways to compute 3x3 convolutions and the gradients of their weights: in `f32` over transformed maps, in bf16 over
//! paired rows.

use std::sync::OnceLock;

use esrgan_kernels::{Arena, CHANNELS_PER_BLOCK, Isa, Kernel, PackedConv, PackedKind, blocks_for};
use rayon::prelude::*;

use crate::map::FeatureMap;
use crate::paired::Phases;
use crate::transformed::{After, ProductSums, Transformed, chunks, convolve, convolve_map, units_of};

/// In what convolutions multiply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32`.
    #[default]
    F32,
    /// bf16 with sums in `f32`: maps, gradients and weights are rounded where a product reads them, and kept in `f32`. Fast
    /// where [`Isa::has_native_bf16`]; other sets compute the same in plain Rust.
    Bf16,
}

/// The filters of a 3x3 convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterBank<'a> {
    /// Channels of each input.
    pub(crate) inputs: &'a [usize],
    pub(crate) out_channels: usize,
    /// `[output channel][input channel][3][3]`.
    pub(crate) weights: &'a [f32],
    pub(crate) biases: Option<&'a [f32]>,
    /// How many times the map is enlarged by repetition first.
    pub(crate) factor: usize,
}

impl FilterBank<'_> {
    /// Packs blocks of output channels side by side, each into one convolution for each phase.
    ///
    /// # Panics
    /// Where there are not as many weights as the channels ask for.
    pub(crate) fn pack(&self, part: impl Fn(FilterBank<'_>) -> Vec<PackedConv> + Sync) -> Vec<PackedConv> {
        let Self { inputs, out_channels, weights, biases, .. } = *self;
        let filters = inputs.iter().sum::<usize>() * 9;
        assert_eq!(weights.len(), filters * out_channels, "weights of {inputs:?} to {out_channels} channels");
        assert!(
            biases.is_none_or(|biases| biases.len() == out_channels),
            "a bias for each of {out_channels} channels"
        );
        let of_block = |first: usize| {
            let outputs = first..out_channels.min(first + CHANNELS_PER_BLOCK);
            part(FilterBank {
                out_channels: outputs.len(),
                weights: &weights[outputs.start * filters..outputs.end * filters],
                biases: biases.map(|biases| &biases[outputs.clone()]),
                ..*self
            })
        };
        let blocks = (0..out_channels).into_par_iter().step_by(CHANNELS_PER_BLOCK);
        let mut parts = blocks.map(of_block).collect::<Vec<_>>().into_iter();
        let mut packed = parts.next().expect("a convolution has output channels");
        for part in parts {
            packed.iter_mut().zip(part).for_each(|(packed, part)| packed.join(part));
        }
        packed
    }
}

/// Where the packed filters of a 3x3 convolution stay whose weights and biases never change, in each precision from its first use
/// on: four times as large as the weights in `f32`, once for the output and once for the gradient of the input.
///
/// It belongs to the weights it was used with first, whatever it is used with later.
#[derive(Debug, Default)]
pub struct KeptFilters {
    pub(crate) winograd: KeptOf<PackedConv>,
    pub(crate) bf16: KeptOf<Phases>,
}

/// Packed filters for each direction.
#[derive(Debug)]
pub(crate) struct KeptOf<F> {
    pub(crate) forward: OnceLock<F>,
    pub(crate) back: OnceLock<F>,
}

impl<F> Default for KeptOf<F> {
    fn default() -> Self {
        Self { forward: OnceLock::new(), back: OnceLock::new() }
    }
}

/// A way to compute.
pub(crate) trait Method {
    /// Packed filters.
    type Filters: Send + Sync;
    /// A map as convolutions read it.
    type Input;
    /// A map as the gradients of the weights that saw it read it.
    type Seen;

    /// Packs filters.
    fn pack(bank: FilterBank<'_>) -> Self::Filters;
    /// Where filters stay that are kept.
    fn kept(kept: &KeptFilters) -> &KeptOf<Self::Filters>;
    /// Prepares a map for convolutions.
    fn read(isa: Isa, map: &FeatureMap<'_>) -> Self::Input;
    /// Convolves a batch: the inputs' channels follow each other, each input in blocks of its own.
    fn convolve(
        isa: Isa,
        inputs: &[&Self::Input],
        filters: &Self::Filters,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    );
    /// As [`Method::convolve`], and prepares the output for convolutions.
    fn convolve_and_read(
        isa: Isa,
        inputs: &[&Self::Input],
        filters: &Self::Filters,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) -> Self::Input {
        Self::convolve(isa, inputs, filters, after, output);
        Self::read(isa, output)
    }
    /// Convolves one map, enlarged by repetition as the filters were packed for.
    fn convolve_map(
        isa: Isa,
        map: (&FeatureMap<'_>, usize),
        filters: &Self::Filters,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    );
    /// Prepares a map for the gradients of weights.
    fn see(isa: Isa, map: &FeatureMap<'_>) -> Self::Seen;
    /// The gradient of the weights that made of inputs, of `channels` each, what has this gradient.
    fn weight_gradient(
        isa: Isa,
        seen: &[&Self::Seen],
        gradient: &FeatureMap<'_>,
        channels: (&[usize], usize),
    ) -> Vec<f32>;
    /// As [`Method::weight_gradient`], of one map enlarged by repetition, part of the batch after part.
    fn weight_gradient_of_map(
        isa: Isa,
        map: (&FeatureMap<'_>, usize),
        gradient: &FeatureMap<'_>,
        channels: (usize, usize),
    ) -> Vec<f32>;
}

/// In `f32`, over maps transformed by Winograd's F(4x4, 3x3).
pub(crate) enum Winograd {}

impl Method for Winograd {
    type Filters = PackedConv;
    type Input = Transformed;
    type Seen = Transformed;

    fn pack(bank: FilterBank<'_>) -> PackedConv {
        let kind = PackedKind::OverTransformed;
        let blocks = PackedConv::weight_blocks(kind, Kernel::CENTRED_3X3, bank.inputs, bank.out_channels);
        // One for all parts, which the system then gives large pages for.
        let arena = Arena::new(blocks);
        let packed = bank.pack(|FilterBank { inputs, out_channels, weights, biases, .. }| {
            let packed = PackedConv::new_over_transformed(&arena, inputs, out_channels, weights, biases);
            vec![packed.expect("as many values as the channels ask for")]
        });
        packed.into_iter().next().expect("one phase")
    }

    fn kept(kept: &KeptFilters) -> &KeptOf<PackedConv> {
        &kept.winograd
    }

    fn read(isa: Isa, map: &FeatureMap<'_>) -> Transformed {
        let [samples, _, height, _] = map.shape();
        Transformed::of_inputs(isa, map, units_of(samples, height), 1)
    }

    fn convolve(
        _: Isa,
        inputs: &[&Transformed],
        filters: &PackedConv,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) {
        convolve(inputs, filters, after, output);
    }

    fn convolve_map(
        isa: Isa,
        map: (&FeatureMap<'_>, usize),
        filters: &PackedConv,
        after: After<'_>,
        output: &mut FeatureMap<'_>,
    ) {
        convolve_map(isa, map, filters, after, output);
    }

    fn see(isa: Isa, map: &FeatureMap<'_>) -> Transformed {
        Self::read(isa, map)
    }

    fn weight_gradient(
        isa: Isa,
        seen: &[&Transformed],
        gradient: &FeatureMap<'_>,
        (inputs, out_channels): (&[usize], usize),
    ) -> Vec<f32> {
        let [samples, _, height, _] = gradient.shape();
        let mut sums = ProductSums::new(all_blocks(inputs), gradient.blocks());
        sums.add(seen, &Transformed::of_gradient(isa, gradient, units_of(samples, height)));
        sums.filter_gradient(inputs, out_channels)
    }

    fn weight_gradient_of_map(
        isa: Isa,
        (input, factor): (&FeatureMap<'_>, usize),
        gradient: &FeatureMap<'_>,
        (in_channels, out_channels): (usize, usize),
    ) -> Vec<f32> {
        let mut sums = ProductSums::new(input.blocks(), gradient.blocks());
        let [samples, _, height, width] = gradient.shape();
        for units in chunks(units_of(samples, height), width, input.blocks() + gradient.blocks()) {
            let inputs = Transformed::of_inputs(isa, input, units.clone(), factor);
            sums.add(&[&inputs], &Transformed::of_gradient(isa, gradient, units));
        }
        sums.filter_gradient(&[in_channels], out_channels)
    }
}

/// Blocks of several inputs, each in blocks of its own.
pub(crate) fn all_blocks(inputs: &[usize]) -> usize {
    inputs.iter().map(|channels| blocks_for(*channels)).sum()
}

/// Block and lane of each channel of several inputs, each in blocks of its own.
pub(crate) fn places(inputs: &[usize]) -> Vec<(usize, usize)> {
    let mut places = Vec::with_capacity(inputs.iter().sum());
    let mut first_block = 0;
    for &channels in inputs {
        places.extend((0..channels).map(|c| (first_block + c / CHANNELS_PER_BLOCK, c % CHANNELS_PER_BLOCK)));
        first_block += blocks_for(channels);
    }
    places
}
