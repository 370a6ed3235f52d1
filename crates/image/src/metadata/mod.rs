//! What describes a picture beside its pixels: colour profile, EXIF, XMP, density.
//!
//! Blocks travel as bytes. [`Found::settle`] makes them true for the decoded picture, [`Metadata::kept`] for the written one.
//! EXIF: CIPA DC-008; XMP: ISO 16684-1; ICC: ICC.1:2022.

pub(crate) mod directories;
pub(crate) mod exif;
pub(crate) mod icc;
pub(crate) mod xmp;

use esrgan_core::Notice;

use crate::format::Capabilities;
use crate::limits::MAX_METADATA_BYTES;
use crate::{Header, PictureFormat};

/// Metadata to be carried from an input to its output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// An ICC profile whose colour space is that of the picture: gray or RGB.
    pub icc: Option<Vec<u8>>,
    /// An EXIF block that begins with its TIFF header (`II` or `MM`), Orientation set to 1.
    pub exif: Option<Vec<u8>>,
    /// An XMP packet.
    pub xmp: Option<Vec<u8>>,
    /// Pixels per inch, for printing.
    pub density: Option<Density>,
}

/// Pixels per inch, across and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density {
    /// Pixels per inch across.
    pub x: f64,
    /// Pixels per inch down.
    pub y: f64,
}

const METRES_PER_INCH: f64 = 0.0254;

impl Density {
    /// From pixels per inch; `None` for nonsense.
    pub(crate) fn per_inch(x: f64, y: f64) -> Option<Self> {
        let sane = |v: f64| v.is_finite() && (1.0..=1e6).contains(&v);
        (sane(x) && sane(y)).then_some(Self { x, y })
    }

    /// From pixels per metre, as PNG has it.
    pub(crate) fn per_metre(x: u32, y: u32) -> Option<Self> {
        Self::per_inch(f64::from(x) * METRES_PER_INCH, f64::from(y) * METRES_PER_INCH)
    }

    /// To whole pixels per metre.
    pub(crate) fn to_metre(self) -> (u32, u32) {
        ((self.x / METRES_PER_INCH).round() as u32, (self.y / METRES_PER_INCH).round() as u32)
    }
}

/// What a decoder found, as it stood in the file.
#[derive(Default)]
pub(crate) struct Found {
    pub icc: Option<Vec<u8>>,
    pub exif: Option<Vec<u8>>,
    pub xmp: Option<Vec<u8>>,
    pub density: Option<Density>,
    pub notices: Vec<Notice>,
}

impl Found {
    /// Keeps what is true of the decoded picture: profile of its colour space, orientation 1, its size.
    pub(crate) fn settle(self, header: &Header) -> (Metadata, Vec<Notice>) {
        let mut notices = self.notices;
        let size = (header.width, header.height);
        let metadata = Metadata {
            icc: fitting_icc(bounded(self.icc, "ICC profile", &mut notices), header.is_gray, &mut notices),
            exif: mended_exif(bounded(self.exif, "EXIF", &mut notices), size, &mut notices),
            xmp: bounded(self.xmp, "XMP", &mut notices).map(|xmp| xmp::mend(xmp, size.0, size.1)),
            density: self.density,
        };
        (metadata, notices)
    }
}

impl Metadata {
    /// What a file of this format and size can hold, with a notice for the rest.
    pub(crate) fn kept(
        &self,
        format: PictureFormat,
        can: Capabilities,
        (width, height, is_gray): (usize, usize, bool),
        notices: &mut Vec<Notice>,
    ) -> Metadata {
        let mut lost = Vec::new();
        let mut hold = |able: bool, block: &Option<Vec<u8>>, name: &'static str| {
            let present = block.as_ref().filter(|bytes| !bytes.is_empty());
            if present.is_some() && !able {
                lost.push(name);
            }
            present.filter(|_| able).cloned()
        };
        let icc = hold(can.icc, &self.icc, "ICC profile");
        let exif = hold(can.exif, &self.exif, "EXIF");
        let xmp = hold(can.xmp, &self.xmp, "XMP");
        if !lost.is_empty() {
            notices.push(Notice::new(format!("{format} holds no {}", lost.join(", no "))));
        }
        Metadata {
            icc: fitting_icc(icc, is_gray, notices),
            exif: mended_exif(exif, (width, height), notices),
            xmp: xmp.map(|xmp| xmp::mend(xmp, width, height)),
            density: self.density.filter(|_| can.density),
        }
    }
}

fn bounded(block: Option<Vec<u8>>, name: &str, notices: &mut Vec<Notice>) -> Option<Vec<u8>> {
    let block = block?;
    if block.len() as u64 > MAX_METADATA_BYTES {
        notices.push(Notice::new(format!(
            "{name} of {} bytes was dropped: more than {MAX_METADATA_BYTES}",
            block.len()
        )));
        return None;
    }
    Some(block)
}

/// A profile only where its colour space is the picture's: a gray profile on RGB pixels (or the other way round) would turn
/// colours into nonsense in every viewer that believes it.
fn fitting_icc(icc: Option<Vec<u8>>, is_gray: bool, notices: &mut Vec<Notice>) -> Option<Vec<u8>> {
    let icc = icc?;
    let picture = if is_gray { icc::ColorSpace::Gray } else { icc::ColorSpace::Rgb };
    let space = icc::color_space(&icc);
    if space == Some(picture) {
        return Some(icc);
    }
    let found = space.map_or("damaged".to_owned(), |space| format!("for {space}"));
    notices
        .push(Notice::new(format!("the ICC profile is {found}, the picture is {picture}: profile dropped")));
    None
}

fn mended_exif(
    exif: Option<Vec<u8>>,
    (width, height): (usize, usize),
    notices: &mut Vec<Notice>,
) -> Option<Vec<u8>> {
    match exif::mend(&exif?, width, height) {
        Ok(mended) => Some(mended),
        Err(exif::Damage(what)) => {
            notices.push(Notice::new(format!("EXIF dropped: {what}")));
            None
        }
    }
}
