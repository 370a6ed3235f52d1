//! Walks a PNG's chunks without decoding pixels: EXIF and XMP wherever they lie, and whether the file is whole.
//!
//! The `png` crate sees only what comes before the pixels until they are decoded, but orientation is needed before.
//! Chunk layout: PNG specification, third edition, section 5.3.

use std::io::{Read, Seek, SeekFrom};

use crate::decode::Source;
use crate::error::Failure;
use crate::limits::MAX_METADATA_BYTES;

const SIGNATURE_BYTES: u64 = 8;
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp\0";

/// What lies between the chunks of pixels.
#[derive(Default)]
pub(super) struct Ancillary {
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
    pub has_icc: bool,
    /// `gAMA` times 100,000, where neither `sRGB`, `iCCP` nor `cICP` says more.
    pub gamma: Option<u32>,
    pub has_srgb: bool,
    pub has_cicp: bool,
}

/// Reads all chunk headers and leaves the reader at the start.
pub(super) fn walk(source: &mut Source<'_>) -> Result<Ancillary, Failure> {
    let mut found = Ancillary::default();
    let mut position = SIGNATURE_BYTES;
    source.reader.seek(SeekFrom::Start(position))?;
    loop {
        let mut head = [0; 8];
        if source.reader.read_exact(&mut head).is_err() {
            return Err(Failure::Truncated("the closing IEND chunk is missing".to_owned()));
        }
        let [a, b, c, d, kind @ ..] = head;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        position += 8 + length + 4;
        if position > source.length {
            return Err(Failure::Truncated(format!(
                "the {} chunk needs {} bytes more than the file has",
                String::from_utf8_lossy(&kind).escape_debug(),
                position - source.length
            )));
        }
        if &kind == b"IEND" {
            break;
        }
        found.visit(source, kind, length)?;
        source.reader.seek(SeekFrom::Start(position))?;
    }
    source.reader.seek(SeekFrom::Start(0))?;
    Ok(found)
}

impl Ancillary {
    fn visit(&mut self, source: &mut Source<'_>, kind: [u8; 4], length: u64) -> Result<(), Failure> {
        match &kind {
            b"iCCP" => self.has_icc = true,
            b"sRGB" => self.has_srgb = true,
            b"cICP" => self.has_cicp = true,
            b"gAMA" => {
                if let Ok(bytes) = <[u8; 4]>::try_from(contents(source, length)?) {
                    self.gamma = Some(u32::from_be_bytes(bytes));
                }
            }
            b"eXIf" if length <= MAX_METADATA_BYTES => self.exif = Some(contents(source, length)?),
            b"iTXt" if length <= MAX_METADATA_BYTES => {
                let text = international_text(&contents(source, length)?);
                self.xmp = text.or(self.xmp.take());
            }
            _ => {}
        }
        Ok(())
    }
}

fn contents(source: &mut Source<'_>, length: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    (&mut source.reader).take(length.min(MAX_METADATA_BYTES)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The XMP packet of an `iTXt` chunk; `None` where the chunk is another text, or damaged, or too large when inflated.
fn international_text(chunk: &[u8]) -> Option<Vec<u8>> {
    let rest = chunk.strip_prefix(XMP_KEYWORD)?;
    let [compressed, _method, rest @ ..] = rest else {
        return None;
    };
    // The language tag and the translated keyword end with a zero each.
    let after_language = &rest[rest.iter().position(|b| *b == 0)? + 1..];
    let text = &after_language[after_language.iter().position(|b| *b == 0)? + 1..];
    if *compressed == 0 {
        return Some(text.to_vec());
    }
    let mut inflated = Vec::new();
    flate2::read::ZlibDecoder::new(text).take(MAX_METADATA_BYTES + 1).read_to_end(&mut inflated).ok()?;
    (inflated.len() as u64 <= MAX_METADATA_BYTES).then_some(inflated)
}
