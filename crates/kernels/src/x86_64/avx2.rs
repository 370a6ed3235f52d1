//! AVX2 with FMA: sixteen lanes are two registers.

use std::arch::x86_64::{
    __m256, _CMP_GT_OQ, _mm256_add_ps, _mm256_blendv_ps, _mm256_broadcast_ss, _mm256_cmp_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_mul_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm256_sub_ps,
};

use crate::isa::Avx2;
use crate::simd::Simd;

impl Simd for Avx2 {
    type Block = [__m256; 2];
    type Splat = __m256;

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Block {
        // SAFETY: the caller promises sixteen readable `f32`; the token proves AVX.
        unsafe { [_mm256_loadu_ps(source), _mm256_loadu_ps(source.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, block: Self::Block) {
        // SAFETY: the caller promises sixteen writable `f32`; the token proves AVX.
        unsafe {
            _mm256_storeu_ps(target, block[0]);
            _mm256_storeu_ps(target.add(8), block[1]);
        }
    }

    #[inline(always)]
    unsafe fn splat(self, source: *const f32) -> Self::Splat {
        // SAFETY: the caller promises one readable `f32`; the token proves AVX.
        unsafe { _mm256_broadcast_ss(&*source) }
    }

    #[inline(always)]
    fn multiply_add_splat(
        self,
        accumulator: Self::Block,
        weights: Self::Block,
        scalar: Self::Splat,
    ) -> Self::Block {
        self.multiply_add(weights, [scalar; 2], accumulator)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        // SAFETY: the token proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn leaky_relu(self, x: Self::Block, slope: Self::Block) -> Self::Block {
        // SAFETY: the token proves AVX.
        unsafe {
            // Written out: a closure would not be compiled for AVX, and its intrinsics would stay calls.
            let zero = _mm256_setzero_ps();
            let low = _mm256_cmp_ps::<_CMP_GT_OQ>(x[0], zero);
            let high = _mm256_cmp_ps::<_CMP_GT_OQ>(x[1], zero);
            [
                _mm256_blendv_ps(_mm256_mul_ps(x[0], slope[0]), x[0], low),
                _mm256_blendv_ps(_mm256_mul_ps(x[1], slope[1]), x[1], high),
            ]
        }
    }
}
