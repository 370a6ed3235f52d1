//! The facade from outside: one binary, a module for each subject.

#[cfg(test)]
mod devices;
