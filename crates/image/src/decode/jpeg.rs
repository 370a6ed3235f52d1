//! JPEG: gray, YCbCr, RGB, and the inks of CMYK and YCCK.
//!
//! The whole file is read first: the decoder is faster on a slice, and the walk over its markers needs one too.

use std::io::Read;
use std::ops::Range;

use esrgan_core::{Notice, SampleDepth};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::Limits;
use crate::canvas::Canvas;
use crate::decode::cmyk::{Inks, Separations};
use crate::decode::jpeg_markers::Outline;
use crate::decode::{Codec, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::memory;
use crate::metadata::{Found, exif, xmp};
use crate::orientation::Orientation;

pub(super) struct Jpeg {
    bytes: Vec<u8>,
    outline: Outline,
    stored: Stored,
}

impl Jpeg {
    pub(super) fn open(mut source: Source<'_>, limits: &Limits) -> Result<Self, Failure> {
        let allowed = limits.alloc_bytes();
        if source.length > allowed {
            return Err(Failure::Memory { allowed, found: source.length });
        }
        let mut bytes = memory::reserved(usize::try_from(source.length).unwrap_or(usize::MAX))?;
        (&mut source.reader).take(source.length).read_to_end(&mut bytes)?;
        let outline = Outline::read(&bytes)?;
        if outline.precision != 8 {
            return Err(Failure::Unsupported(format!("{} bits a sample, expected 8", outline.precision)));
        }
        if !matches!(outline.components, 1 | 3 | 4) {
            return Err(Failure::Unsupported(format!(
                "{} components, expected 1, 3 or 4",
                outline.components
            )));
        }
        let exif = outline.exif.clone().map(|range| &bytes[range]);
        let orientation = exif.and_then(exif::orientation).unwrap_or(1);
        let stored = Stored {
            width: u32::from(outline.width),
            height: u32::from(outline.height),
            depth: SampleDepth::U8,
            has_alpha: false,
            is_gray: outline.components == 1,
            orientation: Orientation::from_exif(orientation),
            scratch_bytes: scratch_bytes(&outline, bytes.len()),
        };
        Ok(Self { bytes, outline, stored })
    }
}

/// The file and the decoded samples. Coefficients of progressive files, two bytes a sample, are gone before the planes, four
/// bytes a sample, come.
fn scratch_bytes(outline: &Outline, file_bytes: usize) -> u64 {
    let pixels = u64::from(outline.width) * u64::from(outline.height);
    file_bytes as u64 + pixels * u64::from(outline.components)
}

impl Codec for Jpeg {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let Coded { samples, is_ycck, mut icc } = self.decode_samples()?;
        let Self { bytes, outline, .. } = *self;
        let block = |range: Option<Range<usize>>| range.map(|range| bytes[range].to_vec());
        let mut found = Found {
            exif: block(outline.exif),
            xmp: block(outline.xmp),
            density: outline.density,
            ..Found::default()
        };
        if outline.components == 4 {
            let inks = Inks { is_ycck, is_inverted: outline.is_adobe };
            put_inks(canvas, &samples, inks, icc.take(), &mut found.notices);
        } else {
            canvas.put_all(&samples);
        }
        found.icc = icc;
        if found.xmp.as_deref().is_some_and(xmp::is_extended) {
            found.notices.push(Notice::new("extended XMP is not carried, the main packet is"));
        }
        Ok(found)
    }
}

/// What the decoder gives: gray, RGB, or the inks as they are stored.
struct Coded {
    samples: Vec<u8>,
    /// The inks are coded as luma, chroma and black.
    is_ycck: bool,
    icc: Option<Vec<u8>>,
}

impl Jpeg {
    fn decode_samples(&self) -> Result<Coded, Failure> {
        // Strict: damage inside the picture is an error instead of a gray area.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(self.bytes.as_slice()), options);
        decoder.decode_headers()?;
        let is_ycck = decoder.input_colorspace() == Some(ColorSpace::YCCK);
        let output = match self.outline.components {
            1 => ColorSpace::Luma,
            // The inks as they are stored: the profile, not the decoder, knows their colours.
            4 if is_ycck => ColorSpace::YCCK,
            4 => ColorSpace::CMYK,
            _ => ColorSpace::RGB,
        };
        decoder.set_options(options.jpeg_set_out_colorspace(output));
        let size = decoder.output_buffer_size().ok_or_else(|| Failure::malformed("no output size"))?;
        let expected = self.stored.pixels() * u64::from(self.outline.components);
        if size as u64 != expected {
            return Err(Failure::malformed(format!(
                "{expected} samples were expected, the decoder gives {size}"
            )));
        }
        let mut samples = memory::zeroed::<u8>(expected)?;
        decoder.decode_into(&mut samples)?;
        Ok(Coded { samples, is_ycck, icc: decoder.icc_profile() })
    }
}

fn put_inks(
    canvas: &mut Canvas,
    samples: &[u8],
    inks: Inks,
    icc: Option<Vec<u8>>,
    notices: &mut Vec<Notice>,
) {
    let mut separations = Separations::new(icc, notices);
    let mut row_inks = Vec::with_capacity(canvas.width() * 4);
    let row_bytes = canvas.width() * 4;
    for (y, row) in samples.chunks_exact(row_bytes).enumerate().take(canvas.height()) {
        row_inks.clear();
        row_inks.extend(
            row.as_chunks().0.iter().flat_map(|pixel| inks.amounts(*pixel)).map(|ink| u16::from(ink) * 257),
        );
        canvas.put(0, y, separations.converted(&row_inks));
    }
}
