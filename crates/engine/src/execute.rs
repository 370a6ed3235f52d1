//! Computes the steps of a schedule.

use std::ops::{ControlFlow, Range};

use esrgan_core::Plane;
use esrgan_kernels::{ChannelBlock, Isa, TILE_REACH};

use crate::convolve::{Convolution, Transform, pair_rows};
use crate::edge::Edge;
use crate::error::EngineError;
use crate::graph::{FeatureId, Graph, Layer, Stage};
use crate::output_rows::{OutputRows, Targets};
use crate::packing::Weights;
use crate::picture::{PictureRows, ResultRows};
use crate::rows::{LiveRows, Row, RowPool};
use crate::schedule::{GroupRanges, Schedule, Step, Visitor, walk};

/// Receives the enlarged picture, row by row from the top.
pub trait RowSink: Send {
    /// Takes row `y`: one slice for each output channel, nominally 0..1, finite, not clamped.
    fn row(&mut self, y: usize, channels: &[&[f32]]);
}

impl<F: FnMut(usize, &[&[f32]]) + Send> RowSink for F {
    fn row(&mut self, y: usize, channels: &[&[f32]]) {
        self(y, channels);
    }
}

/// Told how far a run is, 0..=1; may ask it to stop.
pub type Progress<'a> = &'a (dyn Fn(f64) -> ControlFlow<()> + Sync);

/// Everything that one run over one picture needs.
pub(crate) struct Job<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) weights: Weights<'a>,
    pub(crate) schedule: &'a Schedule,
    pub(crate) isa: Isa,
    pub(crate) picture: PictureRows<'a>,
    pub(crate) result: ResultRows<'a>,
    pub(crate) progress: Progress<'a>,
}

/// Runs a job on the current thread pool.
///
/// # Errors
/// [`EngineError::NotFinite`] and [`EngineError::Cancelled`].
pub(crate) fn execute(job: Job<'_>, sink: &mut dyn RowSink) -> Result<(), EngineError> {
    let (graph, schedule) = (job.graph, job.schedule);
    let features = graph.features.len();
    let total = graph.multiply_adds_per_grid_pixel() * (schedule.grid_width * schedule.grid_height) as u64;
    let mut execution = Execution {
        padding: (0..features)
            .map(|feature| padding_edge(graph, FeatureId(feature), schedule.edge))
            .collect(),
        live: (0..features).map(|_| LiveRows::default()).collect(),
        pool: RowPool::default(),
        done: 0,
        total: total.max(1),
        job,
        sink,
    };
    walk(graph, schedule, &mut execution)
}

/// The edge mode by which a feature's rows are padded left and right.
fn padding_edge(graph: &Graph, feature: FeatureId, edge: Edge) -> Edge {
    let is_enlarged = graph.stages.iter().any(|stage| match stage {
        Stage::Convolution { inputs, layer, .. } => layer.factor > 1 && inputs.contains(&feature),
        Stage::Transform { input, factor, .. } => *factor > 1 && *input == feature,
        _ => false,
    });
    if is_enlarged { edge.folded() } else { edge }
}

/// A run under way.
struct Execution<'a, 's> {
    job: Job<'a>,
    sink: &'s mut dyn RowSink,
    padding: Vec<Edge>,
    live: Vec<LiveRows>,
    pool: RowPool,
    done: u64,
    total: u64,
}

impl Visitor for Execution<'_, '_> {
    type Error = EngineError;

    fn begin_group(&mut self, stages: &Range<usize>) {
        self.job.weights.begin_group(stages);
    }

    fn begin(&mut self, feature: FeatureId, first: isize) {
        self.live[feature.0].start_at(first);
    }

    fn compute(&mut self, group: &GroupRanges, step: &Step) -> Result<(), EngineError> {
        let rows = step.rows.clone();
        match &self.job.graph.stages[step.stage] {
            Stage::Picture { output } => self.load_picture(*output, rows),
            Stage::Convolution { inputs, layer, multiply_adds, residuals, outputs } => {
                let mut computed = outputs
                    .iter()
                    .map(|output| (output, self.take_rows(output, rows.len())))
                    .collect::<Vec<_>>();
                let sources = self.sources(group);
                let at_once = rows.clone().step_by(layer.rows_at_once());
                let convolution = Convolution {
                    layer,
                    phases: self.job.weights.of(step.stage),
                    inputs: at_once.map(|y| sources.input_rows(inputs, layer, y)).collect(),
                    residuals: rows.clone().map(|y| sources.residual_rows(residuals, y)).collect(),
                    first_row: rows.start,
                };
                let targets =
                    computed.iter_mut().map(|(output, rows)| (self.output_rows(*output), &mut rows[..]));
                convolution.run(Targets::new(targets));
                for (output, rows) in computed {
                    self.live[output.0].extend(rows);
                }
                let width = (self.job.schedule.grid_width * self.job.graph.get(outputs.main()).scale) as u64;
                self.advance(multiply_adds * width * rows.len() as u64)?;
            }
            Stage::Transform { input, factor, output } => {
                let mut computed = self.take_rows(*output, rows.len());
                let sources = self.sources(group);
                let transform = Transform {
                    inputs: rows.map(|y| sources.rows_of_tiles((*input, *factor), y)).collect(),
                    factor: *factor,
                    output: self.output_rows(*output),
                };
                transform.run(&mut computed);
                self.live[output.0].extend(computed);
            }
            Stage::Pair { input, output } => {
                let mut computed = self.take_rows(*output, rows.len());
                let sources = self.sources(group);
                let pixels: Vec<&[ChannelBlock]> = rows.map(|y| sources.row(*input, y)).collect();
                pair_rows(&pixels, &mut computed, &self.output_rows(*output));
                self.live[output.0].extend(computed);
            }
            Stage::Result { input } => {
                for y in rows {
                    self.job.result.emit(y as usize, self.live[input.0].get(y), self.sink)?;
                }
            }
        }
        Ok(())
    }

    fn release(&mut self, feature: FeatureId, first: isize) {
        self.live[feature.0].release_before(first, &mut self.pool);
    }
}

impl Execution<'_, '_> {
    /// Rows of a feature to be written, with arbitrary content.
    fn take_rows(&mut self, feature: FeatureId, count: usize) -> Vec<Row> {
        let length = self.job.graph.get(feature).row_length(self.job.schedule.grid_width);
        (0..count).map(|_| self.pool.take(length)).collect()
    }

    fn sources<'e>(&'e self, group: &'e GroupRanges) -> Sources<'e> {
        Sources { graph: self.job.graph, group, live: &self.live, edge: self.job.schedule.edge }
    }

    /// How rows of a feature are to be written.
    fn output_rows(&self, feature: FeatureId) -> OutputRows {
        let described = self.job.graph.get(feature);
        OutputRows {
            pixels: self.job.schedule.grid_width * described.scale,
            blocks: described.blocks(),
            form: described.form,
            padding: self.padding[feature.0],
            isa: self.job.isa,
        }
    }

    fn load_picture(&mut self, output: FeatureId, rows: Range<isize>) {
        let target = self.output_rows(output);
        for (y, mut row) in rows.clone().zip(self.take_rows(output, rows.len())) {
            self.job.picture.load(y, &mut row);
            row.chunks_mut(target.pixels + 2).for_each(|block| target.pad(block));
            self.live[output.0].push(row);
        }
    }

    /// Counts work, tells how far the run is, and asks whether to go on.
    fn advance(&mut self, multiply_adds: u64) -> Result<(), EngineError> {
        self.done += multiply_adds;
        let fraction = (self.done as f64 / self.total as f64).min(1.0);
        if (self.job.progress)(fraction).is_break() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

/// Where rows are found.
struct Sources<'a> {
    graph: &'a Graph,
    group: &'a GroupRanges,
    live: &'a [LiveRows],
    edge: Edge,
}

impl<'a> Sources<'a> {
    /// For each input block and kernel row, the row that output row `y` sees; `None` for zeros.
    fn input_rows(&self, inputs: &[FeatureId], layer: &Layer, y: isize) -> Vec<Option<&'a [ChannelBlock]>> {
        if layer.is_over_transformed() {
            // Rows of tiles have seen the edge when they were made.
            let (row, _) = layer.input_rows(y);
            let rows = inputs.iter().map(|&feature| (feature, self.live[feature.0].get(row)));
            return rows.flat_map(|(feature, row)| self.blocks(feature, row).map(Some)).collect();
        }
        let edge = if layer.factor > 1 { self.edge.folded() } else { self.edge };
        let (first, last) = layer.input_rows(y);
        let mut rows = Vec::with_capacity(inputs.len() * 4 * (last - first + 1) as usize);
        for &feature in inputs {
            let blocks = self.graph.get(feature).blocks();
            let sources: Vec<Option<&[ChannelBlock]>> = (first..=last)
                .map(|row| self.group.resolve(self.graph, (feature, 1), row, edge))
                .map(|row| row.map(|row| self.live[feature.0].get(row)))
                .collect();
            for block in 0..blocks {
                rows.extend(sources.iter().map(|source| source.map(|row| block_of(row, block, blocks))));
            }
        }
        rows
    }

    /// The parts of a feature's row, one for each block.
    fn blocks(
        &self,
        feature: FeatureId,
        row: &'a [ChannelBlock],
    ) -> impl Iterator<Item = &'a [ChannelBlock]> {
        let blocks = self.graph.get(feature).blocks();
        (0..blocks).map(move |block| block_of(row, block, blocks))
    }

    /// The six rows of pixels that row `y` of tiles sees of an enlarged feature; `None` for zeros.
    fn rows_of_tiles(
        &self,
        feature: (FeatureId, usize),
        y: isize,
    ) -> [Option<&'a [ChannelBlock]>; TILE_REACH] {
        let rows = self.group.rows_of_tiles(self.graph, feature, y);
        rows.map(|row| row.map(|row| self.live[feature.0.0].get(row)))
    }

    /// Row `y` of a feature, from the other end of the picture where it wraps.
    fn row(&self, feature: FeatureId, y: isize) -> &'a [ChannelBlock] {
        self.live[feature.0].get(self.group.resolve(self.graph, (feature, 1), y, self.edge).unwrap_or(y))
    }

    /// For each residual, its scale and its row `y`.
    fn residual_rows(&self, residuals: &[(f32, FeatureId)], y: isize) -> Vec<(f32, &'a [ChannelBlock])> {
        residuals.iter().map(|&(scale, feature)| (scale, self.row(feature, y))).collect()
    }
}

/// One block's part of a row.
pub(crate) fn block_of(row: &[ChannelBlock], block: usize, blocks: usize) -> &[ChannelBlock] {
    let length = row.len() / blocks;
    &row[block * length..(block + 1) * length]
}

/// The planes of a picture, checked to be as many as expected and of one size.
///
/// # Errors
/// [`EngineError::Channels`], [`EngineError::Size`].
pub(crate) fn check_planes(
    planes: &[Plane],
    channels: usize,
    size: (usize, usize),
) -> Result<(), EngineError> {
    if planes.len() != channels {
        return Err(EngineError::Channels { expected: channels, found: planes.len() });
    }
    for plane in planes {
        let found = (plane.width(), plane.height());
        if found != size || found.0 == 0 || found.1 == 0 {
            return Err(EngineError::Size { expected: size, found });
        }
    }
    Ok(())
}
