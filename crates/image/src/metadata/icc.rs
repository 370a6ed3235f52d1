//! The header of an ICC profile, as far as it decides what the profile may be attached to. ICC.1:2022, section 7.2.

use std::fmt;

const HEADER_BYTES: usize = 128;
const SPACE: std::ops::Range<usize> = 16..20;
const SIGNATURE: std::ops::Range<usize> = 36..40;

/// The colour space of a profile's device side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColorSpace {
    Gray,
    Rgb,
    Cmyk,
    Other,
}

impl fmt::Display for ColorSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gray => "gray",
            Self::Rgb => "RGB",
            Self::Cmyk => "CMYK",
            Self::Other => "another colour space",
        })
    }
}

/// The profile's colour space; `None` where the bytes are no profile.
pub(crate) fn color_space(icc: &[u8]) -> Option<ColorSpace> {
    if icc.len() < HEADER_BYTES || icc.get(SIGNATURE) != Some(b"acsp") {
        return None;
    }
    Some(match icc.get(SPACE)? {
        b"GRAY" => ColorSpace::Gray,
        b"RGB " => ColorSpace::Rgb,
        b"CMYK" => ColorSpace::Cmyk,
        _ => ColorSpace::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_read_only_from_real_profiles() {
        let mut profile = vec![0; 128];
        assert_eq!(color_space(&profile), None);
        profile[SIGNATURE].copy_from_slice(b"acsp");
        profile[SPACE].copy_from_slice(b"GRAY");
        assert_eq!(color_space(&profile), Some(ColorSpace::Gray));
        assert_eq!(color_space(&profile[..100]), None);
    }
}
