//! From a file to a picture: format by content, limits by header, pixels, orientation, metadata.
//!
//! Each codec lies in its own module and knows nothing of paths, limits or orientation. It first reads the header
//! ([`Codec::stored`]); only when that has passed the limits is it asked for pixels ([`Codec::decode`]).

mod bitmap;
mod cmyk;
mod gif;
mod jpeg;
mod jpeg_markers;
mod png;
mod png_chunks;
mod tiff;
mod tiff_samples;
mod webp;

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use esrgan_core::{Notice, Picture, Plane, SampleDepth};

use crate::canvas::Canvas;
use crate::error::Failure;
use crate::format::looks_like;
use crate::header::Stored;
use crate::metadata::{Found, Metadata};
use crate::{Header, ImageError, Limits, PictureFormat, transfer};

/// A decoded picture with everything that came along.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The picture, orientation already applied.
    pub picture: Picture,
    /// What the header said.
    pub header: Header,
    /// Profile, EXIF, XMP and density that describe the picture as it is now.
    pub metadata: Metadata,
    /// What a user should know.
    pub notices: Vec<Notice>,
}

/// Bytes that can be read, sought, and buffered.
pub(crate) trait ReadSeek: BufRead + Seek {}

impl<T: BufRead + Seek> ReadSeek for T {}

/// An open input.
pub(crate) struct Source<'a> {
    pub reader: Box<dyn ReadSeek + 'a>,
    pub length: u64,
}

/// A format's reader, after the header.
pub(crate) trait Codec {
    /// The picture as it is stored.
    fn stored(&self) -> &Stored;

    /// Fills the canvas and gives what else the file holds.
    fn decode(self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure>;
}

/// Reads a file's header, without its pixels.
///
/// # Errors
/// [`ImageError`] where the file cannot be read, is of no known format, is damaged as far as the header goes, or would exceed
/// `limits`.
pub fn probe(path: &Path, limits: &Limits) -> Result<Header, ImageError> {
    shielded(path, || open(path, file_source(path)?, limits).map(|opened| opened.header))
}

/// Reads a picture.
///
/// # Values
/// Samples lie in 0..1, encoded as the file has them: 8 bits divided by 255, 16 bits by 65,535. Floating-point files keep
/// their values; those of linear light (OpenEXR, Radiance) pass through the sRGB curve, which [`crate::encode`] undoes. CMYK
/// becomes sRGB. Alpha is straight.
///
/// # Errors
/// [`ImageError`]: as [`probe`], and where the pixels are damaged or missing. A picture of which a part is missing is an error.
pub fn decode(path: &Path, limits: &Limits) -> Result<Decoded, ImageError> {
    shielded(path, || decode_source(path, file_source(path)?, limits))
}

/// Reads a picture from memory; `name` stands for the file in messages, and for TGA its extension decides.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(name: &Path, bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    shielded(name, || {
        let source = Source { reader: Box::new(Cursor::new(bytes)), length: bytes.len() as u64 };
        decode_source(name, source, limits)
    })
}

/// Turns a panic of a codec into an error: the bytes are a stranger's, and codecs are large.
///
/// A net for what is not known yet: no file has needed it, those of the test suites and a million mutations included.
fn shielded<T>(path: &Path, work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(ImageError::DecoderPanicked {
            path: path.to_owned(),
            message: text.unwrap_or_else(|| "no message".to_owned()),
        })
    })
}

fn file_source(path: &Path) -> Result<Source<'static>, ImageError> {
    let fault = |action| move |source| ImageError::Io { path: path.to_owned(), action, source };
    let file = File::open(path).map_err(fault("open"))?;
    let length = file.metadata().map_err(fault("read"))?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.fill_buf().map_err(fault("read"))?;
    Ok(Source { reader: Box::new(reader), length })
}

struct Opened<'a> {
    codec: Box<dyn Codec + 'a>,
    header: Header,
}

fn open<'a>(path: &Path, mut source: Source<'a>, limits: &Limits) -> Result<Opened<'a>, ImageError> {
    let mut start = Vec::with_capacity(16);
    let read = (&mut source.reader)
        .take(16)
        .read_to_end(&mut start)
        .and_then(|_| source.reader.seek(SeekFrom::Start(0)));
    read.map_err(|source| ImageError::Io { path: path.to_owned(), action: "read", source })?;
    let format = PictureFormat::sniff(&start, path)
        .ok_or_else(|| ImageError::UnknownFormat { path: path.to_owned(), looks_like: looks_like(&start) })?;
    let codec = open_codec(format, source, limits).map_err(|failure| failure.reading(path, format))?;
    let header = Header::new(format, codec.stored());
    limits.check(path, &header)?;
    Ok(Opened { codec, header })
}

fn open_codec<'a>(
    format: PictureFormat,
    source: Source<'a>,
    limits: &Limits,
) -> Result<Box<dyn Codec + 'a>, Failure> {
    Ok(match format {
        PictureFormat::Png => Box::new(png::Png::open(source)?),
        PictureFormat::Jpeg => Box::new(jpeg::Jpeg::open(source, limits)?),
        PictureFormat::WebP => Box::new(webp::WebP::open(source, limits)?),
        PictureFormat::Tiff => Box::new(tiff::Tiff::open(source, limits)?),
        PictureFormat::Gif => Box::new(gif::Gif::open(source, limits)?),
        other => Box::new(bitmap::Bitmap::open(other, source, limits)?),
    })
}

fn decode_source(path: &Path, source: Source<'_>, limits: &Limits) -> Result<Decoded, ImageError> {
    let Opened { codec, mut header } = open(path, source, limits)?;
    let format = header.format;
    let orientation = codec.stored().orientation;
    let pixels = || -> Result<(Picture, Found), Failure> {
        let mut canvas = Canvas::new(codec.stored())?;
        let stored_width = canvas.width();
        let found = codec.decode(&mut canvas)?;
        let picture = canvas.into_picture(|samples| {
            let turned = orientation.apply(samples, stored_width)?;
            Ok((header.width, header.height, turned))
        })?;
        Ok((picture, found))
    };
    let (mut picture, found) = pixels().map_err(|failure| failure.reading(path, format))?;
    if header.depth == SampleDepth::F32 {
        check_finite(path, &picture)?;
    }
    if format == PictureFormat::Gif {
        drop_opaque_alpha(&mut picture, &mut header);
    }
    let mut notices = Vec::new();
    if format.is_linear() {
        transfer::encode_picture(&mut picture);
        notices.push(Notice::new(format!("{format} holds linear light: processed in sRGB encoding")));
    }
    let (metadata, further) = found.settle(&header);
    notices.extend(further);
    Ok(Decoded { picture, header, metadata, notices })
}

/// Every GIF could be transparent; one that is not should not grow an alpha channel.
fn drop_opaque_alpha(picture: &mut Picture, header: &mut Header) {
    let opaque = |alpha: &Plane| alpha.samples().iter().all(|sample| *sample >= 1.0);
    if picture.alpha.as_ref().is_some_and(opaque) {
        picture.alpha = None;
        header.has_alpha = false;
    }
}

fn check_finite(path: &Path, picture: &Picture) -> Result<(), ImageError> {
    for (channel, plane) in picture.color.iter().chain(&picture.alpha).enumerate() {
        let bad = plane.samples().iter().position(|sample| !sample.is_finite());
        if let Some(at) = bad {
            return Err(ImageError::NotFinite {
                path: path.to_owned(),
                x: at % plane.width(),
                y: at / plane.width(),
                channel,
                value: plane.samples()[at],
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_file() {
        let result: Result<(), _> = shielded(Path::new("odd.png"), || panic!("row {} is odd", 3));
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "`odd.png`: the decoder gave up on this file: row 3 is odd");
    }
}
