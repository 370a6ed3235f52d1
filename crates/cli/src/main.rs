//! The esrgan command.
fn main() {}
