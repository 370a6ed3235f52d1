//! Walks a JPEG's segments: size, components, application data, and whether the file reaches its end marker.
//!
//! The decoder fills a truncated picture with gray and says nothing; the walk finds that out before. ITU-T T.81, annex B.

use std::ops::Range;

use crate::error::Failure;
use crate::metadata::Density;

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// What the segments say.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub width: u16,
    pub height: u16,
    pub components: u8,
    pub precision: u8,
    /// An Adobe segment was seen: CMYK is stored inverted.
    pub is_adobe: bool,
    pub exif: Option<Range<usize>>,
    pub xmp: Option<Range<usize>>,
    pub density: Option<Density>,
    scans: usize,
}

impl Outline {
    /// Reads all markers up to the end of the picture.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let mut outline = Self::default();
        let mut at = 2;
        loop {
            let (marker, after) = next_marker(bytes, at)
                .ok_or_else(|| Failure::Truncated("the end-of-image marker is missing".to_owned()))?;
            at = after;
            match marker {
                0xD9 => return outline.checked(),
                // Markers without a segment: restart, start of image, temporary.
                0x01 | 0xD0..=0xD8 => {}
                _ => {
                    let segment = segment(bytes, at)?;
                    outline.visit(marker, bytes, segment.clone())?;
                    at = segment.end;
                }
            }
        }
    }

    fn checked(self) -> Result<Self, Failure> {
        match (self.components, self.scans) {
            (0, _) => Err(Failure::malformed("no frame header")),
            (_, 0) => Err(Failure::malformed("no scan")),
            _ => Ok(self),
        }
    }

    fn visit(&mut self, marker: u8, bytes: &[u8], segment: Range<usize>) -> Result<(), Failure> {
        let content = &bytes[segment.clone()];
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => self.frame(content)?,
            0xDA => self.scans += 1,
            0xE0 if content.starts_with(b"JFIF\0") => self.density = density(content),
            0xE1 if content.starts_with(EXIF) && self.exif.is_none() => {
                self.exif = Some(segment.start + EXIF.len()..segment.end);
            }
            0xE1 if content.starts_with(XMP) && self.xmp.is_none() => {
                self.xmp = Some(segment.start + XMP.len()..segment.end);
            }
            0xEE if content.starts_with(b"Adobe") => self.is_adobe = true,
            _ => {}
        }
        Ok(())
    }

    fn frame(&mut self, content: &[u8]) -> Result<(), Failure> {
        let &[precision, h1, h0, w1, w0, components, ..] = content else {
            return Err(Failure::malformed("the frame header is too short"));
        };
        if self.components != 0 {
            return Err(Failure::malformed("more than one frame header"));
        }
        self.precision = precision;
        self.height = u16::from_be_bytes([h1, h0]);
        self.width = u16::from_be_bytes([w1, w0]);
        self.components = components;
        if self.width == 0 || self.height == 0 || components == 0 {
            return Err(Failure::malformed("the frame header gives no size"));
        }
        Ok(())
    }
}

/// The next marker at or after `at`, and where its segment begins. Stuffed zeros of entropy-coded data are no markers.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut rest = bytes.get(at..)?;
    loop {
        let escape = rest.iter().position(|byte| *byte == 0xFF)?;
        rest = &rest[escape..];
        let fill = rest.iter().position(|byte| *byte != 0xFF)?;
        let marker = rest[fill];
        rest = &rest[fill + 1..];
        if marker != 0 {
            return Some((marker, bytes.len() - rest.len()));
        }
    }
}

/// The contents of the segment whose length field lies at `at`.
fn segment(bytes: &[u8], at: usize) -> Result<Range<usize>, Failure> {
    let truncated = || Failure::Truncated("the file ends inside a segment".to_owned());
    let field: [u8; 2] =
        bytes.get(at..at + 2).and_then(|field| field.try_into().ok()).ok_or_else(truncated)?;
    let length = usize::from(u16::from_be_bytes(field));
    if length < 2 {
        return Err(Failure::malformed("a segment is shorter than its length field"));
    }
    if at + length > bytes.len() {
        return Err(truncated());
    }
    Ok(at + 2..at + length)
}

fn density(jfif: &[u8]) -> Option<Density> {
    let &[unit, x1, x0, y1, y0] = jfif.get(7..12)? else {
        return None;
    };
    let scale = match unit {
        1 => 1.0,
        2 => 2.54,
        _ => return None,
    };
    let dots = |high, low| f64::from(u16::from_be_bytes([high, low])) * scale;
    Density::per_inch(dots(x1, x0), dots(y1, y0))
}
