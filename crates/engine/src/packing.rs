//! The weights of a network's layers: as the model has them, and packed for the kernels.
//!
//! Packed for the transformed domain they are four times as large as in `f32`: 267 MB for 64 features and 23 blocks. Packing
//! them takes as long as computing some hundred pixels, so a run whose groups are walked one after the other may pack each
//! group's weights when it comes to it, always into the same memory: see [`Weights`].

use std::ops::Range;
use std::sync::Arc;

use esrgan_kernels::{Arena, CHANNELS_PER_BLOCK, Kernel, PackShapeError, PackedConv, PackedKind};
use esrgan_weights::Tensor;
use rayon::prelude::*;

use crate::schedule::Group;

/// A convolution's weights as the model has them, and how to pack them.
#[derive(Clone, Debug)]
pub(crate) struct LayerWeights {
    /// Its stage.
    pub(crate) stage: usize,
    /// What the kernels read.
    pub(crate) kind: PackedKind,
    /// Its window, as published.
    pub(crate) kernel: Kernel,
    /// Enlargement before it.
    pub(crate) factor: usize,
    /// Channels of its inputs.
    pub(crate) inputs: Vec<usize>,
    /// Channels of its output.
    pub(crate) out_channels: usize,
    /// `[out][in][row][column]`.
    pub(crate) weights: Tensor,
    /// `[out]`, if it has any.
    pub(crate) biases: Option<Tensor>,
}

impl LayerWeights {
    /// Whether the tensors have the sizes that the network's shape asks for.
    pub(crate) fn is_consistent(&self) -> bool {
        let has_biases = self.biases.as_ref().is_none_or(|biases| biases.num_elements() == self.out_channels);
        self.weights.num_elements() == self.out_channels * self.weights_of_output() && has_biases
    }

    fn weights_of_output(&self) -> usize {
        self.inputs.iter().sum::<usize>() * self.kernel.rows * self.kernel.columns
    }

    /// The windows of its phases as packed: one, or `factor * factor` where the enlargement is folded into the weights.
    pub(crate) fn kernels(&self) -> Vec<Kernel> {
        match self.kind {
            PackedKind::OverTransformed => vec![Kernel::POINTWISE],
            PackedKind::Bf16 if self.factor > 1 => {
                self.phases().map(|phase| Kernel::of_phase(self.factor, phase)).collect()
            }
            _ => vec![self.kernel],
        }
    }

    /// Row and column of each phase, row by row.
    fn phases(&self) -> impl Iterator<Item = (usize, usize)> {
        let factor = self.factor;
        (0..factor * factor).map(move |phase| (phase / factor, phase % factor))
    }

    /// Channel blocks that the packed weights take.
    fn packed_blocks(&self) -> usize {
        let kernels = self.kernels().into_iter();
        kernels
            .map(|kernel| PackedConv::weight_blocks(self.kind, kernel, &self.inputs, self.out_channels))
            .sum()
    }

    /// Memory of the packed weights.
    pub(crate) fn packed_bytes(&self) -> u64 {
        (self.packed_blocks() * size_of::<esrgan_kernels::ChannelBlock>()) as u64
    }

    /// Memory of the model's tensors.
    pub(crate) fn source_bytes(&self) -> u64 {
        let biases = self.biases.as_ref().map_or(0, |biases| biases.bytes().len());
        (self.weights.bytes().len() + biases) as u64
    }

    /// The output channels of each part that can be packed by itself: one block, where that is much work.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let of_part = match self.kind {
            PackedKind::OverTransformed => CHANNELS_PER_BLOCK,
            _ => self.out_channels,
        };
        let out_channels = self.out_channels;
        (0..out_channels).step_by(of_part).map(move |first| first..out_channels.min(first + of_part))
    }

    /// Packs some output channels: a convolution for each phase.
    fn pack(&self, part: &Range<usize>, arena: &Arena) -> Result<Vec<PackedConv>, PackShapeError> {
        let each = self.weights_of_output();
        let weights = self.weights.range_to_f32(part.start * each..part.end * each);
        let biases = self.biases.as_ref().map(|biases| biases.range_to_f32(part.clone()));
        let (inputs, biases, out_channels) = (&self.inputs[..], biases.as_deref(), part.len());
        let packed = match self.kind {
            PackedKind::OverTransformed => {
                PackedConv::new_over_transformed(arena, inputs, out_channels, &weights, biases)
            }
            PackedKind::Bf16 if self.factor > 1 => {
                let phases = self.phases();
                return phases
                    .map(|phase| {
                        let factor = self.factor;
                        PackedConv::new_upsampled_bf16(factor, phase, inputs, out_channels, &weights, biases)
                    })
                    .collect();
            }
            PackedKind::Bf16 => PackedConv::new_bf16(self.kernel, inputs, out_channels, &weights, biases),
            _ => PackedConv::new(self.kernel, inputs, out_channels, &weights, biases),
        };
        packed.map(|packed| vec![packed])
    }
}

/// Packed layers, by their stage.
#[derive(Debug, Default)]
pub(crate) struct PackedLayers {
    first_stage: usize,
    phases: Vec<Vec<PackedConv>>,
}

impl PackedLayers {
    /// Packs layers on rayon's current pool.
    ///
    /// # Panics
    /// Where a layer is not consistent.
    pub(crate) fn new(layers: &[LayerWeights], arena: &Arena) -> Self {
        let parts: Vec<_> =
            layers.iter().flat_map(|layer| layer.parts().map(move |part| (layer, part))).collect();
        let packed: Vec<(usize, Vec<PackedConv>)> = parts
            .par_iter()
            .map(|(layer, part)| {
                (layer.stage, layer.pack(part, arena).expect("weights of a consistent layer"))
            })
            .collect();
        let first_stage = layers.first().map_or(0, |layer| layer.stage);
        let stages = layers.last().map_or(0, |layer| layer.stage + 1 - first_stage);
        let mut phases: Vec<Vec<PackedConv>> = vec![Vec::new(); stages];
        for (stage, part) in packed {
            let of_stage = &mut phases[stage - first_stage];
            if of_stage.is_empty() {
                *of_stage = part;
            } else {
                of_stage.iter_mut().zip(part).for_each(|(phase, part)| phase.join(part));
            }
        }
        Self { first_stage, phases }
    }

    /// The phases of the layer of a stage.
    ///
    /// # Panics
    /// Where the stage has no layer among these.
    pub(crate) fn of(&self, stage: usize) -> &[PackedConv] {
        &self.phases[stage - self.first_stage]
    }
}

/// Channel blocks that layers take of an arena.
pub(crate) fn arena_blocks(layers: &[LayerWeights]) -> usize {
    let over_tiles = layers.iter().filter(|layer| layer.kind == PackedKind::OverTransformed);
    over_tiles.map(LayerWeights::packed_blocks).sum()
}

/// The layers of some stages.
pub(crate) fn layers_of<'l>(layers: &'l [LayerWeights], stages: &Range<usize>) -> &'l [LayerWeights] {
    let position = |stage: usize| layers.partition_point(|layer| layer.stage < stage);
    &layers[position(stages.start)..position(stages.end)]
}

/// The packed weights of a run.
pub(crate) enum Weights<'a> {
    /// All layers', kept by the network.
    Kept(Arc<PackedLayers>),
    /// Those of the group that is being walked.
    OfGroup {
        /// All layers of the network.
        layers: &'a [LayerWeights],
        /// Room for any group.
        arena: Arena,
        /// The group's layers.
        packed: PackedLayers,
    },
}

impl<'a> Weights<'a> {
    /// Weights that are packed group by group.
    pub(crate) fn by_group(layers: &'a [LayerWeights], groups: &[Group]) -> Self {
        let blocks = groups.iter().map(|group| arena_blocks(layers_of(layers, &group.stages))).max();
        Self::OfGroup { layers, arena: Arena::new(blocks.unwrap_or(0)), packed: PackedLayers::default() }
    }

    /// Packs a group's layers, if that is to be done, and forgets those before.
    pub(crate) fn begin_group(&mut self, stages: &Range<usize>) {
        if let Self::OfGroup { layers, arena, packed } = self {
            *packed = PackedLayers::default();
            arena.clear();
            *packed = PackedLayers::new(layers_of(layers, stages), arena);
        }
    }

    /// The phases of the layer of a stage in the group.
    pub(crate) fn of(&self, stage: usize) -> &[PackedConv] {
        match self {
            Self::Kept(packed) => packed.of(stage),
            Self::OfGroup { packed, .. } => packed.of(stage),
        }
    }
}
