//! What a training run writes down about itself, so that people can look at it: records, TensorBoard events, curves, warnings.
//!
//! What lives here: the files of a [`Journal`], and the [`Monitor`] that reads along. What does not: training, flags, pictures
//! other than as finished PNG bytes.
//!
//! A run may be killed at any moment. Resumed at step `k`, its journal is first cut back to what was known at step `k`, so
//! that a run that was killed and resumed ends with the files of one that nobody disturbed:
//!
//! | file | holds | after a resume |
//! |---|---|---|
//! | `log.jsonl` | one record a line | the same bytes |
//! | `events.out.tfevents.*` | the same records and pictures for TensorBoard | the same content, in more files |
//! | `timing.jsonl` | values of the clock, such as seconds and steps per second | other values |
//! | `curves.svg` | the records, drawn | the same bytes |
//!
//! # Examples
//! ```
//! use esrgan_journal::{Journal, Record, RecordKind, read_records};
//!
//! # let folder = std::env::temp_dir().join(format!("esrgan-journal-example-{}", std::process::id()));
//! let mut journal = Journal::open(&folder, None)?;
//! journal.write(&Record::new(10, RecordKind::Train).with("loss_l1", 0.0123))?;
//! journal.flush_and_sync()?; // a checkpoint may follow
//! assert_eq!(read_records(&journal.log_path())?[0].get("loss_l1"), Some(0.0123));
//! # std::fs::remove_dir_all(&folder).ok();
//! # Ok::<(), esrgan_journal::JournalError>(())
//! ```

mod append;
mod atomic;
mod curves;
mod error;
mod journal;
mod line;
mod log;
mod monitor;
mod record;
mod tensorboard;

pub use curves::{draw_curves, write_curves};
pub use error::JournalError;
pub use journal::{Clock, Journal};
pub use log::read_records;
pub use monitor::{Monitor, Thresholds, Warning};
pub use record::{Record, RecordKind};
