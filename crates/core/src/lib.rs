//! What every room of esrgan shares: pictures as planes, notices, error kinds, sizes, and files that appear whole or not at all.
//!
//! What lives here: plain values, and what needs nothing but the standard library. What does not: file formats, kernels, models.
//! The rooms and the data flow between them are drawn in `docs/architecture.md`.

mod bytes;
mod device_kind;
mod files;
mod kind;
mod markup;
mod memory;
mod notice;
mod parallel;
mod picture;

pub use bytes::{ParseBytesError, format_bytes, parse_bytes};
pub use device_kind::DeviceKind;
pub use files::{PendingFile, folder_of, sync_folder, write_atomically};
pub use kind::{Classify, Kind};
pub use markup::escape_markup;
pub use memory::{available_memory_bytes, forget_peak_memory, machine_memory_bytes, peak_memory_bytes};
pub use notice::Notice;
pub use parallel::in_parallel;
pub use picture::{
    Picture, Plane, PlaneSizeError, SampleDepth, dequantise_u8, dequantise_u16, quantise_u8, quantise_u16,
};
