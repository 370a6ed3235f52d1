//! How fast a processor multiplies and adds at most: loops that touch no memory. What kernels are measured against.

use crate::bf16::{Bf16Products, Paired};
use crate::block::ChannelBlock;
use crate::simd::Simd;

/// Multiplications and additions of one step for sixteen lanes.
const FLOP_OF_A_BLOCK: u64 = 32;

/// Runs `rounds` steps of `N` independent sums, `sum = sum * factor + addend`, and tells the operations that they took.
///
/// `N` blocks fill the registers, but for the two constants. Must be inlined into a function that enables the instruction set
/// of `S`.
#[inline(always)]
pub(crate) fn run<S: Simd, const N: usize>(simd: S, rounds: u64) -> (u64, ChannelBlock) {
    let (factor, addend) = (ChannelBlock::splat(0.5), ChannelBlock::splat(1.0));
    // SAFETY: the references are to sixteen `f32`.
    let (factor, addend) = unsafe { (simd.load(factor.0.as_ptr()), simd.load(addend.0.as_ptr())) };
    let mut sums = [addend; N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = simd.multiply_add(*sum, factor, addend);
        }
    }
    (rounds * N as u64 * FLOP_OF_A_BLOCK, total(simd, &sums))
}

/// As [`run`], of products of bf16 pairs: twice the operations in a step.
#[inline(always)]
pub(crate) fn run_bf16<T: Bf16Products, const N: usize>(token: T, rounds: u64) -> (u64, ChannelBlock) {
    let simd = Paired(token);
    // One and one, in bf16.
    let pair = f32::from_bits(0x3f80_3f80);
    let block = ChannelBlock::splat(pair);
    // SAFETY: the references are to sixteen `f32`, and to one.
    let (block, lane) = unsafe { (simd.load(block.0.as_ptr()), simd.splat(&raw const pair)) };
    let zero = ChannelBlock::ZERO;
    // SAFETY: the reference is to sixteen `f32`.
    let mut sums = [unsafe { simd.load(zero.0.as_ptr()) }; N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = simd.multiply_add_splat(*sum, block, lane);
        }
    }
    (rounds * N as u64 * 2 * FLOP_OF_A_BLOCK, total(simd, &sums))
}

/// The sum of all sums, so that none of them can be left out.
#[inline(always)]
fn total<S: Simd>(simd: S, sums: &[S::Block]) -> ChannelBlock {
    let mut total = ChannelBlock::ZERO;
    for &sum in sums {
        let mut lanes = ChannelBlock::ZERO;
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { simd.store(lanes.0.as_mut_ptr(), sum) };
        for (total, lane) in total.0.iter_mut().zip(lanes.0) {
            *total += lane;
        }
    }
    total
}
