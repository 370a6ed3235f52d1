//! AVX-512 F: sixteen lanes are one register.

use std::arch::x86_64::{
    __m512, _CMP_GT_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_mul_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps, _mm512_sub_ps,
};

use crate::isa::Avx512;
use crate::simd::Simd;

impl Simd for Avx512 {
    type Block = __m512;
    type Splat = __m512;

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Block {
        // SAFETY: the caller promises sixteen readable `f32`; the token proves AVX-512 F.
        unsafe { _mm512_loadu_ps(source) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, block: Self::Block) {
        // SAFETY: the caller promises sixteen writable `f32`; the token proves AVX-512 F.
        unsafe { _mm512_storeu_ps(target, block) }
    }

    #[inline(always)]
    unsafe fn splat(self, source: *const f32) -> Self::Splat {
        // SAFETY: the caller promises one readable `f32`; the token proves AVX-512 F.
        unsafe { _mm512_set1_ps(source.read()) }
    }

    #[inline(always)]
    fn multiply_add_splat(
        self,
        accumulator: Self::Block,
        weights: Self::Block,
        scalar: Self::Splat,
    ) -> Self::Block {
        self.multiply_add(weights, scalar, accumulator)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn leaky_relu(self, x: Self::Block, slope: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let is_positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps());
            _mm512_mask_mul_ps(x, !is_positive, x, slope)
        }
    }
}
