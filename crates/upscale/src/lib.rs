//! The facade: load, plan, run, encode. One public API.
