//! The portable variant: plain Rust that the compiler may vectorise. Not the oracle; that is in the tests.

pub(crate) mod bf16;

use crate::block::ChannelBlock;
use crate::ceiling;
use crate::conv::{ConvRow, ConvSegment, tile, transformed};
use crate::gradient::{self, OuterProducts, TransformGradient};
use crate::simd::Simd;
use crate::transform::{self, TransformSegment};

/// Needs nothing of the processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl Simd for Portable {
    type Block = [f32; 16];
    type Splat = f32;

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Block {
        // SAFETY: the caller promises sixteen readable `f32`; an array of `f32` has their alignment.
        unsafe { source.cast::<[f32; 16]>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, block: Self::Block) {
        // SAFETY: the caller promises sixteen writable `f32`; an array of `f32` has their alignment.
        unsafe { target.cast::<[f32; 16]>().write(block) }
    }

    #[inline(always)]
    unsafe fn splat(self, source: *const f32) -> Self::Splat {
        // SAFETY: the caller promises one readable `f32`.
        unsafe { source.read() }
    }

    #[inline(always)]
    fn multiply_add_splat(
        self,
        mut accumulator: Self::Block,
        weights: Self::Block,
        scalar: f32,
    ) -> Self::Block {
        for (sum, weight) in accumulator.iter_mut().zip(weights) {
            // Not `mul_add`: without the instruction it is a call into the C library.
            *sum += weight * scalar;
        }
        accumulator
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Block, b: Self::Block, mut c: Self::Block) -> Self::Block {
        for ((sum, a), b) in c.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
        c
    }

    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn leaky_relu(self, mut x: Self::Block, slope: Self::Block) -> Self::Block {
        for (x, slope) in x.iter_mut().zip(slope) {
            *x = if *x > 0.0 { *x } else { *x * slope };
        }
        x
    }
}

/// Runs a row. Two pixels at a time: sixteen SSE registers hold eight of accumulators and four of weights.
pub(crate) fn conv_row(row: &mut ConvRow<'_, '_>) {
    tile::run::<Portable, 2, 1>(Portable, row);
}

/// Convolves a segment of transformed tiles.
pub(crate) fn conv_segment(call: &mut ConvSegment<'_, '_>) {
    transformed::run::<Portable, 2, 1>(Portable, call);
}

/// Multiplies and adds in registers alone.
pub(crate) fn ceiling(rounds: u64) -> (u64, ChannelBlock) {
    ceiling::run::<Portable, 3>(Portable, rounds)
}

/// Transforms a segment.
pub(crate) fn transform_segment(segment: &mut TransformSegment<'_, '_>) {
    transform::run(Portable, segment);
}

/// Adds up outer products.
pub(crate) fn add_products(call: &mut OuterProducts<'_, '_>) {
    gradient::add_products::<Portable, 2, 1>(Portable, call);
}

/// Transforms a segment of a gradient.
pub(crate) fn transform_gradient(call: &mut TransformGradient<'_, '_>) {
    gradient::transform(Portable, call);
}
