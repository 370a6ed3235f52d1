//! The only place that chooses a variant.

use crate::block::ChannelBlock;
use crate::conv::ConvRow;
use crate::isa::Isa;
#[cfg(target_arch = "aarch64")]
use crate::isa::Neon;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::portable;
use crate::transform::transformed_length;

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
    match isa {
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

/// Transforms a padded row of one channel block: the matrix B transposed (see `transform`).
///
/// # Shapes
/// - `input`: `[1 + pixels + 1]`, the padding pixels holding what lies beyond the edge
/// - `output`: `[6][groups]` with `groups = pixels.div_ceil(4)`, that is
///   [`transformed_length`](crate::transformed_length) of `pixels`
///
/// # Values
/// Pixels beyond the padding count as zero; they reach only outputs that do not exist.
///
/// # Panics
/// Where the lengths do not fit each other, and where `isa` is not available here.
pub fn transform_row(isa: Isa, input: &[ChannelBlock], output: &mut [ChannelBlock]) {
    assert!(input.len() > 2, "a padded row of {} pixels", input.len());
    assert_eq!(
        output.len(),
        transformed_length(input.len() - 2),
        "six components for each group of four pixels"
    );
    match isa {
        Isa::Portable => portable::transform_row(input, output),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("AVX2 was detected").transform_row(input, output),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("AVX-512 was detected").transform_row(input, output),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().expect("NEON was detected").transform_row(input, output),
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}
