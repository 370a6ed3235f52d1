//! Files in, models out, and back: everything that a caller of this crate sees.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may stop by panicking")]

mod checkpoints;
mod hostile;
mod interpolation;
mod mutations;
mod pickles;
mod readings;
mod refusals;
mod round_trips;
mod samples;
mod torch;
