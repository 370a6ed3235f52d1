//! What the micro-kernel needs of an instruction set where blocks hold pairs of bf16.

use crate::simd::Simd;

/// Products of bf16 pairs, for sixteen lanes.
pub(crate) trait Bf16Products: Copy {
    /// The operations on `f32` lanes.
    type Floats: Simd;

    /// Their token.
    fn floats(self) -> Self::Floats;
    /// `accumulator + low * low + high * high`, lane by lane, where lanes of `weights` and `pair` are two bf16 each.
    ///
    /// Products are exact; sums are rounded in an order that the instruction set chooses.
    fn add_products(self, accumulator: Block<Self>, weights: Block<Self>, pair: Splat<Self>) -> Block<Self>;
    /// Rounds 32 channels to bf16, ties to even, and stores them as one paired block: see `round::round`.
    ///
    /// # Safety
    /// - `target` is valid for writes of sixteen `f32`.
    unsafe fn store_paired(self, target: *mut f32, low: Block<Self>, high: Block<Self>);
    /// Rounds sixteen channels of two pixels to bf16, as [`Bf16Products::store_paired`] does, and stores them as a pair of
    /// pixels: lane by lane the first pixel's channel in the low half, the second's in the high half.
    ///
    /// # Safety
    /// - `target` is valid for writes of sixteen `f32`.
    unsafe fn store_pixel_pair(self, target: *mut f32, first: Block<Self>, second: Block<Self>);
    /// Lanes of two blocks, by their numbers: those of `a` from 0, those of `b` from 16. Their bits stay.
    fn select(self, a: Block<Self>, b: Block<Self>, lanes: &[u32; 16]) -> Block<Self>;
}

/// Sixteen lanes of `T`.
pub(crate) type Block<T> = <<T as Bf16Products>::Floats as Simd>::Block;
/// One lane of `T`, for all.
pub(crate) type Splat<T> = <<T as Bf16Products>::Floats as Simd>::Splat;

/// The operations on `f32` lanes, but for products: so the micro-kernel of `conv::tile` becomes one for bf16.
#[derive(Clone, Copy)]
pub(crate) struct Paired<T>(pub(crate) T);

impl<T: Bf16Products> Simd for Paired<T> {
    type Block = Block<T>;
    type Splat = Splat<T>;

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Block {
        // SAFETY: the duty is the same.
        unsafe { self.0.floats().load(source) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, block: Self::Block) {
        // SAFETY: the duty is the same.
        unsafe { self.0.floats().store(target, block) }
    }

    #[inline(always)]
    unsafe fn splat(self, source: *const f32) -> Self::Splat {
        // SAFETY: the duty is the same.
        unsafe { self.0.floats().splat(source) }
    }

    #[inline(always)]
    fn multiply_add_splat(
        self,
        accumulator: Self::Block,
        weights: Self::Block,
        scalar: Self::Splat,
    ) -> Self::Block {
        self.0.add_products(accumulator, weights, scalar)
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        self.0.floats().multiply_add(a, b, c)
    }

    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        self.0.floats().add(a, b)
    }

    #[inline(always)]
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block {
        self.0.floats().subtract(a, b)
    }

    #[inline(always)]
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block {
        self.0.floats().multiply(a, b)
    }

    #[inline(always)]
    fn leaky_relu(self, x: Self::Block, slope: Self::Block) -> Self::Block {
        self.0.floats().leaky_relu(x, slope)
    }
}
