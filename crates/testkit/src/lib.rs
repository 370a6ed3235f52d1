//! For tests only: plain oracles, tolerances with a derivation, reading of NumPy files, and the shared data folder.
//!
//! What lives here: what more than one room's tests need. What does not: anything that a user's build links.

mod autocorrelation;
mod npz;
mod shared;

pub use autocorrelation::autocorrelations;
pub use npz::{Array, read_npz};
pub use shared::shared_data;
