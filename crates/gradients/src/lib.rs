//! Layers over batches of feature maps on the CPU, forward and backward, by hand.
//!
//! What lives here: maps in blocks of sixteen channels, convolutions and dense blocks with the gradients of their inputs,
//! weights and biases, shared out among the threads of rayon's current pool. What does not: graphs, optimisers, losses,
//! inference of whole pictures (the engine streams those; here everything that the backward pass needs is kept).
//!
//! # Numerics
//! 3x3 convolutions and the gradients of their inputs and weights go through Winograd's F(4x4, 3x3), in `f32`; or, where a
//! layer's [`Precision`] says so, directly in bf16 with sums in `f32`. The bits depend on the arguments and the instruction set
//! alone, not on the number of threads: sums over pixels are taken in one order.

mod batch_norm;
mod bilinear;
mod buffer;
mod conv3x3;
mod conv4x4;
mod cosines;
mod dense_block;
mod edge;
mod map;
mod max_pool;
mod method;
mod paired;
mod pixel_pairs;
mod transformed;
mod unit_vectors;

pub use batch_norm::{BatchNorm, BatchNormGradients, BatchStatistics};
pub use bilinear::{enlarge_bilinear, enlarge_bilinear_gradient};
pub use buffer::release_buffers;
pub use conv3x3::{Conv3x3, Conv3x3Gradients};
pub use conv4x4::Conv4x4;
pub use cosines::Cosines;
pub use dense_block::{DenseBlock, DenseBlockGradients, DenseBlockPass};
pub use edge::Edge;
pub use map::{FeatureMap, MapMemory};
pub use max_pool::{max_pool, max_pool_gradient};
pub use method::{KeptFilters, Precision};
pub use unit_vectors::{Factors, unit_vectors};

pub use esrgan_kernels::Isa;

#[cfg(test)]
mod bf16_tests;
#[cfg(test)]
mod difference_tests;
#[cfg(test)]
mod tests;
