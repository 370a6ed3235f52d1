//! Convolutions on a device: their weights there, and the launch over maps.

use std::ops::Range;

use cubecl::bytes::Bytes;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use esrgan_engine::Edge;

use super::direct::{self, convolve_direct};
use super::matrix::{self, Fragments, convolve_matrix};
use super::pack::PackedConvolution;
use super::shared::{EdgeCode, Form, PlaceLaunch};
use super::{MAX_SOURCES, VECTOR, padded};

/// How numbers of a map lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Storage {
    /// 32-bit floating point.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Storage {
    pub(crate) fn element(self) -> ElemType {
        ElemType::Float(match self {
            Self::F32 => FloatKind::F32,
            Self::F16 => FloatKind::F16,
            Self::Bf16 => FloatKind::BF16,
        })
    }

    /// Bytes of a number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Numbers, rounded to it.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
            Self::Bf16 => {
                values.iter().flat_map(|value| half::bf16::from_f32(*value).to_le_bytes()).collect()
            }
        }
    }
}

/// Rows of a map in device memory: `[sample][row][column][channel]`, channels filled up.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) handle: Handle,
    pub(crate) storage: Storage,
    pub(crate) samples: usize,
    /// Without the lanes that fill them up.
    pub(crate) channels: usize,
    /// Height of the whole map.
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// The rows that are held.
    pub(crate) rows: Range<usize>,
}

impl Map {
    /// Numbers of a map of so many rows.
    pub(crate) fn numbers_of((samples, channels): (usize, usize), width: usize, rows: usize) -> usize {
        samples * rows * width * padded(channels)
    }

    /// Numbers that it holds.
    pub(crate) fn numbers(&self) -> usize {
        Self::numbers_of((self.samples, self.channels), self.width, self.rows.len())
    }

    fn argument(&self) -> BufferArg {
        buffer(&self.handle, self.numbers())
    }
}

/// The enlarged picture, or some of its rows: `[sample][channel][row][column]` in `f32`.
#[derive(Clone, Debug)]
pub(crate) struct Planes {
    pub(crate) handle: Handle,
    pub(crate) channels: usize,
    /// The pixel shuffle that makes it of the last map.
    pub(crate) shuffle: usize,
    /// The rows of the last map that are held.
    pub(crate) rows: Range<usize>,
    /// Numbers that it holds.
    pub(crate) numbers: usize,
}

/// The residuals of a convolution, and where its sum goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around<'a> {
    /// Which of both are added, in this order: `sum = sum * scale + map`.
    pub(crate) adds: (bool, bool),
    /// Into which of both the sum is stored.
    pub(crate) stores: (bool, bool),
    /// The stream of residuals, in `f32`.
    pub(crate) stream: Option<&'a Map>,
    /// The input of an RRDB, in `f32`.
    pub(crate) skip: Option<&'a Map>,
    pub(crate) scale: f32,
    /// The map that later convolutions read.
    pub(crate) output: Option<&'a Map>,
    /// The enlarged picture.
    pub(crate) result: Option<&'a Planes>,
}

/// A convolution whose weights lie on a device.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    weights: Handle,
    weight_count: usize,
    channels: Handle,
    channel_count: usize,
    sources: Vec<usize>,
    outputs: usize,
    has_slopes: bool,
    storage: Storage,
    way: Way,
    /// Shared memory of a cube.
    shared_bytes: usize,
    /// Something to bind where nothing is read or written.
    nothing: Handle,
}

/// The kernel; of matrices with the fewest rows that a plane may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Matrix(Fragments),
}

/// The matrices that a device multiplies: rows, columns, what is summed over; and units of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatrixUnits {
    pub(crate) m: u32,
    pub(crate) n: u32,
    pub(crate) k: u32,
    pub(crate) plane_units: u32,
    /// Whether planes always have that many units.
    pub(crate) has_fixed_planes: bool,
    /// Whether all taps are written out in the kernel.
    pub(crate) unrolls_taps: bool,
    /// Shared memory of a cube.
    pub(crate) shared_bytes: usize,
}

/// Output channels of a cube at most.
const MOST_OUTPUTS: u32 = 64;
/// Cubes of a launch that keep a device busy: about as many as a large one has multiprocessors.
const FEWEST_CUBES: u32 = 96;

impl Convolution {
    /// Brings weights to a device, for maps in `storage`; `units` are the matrix units to be used, if any.
    pub(crate) fn new(
        client: &Client,
        packed: &PackedConvolution,
        storage: Storage,
        units: Option<MatrixUnits>,
    ) -> Self {
        let way = units.filter(|_| storage != Storage::F32).map_or(Way::Direct, |units| way(packed, units));
        let (values, bytes) = match way {
            Way::Direct => {
                let values = packed.direct();
                (values.len(), Storage::F32.encode(&values))
            }
            Way::Matrix(_) => {
                let values = packed.matrix();
                (values.len(), storage.encode(&values))
            }
        };
        let channels = packed.channels();
        Self {
            weights: client.create(Bytes::from_bytes_vec(bytes)),
            weight_count: values,
            channel_count: channels.len(),
            channels: client.create(Bytes::from_bytes_vec(Storage::F32.encode(&channels))),
            sources: packed.sources.clone(),
            outputs: packed.outputs,
            has_slopes: packed.slopes.is_some(),
            storage,
            way,
            shared_bytes: units.map_or(0, |units| units.shared_bytes),
            nothing: client.create(Bytes::from_bytes_vec(vec![0; 256])),
        }
    }

    /// Bytes that its weights take on a device.
    pub(crate) fn bytes(&self) -> u64 {
        let width = if self.way == Way::Direct { 4 } else { self.storage.bytes() };
        (self.weight_count * width + self.channel_count * 4) as u64
    }

    /// Multiply-adds of an output pixel.
    pub(crate) fn multiply_adds(&self) -> u64 {
        (self.sources.iter().sum::<usize>() * self.outputs * 9) as u64
    }

    /// Everything that its memory hangs on, to ask whether it could be had.
    pub(crate) fn handles(&self) -> [&Handle; 3] {
        [&self.weights, &self.channels, &self.nothing]
    }

    /// Computes rows of the output.
    ///
    /// # Panics
    /// Where maps do not fit the convolution or each other, or do not hold the rows: the network makes them so that they do.
    pub(crate) fn run(
        &self,
        client: &Client,
        sources: &[&Map],
        (factor, edge): (usize, Edge),
        around: &Around<'_>,
        rows: Range<usize>,
    ) {
        let source = sources[0];
        let (height, width) = (source.height * factor, source.width * factor);
        self.check(sources, (height, width), around, &rows);
        let form = self.form(factor, edge, around);
        let stream = around.stream.or(around.skip);
        let held = |rows: Option<&Range<usize>>| rows.cloned().unwrap_or(0..height);
        let output_rows =
            held(around.output.map(|map| &map.rows).or(around.result.map(|planes| &planes.rows)));
        let stream_rows = held(stream.map(|map| &map.rows));
        let place = PlaceLaunch::new(
            height as u32,
            width as u32,
            rows.start as u32,
            rows.end as u32,
            source.rows.start as u32,
            source.rows.len() as u32,
            output_rows.start as u32,
            output_rows.len() as u32,
            stream_rows.start as u32,
            stream_rows.len() as u32,
        );
        let maps = Arguments::new(self, sources, around);
        let samples = source.samples as u32;
        let tiles = |columns: u32, tile_rows: u32, blocks: u32| {
            let across = (width as u32).div_ceil(columns);
            CubeCount::Static(across, (rows.len() as u32).div_ceil(tile_rows), blocks * samples)
        };
        let element = |map: Option<&Map>| map.map_or(Storage::F32, |map| map.storage).element();
        let (input, output) = (self.storage.element(), element(around.output));
        let Arguments {
            sources: [first, second, third, fourth, fifth],
            weights,
            channels,
            stream,
            skip,
            output: target,
            result,
        } = maps;
        match self.way {
            Way::Direct => {
                let count = tiles(
                    direct::TILE_COLUMNS,
                    direct::TILE_ROWS,
                    form.outputs.div_ceil(direct::TILE_OUTPUTS),
                );
                // SAFETY: every buffer is bound with the length that it was made with, and `check` has found that the maps hold all
                // rows that the kernel touches: it reads between the first and the last row of the sources that it is told of,
                // and writes only pixels of `rows`.
                unsafe {
                    convolve_direct::launch_unchecked(
                        client,
                        count,
                        CubeDim::new_1d(direct::UNITS),
                        VECTOR,
                        first,
                        second,
                        third,
                        fourth,
                        fifth,
                        weights,
                        channels,
                        stream,
                        skip,
                        target,
                        result,
                        place,
                        around.scale,
                        form,
                        input,
                        output,
                    );
                }
            }
            Way::Matrix(fragments) => {
                let fragments = self.with_rows(fragments, (height, width), samples);
                let count = tiles(fragments.m, fragments.tile_rows(), form.outputs / fragments.outputs());
                let units = CubeDim::new_2d(fragments.plane_units, matrix::PLANES);
                // SAFETY: as above.
                unsafe {
                    convolve_matrix::launch_unchecked(
                        client,
                        count,
                        units,
                        VECTOR,
                        first,
                        second,
                        third,
                        fourth,
                        fifth,
                        weights,
                        channels,
                        stream,
                        skip,
                        target,
                        result,
                        place,
                        around.scale,
                        form,
                        fragments,
                        input,
                        output,
                    );
                }
            }
        }
    }

    /// As many rows of pixels for a plane as leave enough cubes for the device: the more, the fewer loads for a product.
    fn with_rows(&self, fragments: Fragments, (height, width): (usize, usize), samples: u32) -> Fragments {
        let across = (width as u32).div_ceil(fragments.m) * samples;
        let is_good = |fragments: &Fragments| {
            let cubes = across * (height as u32).div_ceil(fragments.tile_rows());
            fragments.shared_bytes() <= self.shared_bytes && cubes >= FEWEST_CUBES
        };
        let choices = [4, 2].map(|rows| Fragments { rows, ..fragments });
        choices.into_iter().find(is_good).unwrap_or(fragments)
    }

    fn form(&self, factor: usize, edge: Edge, around: &Around<'_>) -> Form {
        let mut channels = [0; MAX_SOURCES];
        for (channels, source) in channels.iter_mut().zip(&self.sources) {
            *channels = padded(*source) as u32;
        }
        let chunk = match self.way {
            Way::Direct => direct::CHUNK,
            Way::Matrix(_) => matrix::CHUNK,
        };
        Form {
            channels,
            outputs: padded(self.outputs) as u32,
            chunk,
            factor: factor as u32,
            edge: EdgeCode::from(edge),
            has_slopes: self.has_slopes,
            adds_stream: around.adds.0,
            adds_skip: around.adds.1,
            stores_stream: around.stores.0,
            stores_skip: around.stores.1,
            stores_output: around.output.is_some(),
            result_channels: around.result.map_or(0, |planes| planes.channels as u32),
            shuffle: around.result.map_or(1, |planes| planes.shuffle as u32),
        }
    }

    fn check(
        &self,
        sources: &[&Map],
        (height, width): (usize, usize),
        around: &Around<'_>,
        rows: &Range<usize>,
    ) {
        let first = sources[0];
        assert!(rows.start < rows.end && rows.end <= height, "rows of the output");
        assert!(
            sources.len() == self.sources.len() && sources.len() <= MAX_SOURCES,
            "as many maps as sources"
        );
        for (map, channels) in sources.iter().zip(&self.sources) {
            assert!(
                map.channels == *channels && map.storage == self.storage,
                "a source's channels and numbers"
            );
            let shape = |map: &Map| (map.samples, map.height, map.width, map.rows.clone());
            assert!(shape(map) == shape(first), "sources of one shape");
        }
        for map in [around.stream, around.skip, around.output].into_iter().flatten() {
            assert!(
                (map.samples, map.height, map.width) == (first.samples, height, width),
                "an output's shape"
            );
            assert!(map.channels == self.outputs, "an output's channels");
            assert!(map.rows.start <= rows.start && rows.end <= map.rows.end, "rows that an output holds");
        }
        let rows_of = |map: Option<&Map>| map.map(|map| map.rows.clone());
        if let (Some(stream), Some(skip)) = (rows_of(around.stream), rows_of(around.skip)) {
            assert!(stream == skip, "stream and skip hold the same rows");
        }
        for map in [around.stream, around.skip].into_iter().flatten() {
            assert!(map.storage == Storage::F32, "residuals in f32");
        }
        assert!(around.output.is_none() || around.result.is_none(), "one kind of output");
        if let Some(planes) = around.result {
            assert!(
                planes.rows.start <= rows.start && rows.end <= planes.rows.end,
                "rows that the result holds"
            );
            let squares = planes.shuffle * planes.shuffle;
            assert!(planes.channels * squares == self.outputs, "channels of the result");
            let numbers = first.samples * self.outputs * planes.rows.len() * width;
            assert!(planes.numbers >= numbers, "numbers of the result");
        }
        let reads = (around.adds.0 || around.stores.0, around.adds.1 || around.stores.1);
        assert!(!reads.0 || around.stream.is_some(), "a stream to be read or written");
        assert!(!reads.1 || around.skip.is_some(), "a skip to be read or written");
    }
}

/// The buffers of a launch.
struct Arguments {
    sources: [BufferArg; MAX_SOURCES],
    weights: BufferArg,
    channels: BufferArg,
    stream: BufferArg,
    skip: BufferArg,
    output: BufferArg,
    result: BufferArg,
}

impl Arguments {
    fn new(convolution: &Convolution, sources: &[&Map], around: &Around<'_>) -> Self {
        let nothing = || buffer(&convolution.nothing, VECTOR);
        let map = |map: Option<&Map>| map.map_or_else(nothing, Map::argument);
        Self {
            sources: std::array::from_fn(|index| map(sources.get(index).copied())),
            weights: buffer(&convolution.weights, convolution.weight_count),
            channels: buffer(&convolution.channels, convolution.channel_count),
            stream: map(around.stream),
            skip: map(around.skip),
            output: map(around.output),
            result: around.result.map_or_else(nothing, |planes| buffer(&planes.handle, planes.numbers)),
        }
    }
}

fn buffer(handle: &Handle, numbers: usize) -> BufferArg {
    // SAFETY: callers name the numbers that the handle was made with.
    unsafe { BufferArg::from_raw_parts(handle.clone(), numbers) }
}

/// The kernel for a convolution on a device with matrix units.
fn way(packed: &PackedConvolution, units: MatrixUnits) -> Way {
    let in_all = padded(packed.outputs) as u32 / units.n;
    let most = MOST_OUTPUTS / units.n;
    let columns = (1..=most).rev().find(|columns| in_all.is_multiple_of(*columns)).unwrap_or(1);
    let MatrixUnits { m, n, k, plane_units, has_fixed_planes, unrolls_taps, shared_bytes } = units;
    let fragments = Fragments { m, n, k, rows: 1, columns, plane_units, has_fixed_planes, unrolls_taps };
    if fragments.shared_bytes() <= shared_bytes { Way::Matrix(fragments) } else { Way::Direct }
}
