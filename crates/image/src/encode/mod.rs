//! From a raster to a file: what the format cannot hold is converted and said, the rest is written row by row.

mod bitmap;
mod jpeg;
mod png;
mod pnm;
mod tiff;
mod webp;

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use esrgan_core::{Notice, PendingFile, SampleDepth};

use crate::error::Failure;
use crate::format::Capabilities;
use crate::{ImageError, Metadata, PictureFormat, Raster};

/// The file that encoders write to.
type Output = BufWriter<File>;

/// How a picture is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// JPEG quality, 1 to 100. WebP is written without loss and says that it does not use a quality other than the default.
    pub quality: u8,
}

const DEFAULT_QUALITY: u8 = 95;

impl Default for EncodeOptions {
    /// JPEG quality 95.
    fn default() -> Self {
        Self { quality: DEFAULT_QUALITY }
    }
}

/// Writes a picture under its name, atomically: a failed run leaves an old file intact and nothing else behind.
///
/// What the format cannot hold is converted and said in a notice: depth (rounded once), alpha (blended on white), metadata.
/// JPEG is written without chroma subsampling, and gray as one component.
///
/// # Errors
/// [`ImageError::ReadOnlyFormat`], [`ImageError::TooLargeForFormat`], [`ImageError::RasterSize`] before anything is written;
/// [`ImageError::Io`] where the file cannot be written; [`ImageError::OutOfMemory`] for conversions.
pub fn encode(
    raster: &Raster,
    metadata: &Metadata,
    format: PictureFormat,
    options: &EncodeOptions,
    path: &Path,
) -> Result<Vec<Notice>, ImageError> {
    let can =
        format.capabilities().ok_or_else(|| ImageError::ReadOnlyFormat { path: path.to_owned(), format })?;
    raster.check(path)?;
    check_size(format, (raster.width, raster.height), path)?;
    let mut notices = Vec::new();
    let fitted =
        fitted(raster, format, can, &mut notices).map_err(|failure| failure.writing(path, format))?;
    let size = (raster.width, raster.height, fitted.is_gray());
    let kept = metadata.kept(format, can, size, &mut notices);
    let fault = |source| ImageError::Io { path: path.to_owned(), action: "write", source };
    let (pending, file) = PendingFile::create(path).map_err(fault)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&fitted, &kept, format, options, &mut out, &mut notices)
        .map_err(|failure| failure.writing(path, format))?;
    out.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| pending.commit(file))
        .map_err(fault)?;
    Ok(notices)
}

/// A PNG of a raster of 8 or 16 bits, in memory and without metadata.
///
/// # Errors
/// [`ImageError::RasterSize`], [`ImageError::TooLargeForFormat`]; `name` is what they call it.
pub fn encode_png(raster: &Raster, name: &Path) -> Result<Vec<u8>, ImageError> {
    raster.check(name)?;
    check_size(PictureFormat::Png, (raster.width, raster.height), name)?;
    let mut bytes = Vec::new();
    png::write(raster, &Metadata::default(), &mut bytes, &mut Vec::new())
        .map_err(|failure| failure.writing(name, PictureFormat::Png))?;
    Ok(bytes)
}

/// Bytes that [`encode`] holds beside the raster, for planning: converted copies and the codec's own buffers.
pub fn encoding_bytes(
    format: PictureFormat,
    width: usize,
    height: usize,
    channels: usize,
    depth: SampleDepth,
) -> u64 {
    /// Row buffers, the deflate window, the file's buffer.
    const ROWS: u64 = 4 << 20;
    let Some(can) = format.capabilities() else {
        return 0;
    };
    let pixels = (width as u64).saturating_mul(height as u64);
    let fitted = fitted_channels(channels, can) as u64;
    let written = format.encoded_depth(depth);
    let sample_bytes = match written {
        SampleDepth::U8 => 1,
        SampleDepth::U16 => 2,
        SampleDepth::F32 => 4,
    };
    let needs_copy = written != depth || fitted != channels as u64 || format.is_linear();
    let copy = if needs_copy { fitted * sample_bytes } else { 0 };
    let codec = match format {
        // Four bytes a pixel of residuals, and the frame before it is written.
        PictureFormat::WebP => 4 + fitted,
        // The encoded file is built in memory, at worst a byte a pixel larger than the samples.
        PictureFormat::Qoi => fitted + 1,
        // Blocks are sorted before they are written.
        PictureFormat::OpenExr => fitted * 4,
        _ => 0,
    };
    pixels.saturating_mul(copy + codec).saturating_add(ROWS)
}

/// Whether a file can be written under a name, by beginning one beside it and taking it away again: callers want to know
/// before the work.
///
/// # Errors
/// [`ImageError::Io`], as [`encode`] would give it.
pub fn check_writable(path: &Path) -> Result<(), ImageError> {
    let fault = |source| ImageError::Io { path: path.to_owned(), action: "write", source };
    PendingFile::create(path).map(drop).map_err(fault)
}

/// Whether a format holds a picture of this size; [`encode`] asks too, but callers may want to know before the work.
///
/// # Errors
/// [`ImageError::ReadOnlyFormat`], [`ImageError::TooLargeForFormat`], both naming `path`.
pub fn check_size(
    format: PictureFormat,
    (width, height): (usize, usize),
    path: &Path,
) -> Result<(), ImageError> {
    let can =
        format.capabilities().ok_or_else(|| ImageError::ReadOnlyFormat { path: path.to_owned(), format })?;
    let refuse = |what, allowed, found| {
        Err(ImageError::TooLargeForFormat { path: path.to_owned(), format, what, allowed, found })
    };
    let side = width.max(height) as u64;
    if side > can.max_side {
        return refuse("pixels a side", can.max_side, side);
    }
    // 32-bit sizes in the headers of BMP; the pixel limit of the QOI specification.
    let pixels = (width as u64).saturating_mul(height as u64);
    let most_pixels = match format {
        PictureFormat::Bmp => u64::from(u32::MAX) / 4 - (1 << 16),
        PictureFormat::Qoi => 400_000_000,
        _ => u64::MAX,
    };
    if pixels > most_pixels { refuse("pixels", most_pixels, pixels) } else { Ok(()) }
}

fn fitted_channels(channels: usize, can: Capabilities) -> usize {
    let has_alpha = channels.is_multiple_of(2) && can.alpha;
    let is_gray = channels <= 2 && can.gray && (can.gray_alpha || !has_alpha);
    (if is_gray { 1 } else { 3 }) + usize::from(has_alpha)
}

/// The raster as the format can hold it, with a notice for each thing that it cannot.
fn fitted<'a>(
    raster: &'a Raster,
    format: PictureFormat,
    can: Capabilities,
    notices: &mut Vec<Notice>,
) -> Result<Cow<'a, Raster>, Failure> {
    let channels = fitted_channels(raster.channels, can);
    let (depth, written) = (raster.samples.depth(), format.encoded_depth(raster.samples.depth()));
    if raster.has_alpha() && !can.alpha {
        notices.push(Notice::new(format!("{format} holds no alpha: blended on white")));
    }
    if raster.is_gray() && channels > 2 {
        notices.push(Notice::new(format!(
            "{format} holds no gray{}: written as RGB",
            if raster.has_alpha() { " with alpha" } else { "" }
        )));
    }
    if written < depth {
        let (bits, from) = match (written, depth) {
            (SampleDepth::U8, SampleDepth::U16) => (8, "16"),
            (SampleDepth::U8, _) => (8, "floating point"),
            _ => (16, "floating point"),
        };
        notices.push(Notice::new(format!("{format} holds {bits} bits a sample: rounded from {from}")));
    }
    let mut fitted = raster.converted(channels, written)?;
    if format.is_linear()
        && let crate::Samples::F32(samples) = &mut fitted.to_mut().samples
    {
        crate::transfer::decode_interleaved(samples, channels);
    }
    Ok(fitted)
}

fn write(
    raster: &Raster,
    metadata: &Metadata,
    format: PictureFormat,
    options: &EncodeOptions,
    out: &mut Output,
    notices: &mut Vec<Notice>,
) -> Result<(), Failure> {
    match format {
        PictureFormat::Png => png::write(raster, metadata, out, notices)?,
        PictureFormat::Jpeg => jpeg::write(raster, metadata, options.quality, out, notices)?,
        PictureFormat::Tiff => tiff::write(raster, metadata, out)?,
        PictureFormat::Pnm => pnm::write(raster, out)?,
        PictureFormat::WebP => {
            if options.quality != DEFAULT_QUALITY {
                notices.push(Notice::new(format!(
                    "webp is written without loss: quality {} is not used",
                    options.quality
                )));
            }
            webp::write(raster, metadata, out)?;
        }
        other => bitmap::write(raster, other, out)?,
    }
    out.flush()?;
    Ok(())
}
