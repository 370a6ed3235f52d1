//! Decoded pictures kept in memory for their next use, within a budget.
//!
//! What lives here: which pictures are kept, and that one thread decodes what several want. What does not: decoding. Those used
//! least recently go first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::DatasetError;
use crate::stored::StoredPicture;

/// Decoded pictures by the numbers of their files.
pub(crate) struct PictureCache {
    /// One for each file: whoever holds it decodes, others wait. The picture is found here as long as anybody uses it, kept or
    /// not.
    slots: Vec<Mutex<Weak<StoredPicture>>>,
    kept: Mutex<Kept>,
}

impl PictureCache {
    /// Nothing yet, for `files` files and within a number of bytes.
    pub fn new(files: usize, budget_bytes: u64) -> Self {
        let slots = (0..files).map(|_| Mutex::new(Weak::new())).collect();
        Self { slots, kept: Mutex::new(Kept { budget_bytes, ..Kept::default() }) }
    }

    /// The picture of a file, read by `read` unless it is there.
    pub fn get(
        &self,
        file: usize,
        read: impl FnOnce() -> Result<StoredPicture, DatasetError>,
    ) -> Result<Arc<StoredPicture>, DatasetError> {
        // A thread that panicked while it decoded has left nothing half done.
        let mut slot = self.slots[file].lock().unwrap_or_else(PoisonError::into_inner);
        let picture = match slot.upgrade() {
            Some(picture) => picture,
            None => Arc::new(read()?),
        };
        *slot = Arc::downgrade(&picture);
        let dropped = self.kept().keep(file, &picture);
        // Memory is given back when nobody waits for it.
        drop(slot);
        drop(dropped);
        Ok(picture)
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pictures that stay although nobody uses them.
#[derive(Default)]
struct Kept {
    budget_bytes: u64,
    bytes: u64,
    /// Counts uses.
    clock: u64,
    pictures: HashMap<usize, (u64, Arc<StoredPicture>)>,
    /// Files by their last use.
    by_use: BTreeMap<u64, usize>,
}

impl Kept {
    /// Notes a use; gives what had to go for it.
    fn keep(&mut self, file: usize, picture: &Arc<StoredPicture>) -> Vec<Arc<StoredPicture>> {
        let mut dropped = Vec::new();
        if picture.bytes() > self.budget_bytes {
            return dropped;
        }
        self.clock += 1;
        match self.pictures.get_mut(&file) {
            Some((last_use, _)) => {
                self.by_use.remove(last_use);
                *last_use = self.clock;
            }
            None => {
                while self.bytes + picture.bytes() > self.budget_bytes
                    && let Some((_, oldest)) = self.by_use.pop_first()
                    && let Some((_, picture)) = self.pictures.remove(&oldest)
                {
                    self.bytes -= picture.bytes();
                    dropped.push(picture);
                }
                self.bytes += picture.bytes();
                self.pictures.insert(file, (self.clock, Arc::clone(picture)));
            }
        }
        self.by_use.insert(self.clock, file);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::fixture::gray_picture;

    /// Uses files, each a picture of so many bytes, one after the other; gives those that had to be read.
    fn reads(cache: &PictureCache, uses: &[(usize, usize)]) -> Vec<usize> {
        let mut reads = Vec::new();
        for &(file, bytes) in uses {
            let read = || {
                reads.push(file);
                Ok(gray_picture(bytes))
            };
            let picture = cache.get(file, read).expect("it can be read");
            assert_eq!(picture.bytes(), bytes as u64);
        }
        reads
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_budget_holds() {
        let cache = PictureCache::new(4, 100);
        assert_eq!(reads(&cache, &[(0, 40), (1, 40), (0, 40), (2, 40)]), [0, 1, 2]);
        assert_eq!(cache.bytes(), 80);
        assert_eq!(reads(&cache, &[(0, 40), (2, 40), (1, 40)]), [1], "1 had to go, as 0 was used after it");
        assert_eq!(reads(&cache, &[(3, 100)]), [3]);
        assert_eq!(cache.bytes(), 100);
        assert_eq!(reads(&cache, &[(0, 40), (3, 100)]), [0, 3]);
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept_and_sends_nothing_away() {
        let cache = PictureCache::new(2, 100);
        assert_eq!(reads(&cache, &[(0, 60), (1, 101), (1, 101), (0, 60)]), [0, 1, 1]);
        assert_eq!(cache.bytes(), 60);
        let none = PictureCache::new(1, 0);
        assert_eq!(reads(&none, &[(0, 1), (0, 1)]), [0, 0]);
        assert_eq!(none.bytes(), 0);
    }

    #[test]
    fn one_thread_decodes_what_several_want() {
        for budget in [0, 1000] {
            let cache = PictureCache::new(1, budget);
            let (begin, end) = (Barrier::new(8), Barrier::new(8));
            let count = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        begin.wait();
                        let picture = cache.get(0, || {
                            count.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(20));
                            Ok(gray_picture(10))
                        });
                        // All hold it until all have it.
                        end.wait();
                        drop(picture);
                    });
                }
            });
            assert_eq!(count.into_inner(), 1, "budget {budget}");
        }
    }

    #[test]
    fn after_a_failure_or_a_panic_the_next_one_reads_again() {
        let cache = PictureCache::new(1, 100);
        let refused = cache.get(0, || Err(DatasetError::NoFolders));
        assert!(matches!(refused, Err(DatasetError::NoFolders)));
        std::thread::scope(|scope| {
            let broken = scope.spawn(|| cache.get(0, || panic!("a decoder's fault")).is_ok());
            assert!(broken.join().is_err());
        });
        assert_eq!(reads(&cache, &[(0, 5), (0, 5)]), [0]);
    }
}
