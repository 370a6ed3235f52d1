//! Pictures from outside in: fixtures by other programs, round trips, hostile files, limits, atomic writing.

mod benchmarks;
mod common;
mod external;
mod fixtures;
mod hostile;
mod limits;
mod metadata;
mod mutations;
mod round_trip;
mod writing;
