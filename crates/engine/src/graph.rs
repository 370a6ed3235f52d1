//! A network as a list of stages between feature maps, in the order in which they are computed.

use std::ops::Range;

use esrgan_kernels::{
    ChannelBlock, Kernel, PackedKind, TILE_REACH, TILE_SIDE, blocks_for, paired_blocks_for,
    transformed_length,
};

/// A feature map's place in [`Graph::features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FeatureId(pub(crate) usize);

/// How a feature map's rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[block][1 + width + 1]`: pixels with one pixel of padding at either end.
    Pixels,
    /// `[block][segment][36][tiles]`: rows of tiles, four rows of pixels each, transformed for the convolutions.
    Transformed,
    /// `[block of 32][1 + width + 1]`: pixels in bf16, with one pixel of padding at either end.
    Paired,
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
    /// Channel blocks of a pixel, or of a tile's component.
    pub(crate) fn blocks(&self) -> usize {
        match self.form {
            Form::Pixels | Form::Transformed => blocks_for(self.channels),
            Form::Paired => paired_blocks_for(self.channels),
        }
    }

    /// Channel blocks of one of its rows, for a trunk grid of `grid_width` pixels.
    pub(crate) fn row_length(&self, grid_width: usize) -> usize {
        let pixels = grid_width * self.scale;
        let block = match self.form {
            Form::Pixels | Form::Paired => pixels + 2,
            Form::Transformed => transformed_length(pixels),
        };
        self.blocks() * block
    }

    /// Rows that a grid of `grid_height` rows gives it.
    pub(crate) fn rows(&self, grid_height: usize) -> usize {
        (grid_height * self.scale).div_ceil(self.pixel_rows())
    }

    /// Rows of the map for `grid_rows` of the grid, at least one.
    pub(crate) fn band(&self, grid_rows: usize) -> usize {
        (grid_rows * self.scale / self.pixel_rows()).max(1)
    }

    /// Rows of pixels that one of its rows holds.
    fn pixel_rows(&self) -> usize {
        match self.form {
            Form::Pixels | Form::Paired => 1,
            Form::Transformed => TILE_SIDE,
        }
    }
}

/// A convolution with everything that is fused into it, but its weights: see `packing`.
pub(crate) struct Layer {
    /// What it reads, and in what it computes.
    pub(crate) kind: PackedKind,
    /// One window, or those of the `factor * factor` phases of an upsampling layer, row phase by row phase.
    pub(crate) kernels: Vec<Kernel>,
    /// Enlargement by repetition before the convolution.
    pub(crate) factor: usize,
    /// Slopes of the activation, a block for each output block.
    pub(crate) slopes: Option<Vec<ChannelBlock>>,
}

impl Layer {
    /// Whether it reads transformed tiles.
    pub(crate) fn is_over_transformed(&self) -> bool {
        self.kind == PackedKind::OverTransformed
    }

    /// Whether it reads pixels in bf16.
    pub(crate) fn is_bf16(&self) -> bool {
        self.kind == PackedKind::Bf16
    }

    /// Rows of pixels that are computed together, beginning on multiples of their number.
    pub(crate) fn rows_at_once(&self) -> usize {
        if self.is_over_transformed() { TILE_SIDE } else { 1 }
    }

    /// The first and the last input row that output row `y` sees, before the edge is resolved.
    pub(crate) fn input_rows(&self, y: isize) -> (isize, isize) {
        if self.is_over_transformed() {
            let row = y.div_euclid(TILE_SIDE as isize);
            return (row, row);
        }
        let factor = self.factor as isize;
        let kernel = self.row_kernel(y);
        let first = y.div_euclid(factor) + kernel.first_row;
        (first, first + kernel.rows as isize - 1)
    }

    /// The window for output row `y`; its columns are those of the first column phase.
    pub(crate) fn row_kernel(&self, y: isize) -> Kernel {
        self.kernels[y.rem_euclid(self.factor as isize) as usize * self.factor]
    }
}

/// Where a convolution's result is stored: at least one of both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outputs {
    /// In `f32`.
    pub(crate) pixels: Option<FeatureId>,
    /// In bf16.
    pub(crate) paired: Option<FeatureId>,
}

impl Outputs {
    /// The maps there are.
    pub(crate) fn iter(self) -> impl Iterator<Item = FeatureId> {
        self.pixels.into_iter().chain(self.paired)
    }

    /// What others call the result by.
    pub(crate) fn main(self) -> FeatureId {
        self.pixels.or(self.paired).expect("a convolution has an output")
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
        /// Multiply-adds for one output pixel, of the layer as published.
        multiply_adds: u64,
        /// What is added, in this order: `sum = sum * scale + feature`.
        residuals: Vec<(f32, FeatureId)>,
        /// Where it goes.
        outputs: Outputs,
    },
    /// The rows of a map in bf16, for the convolutions that read them so.
    Pair {
        /// The pixels.
        input: FeatureId,
        /// The same in bf16.
        output: FeatureId,
    },
    /// The rows of a map, transformed for the convolutions that read them.
    Transform {
        /// The pixels.
        input: FeatureId,
        /// Enlargement by repetition on the way.
        factor: usize,
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
            Self::Transform { input, .. } | Self::Pair { input, .. } | Self::Result { input } => vec![*input],
        }
    }

    /// The features that it writes.
    pub(crate) fn outputs(&self) -> Vec<FeatureId> {
        match self {
            Self::Picture { output } | Self::Transform { output, .. } | Self::Pair { output, .. } => {
                vec![*output]
            }
            Self::Convolution { outputs, .. } => outputs.iter().collect(),
            Self::Result { .. } => Vec::new(),
        }
    }

    /// Rows of its output that it computes together, beginning on multiples of their number.
    pub(crate) fn rows_at_once(&self) -> usize {
        match self {
            Self::Convolution { layer, .. } => layer.rows_at_once(),
            _ => 1,
        }
    }
}

/// The rows of the enlarged map that row `y` of tiles sees.
pub(crate) fn tile_rows(y: isize) -> Range<isize> {
    let first = y * TILE_SIDE as isize - 1;
    first..first + TILE_REACH as isize
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
    /// Adds a feature map of pixels.
    pub(crate) fn feature(&mut self, channels: usize, scale: usize) -> FeatureId {
        self.feature_in(Form::Pixels, channels, scale)
    }

    /// Adds a feature map.
    pub(crate) fn feature_in(&mut self, form: Form, channels: usize, scale: usize) -> FeatureId {
        self.features.push(Feature { channels, scale, form });
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

    /// The transformed rows of a map, enlarged by repetition on the way: made by a stage of their own where they are wanted
    /// first, and shared by all later convolutions.
    pub(crate) fn transformed(&mut self, input: FeatureId, factor: usize) -> FeatureId {
        let made = self.stages.iter().find_map(|stage| match stage {
            Stage::Transform { input: of, factor: by, output } if (*of, *by) == (input, factor) => {
                Some(*output)
            }
            _ => None,
        });
        made.unwrap_or_else(|| {
            let Feature { channels, scale, .. } = *self.get(input);
            let output = self.feature_in(Form::Transformed, channels, scale * factor);
            self.stages.push(Stage::Transform { input, factor, output });
            output
        })
    }

    /// The rows of a map in bf16: stored so by the convolution that made it, or by a stage of their own.
    pub(crate) fn paired(&mut self, input: FeatureId) -> FeatureId {
        if self.get(input).form == Form::Paired {
            return input;
        }
        let made = self.stages.iter().find_map(|stage| match stage {
            Stage::Convolution { outputs, .. } if outputs.pixels == Some(input) => outputs.paired,
            Stage::Pair { input: of, output } if *of == input => Some(*output),
            _ => None,
        });
        made.unwrap_or_else(|| {
            let Feature { channels, scale, .. } = *self.get(input);
            let output = self.feature_in(Form::Paired, channels, scale);
            self.stages.push(Stage::Pair { input, output });
            output
        })
    }

    /// The groups as ranges of stages.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.group_ends.iter().copied());
        starts.zip(self.group_ends.iter().copied()).map(|(start, end)| start..end)
    }

    /// Multiply-adds for one pixel of the trunk's grid.
    pub(crate) fn multiply_adds_per_grid_pixel(&self) -> u64 {
        let stages = self.stages.iter().map(|stage| match stage {
            Stage::Convolution { multiply_adds, outputs, .. } => {
                let scale = self.get(outputs.main()).scale as u64;
                multiply_adds * scale * scale
            }
            _ => 0,
        });
        stages.sum()
    }
}
