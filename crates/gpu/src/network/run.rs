//! One run over a picture: the memory that it takes, the order of launches, and rows that come back while others are computed.

use std::ops::Range;
use std::pin::Pin;
use std::time::Instant;

use cubecl::bytes::Bytes;
use cubecl::future::block_on;
use cubecl::server::{Handle, ServerError};
use esrgan_core::Plane;
use esrgan_engine::{Edge, EngineError, Progress, TileRows};

use super::picture::{Rows, interleaved};
use super::record::Recording;
use super::strips::{rows_needed, strips};
use super::{DenseBlock, GpuNetwork, Trunk, TrunkMaps, storage};
use crate::error::GpuError;
use crate::kernels::{Around, Convolution, Map, Planes, Storage, padded};

/// Residual scale beta of dense blocks and of RRDBs (ESRGAN, section 3.1).
const RESIDUAL_SCALE: f32 = 0.2;
/// Multiply-adds of one launch at most: systems end a launch that keeps a display waiting for seconds.
const LAUNCH_MULTIPLY_ADDS: u64 = 20_000_000_000;
/// Multiply-adds after which the host waits for the device: what a fast device does in some hundredths of a second, a slow one in
/// seconds. So progress is what was computed, not what was asked for.
const WAIT_MULTIPLY_ADDS: u64 = 4_000_000_000_000;

/// Passes before any is timed: kernels are compiled, and launches recorded.
const WARM_UP_PASSES: usize = 3;

/// Buffers of a run, by their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// Pictures that are enlarged together.
    samples: usize,
    /// Height and width of the trunk's maps.
    grid: (usize, usize),
    edge: Edge,
    picture_channels: usize,
    features: usize,
    growth: usize,
    is_rrdb: bool,
    has_pointwise: bool,
    storage: Storage,
    /// Each tail layer's enlargement and output channels.
    tail: Vec<(usize, usize)>,
    /// Rows of the last layer's output that a strip makes.
    strips: Vec<Range<usize>>,
}

impl Needs {
    pub(super) fn new(network: &GpuNetwork, samples: usize, grid: (usize, usize), edge: Edge) -> Self {
        let spec = &network.spec;
        let mut needs = Self {
            samples,
            grid,
            edge,
            picture_channels: spec.in_channels() * spec.unshuffle() * spec.unshuffle(),
            features: spec.num_features(),
            growth: spec.growth_channels(),
            is_rrdb: matches!(network.trunk, Trunk::Rrdb { .. }),
            has_pointwise: match &network.trunk {
                Trunk::Rrdb { dense, .. } => dense.iter().any(|block| block.pointwise.is_some()),
                Trunk::Compact { .. } => false,
            },
            storage: storage(network.precision),
            tail: network.tail.iter().map(|layer| (layer.factor, layer.outputs)).collect(),
            strips: Vec::new(),
        };
        let height = needs.heights().last().copied().unwrap_or(0);
        // What wraps reads rows from the other end: all of them are kept.
        let most = if edge == Edge::Wrap { height } else { needs.strip_rows(network.strip_bytes) };
        needs.strips = strips(height, most);
        needs
    }

    /// How many strips there are.
    #[cfg(test)]
    pub(super) fn strips(&self) -> usize {
        self.strips.len()
    }

    /// Each tail layer's output height.
    fn heights(&self) -> Vec<usize> {
        self.enlarged(self.grid.0)
    }

    /// Each tail layer's output width.
    fn widths(&self) -> Vec<usize> {
        self.enlarged(self.grid.1)
    }

    /// A side of the trunk behind each tail layer.
    fn enlarged(&self, side: usize) -> Vec<usize> {
        let behind = self.tail.iter().scan(side, |side, (factor, _)| {
            *side *= factor;
            Some(*side)
        });
        behind.collect()
    }

    /// Rows of the result whose strip takes about so many bytes.
    fn strip_rows(&self, strip_bytes: u64) -> usize {
        let scale: usize = self.tail.iter().map(|(factor, _)| factor).product();
        let mut at = 1;
        let mut bytes_of_grid_row = 0;
        for (factor, outputs) in &self.tail {
            at *= factor;
            bytes_of_grid_row +=
                self.samples * self.grid.1 * at * at * padded(*outputs) * self.storage.bytes();
        }
        let grid_rows = (strip_bytes / bytes_of_grid_row.max(1) as u64).max(4) as usize;
        grid_rows.saturating_mul(scale)
    }

    /// The rows of each tail layer for a strip, and those of the trunk.
    fn rows(&self, strip: &Range<usize>) -> (Range<usize>, Vec<Range<usize>>) {
        let heights = self.heights();
        if self.edge == Edge::Wrap {
            return (0..self.grid.0, heights.iter().map(|height| 0..*height).collect());
        }
        let factors: Vec<usize> = self.tail.iter().map(|(factor, _)| *factor).collect();
        rows_needed(&factors, &heights, strip.clone())
    }

    /// The most rows of each tail layer in any strip.
    fn most_rows(&self) -> Vec<usize> {
        let mut most = vec![0; self.tail.len()];
        for strip in &self.strips {
            let (_, rows) = self.rows(strip);
            most.iter_mut().zip(rows).for_each(|(most, rows)| *most = (*most).max(rows.len()));
        }
        most
    }

    /// Bytes of every buffer.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let map = |channels: usize, storage: Storage| {
            (Map::numbers_of((self.samples, channels), self.grid.1, self.grid.0) * storage.bytes()) as u64
        };
        let mut sizes = vec![map(self.picture_channels, Storage::F32)];
        sizes.extend([map(self.features, self.storage); 2]);
        if self.is_rrdb {
            sizes.extend([map(self.growth, self.storage); 4]);
            sizes.extend([map(self.features, Storage::F32); 2]);
        }
        if self.has_pointwise {
            sizes.push(map(self.growth, Storage::F32));
        }
        let last = self.tail.len() - 1;
        for (layer, rows) in self.most_rows().into_iter().enumerate() {
            let (_, channels) = self.tail[layer];
            let width = self.widths()[layer];
            if layer < last {
                let numbers = Map::numbers_of((self.samples, channels), width, rows);
                sizes.push((numbers * self.storage.bytes()) as u64);
            } else {
                let numbers = self.samples * rows * width * channels;
                sizes.extend([(numbers * size_of::<f32>()) as u64; 2]);
            }
        }
        sizes
    }
}

/// The buffers of a run.
pub(super) struct Workspace {
    pub(super) needs: Needs,
    /// In the order of [`Needs::sizes`].
    handles: Vec<Handle>,
    pub(super) recording: Recording,
}

impl Workspace {
    /// Takes the memory.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`].
    pub(super) fn new(network: &GpuNetwork, needs: Needs) -> Result<Self, GpuError> {
        let sizes = needs.sizes();
        let needed_bytes: u64 = sizes.iter().sum();
        let largest = network.gpu.info().largest_buffer_bytes;
        if sizes.iter().any(|size| *size > largest) {
            return Err(GpuError::OutOfMemory { needed_bytes });
        }
        let client = network.gpu.client();
        let handles = client.memory_dedicated_allocation(sizes, |sizes| {
            sizes.into_iter().map(|size| client.empty(size as usize)).collect::<Vec<Handle>>()
        });
        network.gpu.check(&handles, needed_bytes)?;
        Ok(Self { needs, handles, recording: Recording::default() })
    }

    /// The buffers in the order of [`Needs::sizes`], one after the other.
    fn maps(&self) -> Maps {
        let needs = &self.needs;
        let mut handles = self.handles.iter().cloned();
        let mut next = || handles.next().expect("as many buffers as sizes");
        let mut map = |channels: usize, storage: Storage| Map {
            handle: next(),
            storage,
            samples: needs.samples,
            channels,
            height: needs.grid.0,
            width: needs.grid.1,
            rows: 0..needs.grid.0,
        };
        let picture = map(needs.picture_channels, Storage::F32);
        let trunk = [map(needs.features, needs.storage), map(needs.features, needs.storage)];
        let growth = if needs.is_rrdb {
            (0..4).map(|_| map(needs.growth, needs.storage)).collect()
        } else {
            Vec::new()
        };
        let residuals =
            needs.is_rrdb.then(|| [map(needs.features, Storage::F32), map(needs.features, Storage::F32)]);
        let pointwise = needs.has_pointwise.then(|| map(needs.growth, Storage::F32));
        let tail: Vec<Handle> = (1..needs.tail.len()).map(|_| next()).collect();
        let results = [next(), next()];
        Maps { picture, trunk, growth, residuals, pointwise, tail, results }
    }
}

/// The buffers of a run, by what they are for.
struct Maps {
    picture: Map,
    trunk: [Map; 2],
    growth: Vec<Map>,
    /// The stream and the skip.
    residuals: Option<[Map; 2]>,
    pointwise: Option<Map>,
    /// Of each tail layer but the last.
    tail: Vec<Handle>,
    results: [Handle; 2],
}

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) network: &'a GpuNetwork,
    pub(super) workspace: &'a Workspace,
    /// The planes of each picture.
    pub(super) pictures: &'a [&'a [Plane]],
    pub(super) edge: Edge,
    pub(super) progress: Progress<'a>,
}

/// A strip whose rows are on their way to the host.
struct Pending<'a> {
    rows: Range<usize>,
    bytes: Pin<Box<dyn Future<Output = Result<Vec<Bytes>, ServerError>> + Send + 'a>>,
}

/// Hears of a strip that has been asked for: its rows, where they will lie, and the multiply-adds so far.
type AfterStrip<'a> = &'a mut dyn FnMut(&Range<usize>, &Handle, u64) -> Result<(), GpuError>;

/// What has been asked of the device.
#[derive(Default)]
struct Asked {
    /// Multiply-adds in all.
    done: u64,
    /// Since the host waited last.
    since_wait: u64,
}

impl Run<'_> {
    /// Uploads the pictures, computes, and hands over the rows.
    pub(super) fn all(&self, sink: TileRows<'_>) -> Result<(), GpuError> {
        let maps = self.workspace.maps();
        let client = self.network.gpu.client();
        self.upload(&maps);
        if let Some(whole) = self.small() {
            self.workspace.recording.compute(client, &mut || self.compute(&maps, &mut |_, _, _| Ok(())))?;
            let bytes = Box::pin(client.read_async(vec![maps.results[0].clone()]));
            self.tell(0.5)?;
            self.emit(Pending { rows: whole, bytes }, sink)?;
            return self.tell(1.0);
        }
        // The rows of one strip are handed over while the next is computed.
        let mut pending: Option<Pending<'_>> = None;
        self.compute(&maps, &mut |strip, result, done| {
            let bytes = Box::pin(client.read_async(vec![result.clone()]));
            if let Some(ready) = pending.replace(Pending { rows: strip.clone(), bytes }) {
                self.emit(ready, sink)?;
            }
            self.tell(done as f64 / self.total() as f64)
        })?;
        if let Some(last) = pending {
            self.emit(last, sink)?;
        }
        self.tell(1.0)
    }

    /// The rows of a result that is made in one strip, and so fast that nobody waits for it.
    fn small(&self) -> Option<Range<usize>> {
        let [whole] = &self.workspace.needs.strips[..] else { return None };
        (self.total() <= WAIT_MULTIPLY_ADDS).then(|| whole.clone())
    }

    /// Asks for all launches, and tells `after` of each strip.
    fn compute(&self, maps: &Maps, after: AfterStrip<'_>) -> Result<(), GpuError> {
        let mut asked = Asked::default();
        let trunk = self.trunk(maps, &mut asked)?;
        for (number, strip) in self.workspace.needs.strips.iter().enumerate() {
            let result = &maps.results[number % 2];
            self.strip(strip, &trunk, (&maps.tail, result), &mut asked)?;
            after(strip, result, asked.done)?;
        }
        Ok(())
    }

    /// Seconds of so many passes without the ways of picture and result between host and device, and without the first, in which
    /// kernels are compiled.
    pub(super) fn seconds(&self, passes: usize) -> Result<Vec<f64>, GpuError> {
        let maps = self.workspace.maps();
        let client = self.network.gpu.client();
        self.upload(&maps);
        let wait = || block_on(client.sync()).map_err(GpuError::driver);
        let mut seconds = Vec::with_capacity(passes);
        for _ in 0..passes + WARM_UP_PASSES {
            wait()?;
            let start = Instant::now();
            let mut launch = || self.compute(&maps, &mut |_, _, _| Ok(()));
            match self.small() {
                Some(_) => self.workspace.recording.compute(client, &mut launch)?,
                None => launch()?,
            }
            wait()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds.split_off(WARM_UP_PASSES))
    }

    fn upload(&self, maps: &Maps) {
        let needs = &self.workspace.needs;
        let unshuffle = self.network.spec.unshuffle();
        let samples =
            self.pictures.iter().map(|planes| interleaved(planes, unshuffle, self.edge, needs.grid));
        let bytes = samples.collect::<Vec<_>>().concat();
        self.network.gpu.client().write(&maps.picture.handle, Bytes::from_bytes_vec(bytes));
    }

    /// Multiply-adds of the whole run.
    fn total(&self) -> u64 {
        let (height, width) = self.workspace.needs.grid;
        (self.network.multiply_adds * (self.pictures.len() * height * width) as u64).max(1)
    }

    fn tell(&self, fraction: f64) -> Result<(), GpuError> {
        if (self.progress)(fraction.min(1.0)).is_break() {
            Err(EngineError::Cancelled.into())
        } else {
            Ok(())
        }
    }

    /// Launches a convolution over rows, in as many launches as keep each short.
    fn launch(
        &self,
        convolution: &Convolution,
        sources: &[&Map],
        factor: usize,
        around: &Around<'_>,
        (rows, asked): (Range<usize>, &mut Asked),
    ) -> Result<(), GpuError> {
        let client = self.network.gpu.client();
        let of_row = convolution.multiply_adds() * (sources[0].samples * sources[0].width * factor) as u64;
        let most = (LAUNCH_MULTIPLY_ADDS / of_row.max(1)).max(1) as usize;
        for part in strips(rows.len(), most) {
            let part = rows.start + part.start..rows.start + part.end;
            let multiply_adds = of_row * part.len() as u64;
            convolution.run(client, sources, (factor, self.edge), around, part);
            asked.done += multiply_adds;
            asked.since_wait += multiply_adds;
            if asked.since_wait > WAIT_MULTIPLY_ADDS {
                asked.since_wait = 0;
                block_on(client.sync()).map_err(GpuError::driver)?;
                self.tell(asked.done as f64 / self.total() as f64)?;
            }
        }
        Ok(())
    }

    /// Computes the trunk.
    fn trunk<'m>(&self, maps: &'m Maps, asked: &mut Asked) -> Result<TrunkMaps<'m>, GpuError> {
        let rows = 0..self.workspace.needs.grid.0;
        match (&self.network.trunk, &maps.residuals) {
            (Trunk::Rrdb { first, dense }, Some([stream, skip])) => {
                let around = Around {
                    stores: (true, true),
                    stream: Some(stream),
                    skip: Some(skip),
                    output: Some(&maps.trunk[0]),
                    ..Around::default()
                };
                self.launch(first, &[&maps.picture], 1, &around, (rows.clone(), asked))?;
                for (number, block) in dense.iter().enumerate() {
                    let (input, output) = (&maps.trunk[number % 2], &maps.trunk[(number + 1) % 2]);
                    self.dense_block(block, maps, (input, output), number % 3 == 2, asked)?;
                }
                // The first features are wanted again at the end: computing them twice costs next to nothing, keeping them a map.
                let around = Around { stores: (true, false), stream: Some(stream), ..Around::default() };
                self.launch(first, &[&maps.picture], 1, &around, (rows, asked))?;
                Ok(TrunkMaps { last: &maps.trunk[dense.len() % 2], first: Some(stream) })
            }
            (Trunk::Compact { first, body }, _) => {
                let output = |map| Around { output: Some(map), ..Around::default() };
                let into_first = output(&maps.trunk[0]);
                self.launch(first, &[&maps.picture], 1, &into_first, (rows.clone(), asked))?;
                for (number, layer) in body.iter().enumerate() {
                    let around = output(&maps.trunk[(number + 1) % 2]);
                    self.launch(layer, &[&maps.trunk[number % 2]], 1, &around, (rows.clone(), asked))?;
                }
                Ok(TrunkMaps { last: &maps.trunk[body.len() % 2], first: None })
            }
            (Trunk::Rrdb { .. }, None) => unreachable!("an RRDB network has residuals"),
        }
    }

    /// Computes a dense block; the last of three closes its RRDB.
    fn dense_block(
        &self,
        block: &DenseBlock,
        maps: &Maps,
        (input, output): (&Map, &Map),
        is_third: bool,
        asked: &mut Asked,
    ) -> Result<(), GpuError> {
        let rows = 0..self.workspace.needs.grid.0;
        let projection = block.pointwise.as_ref().zip(maps.pointwise.as_ref());
        if let Some((pointwise, projected)) = projection {
            let around = Around { stores: (true, false), stream: Some(projected), ..Around::default() };
            self.launch(pointwise, &[input], 1, &around, (rows.clone(), asked))?;
        }
        let mut sources = vec![input];
        for (number, growth) in block.growth.iter().enumerate() {
            // ESRGAN+ adds the projection to the second growth map, and that to the fourth.
            let added = projection.map(|(_, projected)| projected).filter(|_| number % 2 == 1);
            let around = Around {
                adds: (added.is_some(), false),
                stores: (added.is_some() && number == 1, false),
                stream: added,
                scale: 1.0,
                output: Some(&maps.growth[number]),
                ..Around::default()
            };
            self.launch(growth, &sources, 1, &around, (rows.clone(), asked))?;
            sources.push(&maps.growth[number]);
        }
        let [stream, skip] = maps.residuals.as_ref().expect("an RRDB network has residuals");
        let around = Around {
            adds: (true, is_third),
            stores: (true, is_third),
            stream: Some(stream),
            skip: Some(skip),
            scale: RESIDUAL_SCALE,
            output: Some(output),
            result: None,
        };
        self.launch(&block.last, &sources, 1, &around, (rows, asked))
    }

    /// Computes the rows of a strip of the result.
    fn strip(
        &self,
        strip: &Range<usize>,
        trunk: &TrunkMaps<'_>,
        (tail, result): (&[Handle], &Handle),
        asked: &mut Asked,
    ) -> Result<(), GpuError> {
        let needs = &self.workspace.needs;
        let (_, rows) = needs.rows(strip);
        let (heights, widths) = (needs.heights(), needs.widths());
        let mut input = trunk.last.clone();
        for (number, layer) in self.network.tail.iter().enumerate() {
            let computed = rows[number].clone();
            let output = tail.get(number).map(|handle| Map {
                handle: handle.clone(),
                storage: needs.storage,
                samples: needs.samples,
                channels: layer.outputs,
                height: heights[number],
                width: widths[number],
                rows: computed.clone(),
            });
            let shuffle = self.shuffle();
            let planes = Planes {
                handle: result.clone(),
                channels: layer.outputs / (shuffle * shuffle),
                shuffle,
                rows: computed.clone(),
                numbers: needs.samples * computed.len() * widths[number] * layer.outputs,
            };
            let first = trunk.first.filter(|_| layer.adds_first);
            let around = Around {
                adds: (first.is_some(), false),
                stream: first,
                scale: 1.0,
                output: output.as_ref(),
                result: output.is_none().then_some(&planes),
                ..Around::default()
            };
            self.launch(&layer.convolution, &[&input], layer.factor, &around, (computed, asked))?;
            if let Some(output) = output {
                input = output;
            }
        }
        Ok(())
    }

    /// The pixel shuffle that ends the network; 1 for none.
    fn shuffle(&self) -> usize {
        if self.workspace.needs.is_rrdb { 1 } else { self.network.spec.scale() }
    }

    /// Waits for a strip's rows and hands them over, one picture after the other.
    fn emit(&self, pending: Pending<'_>, sink: TileRows<'_>) -> Result<(), GpuError> {
        let bytes = block_on(pending.bytes).map_err(GpuError::driver)?;
        let bytes: &[u8] = bytes.first().map_or(&[], |bytes| &bytes[..]);
        let (spec, shuffle) = (&self.network.spec, self.shuffle());
        let stride = self.workspace.needs.widths().last().copied().unwrap_or(0) * shuffle;
        let rows = pending.rows.start * shuffle..pending.rows.end * shuffle;
        let of_sample = spec.out_channels() * rows.len() * stride * size_of::<f32>();
        for (sample, planes) in self.pictures.iter().enumerate() {
            let rows = Rows {
                bytes: &bytes[sample * of_sample..][..of_sample],
                channels: spec.out_channels(),
                rows: rows.clone(),
                stride,
                size: (planes[0].width() * spec.scale(), planes[0].height() * spec.scale()),
                base: (!self.workspace.needs.is_rrdb).then_some((planes, spec.scale())),
            };
            rows.emit(&mut |y: usize, channels: &[&[f32]]| sink(sample, y, channels))?;
        }
        Ok(())
    }
}
