//! Batches prepared ahead of the training, on threads of their own.
//!
//! What lives here: who makes which step's batch, the queue, and the end. What does not: what a batch is. Each thread makes whole
//! batches; a finished one waits until those before it have been handed over.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::dataset::Batch;
use crate::error::DatasetError;

/// Batches that are ready or being made, for each thread: one in the making, one that waits.
const BATCHES_PER_THREAD: u64 = 2;

/// Batches in the order of their steps.
///
/// Dropping it ends the threads, when each has finished the batch that it is making.
pub struct Batches {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Batches {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`DatasetError::Thread`].
    pub(crate) fn start(
        threads: usize,
        first_step: u64,
        make: impl Fn(u64) -> Result<Batch, DatasetError> + Send + Sync + 'static,
    ) -> Result<Self, DatasetError> {
        let shared = Arc::new(Shared {
            first_step,
            most_ahead: BATCHES_PER_THREAD * threads as u64,
            make: Box::new(make),
            state: Mutex::default(),
            may_begin: Condvar::new(),
            is_finished: Condvar::new(),
        });
        // What has been started ends with this, should another thread be refused.
        let mut batches = Self { shared, workers: Vec::with_capacity(threads) };
        for number in 1..=threads {
            let shared = Arc::clone(&batches.shared);
            let worker = Builder::new().name(format!("batches {number}")).spawn(move || shared.work());
            batches.workers.push(worker.map_err(|source| DatasetError::Thread {
                number,
                threads,
                source,
            })?);
        }
        Ok(batches)
    }

    /// The batch of the next step; waits for it where it is not ready.
    ///
    /// # Errors
    /// What [`crate::Dataset::batch`] gives for the step, or [`DatasetError::Panicked`]. The next call goes on with the step
    /// after it.
    #[expect(clippy::should_implement_trait, reason = "steps have no end: there is always a next one")]
    pub fn next(&mut self) -> Result<Batch, DatasetError> {
        let mut state = self.shared.state();
        loop {
            let turn = state.delivered;
            if let Some(result) = state.finished.remove(&turn) {
                state.delivered += 1;
                self.shared.may_begin.notify_one();
                return result;
            }
            state = self.shared.is_finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.state().is_stopped = true;
        self.shared.may_begin.notify_all();
        for worker in self.workers.drain(..) {
            // Panics have been handed over as errors.
            let _ = worker.join();
        }
    }
}

/// What the threads share with the training.
struct Shared {
    first_step: u64,
    most_ahead: u64,
    make: Box<dyn Fn(u64) -> Result<Batch, DatasetError> + Send + Sync>,
    state: Mutex<State>,
    /// A batch was taken out of the queue, or all is to end.
    may_begin: Condvar,
    is_finished: Condvar,
}

/// Counts begin with zero at the first step.
#[derive(Default)]
struct State {
    begun: u64,
    delivered: u64,
    finished: BTreeMap<u64, Result<Batch, DatasetError>>,
    is_stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        while let Some(turn) = self.begin() {
            let step = self.first_step.wrapping_add(turn);
            let result = catch_unwind(AssertUnwindSafe(|| (self.make)(step)))
                .unwrap_or_else(|panic| Err(DatasetError::Panicked { step, message: message_of(&*panic) }));
            self.state().finished.insert(turn, result);
            self.is_finished.notify_one();
        }
    }

    /// The next turn, as soon as the queue has room; none at the end.
    fn begin(&self) -> Option<u64> {
        let mut state = self.state();
        while !state.is_stopped && state.begun - state.delivered >= self.most_ahead {
            state = self.may_begin.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped {
            return None;
        }
        state.begun += 1;
        Some(state.begun - 1)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn batch(step: u64) -> Batch {
        Batch { step, lr: Vec::new(), hr: Vec::new(), sharpened: None, lr_px: 0, hr_px: 0, size: 0 }
    }

    #[test]
    fn steps_come_in_order_and_the_queue_is_bounded() {
        for threads in [1, 2, 7] {
            let begun = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&begun);
            let mut batches = Batches::start(threads, 10, move |step| {
                counter.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros(step * 7919 % 900));
                Ok(batch(step))
            })
            .unwrap();
            for step in 10..110 {
                assert_eq!(batches.next().unwrap().step, step);
                let ahead = begun.load(Ordering::SeqCst) - (step - 9);
                assert!(ahead <= 2 * threads as u64, "{ahead} ahead with {threads} threads");
            }
        }
    }

    #[test]
    fn a_panic_and_an_error_belong_to_their_steps() {
        let make = |step| match step {
            1 => panic!("row {} is odd", 3),
            2 => Err(DatasetError::NoFolders),
            _ => Ok(batch(step)),
        };
        let mut batches = Batches::start(2, 0, make).unwrap();
        assert_eq!(batches.next().unwrap().step, 0);
        let error = batches.next().unwrap_err();
        assert_eq!(error.to_string(), "the preparation of batch 1 gave up: row 3 is odd");
        assert!(matches!(batches.next(), Err(DatasetError::NoFolders)));
        assert_eq!(batches.next().unwrap().step, 3);
    }

    #[test]
    fn dropping_joins_threads_that_wait_and_threads_that_work() {
        let alive = Arc::new(());
        for taken in [0, 1, 5] {
            let witness = Arc::clone(&alive);
            let mut batches = Batches::start(3, 0, move |step| {
                let _witness = &witness;
                std::thread::sleep(Duration::from_millis(2));
                Ok(batch(step))
            })
            .unwrap();
            for _ in 0..taken {
                batches.next().unwrap();
            }
            drop(batches);
            assert_eq!(Arc::strong_count(&alive), 1, "nothing of the threads is left");
        }
    }

    #[test]
    fn the_last_step_is_followed_by_the_first() {
        let mut batches = Batches::start(1, u64::MAX, |step| Ok(batch(step))).unwrap();
        assert_eq!(batches.next().unwrap().step, u64::MAX);
        assert_eq!(batches.next().unwrap().step, 0);
    }
}
