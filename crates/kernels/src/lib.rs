//! All SIMD of esrgan, and almost all of its unsafe code, behind safe entry points.
//!
//! What lives here: the convolution of one output row with its fused epilogue, in one variant per instruction set;
//! weight packing; detection of what the processor offers. What does not: threads, networks, files.
//!
//! Activations are rows of *channel blocks*: sixteen channels of one pixel lie together ([`ChannelBlock`]), the pixels of
//! a row follow each other, the blocks of a pixel lie in separate rows ("nChw16c" in the literature: Georganas et al.,
//! "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", SC 2018). Convolutions in bf16 read
//! *paired rows*, whose blocks hold 32 channels (see [`ConvRowBf16`]).

mod arena;
mod bf16;
mod block;
mod ceiling;
mod conv;
mod dispatch;
mod gradient;
mod isa;
mod pack;
mod simd;
mod transform;

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use arena::Arena;
pub use bf16::{
    CHANNELS_PER_PAIRED_BLOCK, ConvRowBf16, OuterProductsBf16, PAIRS_OF_A_TILE, paired_blocks_for,
};
pub use block::{CHANNELS_PER_BLOCK, ChannelBlock, blocks_for};
pub use conv::{ConvRow, ConvSegment, Epilogue, Residual};
pub use dispatch::{
    add_products, add_products_bf16, conv_row, conv_row_bf16, conv_segment, multiply_add_in_registers,
    multiply_add_in_registers_bf16, pair_pixels, pair_row, transform_gradient, transform_segment,
    transpose_pairs,
};
pub use gradient::{OuterProducts, TransformGradient, filter_gradients};
pub use isa::{Isa, UnknownIsaError};
pub use pack::{Kernel, PackShapeError, PackedConv, PackedKind};
pub use transform::{
    COMPONENTS, SEGMENT_TILES, TILE_REACH, TILE_SIDE, TransformSegment, component_stride, joined_length,
    segment_length, segments, transformed_length,
};
