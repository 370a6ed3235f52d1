//! The only place that chooses a variant.

use crate::bf16::{ConvRowBf16, OuterProductsBf16, PAIRS_OF_A_TILE, assert_pairable, products};
use crate::block::ChannelBlock;
use crate::conv::{ConvRow, ConvSegment};
use crate::gradient::{OuterProducts, TransformGradient};
use crate::isa::Isa;
#[cfg(target_arch = "aarch64")]
use crate::isa::Neon;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Amx, Avx2, Avx512, Avx512Bf16};
use crate::portable;
use crate::transform::{self, COMPONENTS, Lanes, TransformSegment};

/// Convolves one output row: see [`ConvRow`] for the operation.
///
/// # Numerics
/// Accumulates in `f32`, in the order input block, kernel row, kernel column, channel, from the bias on; fused
/// multiply-add except in the portable variant. Each output depends on its own inputs alone: where in the row, in which
/// call and on which thread it is computed does not change a bit.
///
/// # Panics
/// Where `isa` is not available here, and where `row` does not hold together (see [`ConvRow`]): before anything is written.
pub fn conv_row(isa: Isa, mut row: ConvRow<'_, '_>) {
    row.assert_consistent();
    match isa.for_f32() {
        Isa::Portable => portable::conv_row(&mut row),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").conv_row(&mut row),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").conv_row(&mut row),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").conv_row(&mut row),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Convolves one output row in bf16: see [`ConvRowBf16`] for the operation.
///
/// # Numerics
/// Products of bf16 are exact; they are accumulated in `f32`, in the order input block, kernel row, kernel column, and
/// within a block as the instruction has it: pair by pair, or with AMX first the sum of all lower and of all upper halves.
/// Sets without instructions for bf16 run the portable variant. It keeps numbers below the smallest normal `f32`
/// (1.2e-38) as sums, where the instructions make them zero. The epilogue is computed in `f32`; paired outputs are then
/// rounded to the nearest bf16, ties to even, and below the smallest normal number to zero. Each output depends on its own
/// inputs alone: where in the row, in which call and on which thread it is computed does not change a bit.
///
/// # Panics
/// Where `isa` is not available here, and where `row` does not hold together (see [`ConvRowBf16`]): before anything is
/// written.
pub fn conv_row_bf16(isa: Isa, mut row: ConvRowBf16<'_, '_>) {
    assert!(isa.is_available(), "{isa} is not available here");
    row.assert_consistent();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => Avx512Bf16::new().expect("AVX-512 BF16 was detected").conv_row_bf16(&mut row),
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => Amx::new().expect("AMX was detected").conv_row_bf16(&mut row),
        _ => portable::bf16::conv_row(&mut row),
    }
}

/// Rounds rows of pixels to bf16, as [`conv_row_bf16`] reads them (see [`ConvRowBf16`]).
///
/// # Shapes
/// - `inputs`: one or two rows of `f32`, of the first and of the second sixteen of 32 channels
/// - `output`: a paired row of the same length; where there is one input, the upper sixteen channels become zero
///
/// # Numerics
/// To the nearest, ties to even; numbers below the smallest normal one become zero; NaN stays NaN. The bits are the same
/// for every set.
///
/// # Panics
/// Where the rows do not fit each other, and where `isa` is not available here.
pub fn pair_row(isa: Isa, inputs: &[&[ChannelBlock]], output: &mut [ChannelBlock]) {
    assert!(isa.is_available(), "{isa} is not available here");
    assert_pairable(inputs, output);
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 | Isa::Amx => {
            Avx512Bf16::new().expect("AVX-512 BF16 was detected").pair_row(inputs, output);
        }
        _ => portable::bf16::pair_row(inputs, output),
    }
}

/// Convolves a segment of transformed tiles: see [`ConvSegment`].
///
/// # Numerics
/// Accumulates in `f32`, each component over all channels in their order. Error about four times that of the direct sum. Bits
/// depend on where an output lies in its tile, that is on its row and column modulo four; not on the segment, the call or
/// the thread.
///
/// # Panics
/// As [`conv_row`].
pub fn conv_segment(isa: Isa, mut call: ConvSegment<'_, '_>) {
    call.assert_consistent();
    match isa.for_f32() {
        Isa::Portable => portable::conv_segment(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").conv_segment(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").conv_segment(&mut call),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").conv_segment(&mut call),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Transforms a segment of a row of tiles: see [`TransformSegment`].
///
/// # Values
/// Pixels beyond the padding count as zero; they reach only outputs that do not exist.
///
/// # Panics
/// As [`conv_row`].
pub fn transform_segment(isa: Isa, mut call: TransformSegment<'_, '_>) {
    call.assert_consistent();
    match isa.for_f32() {
        Isa::Portable => portable::transform_segment(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").transform_segment(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").transform_segment(&mut call),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").transform_segment(&mut call),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Adds up outer products: see [`OuterProducts`].
///
/// # Numerics
/// Accumulates in `f32`, run after run and position after position, from the present sums on; fused multiply-add except in the
/// portable variant.
///
/// # Panics
/// As [`conv_row`].
pub fn add_products(isa: Isa, mut call: OuterProducts<'_, '_>) {
    call.assert_consistent();
    match isa.for_f32() {
        Isa::Portable => portable::add_products(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").add_products(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").add_products(&mut call),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").add_products(&mut call),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Adds up outer products in bf16: see [`OuterProductsBf16`].
///
/// # Numerics
/// Products of bf16 are exact; they are accumulated in `f32` from the present sums on, over the pairs of pixels in their order,
/// and within 32 pixels as the instruction has it: see [`conv_row_bf16`], also for which sets run the portable variant.
///
/// # Panics
/// Where `isa` is not available here, and where `call` does not hold together: before anything is written.
pub fn add_products_bf16(isa: Isa, mut call: OuterProductsBf16<'_, '_>) {
    assert!(isa.is_available(), "{isa} is not available here");
    call.assert_consistent();
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => {
            Avx512Bf16::new().expect("AVX-512 BF16 was detected").add_products_bf16(&mut call);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => Amx::new().expect("AMX was detected").add_products_bf16(&mut call),
        _ => portable::bf16::add_products(&mut call),
    }
}

/// Rounds a row of pixels to bf16 in pairs of neighbours, the right side of [`OuterProductsBf16`]: block `k` of the output holds
/// pixels `2 * k` (low halves) and `2 * k + 1` (high halves). What is left of the output becomes zero.
///
/// # Numerics
/// As [`pair_row`].
///
/// # Panics
/// Where the output has no room, and where `isa` is not available here.
pub fn pair_pixels(isa: Isa, pixels: &[ChannelBlock], output: &mut [ChannelBlock]) {
    assert!(isa.is_available(), "{isa} is not available here");
    products::assert_room(pixels, output);
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 | Isa::Amx => {
            Avx512Bf16::new().expect("AVX-512 BF16 was detected").pair_pixels(pixels, output);
        }
        _ => portable::bf16::pair_pixels(pixels, output),
    }
}

/// Transposes pixel pairs in groups of sixteen, where they are: the left side of [`OuterProductsBf16`]. Lane `c` of block `k`
/// becomes lane `k` of block `c`.
///
/// # Panics
/// Where there are other than whole groups, and where `isa` is not available here.
pub fn transpose_pairs(isa: Isa, pairs: &mut [ChannelBlock]) {
    assert!(isa.is_available(), "{isa} is not available here");
    assert!(pairs.len().is_multiple_of(PAIRS_OF_A_TILE), "{} pairs in groups of 16", pairs.len());
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 | Isa::Amx => {
            Avx512Bf16::new().expect("AVX-512 BF16 was detected").transpose_pairs(pairs);
        }
        _ => portable::bf16::transpose_pairs(pairs),
    }
}

/// Transforms a segment of a gradient: see [`TransformGradient`].
///
/// # Panics
/// As [`conv_row`].
pub fn transform_gradient(isa: Isa, mut call: TransformGradient<'_, '_>) {
    call.assert_consistent();
    match isa.for_f32() {
        Isa::Portable => portable::transform_gradient(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").transform_gradient(&mut call),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").transform_gradient(&mut call),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").transform_gradient(&mut call),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Transforms sixteen filters: `[tap][filter]` into 36 components.
///
/// # Panics
/// Where `isa` is not available here.
pub(crate) fn transform_filters(isa: Isa, taps: &[Lanes; 9], components: &mut [ChannelBlock; COMPONENTS]) {
    match isa.for_f32() {
        Isa::Portable => transform::transform_filters(taps, components),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").transform_filters(taps, components),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").transform_filters(taps, components),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").transform_filters(taps, components),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}

/// Multiplies and adds `f32` in registers for `rounds` rounds, and tells how many operations that were: with a clock, the
/// ceiling that kernels of the set are measured against.
///
/// # Panics
/// Where `isa` is not available here.
pub fn multiply_add_in_registers(isa: Isa, rounds: u64) -> u64 {
    let (flop, sums) = match isa.for_f32() {
        Isa::Portable => portable::ceiling(rounds),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").ceiling(rounds),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").ceiling(rounds),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").ceiling(rounds),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    };
    std::hint::black_box(sums);
    flop
}

/// As [`multiply_add_in_registers`], of products of bf16; where the set has no instructions for them, of `f32`.
///
/// # Panics
/// Where `isa` is not available here.
pub fn multiply_add_in_registers_bf16(isa: Isa, rounds: u64) -> u64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 => {
            let (flop, sums) = Avx512Bf16::new().expect("AVX-512 BF16 was detected").ceiling_bf16(rounds);
            std::hint::black_box(sums);
            flop
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => Amx::new().expect("AMX was detected").ceiling_bf16(rounds),
        other => multiply_add_in_registers(other, rounds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sum becomes two: half of it and one.
    #[test]
    fn ceilings_do_the_operations_that_they_count() {
        assert_eq!(portable::ceiling(100), (100 * 3 * 32, crate::ChannelBlock::splat(2.0 * 3.0)));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let flop = multiply_add_in_registers(isa, 100);
            assert!(flop > 0 && flop.is_multiple_of(100 * 32), "{isa}: {flop}");
            assert_eq!(multiply_add_in_registers(isa, 200), 2 * flop, "{isa}");
            assert_eq!(
                2 * multiply_add_in_registers_bf16(isa, 100),
                multiply_add_in_registers_bf16(isa, 200)
            );
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::new() {
            assert_eq!(avx2.ceiling(100), (100 * 6 * 32, crate::ChannelBlock::splat(2.0 * 6.0)));
        }
    }
}
