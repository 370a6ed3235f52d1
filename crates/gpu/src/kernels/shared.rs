//! What both kernels do alike: reading a tile with its halo, and what comes behind the sum.

use cubecl::prelude::*;
use esrgan_engine::Edge;

/// What a convolution's kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// Channels of each source, filled up; zero for those that are not there.
    pub(crate) channels: [u32; super::MAX_SOURCES],
    /// Channels of the output, filled up.
    pub(crate) outputs: u32,
    /// Channels that are multiplied between two barriers.
    pub(crate) chunk: u32,
    /// Enlargement by repetition before the convolution.
    pub(crate) factor: u32,
    /// What lies beyond the edge.
    pub(crate) edge: EdgeCode,
    /// Whether a slope multiplies negative sums.
    pub(crate) has_slopes: bool,
    /// Whether `sum * scale + stream` follows.
    pub(crate) adds_stream: bool,
    /// Whether `sum * scale + skip` follows.
    pub(crate) adds_skip: bool,
    /// Whether the sum goes into the stream, the skip, the output map.
    pub(crate) stores_stream: bool,
    /// As above.
    pub(crate) stores_skip: bool,
    /// As above.
    pub(crate) stores_output: bool,
    /// Channels of the picture that the result is, planes behind each other; zero where it is no result.
    pub(crate) result_channels: u32,
    /// Pixel shuffle of the result.
    pub(crate) shuffle: u32,
}

impl Form {
    /// Chunks of all sources.
    pub(crate) fn chunks(&self) -> u32 {
        self.channels.iter().map(|channels| channels / self.chunk).sum()
    }

    /// Chunks of the sources before one.
    pub(crate) fn chunks_before(&self, source: usize) -> u32 {
        self.channels[..source].iter().map(|channels| channels / self.chunk).sum()
    }
}

/// An edge mode, as kernels are compiled for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EdgeCode {
    Zero,
    Replicate,
    Reflect,
    Wrap,
}

impl From<Edge> for EdgeCode {
    fn from(edge: Edge) -> Self {
        match edge {
            Edge::Zero => Self::Zero,
            Edge::Replicate => Self::Replicate,
            Edge::Reflect => Self::Reflect,
            Edge::Wrap => Self::Wrap,
        }
    }
}

/// Where rows lie: each buffer holds rows of its map from one on.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Place {
    /// Height of the output map as a whole.
    pub(crate) height: u32,
    /// Its width.
    pub(crate) width: u32,
    /// The first row that is computed.
    pub(crate) first_row: u32,
    /// The row behind the last one.
    pub(crate) end_row: u32,
    /// The first row that the sources hold, at their own size.
    pub(crate) source_row: u32,
    /// How many they hold.
    pub(crate) source_rows: u32,
    /// The first row that the output holds.
    pub(crate) output_row: u32,
    /// How many it holds.
    pub(crate) output_rows: u32,
    /// The first row that stream and skip hold.
    pub(crate) stream_row: u32,
    /// How many they hold.
    pub(crate) stream_rows: u32,
}

/// Where position `index` of a line of `length` is found; a position beyond the line by more than one pixel is found somewhere.
#[cube]
pub(crate) fn resolved(index: i32, length: i32, #[comptime] edge: EdgeCode) -> i32 {
    let mut found = index;
    if comptime!(edge == EdgeCode::Reflect) {
        found = i32::abs(found);
        if found >= length {
            found = 2 * (length - 1) - found;
        }
    }
    if comptime!(edge == EdgeCode::Wrap) {
        if found < 0 {
            found += length;
        }
        if found >= length {
            found -= length;
        }
    }
    clamp(found, 0, length - 1)
}

/// The vector of a source's channels at a place of the output's grid.
#[cube]
fn source_vector<I: Float, N: Size>(
    source: &[Vector<I, N>],
    at: &At,
    vector: u32,
    place: &Place,
    #[comptime] vectors: u32,
    #[comptime] form: Form,
) -> Vector<I, N> {
    let factor = comptime!(form.factor);
    let row = resolved(at.y, place.height as i32, form.edge) as u32 / factor;
    let column = resolved(at.x, place.width as i32, form.edge) as u32 / factor;
    let held = clamp(row, place.source_row, place.source_row + place.source_rows - 1) - place.source_row;
    let pixel = (at.sample * place.source_rows + held) * (place.width / factor) + column;
    source[(pixel * vectors + vector) as usize]
}

/// A pixel of the output's grid, perhaps beyond the edge.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct At {
    pub(crate) sample: u32,
    pub(crate) y: i32,
    pub(crate) x: i32,
}

/// Vector `vector` of chunk `chunk` of all sources, as if they lay behind each other; zeros beyond the edge where that is wanted.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers come one by one")]
pub(crate) fn chunk_vector<I: Float, N: Size>(
    first: &[Vector<I, N>],
    second: &[Vector<I, N>],
    third: &[Vector<I, N>],
    fourth: &[Vector<I, N>],
    fifth: &[Vector<I, N>],
    at: &At,
    chunk: u32,
    vector: u32,
    place: &Place,
    #[comptime] form: Form,
) -> Vector<I, N> {
    let of_chunk = comptime!(form.chunk / 4);
    let mut found = Vector::<I, N>::cast_from(0.0f32);
    let is_inside = at.y >= 0 && at.y < place.height as i32 && at.x >= 0 && at.x < place.width as i32;
    if comptime!(form.edge != EdgeCode::Zero) || is_inside {
        if chunk < comptime!(form.chunks_before(1)) {
            let vector = chunk * of_chunk + vector;
            found = source_vector(first, at, vector, place, comptime!(form.channels[0] / 4), form);
        } else if chunk < comptime!(form.chunks_before(2)) {
            let vector = (chunk - comptime!(form.chunks_before(1))) * of_chunk + vector;
            found = source_vector(second, at, vector, place, comptime!(form.channels[1] / 4), form);
        } else if chunk < comptime!(form.chunks_before(3)) {
            let vector = (chunk - comptime!(form.chunks_before(2))) * of_chunk + vector;
            found = source_vector(third, at, vector, place, comptime!(form.channels[2] / 4), form);
        } else if chunk < comptime!(form.chunks_before(4)) {
            let vector = (chunk - comptime!(form.chunks_before(3))) * of_chunk + vector;
            found = source_vector(fourth, at, vector, place, comptime!(form.channels[3] / 4), form);
        } else {
            let vector = (chunk - comptime!(form.chunks_before(4))) * of_chunk + vector;
            found = source_vector(fifth, at, vector, place, comptime!(form.channels[4] / 4), form);
        }
    }
    found
}

/// What comes behind the sum of vector `vector` of a pixel's outputs: bias, activation, residuals; and where it goes.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers come one by one")]
pub(crate) fn finish<O: Float, N: Size>(
    sum: Vector<f32, N>,
    at: &At,
    vector: u32,
    channels: &[Vector<f32, N>],
    stream: &mut [Vector<f32, N>],
    skip: &mut [Vector<f32, N>],
    output: &mut [Vector<O, N>],
    result: &mut [f32],
    place: &Place,
    scale: f32,
    #[comptime] form: Form,
) {
    let vectors = comptime!(form.outputs / 4);
    let (y, x) = (at.y as u32, at.x as u32);
    if y < place.end_row && x < place.width && vector < vectors {
        let mut value = sum + channels[vector as usize];
        if comptime!(form.has_slopes) {
            let slope = channels[(vectors + vector) as usize];
            // A comparison, not a maximum: what is no number must stay none.
            value = select_many(value.less_than(&Vector::cast_from(0.0f32)), value * slope, value);
        }
        let in_stream = ((at.sample * place.stream_rows + y - place.stream_row) * place.width + x) * vectors;
        let in_stream = (in_stream + vector) as usize;
        if comptime!(form.adds_stream) {
            value = value * Vector::cast_from(scale) + stream[in_stream];
        }
        if comptime!(form.adds_skip) {
            value = value * Vector::cast_from(scale) + skip[in_stream];
        }
        if comptime!(form.stores_stream) {
            stream[in_stream] = value;
        }
        if comptime!(form.stores_skip) {
            skip[in_stream] = value;
        }
        let row = at.sample * place.output_rows + y - place.output_row;
        if comptime!(form.stores_output) {
            output[((row * place.width + x) * vectors + vector) as usize] = Vector::<O, N>::cast_from(value);
        }
        if comptime!(form.result_channels > 0) {
            store_result(value, at, vector, result, place, form);
        }
    }
}

/// Writes a vector of the last convolution's outputs into the planes of the enlarged picture.
#[cube]
fn store_result<N: Size>(
    value: Vector<f32, N>,
    at: &At,
    vector: u32,
    result: &mut [f32],
    place: &Place,
    #[comptime] form: Form,
) {
    let shuffle = comptime!(form.shuffle);
    let planes = comptime!(form.result_channels);
    let row = at.y as u32 - place.output_row;
    #[unroll]
    for lane in 0..4u32 {
        let channel = vector * 4 + lane;
        if channel < comptime!(planes * shuffle * shuffle) {
            let plane = at.sample * planes + channel / comptime!(shuffle * shuffle);
            let y = row * shuffle + channel / shuffle % shuffle;
            let x = at.x as u32 * shuffle + channel % shuffle;
            let index = (plane * place.output_rows * shuffle + y) * place.width * shuffle + x;
            result[index as usize] = value.extract(lane as usize);
        }
    }
}
