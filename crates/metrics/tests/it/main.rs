//! The metrics against other programs' figures.

mod goldens;
mod networks;
