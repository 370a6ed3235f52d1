//! Limits that hold before anything is allocated for an untrusted picture.

use std::path::Path;

use crate::{Header, ImageError, LimitName};

/// Bytes of profile, EXIF or XMP beyond which a block is dropped: real ones are below 2 MB.
pub(crate) const MAX_METADATA_BYTES: u64 = 16 << 20;

/// What a picture may ask for. The header is checked against these before any sample is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels; 0 lifts the limit.
    pub max_pixels: u64,
    /// Longest side in pixels; 0 lifts the limit.
    pub max_side: u32,
    /// Most bytes that decoding may hold at its peak, planes and codec buffers together; 0 lifts the limit.
    pub max_alloc_bytes: u64,
}

impl Default for Limits {
    /// One gigapixel, 65,535 pixels a side, 16 GiB.
    fn default() -> Self {
        Self { max_pixels: 1_000_000_000, max_side: 65_535, max_alloc_bytes: 16 << 30 }
    }
}

impl Limits {
    /// Refuses a header whose picture would exceed a limit.
    pub(crate) fn check(&self, path: &Path, header: &Header) -> Result<(), ImageError> {
        let (width, height) = (header.width as u64, header.height as u64);
        let needs = [
            (LimitName::Side, u64::from(self.max_side), width.max(height)),
            (LimitName::Pixels, self.max_pixels, width.saturating_mul(height)),
            (LimitName::Memory, self.max_alloc_bytes, header.peak_decode_bytes()),
        ];
        for (limit, allowed, found) in needs {
            if allowed != 0 && found > allowed {
                return Err(ImageError::LimitExceeded { path: path.to_owned(), limit, allowed, found });
            }
        }
        Ok(())
    }

    /// The memory limit as a number, `u64::MAX` where it is lifted.
    pub(crate) fn alloc_bytes(&self) -> u64 {
        match self.max_alloc_bytes {
            0 => u64::MAX,
            bytes => bytes,
        }
    }
}
