//! A network as a list of stages between feature maps, in the order in which they are computed.

use std::ops::Range;

use esrgan_kernels::{ChannelBlock, Kernel, PackedConv, blocks_for, transformed_length};

/// A feature map's place in [`Graph::features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FeatureId(pub(crate) usize);

/// How a feature map's rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[block][1 + width + 1]`: pixels with one pixel of padding at either end.
    Pixels,
    /// `[block][6][groups]`: transformed for the convolutions that read them.
    Transformed,
}

/// A feature map between two stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    /// Channels, without padding lanes.
    pub(crate) channels: usize,
    /// Its size over that of the trunk's grid.
    pub(crate) scale: usize,
    /// How its rows are stored.
    pub(crate) form: Form,
}

impl Feature {
    /// Channel blocks of one of its rows, for a trunk grid of `grid_width` pixels.
    pub(crate) fn row_length(&self, grid_width: usize) -> usize {
        let pixels = grid_width * self.scale;
        let block = match self.form {
            Form::Pixels => pixels + 2,
            Form::Transformed => transformed_length(pixels),
        };
        blocks_for(self.channels) * block
    }
}

/// A convolution with everything that is fused into it.
pub(crate) struct Layer {
    /// One packed convolution, or the `factor * factor` phases of an upsampling one, row phase by row phase.
    pub(crate) phases: Vec<PackedConv>,
    /// Enlargement by repetition before the convolution.
    pub(crate) factor: usize,
    /// Slopes of the activation, a block for each output block.
    pub(crate) slopes: Option<Vec<ChannelBlock>>,
}

impl Layer {
    /// The first and the last input row that output row `y` sees, before the edge is resolved.
    pub(crate) fn input_rows(&self, y: isize) -> (isize, isize) {
        let factor = self.factor as isize;
        let kernel = self.row_kernel(y);
        let first = y.div_euclid(factor) + kernel.first_row;
        (first, first + kernel.rows as isize - 1)
    }

    /// The window for output row `y`; its columns are those of the first column phase.
    pub(crate) fn row_kernel(&self, y: isize) -> Kernel {
        self.phases[y.rem_euclid(self.factor as isize) as usize * self.factor].kernel()
    }

    /// Multiply-adds for one row of `width` input pixels.
    pub(crate) fn multiply_adds(&self, width: usize) -> u64 {
        let first = &self.phases[0];
        let inputs: usize = first.input_block_channels().iter().sum();
        let taps: usize = self.phases.iter().map(|phase| phase.kernel().rows * phase.kernel().columns).sum();
        (width * taps * inputs * first.out_channels() / self.factor) as u64
    }
}

/// A step from feature maps to a feature map.
pub(crate) enum Stage {
    /// The picture, pixel-unshuffled onto the trunk's grid.
    Picture {
        /// Where it goes.
        output: FeatureId,
    },
    /// A convolution.
    Convolution {
        /// What it sees, as if concatenated.
        inputs: Vec<FeatureId>,
        /// The convolution.
        layer: Layer,
        /// What is added, in this order: `sum = sum * scale + feature`.
        residuals: Vec<(f32, FeatureId)>,
        /// Where it goes.
        output: FeatureId,
    },
    /// The rows of a map that is also read as pixels, transformed.
    Transform {
        /// The pixels.
        input: FeatureId,
        /// The transformed rows.
        output: FeatureId,
    },
    /// The result: handed to the caller row by row.
    Result {
        /// What is handed over.
        input: FeatureId,
    },
}

impl Stage {
    /// The features that it reads.
    pub(crate) fn inputs(&self) -> Vec<FeatureId> {
        match self {
            Self::Picture { .. } => Vec::new(),
            Self::Convolution { inputs, residuals, .. } => {
                inputs.iter().copied().chain(residuals.iter().map(|(_, feature)| *feature)).collect()
            }
            Self::Transform { input, .. } | Self::Result { input } => vec![*input],
        }
    }

    /// The feature that it writes.
    pub(crate) fn output(&self) -> Option<FeatureId> {
        match self {
            Self::Picture { output } | Self::Convolution { output, .. } | Self::Transform { output, .. } => {
                Some(*output)
            }
            Self::Result { .. } => None,
        }
    }

    /// Whether it convolves over the transformed rows of a map.
    fn reads_transformed(&self, feature: FeatureId) -> bool {
        matches!(self, Self::Convolution { inputs, layer, .. }
            if layer.phases[0].is_over_transformed() && inputs.contains(&feature))
    }

    /// Whether it reads the pixels of a map.
    fn reads_pixels(&self, feature: FeatureId) -> bool {
        match self {
            Self::Convolution { inputs, layer, residuals, .. } => {
                let is_input = !layer.phases[0].is_over_transformed() && inputs.contains(&feature);
                is_input || residuals.iter().any(|(_, residual)| *residual == feature)
            }
            _ => self.inputs().contains(&feature),
        }
    }
}

/// A network, ready to be scheduled.
#[derive(Default)]
pub(crate) struct Graph {
    /// The maps between the stages.
    pub(crate) features: Vec<Feature>,
    /// The stages in order.
    pub(crate) stages: Vec<Stage>,
    /// Where a group of stages ends that may be run to its last row before the next begins, so that only its output stays
    /// alive in full: after each dense block. Ends with the number of stages.
    pub(crate) group_ends: Vec<usize>,
}

impl Graph {
    /// Adds a feature map.
    pub(crate) fn feature(&mut self, channels: usize, scale: usize) -> FeatureId {
        self.features.push(Feature { channels, scale, form: Form::Pixels });
        FeatureId(self.features.len() - 1)
    }

    /// The map with an id.
    pub(crate) fn get(&self, id: FeatureId) -> &Feature {
        &self.features[id.0]
    }

    /// Ends a group after the last stage.
    pub(crate) fn end_group(&mut self) {
        self.group_ends.push(self.stages.len());
    }

    /// Gives every convolution over transformed rows such rows to read: maps that nobody reads as pixels are stored
    /// transformed, of the others a transformed copy is made, row by row, before its first reader.
    pub(crate) fn place_transforms(&mut self) {
        for feature in (0..self.features.len()).map(FeatureId) {
            let Some(first) = self.stages.iter().position(|stage| stage.reads_transformed(feature)) else {
                continue;
            };
            if !self.stages.iter().any(|stage| stage.reads_pixels(feature)) {
                self.features[feature.0].form = Form::Transformed;
                continue;
            }
            let output = FeatureId(self.features.len());
            self.features.push(Feature { form: Form::Transformed, ..self.features[feature.0] });
            for stage in self.stages.iter_mut().filter(|stage| stage.reads_transformed(feature)) {
                if let Stage::Convolution { inputs, .. } = stage {
                    inputs.iter_mut().filter(|input| **input == feature).for_each(|input| *input = output);
                }
            }
            self.stages.insert(first, Stage::Transform { input: feature, output });
            self.group_ends.iter_mut().filter(|end| **end > first).for_each(|end| *end += 1);
        }
    }

    /// The groups as ranges of stages.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.group_ends.iter().copied());
        starts.zip(self.group_ends.iter().copied()).map(|(start, end)| start..end)
    }

    /// Memory of all packed weights.
    pub(crate) fn weights_bytes(&self) -> usize {
        let layers = self.stages.iter().filter_map(|stage| match stage {
            Stage::Convolution { layer, .. } => Some(layer),
            _ => None,
        });
        layers.flat_map(|layer| &layer.phases).map(PackedConv::size_bytes).sum()
    }

    /// Multiply-adds for one pixel of the trunk's grid.
    pub(crate) fn multiply_adds_per_grid_pixel(&self) -> u64 {
        let stages = self.stages.iter().map(|stage| match stage {
            Stage::Convolution { inputs, layer, output, .. } => {
                let rows = self.get(*output).scale as u64;
                layer.multiply_adds(self.get(inputs[0]).scale) * rows
            }
            _ => 0,
        });
        stages.sum()
    }
}
