//! The kernel for units that multiply small matrices of half precision and sum in `f32`.
//!
//! An implicit product of matrices: rows are pixels beside each other, columns output channels, and what is summed over are
//! channels under each of the nine taps. A tile of pixels with its halo lies in shared memory, so that the rows under another tap are
//! the same memory read from another place.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::shared::{At, Form, Place, chunk_vector, finish};

/// Planes (subgroups) of a cube.
pub(crate) const PLANES: u32 = 4;
/// Numbers that are left free behind a pixel's channels, so that neighbours lie in different banks.
const PIXEL_PADDING: u32 = 8;

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
}

impl Fragments {
    /// Rows of a cube's tile.
    pub(crate) fn tile_rows(&self) -> u32 {
        PLANES * self.rows
    }

    fn halo_columns(&self) -> u32 {
        self.m + 2
    }

    fn halo_pixels(&self) -> u32 {
        (self.tile_rows() + 2) * self.halo_columns()
    }

    fn tile_vectors(&self, chunk: u32) -> u32 {
        self.halo_pixels() * (chunk + PIXEL_PADDING) / 4
    }

    fn scratch_vectors(&self) -> u32 {
        PLANES * self.m * self.n / 4
    }

    /// Shared memory that a cube takes.
    pub(crate) fn shared_bytes(&self, chunk: u32) -> usize {
        (self.tile_vectors(chunk) * 8 + self.scratch_vectors() * 16) as usize
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
    #[define(I)] _input: ElemType,
    #[define(O)] _output: ElemType,
) {
    let (m, n, k) = comptime!((fragments.m as usize, fragments.n as usize, fragments.k as usize));
    let chunk_channels = comptime!(form.chunk);
    let pixel_vectors = comptime!((form.chunk + PIXEL_PADDING) / 4);
    let halo_columns = comptime!(fragments.halo_columns());
    let mut tile = Shared::<[Vector<I, N>]>::new_aligned_slice(
        comptime!(fragments.tile_vectors(form.chunk) as usize),
        16usize,
    );
    let mut scratch = Shared::<[Vector<f32, N>]>::new_aligned_slice(
        comptime!(fragments.scratch_vectors() as usize),
        16usize,
    );
    let blocks = comptime!(form.outputs / (fragments.n * fragments.columns));
    let (block, sample) = (CUBE_POS_Z % blocks, CUBE_POS_Z / blocks);
    let (plane, lane) = (UNIT_POS_Y, UNIT_POS_X);
    let top = (place.first_row + CUBE_POS_Y * comptime!(fragments.tile_rows())) as i32;
    let left = (CUBE_POS_X * comptime!(fragments.m)) as i32;
    let chunks = comptime!(form.chunks());
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
    let steps = comptime!(form.chunk / fragments.k);
    let matrix_vectors = comptime!(fragments.k * fragments.n / 4);
    for chunk in 0..chunks {
        sync_cube();
        let items = comptime!(fragments.halo_pixels() * form.chunk / 4);
        for item in range_stepped(UNIT_POS, items, comptime!(PLANES * fragments.plane_units)) {
            let (pixel, vector) = (item / comptime!(form.chunk / 4), item % comptime!(form.chunk / 4));
            let y = top + (pixel / halo_columns) as i32 - 1;
            let x = left + (pixel % halo_columns) as i32 - 1;
            let at = At { sample, y, x };
            tile[(pixel * pixel_vectors + vector) as usize] =
                chunk_vector(first, second, third, fourth, fifth, &at, chunk, vector, &place, form);
        }
        sync_cube();
        for tap in 0..9u32 {
            let shift = (tap / 3) * halo_columns + tap % 3;
            #[unroll]
            for step in 0..steps {
                let first_matrix = ((chunk * 9 + tap) * steps + step) * comptime!(form.outputs / fragments.n)
                    + block * comptime!(fragments.columns);
                let mut filters = Sequence::<cmma::Matrix<Vector<I, N>>>::new();
                #[unroll]
                for column in 0..comptime!(fragments.columns) {
                    let start = ((first_matrix + column) * matrix_vectors) as usize;
                    filters.push(cmma::Matrix::<Vector<I, N>>::from_slice(
                        cmma::MatrixIdent::B,
                        m,
                        n,
                        k,
                        cmma::MatrixLayout::RowMajor,
                        &weights[start..start + comptime!(matrix_vectors as usize)],
                        comptime!(fragments.n),
                    ));
                }
                #[unroll]
                for row in 0..comptime!(fragments.rows) {
                    let pixel = (plane * comptime!(fragments.rows) + row) * halo_columns + shift;
                    let start = (pixel * pixel_vectors + comptime!(step * fragments.k / 4)) as usize;
                    let pixels = cmma::Matrix::<Vector<I, N>>::from_slice(
                        cmma::MatrixIdent::A,
                        m,
                        n,
                        k,
                        cmma::MatrixLayout::RowMajor,
                        &tile[start..start + 1],
                        comptime!(form.chunk + PIXEL_PADDING),
                    );
                    #[unroll]
                    for column in 0..comptime!(fragments.columns) {
                        let sum = sums.index(comptime!((row * fragments.columns + column) as usize));
                        cmma::execute(&pixels, filters.index(comptime!(column as usize)), sum, sum);
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
            sync_plane();
            cmma::store(
                &mut scratch[start..start + comptime!(plane_vectors as usize)],
                sums.index(comptime!((row * fragments.columns + column) as usize)),
                comptime!(fragments.n),
                cmma::MatrixLayout::RowMajor,
            );
            sync_plane();
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
    let _ = chunk_channels;
}
