//! Checkpoints saved, found, damaged and pruned, by processes that are killed and over disks that are full.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may stop by panicking")]

mod breaking;
mod damage;
mod full_disk;
mod run;
mod samples;
mod saving;
