//! Pictures: decoding within limits, metadata, alpha, resampling, encoding.
//!
//! What lives here: everything between a file and planes of samples, both ways. What does not: models, tiles, colour science
//! beyond what a file's own profile asks for. Formats and what each can hold: [`PictureFormat`].

mod bleed;
mod canvas;
mod decode;
mod encode;
mod error;
mod format;
mod header;
mod imresize;
mod limits;
mod memory;
mod metadata;
mod orientation;
mod raster;
mod resample;
mod transfer;

pub use bleed::bleed_colors;
pub use decode::{Decoded, decode, decode_bytes, probe};
pub use encode::{EncodeOptions, check_size, check_writable, encode, encode_png, encoding_bytes};
pub use error::{Cause, ImageError, LimitName};
pub use format::PictureFormat;
pub use header::Header;
pub use imresize::{Boundary, imresize};
pub use limits::Limits;
pub use metadata::{Density, Metadata};
pub use raster::{Raster, Samples};
pub use resample::{Filter, resample, resample_picture};
