//! The bf16 convolution in plain Rust: what the processor's instructions do, said in `f32`.

use super::Portable;
use crate::bf16::{Bf16Products, ConvRowBf16, OuterProductsBf16, products, round, tile};
use crate::block::ChannelBlock;

/// Products of bf16 pairs in `f32`, where they are exact: fused or not, and vectorised or not, the bits are the same.
#[derive(Clone, Copy, Debug)]
struct Emulated;

impl Bf16Products for Emulated {
    type Floats = Portable;

    #[inline(always)]
    fn floats(self) -> Portable {
        Portable
    }

    #[inline(always)]
    fn add_products(self, mut accumulator: [f32; 16], weights: [f32; 16], pair: f32) -> [f32; 16] {
        // High before low: the order of VDPBF16PS in Intel's "Software Developer's Manual", volume 2.
        for (sum, weight) in accumulator.iter_mut().zip(weights) {
            *sum += high(weight) * high(pair);
            *sum += low(weight) * low(pair);
        }
        accumulator
    }

    #[inline(always)]
    unsafe fn store_paired(self, target: *mut f32, low: [f32; 16], high: [f32; 16]) {
        let channel = |index: usize| u32::from(round(if index < 16 { low[index] } else { high[index - 16] }));
        let paired: [u32; 16] = std::array::from_fn(|lane| channel(2 * lane) | channel(2 * lane + 1) << 16);
        // SAFETY: the caller promises sixteen writable `f32`; `u32` has their size and alignment.
        unsafe { target.cast::<[u32; 16]>().write(paired) }
    }

    #[inline(always)]
    unsafe fn store_pixel_pair(self, target: *mut f32, first: [f32; 16], second: [f32; 16]) {
        let half = |value: f32| u32::from(round(value));
        let paired: [u32; 16] = std::array::from_fn(|lane| half(first[lane]) | half(second[lane]) << 16);
        // SAFETY: the caller promises sixteen writable `f32`; `u32` has their size and alignment.
        unsafe { target.cast::<[u32; 16]>().write(paired) }
    }

    #[inline(always)]
    fn select(self, a: [f32; 16], b: [f32; 16], lanes: &[u32; 16]) -> [f32; 16] {
        lanes.map(|lane| if lane < 16 { a[lane as usize] } else { b[lane as usize - 16] })
    }
}

#[inline(always)]
fn low(pair: f32) -> f32 {
    f32::from_bits(pair.to_bits() << 16)
}

#[inline(always)]
fn high(pair: f32) -> f32 {
    f32::from_bits(pair.to_bits() & 0xffff_0000)
}

/// Runs a row. Six pixels at a time, so that unpacking the weights counts little: tuned on AMD EPYC (Zen 3), 2026-11,
/// `cargo bench -p esrgan-kernels`.
pub(crate) fn conv_row(row: &mut ConvRowBf16<'_, '_>) {
    tile::run(Emulated, &mut tile::Registers::<_, 6, 1>(Emulated), row);
}

/// Pairs one or two rows.
pub(crate) fn pair_row(inputs: &[&[ChannelBlock]], output: &mut [ChannelBlock]) {
    tile::pair(Emulated, inputs, output);
}

/// Pairs pixels.
pub(crate) fn pair_pixels(pixels: &[ChannelBlock], output: &mut [ChannelBlock]) {
    products::pair_pixels(Emulated, pixels, output);
}

/// Transposes groups of pixel pairs.
pub(crate) fn transpose_pairs(pairs: &mut [ChannelBlock]) {
    products::transpose(Emulated, pairs);
}

/// Adds up outer products.
pub(crate) fn add_products(call: &mut OuterProductsBf16<'_, '_>) {
    products::add::<Emulated, 2>(Emulated, call);
}
