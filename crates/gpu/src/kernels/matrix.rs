//! The kernel for units that multiply small matrices of half precision and sum in `f32`.
//!
//! An implicit product of matrices: rows are pixels beside each other, columns output channels, and what is summed over are
//! channels under each of the nine taps. A tile of pixels with its halo lies in shared memory, so that the rows under another tap are
//! the same memory read from another place; the filters of as many channels lie beside it. While one chunk of channels is multiplied,
//! the next one is on its way from memory into registers.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::shared::{At, Form, Place, chunk_vector, finish};

/// Planes (subgroups) of a cube.
pub(crate) const PLANES: u32 = 4;
/// Channels between two barriers.
pub(crate) const CHUNK: u32 = 16;
/// Numbers that are left free behind a pixel's channels and behind a channel's filters, so that neighbours lie in different banks.
const PADDING: u32 = 8;
const PIXEL_VECTORS: u32 = (CHUNK + PADDING) / 4;
const CHUNK_VECTORS: u32 = CHUNK / 4;

/// The matrices that a device multiplies, and how many of them a plane has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fragments {
    /// Rows: pixels.
    pub(crate) m: u32,
    /// Columns: output channels.
    pub(crate) n: u32,
    /// What is summed over: input channels.
    pub(crate) k: u32,
    /// Rows of pixels of a plane.
    pub(crate) rows: u32,
    /// Matrices beside each other, for as many times `n` output channels of a cube.
    pub(crate) columns: u32,
    /// Units of a plane.
    pub(crate) plane_units: u32,
    /// Whether planes always have that many units. Where they may have fewer, several planes do the same, and wait for each other.
    pub(crate) has_fixed_planes: bool,
    /// Whether all taps are written out, so that the compiler loads the next matrices while it multiplies.
    pub(crate) unrolls_taps: bool,
}

impl Fragments {
    /// Rows of a cube's tile.
    pub(crate) fn tile_rows(&self) -> u32 {
        PLANES * self.rows
    }

    /// Output channels of a cube.
    pub(crate) fn outputs(&self) -> u32 {
        self.columns * self.n
    }

    fn units(&self) -> u32 {
        PLANES * self.plane_units
    }

    fn halo_columns(&self) -> u32 {
        self.m + 2
    }

    /// Vectors of a chunk of the tile's pixels.
    fn pixel_items(&self) -> u32 {
        (self.tile_rows() + 2) * self.halo_columns() * CHUNK_VECTORS
    }

    /// Vectors of a chunk's filters: `[tap][channel][output]`.
    fn filter_items(&self) -> u32 {
        9 * CHUNK * self.outputs() / 4
    }

    fn tile_vectors(&self) -> u32 {
        (self.tile_rows() + 2) * self.halo_columns() * PIXEL_VECTORS
    }

    /// Vectors from one channel's filters to the next.
    fn filter_stride(&self) -> u32 {
        (self.outputs() + PADDING) / 4
    }

    fn filter_vectors(&self) -> u32 {
        9 * CHUNK * self.filter_stride()
    }

    fn scratch_vectors(&self) -> u32 {
        PLANES * self.m * self.n / 4
    }

    /// Shared memory that a cube takes.
    pub(crate) fn shared_bytes(&self) -> usize {
        ((self.tile_vectors() + self.filter_vectors()) * 8 + self.scratch_vectors() * 16) as usize
    }
}

/// Waits until all who use a plane's scratch memory are here.
#[cube]
fn sync_scratch(#[comptime] fragments: Fragments) {
    if comptime!(fragments.has_fixed_planes) {
        sync_plane();
    } else {
        sync_cube();
    }
}

/// Reads a unit's share of a chunk's filters.
#[cube]
fn fetch_filters<I: Float, N: Size>(
    weights: &[Vector<I, N>],
    chunk: u32,
    block: u32,
    unit: u32,
    fetched: &mut Array<Vector<I, N>>,
    #[comptime] form: Form,
    #[comptime] fragments: Fragments,
) {
    let of_row = comptime!(fragments.outputs() / 4);
    #[unroll]
    for number in 0..comptime!(fragments.filter_items().div_ceil(fragments.units())) {
        let item = unit + comptime!(number * fragments.units());
        if item < comptime!(fragments.filter_items()) {
            let row = chunk * comptime!(9 * CHUNK) + item / of_row;
            let vector = row * comptime!(form.outputs / 4) + block * of_row + item % of_row;
            fetched[comptime!(number as usize)] = weights[vector as usize];
        }
    }
}

/// Convolves: a cube computes a tile of pixels for `columns * n` output channels.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers come one by one")]
pub(crate) fn convolve_matrix<I: Float, O: Float, N: Size>(
    first: &[Vector<I, N>],
    second: &[Vector<I, N>],
    third: &[Vector<I, N>],
    fourth: &[Vector<I, N>],
    fifth: &[Vector<I, N>],
    weights: &[Vector<I, N>],
    channels: &[Vector<f32, N>],
    stream: &mut [Vector<f32, N>],
    skip: &mut [Vector<f32, N>],
    output: &mut [Vector<O, N>],
    result: &mut [f32],
    place: Place,
    scale: f32,
    #[comptime] form: Form,
    #[comptime] fragments: Fragments,
    #[define(I)] _read: ElemType,
    #[define(O)] _written: ElemType,
) {
    let (m, n, k) = comptime!((fragments.m as usize, fragments.n as usize, fragments.k as usize));
    let halo_columns = comptime!(fragments.halo_columns());
    let mut tile =
        Shared::<[Vector<I, N>]>::new_aligned_slice(comptime!(fragments.tile_vectors() as usize), 16usize);
    let mut filters =
        Shared::<[Vector<I, N>]>::new_aligned_slice(comptime!(fragments.filter_vectors() as usize), 16usize);
    let mut scratch = Shared::<[Vector<f32, N>]>::new_aligned_slice(
        comptime!(fragments.scratch_vectors() as usize),
        16usize,
    );
    let blocks = comptime!(form.outputs / fragments.outputs());
    let (block, sample) = (CUBE_POS_Z % blocks, CUBE_POS_Z / blocks);
    let (plane, lane) = (UNIT_POS_Y, UNIT_POS_X);
    let top = (place.first_row + CUBE_POS_Y * comptime!(fragments.tile_rows())) as i32;
    let left = (CUBE_POS_X * comptime!(fragments.m)) as i32;
    let chunks = comptime!(form.chunks());
    let units = comptime!(fragments.units());
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(fragments.rows * fragments.columns) {
        sums.push(cmma::Matrix::<f32>::from_value(
            cmma::MatrixIdent::Accumulator,
            m,
            n,
            k,
            cmma::MatrixLayout::Undefined,
            0.0f32,
        ));
    }
    let pixel_shares = comptime!(fragments.pixel_items().div_ceil(fragments.units()));
    let filter_shares = comptime!(fragments.filter_items().div_ceil(fragments.units()));
    let mut next_pixels = Array::<Vector<I, N>>::new(comptime!(pixel_shares as usize));
    let mut next_filters = Array::<Vector<I, N>>::new(comptime!(filter_shares as usize));
    // One turn more than there are chunks: the first only fetches.
    for turn in 0..comptime!(chunks + 1) {
        if turn > 0 {
            sync_cube();
            #[unroll]
            for number in 0..pixel_shares {
                let item = UNIT_POS + comptime!(number * units);
                if item < comptime!(fragments.pixel_items()) {
                    let place_in_tile = item / CHUNK_VECTORS * PIXEL_VECTORS + item % CHUNK_VECTORS;
                    tile[place_in_tile as usize] = next_pixels[comptime!(number as usize)];
                }
            }
            let of_row = comptime!(fragments.outputs() / 4);
            #[unroll]
            for number in 0..filter_shares {
                let item = UNIT_POS + comptime!(number * units);
                if item < comptime!(fragments.filter_items()) {
                    let place_in_filters =
                        item / of_row * comptime!(fragments.filter_stride()) + item % of_row;
                    filters[place_in_filters as usize] = next_filters[comptime!(number as usize)];
                }
            }
            sync_cube();
        }
        if turn < chunks {
            #[unroll]
            for number in 0..pixel_shares {
                let item = UNIT_POS + comptime!(number * units);
                if item < comptime!(fragments.pixel_items()) {
                    let pixel = item / CHUNK_VECTORS;
                    let y = top + (pixel / halo_columns) as i32 - 1;
                    let x = left + (pixel % halo_columns) as i32 - 1;
                    let at = At { sample, y, x };
                    let vector = item % CHUNK_VECTORS;
                    next_pixels[comptime!(number as usize)] =
                        chunk_vector(first, second, third, fourth, fifth, &at, turn, vector, &place, form);
                }
            }
            fetch_filters(weights, turn, block, UNIT_POS, &mut next_filters, form, fragments);
        }
        if turn > 0 {
            #[unroll(fragments.unrolls_taps)]
            for tap in 0..9u32 {
                let shift = (tap / 3) * halo_columns + tap % 3;
                #[unroll]
                for step in 0..comptime!(CHUNK / fragments.k) {
                    let mut of_columns = Sequence::<cmma::Matrix<Vector<I, N>>>::new();
                    let channel = tap * CHUNK + comptime!(step * fragments.k);
                    #[unroll]
                    for column in 0..comptime!(fragments.columns) {
                        let start = channel * comptime!(fragments.filter_stride())
                            + comptime!(column * fragments.n / 4);
                        of_columns.push(cmma::Matrix::<Vector<I, N>>::from_slice(
                            cmma::MatrixIdent::B,
                            m,
                            n,
                            k,
                            cmma::MatrixLayout::RowMajor,
                            &filters[start as usize..start as usize + 1],
                            comptime!(fragments.outputs() + PADDING),
                        ));
                    }
                    #[unroll]
                    for row in 0..comptime!(fragments.rows) {
                        let pixel = (plane * comptime!(fragments.rows) + row) * halo_columns + shift;
                        let start = (pixel * PIXEL_VECTORS + comptime!(step * fragments.k / 4)) as usize;
                        let pixels = cmma::Matrix::<Vector<I, N>>::from_slice(
                            cmma::MatrixIdent::A,
                            m,
                            n,
                            k,
                            cmma::MatrixLayout::RowMajor,
                            &tile[start..start + 1],
                            comptime!(CHUNK + PADDING),
                        );
                        #[unroll]
                        for column in 0..comptime!(fragments.columns) {
                            let sum = sums.index(comptime!((row * fragments.columns + column) as usize));
                            cmma::execute(&pixels, of_columns.index(comptime!(column as usize)), sum, sum);
                        }
                    }
                }
            }
        }
    }
    let plane_vectors = comptime!(fragments.m * fragments.n / 4);
    let start = (plane * plane_vectors) as usize;
    #[unroll]
    for row in 0..comptime!(fragments.rows) {
        #[unroll]
        for column in 0..comptime!(fragments.columns) {
            sync_scratch(fragments);
            cmma::store(
                &mut scratch[start..start + comptime!(plane_vectors as usize)],
                sums.index(comptime!((row * fragments.columns + column) as usize)),
                comptime!(fragments.n),
                cmma::MatrixLayout::RowMajor,
            );
            sync_scratch(fragments);
            for item in range_stepped(lane, plane_vectors, comptime!(fragments.plane_units)) {
                let (pixel, vector) = (item / comptime!(fragments.n / 4), item % comptime!(fragments.n / 4));
                let y = top + (plane * comptime!(fragments.rows) + row) as i32;
                let at = At { sample, y, x: left + pixel as i32 };
                let vector =
                    (block * comptime!(fragments.columns) + column) * comptime!(fragments.n / 4) + vector;
                let sum = scratch[start + item as usize];
                finish(sum, &at, vector, channels, stream, skip, output, result, &place, scale, form);
            }
        }
    }
}
