//! What a file's header promises, and the memory that follows from it.

use esrgan_core::{Picture, SampleDepth};

use crate::PictureFormat;
use crate::orientation::Orientation;

/// What a file's header says about its picture, after orientation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Pixels in a row, after orientation.
    pub width: usize,
    /// Rows, after orientation.
    pub height: usize,
    /// The format, by content.
    pub format: PictureFormat,
    /// How samples are stored.
    pub depth: SampleDepth,
    /// Whether the picture has an alpha channel or a transparent colour.
    pub has_alpha: bool,
    /// Whether it has one colour channel.
    pub is_gray: bool,
    scratch_bytes: u64,
    turns: bool,
}

impl Header {
    pub(crate) fn new(format: PictureFormat, stored: &Stored) -> Self {
        let (width, height) = stored.orientation.size(stored.width, stored.height);
        Self {
            width: width as usize,
            height: height as usize,
            format,
            depth: stored.depth,
            has_alpha: stored.has_alpha,
            is_gray: stored.is_gray,
            scratch_bytes: stored.scratch_bytes,
            turns: stored.orientation.transposes(),
        }
    }

    /// What the header of a PNG of a picture would say.
    pub fn of_picture(picture: &Picture, depth: SampleDepth) -> Self {
        Self {
            width: picture.width(),
            height: picture.height(),
            format: PictureFormat::Png,
            depth,
            has_alpha: picture.alpha.is_some(),
            is_gray: picture.is_gray(),
            scratch_bytes: 0,
            turns: false,
        }
    }

    /// Channels of the decoded picture, alpha included.
    pub fn channels(&self) -> usize {
        channels(self.is_gray, self.has_alpha)
    }

    /// Bytes that the decoded planes occupy.
    pub fn decoded_bytes(&self) -> u64 {
        self.plane_bytes().saturating_mul(self.channels() as u64)
    }

    /// Bytes that decoding holds at its peak: the planes, the codec's buffers, and one plane more where orientation turns the
    /// picture by a quarter.
    pub fn peak_decode_bytes(&self) -> u64 {
        let turning = if self.turns { self.plane_bytes() } else { 0 };
        self.decoded_bytes().saturating_add(self.scratch_bytes.max(turning))
    }

    fn plane_bytes(&self) -> u64 {
        (self.width as u64).saturating_mul(self.height as u64).saturating_mul(4)
    }
}

/// What a codec found in a header: the picture as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub width: u32,
    pub height: u32,
    pub depth: SampleDepth,
    pub has_alpha: bool,
    pub is_gray: bool,
    pub orientation: Orientation,
    /// Bytes that the codec holds beside the planes at its peak.
    pub scratch_bytes: u64,
}

impl Stored {
    pub(crate) fn channels(&self) -> usize {
        channels(self.is_gray, self.has_alpha)
    }

    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

fn channels(is_gray: bool, has_alpha: bool) -> usize {
    (if is_gray { 1 } else { 3 }) + usize::from(has_alpha)
}
