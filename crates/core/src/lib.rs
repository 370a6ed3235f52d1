//! Plain values that every room of esrgan shares: pictures as planes, notices, error kinds, sizes.
//!
//! What lives here: types without behaviour beyond their own invariants. What does not: files, kernels, models.
//! The rooms and the data flow between them are drawn in `docs/architecture.md`.

mod bytes;
mod kind;
mod notice;
mod picture;

pub use bytes::{ParseBytesError, format_bytes, parse_bytes};
pub use kind::{Classify, Kind};
pub use notice::Notice;
pub use picture::{
    Picture, Plane, PlaneSizeError, SampleDepth, dequantise_u8, dequantise_u16, quantise_u8, quantise_u16,
};
