//! AVX-512 BF16: sixteen pairs of products in one instruction.

use std::arch::x86_64::{__m512, __m512bh, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_storeu_ps};
use std::mem::transmute;

use crate::bf16::Bf16Products;
use crate::isa::{Avx512, Avx512Bf16};

impl Bf16Products for Avx512Bf16 {
    type Floats = Avx512;

    #[inline(always)]
    fn floats(self) -> Avx512 {
        self.avx512()
    }

    #[inline(always)]
    fn add_products(self, accumulator: __m512, weights: __m512, pair: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 BF16; both types are 512 bits, of which any are a value.
        unsafe {
            _mm512_dpbf16_ps(
                accumulator,
                transmute::<__m512, __m512bh>(weights),
                transmute::<__m512, __m512bh>(pair),
            )
        }
    }

    #[inline(always)]
    unsafe fn store_paired(self, target: *mut f32, low: __m512, high: __m512) {
        // SAFETY: the caller promises sixteen writable `f32`; the token proves AVX-512 BF16; both types are 512 bits, of
        // which any are a value.
        unsafe {
            // The instruction's first operand becomes the upper half.
            _mm512_storeu_ps(target, transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low)));
        }
    }
}
