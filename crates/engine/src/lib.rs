//! CPU inference: plan, rows, threads.
