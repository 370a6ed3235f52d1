//! The only place that chooses a variant.

use crate::conv::ConvRow;
use crate::isa::Isa;
use crate::portable;

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
        Isa::Avx2 => {
            crate::x86_64::avx2::conv_row(crate::isa::Avx2::new().expect("AVX2 was detected"), &mut row)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            crate::x86_64::avx512::conv_row(
                crate::isa::Avx512::new().expect("AVX-512 was detected"),
                &mut row,
            );
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => {
            crate::aarch64::neon::conv_row(crate::isa::Neon::new().expect("NEON was detected"), &mut row)
        }
        #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
        other => unreachable!("{other} kernels are not built for this architecture"),
    }
}
