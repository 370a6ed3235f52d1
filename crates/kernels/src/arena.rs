//! One allocation for all weights of a network, in huge pages where the system has them.
//!
//! Transformed weights are four times as large as the file's: 267 MB for 64 features and 23 blocks. In pages of 4 KiB, asking
//! the system for each of them took longer than computing what goes into them.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::block::ChannelBlock;

/// A huge page of x86-64 and of most 64-bit Arm systems.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Memory that packed weights are written into, each part once.
#[derive(Debug)]
pub struct Arena {
    region: Arc<Region>,
    next: AtomicUsize,
}

/// An allocation of channel blocks, of which any part may not have been written yet.
struct Region {
    start: NonNull<ChannelBlock>,
    layout: Layout,
}

// SAFETY: the region is plain memory, whose parts are written by one owner each (see `Writer`) and only read afterwards.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("bytes", &self.layout.size()).finish_non_exhaustive()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the region was allocated with this layout; channel blocks need no drop.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) }
    }
}

impl Arena {
    /// Room for `blocks` channel blocks.
    pub fn new(blocks: usize) -> Self {
        let bytes = blocks.max(1) * size_of::<ChannelBlock>();
        let is_large = bytes >= HUGE_PAGE_BYTES;
        let align = if is_large { HUGE_PAGE_BYTES } else { align_of::<ChannelBlock>() };
        let layout = Layout::from_size_align(bytes, align).expect("an arena fits into the address space");
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if is_large {
            advise_huge_pages(start, bytes);
        }
        Self { region: Arc::new(Region { start: start.cast(), layout }), next: AtomicUsize::new(0) }
    }

    /// Empties the arena, to be filled again.
    ///
    /// # Panics
    /// Where what was packed into it is still there.
    pub fn clear(&mut self) {
        assert!(Arc::get_mut(&mut self.region).is_some(), "an arena whose parts are gone");
        self.next = AtomicUsize::new(0);
    }

    /// The next `blocks` channel blocks, to be written.
    ///
    /// # Panics
    /// Where the arena has not as many left.
    pub(crate) fn take(&self, blocks: usize) -> Writer {
        let first = self.next.fetch_add(blocks, Ordering::Relaxed);
        let end = first + blocks;
        assert!(
            end * size_of::<ChannelBlock>() <= self.region.layout.size(),
            "an arena of {end} blocks or more"
        );
        Writer { region: Arc::clone(&self.region), range: first..end, written: 0 }
    }
}

/// Asks Linux for huge pages. Where it declines, or on other systems, nothing changes but the time.
fn advise_huge_pages(start: NonNull<u8>, bytes: usize) {
    const MADV_HUGEPAGE: usize = 14;
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    // SAFETY: the call reads and writes no memory and gives no content up; the kernel keeps all registers but these.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") 28_usize => _,
            in("rdi") start.as_ptr(),
            in("rsi") bytes,
            in("rdx") MADV_HUGEPAGE,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") 233_usize,
            inlateout("x0") start.as_ptr() => _,
            in("x1") bytes,
            in("x2") MADV_HUGEPAGE,
            options(nostack)
        );
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = (start, bytes, MADV_HUGEPAGE);
}

/// A part of an arena that is being written, from its start on.
pub(crate) struct Writer {
    region: Arc<Region>,
    range: Range<usize>,
    written: usize,
}

impl Writer {
    /// Writes the next blocks.
    ///
    /// # Panics
    /// Where they are more than there is room for.
    pub(crate) fn extend(&mut self, blocks: impl Iterator<Item = ChannelBlock>) {
        for block in blocks {
            assert!(self.written < self.range.len(), "{} blocks hold no more", self.range.len());
            // SAFETY: `take` saw the range inside the region; it gives every block to one writer.
            unsafe { self.region.start.add(self.range.start + self.written).write(block) };
            self.written += 1;
        }
    }

    /// Writes the columns of a matrix one after the other: `columns` of them, each of one block for every row, in memory
    /// `[row][column]`.
    ///
    /// # Panics
    /// Where they are more than there is room for.
    pub(crate) fn extend_columns<const ROWS: usize>(
        &mut self,
        columns: usize,
        mut fill: impl FnMut(usize, &mut [ChannelBlock; ROWS]),
    ) {
        let blocks = ROWS * columns;
        assert!(blocks <= self.range.len() - self.written, "{} blocks hold no more", self.range.len());
        let first = self.range.start + self.written;
        // Some columns at a time: a few lines behind each other for every row, instead of one here and there.
        const TOGETHER: usize = 8;
        let mut values = [[ChannelBlock::ZERO; ROWS]; TOGETHER];
        for start in (0..columns).step_by(TOGETHER) {
            let together = TOGETHER.min(columns - start);
            values[..together].iter_mut().zip(start..).for_each(|(values, column)| fill(column, values));
            for row in 0..ROWS {
                for (column, values) in values[..together].iter().enumerate() {
                    // SAFETY: inside of the range, by the assertion above; `take` gives every block to one writer.
                    unsafe {
                        self.region.start.add(first + row * columns + start + column).write(values[row])
                    };
                }
            }
        }
        self.written += blocks;
    }

    /// What was written, to be read.
    ///
    /// # Panics
    /// Where something is missing.
    pub(crate) fn finish(self) -> Blocks {
        assert_eq!(self.written, self.range.len(), "every block is written");
        Blocks { region: self.region, range: self.range }
    }
}

/// A part of an arena that has been written.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    region: Arc<Region>,
    range: Range<usize>,
}

impl Deref for Blocks {
    type Target = [ChannelBlock];

    fn deref(&self) -> &[ChannelBlock] {
        // SAFETY: `Writer::finish` saw every block of the range written; nobody writes to it again.
        unsafe {
            std::slice::from_raw_parts(self.region.start.add(self.range.start).as_ptr(), self.range.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_what_was_written_and_outlive_the_arena() {
        // Larger than a huge page.
        let arena = Arena::new(40_000);
        let mut parts: Vec<Blocks> = Vec::new();
        for part in 0..4 {
            let mut writer = arena.take(10_000);
            writer.extend((0..10_000).map(|index| ChannelBlock::splat((part * 10_000 + index) as f32)));
            parts.push(writer.finish());
        }
        drop(arena);
        for (part, blocks) in parts.iter().enumerate() {
            assert_eq!(blocks.len(), 10_000);
            assert!(
                blocks.iter().enumerate().all(|(index, block)| block.0[7] == (part * 10_000 + index) as f32)
            );
        }
    }

    #[test]
    fn columns_follow_what_was_written() {
        let mut writer = Arena::new(7).take(7);
        writer.extend([ChannelBlock::splat(9.0)].into_iter());
        writer.extend_columns(2, |column, values: &mut [ChannelBlock; 3]| {
            values.iter_mut().enumerate().for_each(|(row, value)| {
                *value = ChannelBlock::splat((10 * row + column) as f32);
            });
        });
        let values: Vec<f32> = writer.finish().iter().map(|block| block.0[3]).collect();
        assert_eq!(values, [9.0, 0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
    }

    #[test]
    #[should_panic(expected = "5 blocks hold no more")]
    fn no_column_goes_beyond_its_part() {
        Arena::new(5).take(5).extend_columns(3, |_, _: &mut [ChannelBlock; 2]| {});
    }

    #[test]
    fn a_cleared_arena_gives_its_memory_again() {
        let mut arena = Arena::new(3);
        for round in 0..4 {
            let mut writer = arena.take(3);
            writer.extend((0..3).map(|index| ChannelBlock::splat((10 * round + index) as f32)));
            let blocks = writer.finish();
            assert_eq!(blocks[2].0[0], (10 * round + 2) as f32);
            drop(blocks);
            arena.clear();
        }
    }

    #[test]
    #[should_panic(expected = "an arena whose parts are gone")]
    fn an_arena_in_use_is_not_cleared() {
        let mut arena = Arena::new(1);
        let _part = arena.take(1);
        arena.clear();
    }

    #[test]
    #[should_panic(expected = "an arena of 5 blocks or more")]
    fn more_than_there_is_is_refused() {
        let arena = Arena::new(4);
        let _first = arena.take(3);
        let _second = arena.take(2);
    }

    #[test]
    #[should_panic(expected = "every block is written")]
    fn what_was_not_written_is_not_read() {
        let mut writer = Arena::new(2).take(2);
        writer.extend([ChannelBlock::ZERO].into_iter());
        let _unread = writer.finish();
    }

    #[test]
    #[should_panic(expected = "1 blocks hold no more")]
    fn no_writer_goes_beyond_its_part() {
        Arena::new(2).take(1).extend([ChannelBlock::ZERO; 2].into_iter());
    }
}
