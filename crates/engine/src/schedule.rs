//! Which rows of which stage are computed when, and which rows may be forgotten then.
//!
//! A group of stages is walked from top to bottom in bands: each stage computes the next few rows as soon as its inputs
//! reach far enough, and a row is forgotten when no stage of the group, and no later group, will see it again. The same
//! walk counts memory for the plan and drives the run, so that what is stated is what is taken.
//!
//! Beyond the picture's top and bottom the edge mode decides. Only wrapping needs rows that exist nowhere yet: there the
//! inner feature maps of a group are computed some rows beyond the picture at both ends, from its wrapped inputs.

use std::ops::Range;

use esrgan_kernels::TILE_REACH;

use crate::edge::Edge;
use crate::graph::{Feature, FeatureId, Graph, Stage, tile_rows};

/// The grid a network runs on, and how its stages are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Pixels in a row of the trunk's grid.
    pub(crate) grid_width: usize,
    /// Rows of the trunk's grid.
    pub(crate) grid_height: usize,
    /// The edge mode.
    pub(crate) edge: Edge,
    /// The groups, each run to its last row before the next begins.
    pub(crate) groups: Vec<Group>,
}

/// Stages that are walked together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The stages.
    pub(crate) stages: Range<usize>,
    /// Rows of the trunk's grid that a stage computes at a time.
    pub(crate) band_rows: usize,
}

/// Some rows of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The stage, as an index.
    pub(crate) stage: usize,
    /// The output rows to compute.
    pub(crate) rows: Range<isize>,
}

/// What a walk tells its caller.
pub(crate) trait Visitor {
    /// Why a run stops early.
    type Error;

    /// A group of these stages is walked next.
    fn begin_group(&mut self, _stages: &Range<usize>) {}
    /// The next row that feature `feature` gets is row `first`.
    fn begin(&mut self, feature: FeatureId, first: isize);
    /// Compute these rows.
    fn compute(&mut self, group: &GroupRanges, step: &Step) -> Result<(), Self::Error>;
    /// Rows of `feature` before `first` will not be seen again.
    fn release(&mut self, feature: FeatureId, first: isize);
}

/// Which rows of each feature a group works with.
pub(crate) struct GroupRanges {
    /// For each feature, the rows that the group computes of it; `None` for those that an earlier group completed.
    computed: Vec<Option<Range<isize>>>,
    grid_height: usize,
    edge: Edge,
}

impl GroupRanges {
    fn new(graph: &Graph, schedule: &Schedule, group: &Range<usize>) -> Self {
        let mut computed: Vec<Option<Range<isize>>> = vec![None; graph.features.len()];
        for stage in &graph.stages[group.clone()] {
            for output in stage.outputs() {
                let rows = graph.get(output).rows(schedule.grid_height);
                computed[output.0] = Some(0..rows as isize);
            }
        }
        let mut ranges = Self { computed, grid_height: schedule.grid_height, edge: schedule.edge };
        if schedule.edge == Edge::Wrap {
            ranges.extend_for_wrapping(graph, group);
        }
        ranges
    }

    /// Extends the inner maps of the group by what later stages see beyond the picture, from the last stage backwards.
    fn extend_for_wrapping(&mut self, graph: &Graph, group: &Range<usize>) {
        for stage in graph.stages[group.clone()].iter().rev() {
            let outputs = stage.outputs();
            let computed = outputs.iter().filter_map(|output| self.computed[output.0].clone());
            let together = computed.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
            let Some(rows) = together.map(|rows| begin_on_multiple(rows, stage)) else {
                continue;
            };
            outputs.iter().for_each(|output| self.computed[output.0] = Some(rows.clone()));
            match stage {
                Stage::Convolution { inputs, layer, residuals, .. } => {
                    // Neighbouring phases of an upsampling layer may see different rows: ask all of them.
                    let phases = 0..layer.factor as isize;
                    let first =
                        phases.clone().map(|phase| layer.input_rows(rows.start + phase).0).min().unwrap_or(0);
                    let last =
                        phases.map(|phase| layer.input_rows(rows.end - 1 - phase).1).max().unwrap_or(0);
                    inputs.iter().for_each(|input| self.extend(*input, &(first..last + 1)));
                    residuals.iter().for_each(|(_, feature)| self.extend(*feature, &rows));
                }
                Stage::Transform { input, factor, .. } => {
                    let factor = *factor as isize;
                    let (first, last) = (tile_rows(rows.start).start, tile_rows(rows.end - 1).end - 1);
                    self.extend(*input, &(first.div_euclid(factor)..last.div_euclid(factor) + 1));
                }
                _ => stage.inputs().into_iter().for_each(|input| self.extend(input, &rows)),
            }
        }
    }

    /// Extends the rows that the group computes of a feature, if it computes it.
    fn extend(&mut self, feature: FeatureId, rows: &Range<isize>) {
        if let Some(range) = &mut self.computed[feature.0] {
            *range = range.start.min(rows.start)..range.end.max(rows.end);
        }
    }

    /// Where row `index` of a feature, enlarged `factor` times by repetition, is found; `None` for a row of zeros.
    pub(crate) fn resolve(
        &self,
        graph: &Graph,
        (feature, factor): (FeatureId, usize),
        index: isize,
        edge: Edge,
    ) -> Option<isize> {
        if self.edge == Edge::Wrap && self.computed[feature.0].is_some() {
            return Some(index.div_euclid(factor as isize));
        }
        let height = graph.get(feature).rows(self.grid_height) * factor;
        edge.resolve(index, height).map(|row| (row / factor) as isize)
    }

    /// Where the six rows are found that row `y` of tiles sees of a feature, enlarged on the way; `None` for zeros. Rows that
    /// only outputs beyond the picture would see count as zeros.
    pub(crate) fn rows_of_tiles(
        &self,
        graph: &Graph,
        (feature, factor): (FeatureId, usize),
        y: isize,
    ) -> [Option<isize>; TILE_REACH] {
        let last = (graph.get(feature).rows(self.grid_height) * factor) as isize;
        let first = tile_rows(y).start;
        std::array::from_fn(|index| {
            let row = first + index as isize;
            let is_seen = self.edge == Edge::Wrap || row <= last;
            is_seen.then(|| self.resolve(graph, (feature, factor), row, self.edge)).flatten()
        })
    }

    /// Whether the group reads the feature from both ends, so that no row of it may go before the group is done.
    fn keeps_all_of(&self, feature: FeatureId) -> bool {
        self.edge == Edge::Wrap && self.computed[feature.0].is_none()
    }

    /// The rows of a feature that `stage` sees for its output row `y`: first and last, edge resolved.
    fn seen_rows(
        &self,
        graph: &Graph,
        stage: &Stage,
        feature: FeatureId,
        y: isize,
    ) -> Option<(isize, isize)> {
        match stage {
            Stage::Picture { .. } => None,
            Stage::Pair { .. } | Stage::Result { .. } => {
                let row = self.resolve(graph, (feature, 1), y, self.edge)?;
                Some((row, row))
            }
            Stage::Transform { factor, .. } => {
                let rows = self.rows_of_tiles(graph, (feature, *factor), y);
                first_and_last(rows.into_iter().flatten())
            }
            Stage::Convolution { inputs, layer, residuals, .. } => {
                let is_input = inputs.contains(&feature);
                let (first, last) = if is_input { layer.input_rows(y) } else { (0, -1) };
                let edge = if layer.factor > 1 { self.edge.folded() } else { self.edge };
                let rows = (first..=last).filter_map(|row| self.resolve(graph, (feature, 1), row, edge));
                let is_added = residuals.iter().any(|(_, residual)| *residual == feature);
                first_and_last(rows.chain(is_added.then_some(y)))
            }
        }
    }
}

/// Rows begun on a multiple of those that a stage computes at once.
fn begin_on_multiple(rows: Range<isize>, stage: &Stage) -> Range<isize> {
    let at_once = stage.rows_at_once() as isize;
    rows.start.div_euclid(at_once) * at_once..rows.end
}

/// The smallest and the largest of some rows.
fn first_and_last(rows: impl Iterator<Item = isize>) -> Option<(isize, isize)> {
    rows.fold(None, |seen, row| {
        let (first, last) = seen.unwrap_or((row, row));
        Some((row.min(first), row.max(last)))
    })
}

/// Walks all groups of a schedule.
///
/// # Errors
/// What the visitor's `compute` returns; the walk stops there.
pub(crate) fn walk<V: Visitor>(graph: &Graph, schedule: &Schedule, visitor: &mut V) -> Result<(), V::Error> {
    for group in &schedule.groups {
        visitor.begin_group(&group.stages);
        Walk::new(graph, schedule, group, visitor).run(visitor)?;
    }
    Ok(())
}

/// One group's walk.
struct Walk<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule,
    group: Range<usize>,
    band_rows: usize,
    ranges: GroupRanges,
    /// For each stage of the group: the next row, and the end.
    next: Vec<isize>,
    ends: Vec<isize>,
    /// For each stage of the group: what it reads.
    inputs: Vec<Vec<FeatureId>>,
    /// For each feature: the stages of the group that read it, by position.
    readers: Vec<Vec<usize>>,
    /// For each feature: the stage of the group that writes it, by position.
    writers: Vec<Option<usize>>,
    /// For each feature: whether a later group reads it.
    is_read_later: Vec<bool>,
}

impl<'a> Walk<'a> {
    fn new<V: Visitor>(graph: &'a Graph, schedule: &'a Schedule, group: &Group, visitor: &mut V) -> Self {
        let mut walk = Self {
            graph,
            schedule,
            group: group.stages.clone(),
            band_rows: group.band_rows,
            ranges: GroupRanges::new(graph, schedule, &group.stages),
            next: Vec::new(),
            ends: Vec::new(),
            inputs: Vec::new(),
            readers: vec![Vec::new(); graph.features.len()],
            writers: vec![None; graph.features.len()],
            is_read_later: vec![false; graph.features.len()],
        };
        for (position, stage) in graph.stages[group.stages.clone()].iter().enumerate() {
            let rows = walk.rows_of(stage);
            for output in stage.outputs() {
                visitor.begin(output, rows.start);
                walk.writers[output.0] = Some(position);
            }
            walk.next.push(rows.start);
            walk.ends.push(rows.end);
            for feature in stage.inputs() {
                walk.readers[feature.0].push(position);
            }
            walk.inputs.push(stage.inputs());
        }
        for feature in graph.stages[group.stages.end..].iter().flat_map(Stage::inputs) {
            walk.is_read_later[feature.0] = true;
        }
        walk
    }

    /// The rows that a stage computes.
    fn rows_of(&self, stage: &Stage) -> Range<isize> {
        match stage.outputs().first() {
            Some(output) => self.ranges.computed[output.0].clone().unwrap_or(0..0),
            None => 0..self.feature_of(stage).rows(self.schedule.grid_height) as isize,
        }
    }

    /// The map whose rows a stage counts by: its output, or what it hands over.
    fn feature_of(&self, stage: &Stage) -> &'a Feature {
        let feature = stage.outputs().into_iter().chain(stage.inputs()).next();
        self.graph.get(feature.expect("a stage without output has an input"))
    }

    fn run<V: Visitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        while self.next.last() != self.ends.last() {
            let mut has_moved = false;
            for position in 0..self.group.len() {
                let rows = self.next[position]..self.reach(position);
                if rows.is_empty() {
                    continue;
                }
                has_moved = true;
                self.next[position] = rows.end;
                visitor.compute(&self.ranges, &Step { stage: self.group.start + position, rows })?;
                self.release_inputs(position, visitor);
            }
            assert!(has_moved, "a schedule that cannot go on");
        }
        // Rows that wrapping kept, and rows below the last that anybody saw.
        for feature in (0..self.readers.len()).filter(|&feature| !self.readers[feature].is_empty()) {
            if !self.is_read_later[feature] {
                visitor.release(FeatureId(feature), isize::MAX);
            }
        }
        Ok(())
    }

    /// The end of the rows that a stage should compute now: as far as its inputs reach, as far as its readers will look
    /// with their next band, and at most a band.
    fn reach(&self, position: usize) -> isize {
        let stage = &self.graph.stages[self.group.start + position];
        let at_once = stage.rows_at_once() as isize;
        let band = self.feature_of(stage).band(self.band_rows) as isize;
        let start = self.next[position];
        let wanted = stage.outputs().into_iter().map(|output| self.wanted_end(output, band)).max();
        let wanted = wanted.unwrap_or(isize::MAX);
        // Stages begin on multiples of the rows that they compute at once.
        let limit = (start + band).min(wanted).saturating_add(at_once - 1).div_euclid(at_once) * at_once;
        let limit = limit.min(self.ends[position]);
        let is_ready = |y: isize| {
            self.inputs[position].iter().all(|&feature| {
                let seen = self.ranges.seen_rows(self.graph, stage, feature, y);
                seen.is_none_or(|(_, last)| last < self.computed_end(feature))
            })
        };
        // Of rows that are computed at once, the last sees furthest.
        let mut end = start;
        while end < limit {
            let next = ((end.div_euclid(at_once) + 1) * at_once).min(limit);
            if !is_ready(next - 1) {
                break;
            }
            end = next;
        }
        end
    }

    /// The end of the rows of a feature that exist.
    fn computed_end(&self, feature: FeatureId) -> isize {
        self.writers[feature.0].map_or(isize::MAX, |writer| self.next[writer])
    }

    /// The end of the rows of a feature that its foremost reader will see in its next band; without it, a branch that is
    /// joined late would run ahead and fill the memory.
    fn wanted_end(&self, feature: FeatureId, band: isize) -> isize {
        let readers = self.readers[feature.0].iter().filter(|&&reader| self.next[reader] < self.ends[reader]);
        let wanted = readers.filter_map(|&reader| {
            let stage = &self.graph.stages[self.group.start + reader];
            self.ranges.seen_rows(self.graph, stage, feature, self.next[reader])
        });
        wanted.map(|(_, last)| last + 1 + band).max().unwrap_or(isize::MAX)
    }

    /// Releases what nobody will see again now that a stage has moved on.
    fn release_inputs<V: Visitor>(&self, position: usize, visitor: &mut V) {
        for &feature in &self.inputs[position] {
            if self.is_read_later[feature.0] || self.ranges.keeps_all_of(feature) {
                continue;
            }
            let first =
                self.readers[feature.0].iter().map(|&reader| self.first_needed(reader, feature)).min();
            visitor.release(feature, first.unwrap_or(isize::MAX));
        }
    }

    /// The first row of a feature that a stage will still see.
    fn first_needed(&self, position: usize, feature: FeatureId) -> isize {
        // At the lower edge a reflected row lies above the next ones: look as far ahead as a kernel is high.
        let upcoming = self.next[position]..self.ends[position].min(self.next[position] + 4);
        let stage = &self.graph.stages[self.group.start + position];
        let seen = upcoming.filter_map(|y| self.ranges.seen_rows(self.graph, stage, feature, y));
        seen.map(|(first, _)| first).min().unwrap_or(isize::MAX)
    }
}
