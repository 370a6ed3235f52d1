//! The `esrgan` command from outside: one binary, a module for each subject.

#[cfg(test)]
mod batch;
#[cfg(test)]
mod bench;
mod builtin;
#[cfg(test)]
mod check;
mod degrade;
#[cfg(test)]
mod devices;
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
#[cfg(test)]
mod train_device;
#[cfg(test)]
mod train_errors;
#[cfg(test)]
mod training;
