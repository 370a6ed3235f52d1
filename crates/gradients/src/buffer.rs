//! Memory that is used again: a training step allocates the same maps over and over, and fresh pages cost more than what is
//! computed into them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use esrgan_kernels::ChannelBlock;

/// Allocations that wait for their next use.
static FREE: Mutex<Vec<Vec<ChannelBlock>>> = Mutex::new(Vec::new());

/// Allocations that wait at most; more than the maps of one step would only pile up.
const MOST_FREE: usize = 4096;

/// Channel blocks whose memory is kept for the next buffer when they are dropped.
#[derive(Debug, PartialEq)]
pub(crate) struct Buffer(Vec<ChannelBlock>);

impl Buffer {
    /// A buffer with values left from an earlier use: the caller writes all of it before reading any.
    pub(crate) fn to_overwrite(length: usize) -> Self {
        let mut blocks = take(length).unwrap_or_default();
        if blocks.capacity() < length {
            blocks = Vec::with_capacity(length);
        }
        blocks.resize(length, ChannelBlock::ZERO);
        Self(blocks)
    }

    /// A copy.
    pub(crate) fn copy_of(blocks: &[ChannelBlock]) -> Self {
        let mut copy = Self::to_overwrite(blocks.len());
        copy.0.copy_from_slice(blocks);
        copy
    }
}

/// The smallest allocation that holds `length` blocks, if it is not more than twice as large.
fn take(length: usize) -> Option<Vec<ChannelBlock>> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits =
        free.iter().enumerate().filter(|(_, blocks)| (length..=2 * length).contains(&blocks.capacity()));
    let (index, _) = fits.min_by_key(|(_, blocks)| blocks.capacity())?;
    Some(free.swap_remove(index))
}

/// Gives the memory of all buffers that wait for their next use back to the system.
pub fn release_buffers() {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::copy_of(&self.0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let blocks = std::mem::take(&mut self.0);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.capacity() > 0 && free.len() < MOST_FREE {
            free.push(blocks);
        }
    }
}

impl Deref for Buffer {
    type Target = [ChannelBlock];

    fn deref(&self) -> &[ChannelBlock] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [ChannelBlock] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_given_back() {
        let mut buffer = Buffer::to_overwrite(1_000_003);
        buffer.fill(ChannelBlock::splat(2.0));
        let address = buffer.as_ptr();
        drop(buffer);
        let again = Buffer::to_overwrite(1_000_003);
        assert_eq!(again.as_ptr(), address);
        drop(again);
        release_buffers();
        assert!(take(1_000_003).is_none());
    }
}
