//! Independent work on several threads.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Works on all items, `threads` at a time (all processors where `None`), and hands the results over in the items' order, on
/// the calling thread, as soon as they are there.
///
/// `finished` may say that no further item is to be begun.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: Option<usize>,
    work: impl Fn(&T) -> R + Sync,
    mut finished: impl FnMut(&T, R) -> std::ops::ControlFlow<()>,
) {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.unwrap_or_else(processors).clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                    && sender.send((index, work(item))).is_ok()
                {}
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut turn = 0;
        for (index, result) in receiver {
            early.insert(index, result);
            while let Some(result) = early.remove(&turn) {
                if finished(&items[turn], result).is_break() {
                    // Further items are taken by nobody.
                    next.store(items.len(), Ordering::Relaxed);
                }
                turn += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_and_all_of_them() {
        for threads in [Some(1), Some(3), Some(50), None] {
            let items: Vec<u64> = (0..40).collect();
            let mut seen = Vec::new();
            let work = |item: &u64| {
                std::thread::sleep(Duration::from_micros((item * 7919) % 500));
                item * item
            };
            in_parallel(&items, threads, work, |item, square| {
                seen.push((*item, square));
                ControlFlow::Continue(())
            });
            assert_eq!(
                seen,
                items.iter().map(|item| (*item, item * item)).collect::<Vec<_>>(),
                "{threads:?}"
            );
        }
    }

    #[test]
    fn stopping_begins_nothing_further() {
        let items: Vec<usize> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        in_parallel(
            &items,
            Some(2),
            |item| {
                begun.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
                *item
            },
            |_, item| if item == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
        );
        assert!((4..500).contains(&begun.into_inner()));
    }

    #[test]
    fn nothing_to_do_is_done() {
        in_parallel(&[] as &[u8], None, |_| (), |_, ()| ControlFlow::Continue(()));
    }
}
