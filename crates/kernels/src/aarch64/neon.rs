//! NEON: sixteen lanes are four registers.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vbslq_f32, vcgtq_f32, vdupq_n_f32, vfmaq_f32, vld1q_dup_f32, vld1q_f32,
    vmulq_f32, vst1q_f32, vsubq_f32,
};

use crate::isa::Neon;
use crate::simd::Simd;

impl Simd for Neon {
    type Block = [float32x4_t; 4];
    type Splat = float32x4_t;

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Block {
        // SAFETY: the caller promises sixteen readable `f32`; the token proves NEON.
        unsafe {
            [vld1q_f32(source), vld1q_f32(source.add(4)), vld1q_f32(source.add(8)), vld1q_f32(source.add(12))]
        }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, block: Self::Block) {
        // SAFETY: the caller promises sixteen writable `f32`; the token proves NEON.
        unsafe {
            for (quarter, lanes) in block.into_iter().enumerate() {
                vst1q_f32(target.add(4 * quarter), lanes);
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(self, source: *const f32) -> Self::Splat {
        // SAFETY: the caller promises one readable `f32`; the token proves NEON.
        unsafe { vld1q_dup_f32(source) }
    }

    #[inline(always)]
    fn multiply_add_splat(
        self,
        accumulator: Self::Block,
        weights: Self::Block,
        scalar: Self::Splat,
    ) -> Self::Block {
        self.multiply_add(weights, [scalar; 4], accumulator)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        // SAFETY: the token proves NEON.
        [0, 1, 2, 3].map(|quarter| unsafe { vfmaq_f32(c[quarter], a[quarter], b[quarter]) })
    }

    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves NEON.
        [0, 1, 2, 3].map(|quarter| unsafe { vaddq_f32(a[quarter], b[quarter]) })
    }

    #[inline(always)]
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves NEON.
        [0, 1, 2, 3].map(|quarter| unsafe { vsubq_f32(a[quarter], b[quarter]) })
    }

    #[inline(always)]
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block {
        // SAFETY: the token proves NEON.
        [0, 1, 2, 3].map(|quarter| unsafe { vmulq_f32(a[quarter], b[quarter]) })
    }

    #[inline(always)]
    fn leaky_relu(self, x: Self::Block, slope: Self::Block) -> Self::Block {
        // SAFETY: the token proves NEON.
        [0, 1, 2, 3].map(|quarter| unsafe {
            let is_positive = vcgtq_f32(x[quarter], vdupq_n_f32(0.0));
            vbslq_f32(is_positive, x[quarter], vmulq_f32(x[quarter], slope[quarter]))
        })
    }
}
