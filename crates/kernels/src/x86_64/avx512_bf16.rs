//! AVX-512 BF16: sixteen pairs of products in one instruction.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
    _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_or_si512, _mm512_permutex2var_ps, _mm512_slli_epi32,
    _mm512_storeu_ps, _mm512_storeu_si512,
};
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

    #[inline(always)]
    unsafe fn store_pixel_pair(self, target: *mut f32, first: __m512, second: __m512) {
        // SAFETY: the caller promises sixteen writable `f32`; the token proves AVX-512 F and BF16; both types are 256 bits, of
        // which any are a value.
        unsafe {
            let low = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(first));
            let high = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(second));
            let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
            _mm512_storeu_si512(target.cast(), _mm512_or_si512(_mm512_cvtepu16_epi32(low), high));
        }
    }

    #[inline(always)]
    fn select(self, a: __m512, b: __m512, lanes: &[u32; 16]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; both types are 512 bits, of which any are a value.
        unsafe { _mm512_permutex2var_ps(a, transmute::<[u32; 16], __m512i>(*lanes), b) }
    }
}
