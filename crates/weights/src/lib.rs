//! Untrusted checkpoints in, checked models out; and back to files.
