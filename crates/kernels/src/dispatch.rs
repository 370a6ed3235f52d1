//! The only place that chooses a variant.

use crate::conv::{ConvRow, ConvSegment};
use crate::isa::Isa;
#[cfg(target_arch = "aarch64")]
use crate::isa::Neon;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::portable;
use crate::transform::TransformSegment;

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
    match isa {
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
    match isa {
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
