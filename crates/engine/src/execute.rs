//! Computes the steps of a schedule: the rows of each stage, shared out among threads.

use std::ops::{ControlFlow, Range};

use esrgan_core::Plane;
use esrgan_kernels::{ChannelBlock, ConvRow, Epilogue, Isa, Residual, conv_row};
use rayon::prelude::*;

use crate::edge::Edge;
use crate::error::EngineError;
use crate::graph::{FeatureId, Graph, Layer, Stage};
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
    let features = job.graph.features.len();
    let schedule = job.schedule;
    let graph = job.graph;
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
    let is_enlarged = graph.stages.iter().any(|stage| {
        matches!(stage, Stage::Convolution { inputs, layer, .. } if layer.factor > 1 && inputs.contains(&feature))
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

    fn begin(&mut self, feature: FeatureId, first: isize) {
        self.live[feature.0].start_at(first);
    }

    fn compute(&mut self, group: &GroupRanges, step: &Step) -> Result<(), EngineError> {
        match &self.job.graph.stages[step.stage] {
            Stage::Picture { output } => self.load_picture(*output, step.rows.clone()),
            Stage::Convolution {
                inputs,
                layer,
                residuals,
                output,
            } => {
                let sources = Sources {
                    graph: self.job.graph,
                    group,
                    live: &self.live,
                    edge: self.job.schedule.edge,
                };
                let rows = step.rows.clone();
                let feature = self.job.graph.get(*output);
                let length = feature.row_length(self.job.schedule.grid_width);
                let mut computed: Vec<Row> = rows.clone().map(|_| self.pool.take(length)).collect();
                let convolution = Convolution {
                    layer,
                    inputs: rows
                        .clone()
                        .map(|y| sources.input_rows(inputs, layer, y))
                        .collect(),
                    residuals: rows
                        .clone()
                        .map(|y| sources.residual_rows(residuals, y))
                        .collect(),
                    first_row: rows.start,
                    row_pixels: self.job.schedule.grid_width * feature.scale,
                    padding: self.padding[output.0],
                    isa: self.job.isa,
                };
                convolution.run(&mut computed);
                computed.into_iter().for_each(|row| self.live[output.0].push(row));
                let width = self.job.schedule.grid_width * self.job.graph.get(inputs[0]).scale;
                self.done += layer.multiply_adds(width) * rows.len() as u64;
                let fraction = (self.done as f64 / self.total as f64).min(1.0);
                if (self.job.progress)(fraction).is_break() {
                    return Err(EngineError::Cancelled);
                }
            }
            Stage::Result { input } => {
                for y in step.rows.clone() {
                    self.job
                        .result
                        .emit(y as usize, self.live[input.0].get(y), self.sink)?;
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
    fn load_picture(&mut self, output: FeatureId, rows: Range<isize>) {
        let width = self.job.schedule.grid_width;
        for y in rows {
            let mut row = self.pool.take(self.job.graph.get(output).row_length(width));
            self.job.picture.load(y, &mut row);
            row.chunks_mut(width + 2)
                .for_each(|block| pad(block, self.padding[output.0]));
            self.live[output.0].push(row);
        }
    }
}

/// Fills the padding pixel at either end of a block's row.
fn pad(block: &mut [ChannelBlock], edge: Edge) {
    let width = block.len() - 2;
    let value = |index: isize| {
        edge.resolve(index, width)
            .map_or(ChannelBlock::ZERO, |x| block[1 + x])
    };
    let (left, right) = (value(-1), value(width as isize));
    block[0] = left;
    block[width + 1] = right;
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
        let edge = if layer.factor > 1 {
            self.edge.folded()
        } else {
            self.edge
        };
        let (first, last) = layer.input_rows(y);
        let mut rows = Vec::with_capacity(inputs.len() * 4 * (last - first + 1) as usize);
        for &feature in inputs {
            let blocks = esrgan_kernels::blocks_for(self.graph.get(feature).channels);
            let sources: Vec<Option<&[ChannelBlock]>> = (first..=last)
                .map(|row| self.group.resolve(self.graph, feature, row, edge))
                .map(|row| row.map(|row| self.live[feature.0].get(row)))
                .collect();
            for block in 0..blocks {
                rows.extend(
                    sources
                        .iter()
                        .map(|source| source.map(|row| block_of(row, block, blocks))),
                );
            }
        }
        rows
    }

    /// For each residual, its scale and its row `y`.
    fn residual_rows(&self, residuals: &[(f32, FeatureId)], y: isize) -> Vec<(f32, &'a [ChannelBlock])> {
        let row = |feature: FeatureId| {
            let row = self.group.resolve(self.graph, feature, y, self.edge).unwrap_or(y);
            self.live[feature.0].get(row)
        };
        residuals
            .iter()
            .map(|&(scale, feature)| (scale, row(feature)))
            .collect()
    }
}

/// One block's part of a row.
fn block_of(row: &[ChannelBlock], block: usize, blocks: usize) -> &[ChannelBlock] {
    let length = row.len() / blocks;
    &row[block * length..(block + 1) * length]
}

/// Some rows of one convolution.
struct Convolution<'a> {
    layer: &'a Layer,
    /// For each output row: its input rows, by input block and kernel row.
    inputs: Vec<Vec<Option<&'a [ChannelBlock]>>>,
    /// For each output row: what is added to it.
    residuals: Vec<Vec<(f32, &'a [ChannelBlock])>>,
    first_row: isize,
    row_pixels: usize,
    padding: Edge,
    isa: Isa,
}

/// A share of the work: some blocks of one output row.
struct Share<'r> {
    row: usize,
    first_block: usize,
    blocks: Vec<&'r mut [ChannelBlock]>,
}

impl Convolution<'_> {
    /// Computes all rows. Shares are ordered so that neighbouring ones use the same weights.
    fn run(&self, rows: &mut [Row]) {
        let zeros = vec![ChannelBlock::ZERO; self.row_pixels / self.layer.factor + 2];
        let blocks_per_share = if self.isa == Isa::Avx512 { 2 } else { 1 };
        let mut shares = Vec::new();
        for (index, row) in rows.iter_mut().enumerate() {
            let mut blocks: Vec<&mut [ChannelBlock]> = row.chunks_mut(self.row_pixels + 2).collect();
            let mut first_block = 0;
            while !blocks.is_empty() {
                let rest = blocks.split_off(blocks_per_share.min(blocks.len()));
                let count = blocks.len();
                shares.push(Share {
                    row: index,
                    first_block,
                    blocks,
                });
                first_block += count;
                blocks = rest;
            }
        }
        shares.sort_by_key(|share| share.first_block);
        shares
            .into_par_iter()
            .for_each(|share| self.compute(share, &zeros));
    }

    fn compute(&self, mut share: Share<'_>, zeros: &[ChannelBlock]) {
        let factor = self.layer.factor;
        let phase_row = (self.first_row + share.row as isize).rem_euclid(factor as isize) as usize;
        let inputs = &self.inputs[share.row];
        let out_blocks = self.layer.phases[0].out_blocks();
        let added = &self.residuals[share.row];
        let residual_rows: Vec<Vec<&[ChannelBlock]>> = added
            .iter()
            .map(|(_, row)| {
                let blocks = share.first_block..share.first_block + share.blocks.len();
                blocks
                    .map(|block| &block_of(row, block, out_blocks)[1..])
                    .collect()
            })
            .collect();
        let residuals: Vec<Residual<'_>> = added
            .iter()
            .zip(&residual_rows)
            .map(|(&(scale, _), rows)| Residual { scale, rows })
            .collect();
        for phase in 0..factor {
            let weights = &self.layer.phases[phase_row * factor + phase];
            let first = (1 + weights.kernel().first_column) as usize;
            let inputs: Vec<&[ChannelBlock]> =
                inputs.iter().map(|row| &row.unwrap_or(zeros)[first..]).collect();
            let mut outputs: Vec<&mut [ChannelBlock]> = share
                .blocks
                .iter_mut()
                .map(|block| &mut block[1 + phase..])
                .collect();
            conv_row(
                self.isa,
                ConvRow {
                    weights,
                    first_out_block: share.first_block,
                    inputs: &inputs,
                    pixels: self.row_pixels / factor,
                    out_stride: factor,
                    epilogue: Epilogue {
                        slopes: self.layer.slopes.as_deref(),
                        residuals: &residuals,
                    },
                    outputs: &mut outputs,
                },
            );
        }
        share.blocks.iter_mut().for_each(|block| pad(block, self.padding));
    }
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
        return Err(EngineError::Channels {
            expected: channels,
            found: planes.len(),
        });
    }
    for plane in planes {
        let found = (plane.width(), plane.height());
        if found != size || found.0 == 0 || found.1 == 0 {
            return Err(EngineError::Size {
                expected: size,
                found,
            });
        }
    }
    Ok(())
}
