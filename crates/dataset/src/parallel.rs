//! Independent work on several threads, all of it before anything goes on.

use std::ops::ControlFlow;

use esrgan_core::in_parallel;

/// The results of all items, in the items' order.
///
/// # Panics
/// Where `work` does.
pub(crate) fn mapped<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let mut results = Vec::with_capacity(items.len());
    in_parallel(items, Some(threads), work, |_, result| {
        results.push(result);
        ControlFlow::Continue(())
    });
    results
}
