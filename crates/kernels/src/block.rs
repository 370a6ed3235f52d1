//! Sixteen channels of one pixel.

use bytemuck::{Pod, Zeroable};

/// Channels that lie together in a [`ChannelBlock`].
pub const CHANNELS_PER_BLOCK: usize = 16;

/// Sixteen channels of one pixel: one cache line, one AVX-512 register, two of AVX2, four of NEON.
///
/// # Values
/// Lanes beyond a layer's last channel hold zero.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct ChannelBlock(pub [f32; CHANNELS_PER_BLOCK]);

impl ChannelBlock {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; CHANNELS_PER_BLOCK]);

    /// All lanes `value`.
    pub const fn splat(value: f32) -> Self {
        Self([value; CHANNELS_PER_BLOCK])
    }
}

/// Blocks that `channels` channels need: the quotient by sixteen, rounded up.
pub const fn blocks_for(channels: usize) -> usize {
    channels.div_ceil(CHANNELS_PER_BLOCK)
}
