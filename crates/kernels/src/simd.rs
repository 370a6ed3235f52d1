//! What a micro-kernel needs of an instruction set: operations on blocks of sixteen lanes.

/// Operations on sixteen lanes. One implementation per instruction set; the micro-kernel in `conv` is written once, over
/// this trait, so that the variants cannot drift apart.
pub(crate) trait Simd: Copy {
    /// Sixteen `f32` lanes in registers.
    type Block: Copy;
    /// One scalar in all lanes of one register.
    type Splat: Copy;

    /// Loads sixteen lanes.
    ///
    /// # Safety
    /// - `source` is valid for reads of sixteen `f32`.
    unsafe fn load(self, source: *const f32) -> Self::Block;
    /// Stores sixteen lanes.
    ///
    /// # Safety
    /// - `target` is valid for writes of sixteen `f32`.
    unsafe fn store(self, target: *mut f32, block: Self::Block);
    /// Loads one scalar into all lanes.
    ///
    /// # Safety
    /// - `source` is valid for reads of one `f32`.
    unsafe fn splat(self, source: *const f32) -> Self::Splat;
    /// `accumulator + weights * scalar`, lane by lane.
    fn multiply_add_splat(
        self,
        accumulator: Self::Block,
        weights: Self::Block,
        scalar: Self::Splat,
    ) -> Self::Block;
    /// `a * b + c`, lane by lane.
    fn multiply_add(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block;
    /// `a + b`, lane by lane.
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a - b`, lane by lane.
    fn subtract(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a * b`, lane by lane.
    fn multiply(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `x` where it is above zero, `slope * x` elsewhere. NaN stays NaN.
    fn leaky_relu(self, x: Self::Block, slope: Self::Block) -> Self::Block;
}
