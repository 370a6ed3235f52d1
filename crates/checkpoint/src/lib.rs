//! The folder of a training run's checkpoints: whole or absent, and checked when they are read.
//!
//! What lives here: the [`Checkpoints`] of one run, what is written into a [`Checkpoint`] and [`Found`] in one. What does not:
//! what the files mean, training, flags.
//!
//! | name | what it is |
//! |---|---|
//! | `step-0000012345/` | a checkpoint: its files, and `manifest.json` with the size and the SHA-256 of each |
//! | `step-0000012345.tmp-…/` | one that is being written or removed; the next [`Checkpoints::open`] removes it |
//! | `best.json` | which step was the best, and by which metric |
//! | `lock` | held by the one process that writes here |
//!
//! A checkpoint is written under its temporary name: every file is synced, the manifest comes last, the directory is synced;
//! then one rename gives it its name, and the folder is synced. So a process that is killed, a disk that is full or a power
//! loss leaves the older checkpoints as they were, and a directory with a final name is whole. A disk may still damage what
//! it has been given; [`Checkpoints::newest_valid`] compares sizes and hashes, takes the newest checkpoint that has all of
//! them right, and says which ones it passed over and why. The same steps, files and notes give the same bytes.
//!
//! # For tests
//! Two variables, read by [`Checkpoints::open`], break the writing at its `n`-th passage of a point (the first, where no `n`
//! is given): `ESRGAN_FAIL_SAVE=point[:n]` ends the process there and then, `ESRGAN_FAIL_SAVE_ERROR=point[:n]` makes the disk
//! look full. The points: `before-write`, `mid-write`, `before-sync`, `before-rename`, `after-rename`, `while-pruning`.
//!
//! # Examples
//! ```
//! use esrgan_checkpoint::{Checkpoint, Checkpoints, Contents};
//!
//! # let folder = std::env::temp_dir().join(format!("esrgan-checkpoint-example-{}", std::process::id()));
//! let checkpoints = Checkpoints::open(&folder)?;
//! let files = vec![("schedule.json".to_owned(), Contents::Text("{}".to_owned()))];
//! checkpoints.save(&Checkpoint { step: 5000, files, ..Checkpoint::default() })?;
//! let found = checkpoints.newest_valid()?.expect("one was saved");
//! assert_eq!((found.step, found.text("schedule.json")?.as_str()), (5000, "{}"));
//! # std::fs::remove_dir_all(&folder).ok();
//! # Ok::<(), esrgan_checkpoint::CheckpointError>(())
//! ```

mod best;
mod checkpoint;
mod disk;
mod error;
mod failpoint;
mod folder;
mod found;
mod manifest;
mod name;
mod prune;
mod save;

pub use best::Best;
pub use checkpoint::{Checkpoint, Contents, Saved};
pub use error::CheckpointError;
pub use folder::Checkpoints;
pub use found::{Found, PassedOver, load, newest_valid};
