//! The `esrgan` command from outside: one binary, a module for each subject.

#[cfg(test)]
mod batch;
#[cfg(test)]
mod bench;
mod degrade;
mod downscale;
mod eval;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod models;
#[cfg(test)]
mod run;
mod train;
