//! Winograd's minimal filtering F(4, 3) along rows: four outputs of a three-tap filter from six products.
//!
//! A row's transform is made once and serves every convolution that reads the row: in a dense block the features of the
//! first layers are read by up to five. Only columns are transformed, so rows stay independent of each other.
//!
//! # Source
//! Winograd, "Arithmetic Complexity of Computations", 1980; the matrices are those of Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016, section 4.3.

use crate::block::ChannelBlock;
use crate::simd::Simd;

/// Output pixels of a group.
pub(crate) const GROUP_OUTPUTS: usize = 4;
/// Products for a group, and components of a transformed row.
pub(crate) const COMPONENTS: usize = 6;

/// Channel blocks that the transform of a row of `pixels` pixels takes, for each block of its channels.
pub const fn transformed_length(pixels: usize) -> usize {
    COMPONENTS * pixels.div_ceil(GROUP_OUTPUTS)
}

/// The six components of a filter's three taps: the matrix G, in f64.
pub(crate) fn transform_filter([a, b, c]: [f64; 3]) -> [f64; COMPONENTS] {
    let (even, odd) = (a / 24.0 + c / 6.0, b / 12.0);
    [a / 4.0, -(a + b + c) / 6.0, -(a - b + c) / 6.0, even + odd, even - odd, c]
}

/// Transforms a row; must be inlined into a function that enables the instruction set of `S`.
#[inline(always)]
pub(crate) fn run<S: Simd>(simd: S, input: &[ChannelBlock], output: &mut [ChannelBlock]) {
    let groups = output.len() / COMPONENTS;
    for group in 0..groups {
        let first = group * GROUP_OUTPUTS;
        let pixels: [S::Block; COMPONENTS] = std::array::from_fn(|tap| {
            let pixel = input.get(first + tap).unwrap_or(&ChannelBlock::ZERO);
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.load(pixel.0.as_ptr()) }
        });
        for (component, block) in transform_group(simd, pixels).into_iter().enumerate() {
            let target = &mut output[component * groups + group];
            // SAFETY: the reference is to sixteen `f32`.
            unsafe { simd.store(target.0.as_mut_ptr(), block) };
        }
    }
}

/// The transform of six pixels.
#[inline(always)]
fn transform_group<S: Simd>(simd: S, d: [S::Block; COMPONENTS]) -> [S::Block; COMPONENTS] {
    let constant = |value: f32| {
        let block = ChannelBlock::splat(value);
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { simd.load(block.0.as_ptr()) }
    };
    let (two, four, five) = (constant(2.0), constant(4.0), constant(-5.0));
    let minus_four = constant(-4.0);
    let even = simd.multiply_add(d[2], minus_four, d[4]);
    let odd = simd.multiply_add(d[1], minus_four, d[3]);
    let even_far = simd.subtract(d[4], d[2]);
    let odd_far = simd.multiply(simd.subtract(d[3], d[1]), two);
    [
        simd.multiply_add(d[0], four, simd.multiply_add(d[2], five, d[4])),
        simd.add(even, odd),
        simd.subtract(even, odd),
        simd.add(even_far, odd_far),
        simd.subtract(even_far, odd_far),
        simd.multiply_add(d[1], four, simd.multiply_add(d[3], five, d[5])),
    ]
}

/// The four outputs of a group's six sums: the matrix A transposed.
#[inline(always)]
pub(crate) fn outputs_of_group<S: Simd>(simd: S, m: [S::Block; COMPONENTS]) -> [S::Block; GROUP_OUTPUTS] {
    let constant = |value: f32| {
        let block = ChannelBlock::splat(value);
        // SAFETY: the reference is to sixteen `f32`.
        unsafe { simd.load(block.0.as_ptr()) }
    };
    let (near_sum, near_difference) = (simd.add(m[1], m[2]), simd.subtract(m[1], m[2]));
    let (far_sum, far_difference) = (simd.add(m[3], m[4]), simd.subtract(m[3], m[4]));
    [
        simd.add(m[0], simd.add(near_sum, far_sum)),
        simd.multiply_add(far_difference, constant(2.0), near_difference),
        simd.multiply_add(far_sum, constant(4.0), near_sum),
        simd.add(simd.multiply_add(far_difference, constant(8.0), near_difference), m[5]),
    ]
}
