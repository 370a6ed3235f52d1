//! The ways to work a picture off as a whole, and the memory that each takes.
//!
//! All give the same bits. They differ in how many stages are walked together: the fewer, the better the caches hold what
//! is read again; the more, the fewer maps of the trunk are kept whole. Rows of a band are what threads share, so a band
//! grows with their number.

use std::convert::Infallible;

use esrgan_kernels::{ChannelBlock, TILE_SIDE};

use crate::edge::Edge;
use crate::graph::{FeatureId, Graph};
use crate::network::Network;
use crate::schedule::{Group, GroupRanges, Schedule, Step, Visitor, walk};

/// Trunk pixels in a band. Tuned on AMD EPYC (Zen 3), 2026-11, two threads: 1024 to 8192 are alike.
const BAND_PIXELS: usize = 4096;
/// Trunk pixels in a band for each thread.
const BAND_PIXELS_PER_THREAD: usize = 2048;
/// Trunk pixels in a band while the tail's large maps, or all stages at once, are alive; for each thread an eighth.
const NARROW_BAND_PIXELS: usize = 512;
/// A way whose maps take less is not worth improving upon.
const COMFORTABLE_BYTES: u64 = 256 << 20;
/// Dense blocks that are walked together in the second way: those of an RRDB.
const COARSE_GROUPS: usize = 3;

/// What decides between the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    /// The edge mode.
    pub(crate) edge: Edge,
    /// Threads that will share the rows.
    pub(crate) threads: usize,
    /// Memory that feature maps may take.
    pub(crate) feature_bytes: u64,
}

/// The way to work off a picture as a whole, and the memory of its feature maps: the first that takes little, with bands as
/// wide as the threads like them or as one thread does, else the one that takes least.
pub(crate) fn exact(network: &Network, (width, height): (usize, usize), means: &Means) -> (Schedule, u64) {
    let unshuffle = network.spec().unshuffle();
    let (grid_width, grid_height) = (width.div_ceil(unshuffle), height.div_ceil(unshuffle));
    let graph = &network.graph;
    let limit = COMFORTABLE_BYTES.min(means.feature_bytes);
    let ways = [Way::Blocks(1), Way::Blocks(COARSE_GROUPS), Way::Streamed];
    let ways = ways.into_iter().map(|way| (way, means.threads)).chain(ways.map(|way| (way, 1)));
    // Wrapping would compute the receptive field's rows twice over in one stream.
    let ways = ways.filter(|(way, _)| *way != Way::Streamed || means.edge != Edge::Wrap);
    let mut groupings: Vec<Vec<Group>> = Vec::new();
    for (way, threads) in ways {
        let groups = way.groups(graph, grid_width, threads);
        if !groupings.contains(&groups) {
            groupings.push(groups);
        }
    }
    let mut best: Option<(Schedule, u64)> = None;
    for groups in groupings {
        let schedule = Schedule { grid_width, grid_height, edge: means.edge, groups };
        let bytes = feature_bytes(graph, &schedule);
        if best.as_ref().is_none_or(|(_, least)| bytes < *least) {
            best = Some((schedule, bytes));
        }
        if bytes <= limit {
            break;
        }
    }
    best.expect("the first way is always there")
}

/// How stages are walked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// So many of the network's groups.
    Blocks(usize),
    /// All, in one stream whose memory grows with the width alone.
    Streamed,
}

impl Way {
    fn groups(self, graph: &Graph, grid_width: usize, threads: usize) -> Vec<Group> {
        let rows = |pixels: usize| (pixels / grid_width).next_multiple_of(TILE_SIDE).max(TILE_SIDE);
        let narrow = rows(NARROW_BAND_PIXELS.max(threads * BAND_PIXELS_PER_THREAD / 8));
        let wide = rows(BAND_PIXELS.max(threads * BAND_PIXELS_PER_THREAD));
        let groups: Vec<_> = graph.groups().collect();
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else {
            return Vec::new();
        };
        match self {
            Self::Blocks(count) if groups.len() > 2 => {
                let inner = groups[1..groups.len() - 1].chunks(count);
                let inner = inner.map(|blocks| blocks[0].start..blocks[blocks.len() - 1].end);
                let before = std::iter::once(first.clone()).chain(inner);
                let before = before.map(|stages| Group { stages, band_rows: wide });
                before.chain([Group { stages: last.clone(), band_rows: narrow }]).collect()
            }
            _ => vec![Group { stages: 0..graph.stages.len(), band_rows: narrow }],
        }
    }
}

/// Memory of all feature rows that a schedule will ever have alive, by walking it without computing.
fn feature_bytes(graph: &Graph, schedule: &Schedule) -> u64 {
    let features = graph.features.len();
    let mut count = Count {
        lengths: (0..features)
            .map(|feature| graph.get(FeatureId(feature)).row_length(schedule.grid_width))
            .collect(),
        alive: vec![(0, 0); features],
        graph,
        by_length: Vec::new(),
    };
    match walk(graph, schedule, &mut count) {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let rows = count.by_length.iter().map(|&(length, _, most)| (length * most) as u64);
    rows.sum::<u64>() * size_of::<ChannelBlock>() as u64
}

/// Counts the rows alive, by their length, as the pool of a run keeps them.
struct Count<'a> {
    graph: &'a Graph,
    lengths: Vec<usize>,
    /// For each feature, the first row alive and the end.
    alive: Vec<(isize, isize)>,
    /// Row length, rows alive now, most rows alive.
    by_length: Vec<(usize, usize, usize)>,
}

impl Count<'_> {
    fn of_length(&mut self, length: usize) -> &mut (usize, usize, usize) {
        let position =
            self.by_length.iter().position(|(known, _, _)| *known == length).unwrap_or_else(|| {
                self.by_length.push((length, 0, 0));
                self.by_length.len() - 1
            });
        &mut self.by_length[position]
    }
}

impl Visitor for Count<'_> {
    type Error = Infallible;

    fn begin(&mut self, feature: FeatureId, first: isize) {
        self.alive[feature.0] = (first, first);
    }

    fn compute(&mut self, _: &GroupRanges, step: &Step) -> Result<(), Infallible> {
        for output in self.graph.stages[step.stage].outputs() {
            self.alive[output.0].1 = step.rows.end;
            let (_, now, most) = self.of_length(self.lengths[output.0]);
            *now += step.rows.len();
            *most = (*most).max(*now);
        }
        Ok(())
    }

    fn release(&mut self, feature: FeatureId, first: isize) {
        let (start, end) = self.alive[feature.0];
        let released = first.min(end) - start;
        if released > 0 {
            self.alive[feature.0].0 = start + released;
            self.of_length(self.lengths[feature.0]).1 -= released as usize;
        }
    }
}
