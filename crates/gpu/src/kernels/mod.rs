//! Convolutions of 3x3 over feature maps, with everything that is fused into them.
//!
//! Dims: `h w` a map's height and width, `ic oc` input and output channels, `p` a pixel.
//!
//! A map lies in memory as `[sample][row][column][channel]`, its channels filled up to a multiple of [`CHANNEL_UNIT`] by lanes that
//! are zero. A convolution reads up to [`MAX_SOURCES`] maps as if they were one behind the other, so that a dense block never copies
//! what it has made. Behind the sum come bias, activation, and up to two residuals, in one pass over memory.
//!
//! Two kernels compute it: `direct` multiplies and adds in `f32`, `matrix` uses the units that multiply small matrices in half
//! precision and sum in `f32`. Both have one interface, [`Convolution`].

mod columns;
mod direct;
mod launch;
mod matrix;
mod pack;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

pub use columns::{MapBuffer, write_columns};
pub(crate) use launch::{Around, Convolution, Map, MatrixUnits, Planes, Storage};
pub(crate) use pack::PackedConvolution;

/// Channels of a map are filled up to a multiple of this.
pub(crate) const CHANNEL_UNIT: usize = 16;
/// Maps that a convolution reads at most: a dense block's input and its four growth maps.
pub(crate) const MAX_SOURCES: usize = 5;
/// Numbers that are read or written at once.
pub(crate) const VECTOR: usize = 4;

/// Channels with the lanes that fill them up.
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_UNIT)
}
