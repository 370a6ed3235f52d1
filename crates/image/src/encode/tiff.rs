//! TIFF of 8, 16 or 32 (floating-point) bits, deflated with a predictor, strip by strip; BigTIFF beyond 4 GB.
//!
//! The codec's own picture writer holds neither gray with alpha nor floating-point prediction, so strips are made here and
//! the codec writes directories. TIFF 6.0; Adobe Photoshop TIFF Technical Note 3 for predictor 3.

use std::io::Write;

use esrgan_core::SampleDepth;
use tiff::Directory;
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind};
use tiff::tags::{ExtraSamples, PhotometricInterpretation, Predictor, SampleFormat, Tag, Type};

use super::Output;
use super::png::side;
use crate::error::Failure;
use crate::metadata::Density;
use crate::metadata::directories::{Directories, Entry};
use crate::{Metadata, Raster, Samples};

const XMP: Tag = Tag::Unknown(0x02BC);
const DEFLATE: u16 = 8;
const NO_UNIT: u16 = 1;
const INCHES: u16 = 2;
const CONTIGUOUS: u16 = 1;
/// Bytes of a strip before compression, as near as whole rows allow.
const STRIP_BYTES: usize = 1 << 18;
/// Offsets of classic TIFF end at 4 GiB; the rest is room for directories and metadata.
const CLASSIC_BYTES: u64 = u32::MAX as u64 - (64 << 20);

pub(super) fn write(raster: &Raster, metadata: &Metadata, out: &mut Output) -> Result<(), Failure> {
    if raster.samples.as_bytes().len() as u64 > CLASSIC_BYTES {
        write_kind(TiffEncoder::new_big(out)?, raster, metadata)
    } else {
        write_kind(TiffEncoder::new(out)?, raster, metadata)
    }
}

fn write_kind<K: TiffKind>(
    mut encoder: TiffEncoder<&mut Output, K>,
    raster: &Raster,
    metadata: &Metadata,
) -> Result<(), Failure> {
    let entries = metadata.exif.as_deref().map(Directories::read).unwrap_or_default();
    let mut pointers = Vec::new();
    for (tag, list) in [(Tag::ExifDirectory, &entries.exif), (Tag::GpsDirectory, &entries.gps)] {
        if !list.is_empty() {
            let mut directory = encoder.extra_directory()?;
            write_entries(&mut directory, list)?;
            pointers.push((tag, directory.finish_with_offsets()?.offset));
        }
    }
    let mut directory = encoder.image_directory()?;
    write_entries(&mut directory, &entries.main)?;
    for (tag, offset) in pointers {
        directory.write_tag(tag, offset)?;
    }
    if let Some(icc) = &metadata.icc {
        write_bytes(&mut directory, Tag::IccProfile, Type::UNDEFINED, icc)?;
    }
    if let Some(xmp) = &metadata.xmp {
        write_bytes(&mut directory, XMP, Type::BYTE, xmp)?;
    }
    write_density(&mut directory, metadata.density)?;
    write_layout(&mut directory, raster)?;
    write_strips(&mut directory, raster)?;
    directory.finish()?;
    Ok(())
}

/// Resolution is a required field: without a density it says square pixels.
fn write_density<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    density: Option<Density>,
) -> Result<(), Failure> {
    let rational = |dots: f64| Rational { n: (dots * 1000.0).round() as u32, d: 1000 };
    let (unit, x, y) = match density {
        Some(density) => (INCHES, rational(density.x), rational(density.y)),
        None => (NO_UNIT, Rational { n: 1, d: 1 }, Rational { n: 1, d: 1 }),
    };
    directory.write_tag(Tag::XResolution, x)?;
    directory.write_tag(Tag::YResolution, y)?;
    directory.write_tag(Tag::ResolutionUnit, unit)?;
    Ok(())
}

/// The tags that say how samples lie.
fn write_layout<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    raster: &Raster,
) -> Result<(), Failure> {
    let (bits, format, predictor) = match raster.samples.depth() {
        SampleDepth::U8 => (8_u16, SampleFormat::Uint, Predictor::Horizontal),
        SampleDepth::U16 => (16, SampleFormat::Uint, Predictor::Horizontal),
        SampleDepth::F32 => (32, SampleFormat::IEEEFP, Predictor::FloatingPoint),
    };
    let photometric = if raster.is_gray() {
        PhotometricInterpretation::BlackIsZero
    } else {
        PhotometricInterpretation::RGB
    };
    let per_sample = |value: u16| vec![value; raster.channels];
    directory.write_tag(Tag::ImageWidth, side(raster.width)?)?;
    directory.write_tag(Tag::ImageLength, side(raster.height)?)?;
    directory.write_tag(Tag::BitsPerSample, per_sample(bits).as_slice())?;
    directory.write_tag(Tag::Compression, DEFLATE)?;
    directory.write_tag(Tag::PhotometricInterpretation, photometric.to_u16())?;
    directory.write_tag(Tag::SamplesPerPixel, raster.channels as u16)?;
    directory.write_tag(Tag::PlanarConfiguration, CONTIGUOUS)?;
    directory.write_tag(Tag::Predictor, predictor.to_u16())?;
    directory.write_tag(Tag::SampleFormat, per_sample(format.to_u16()).as_slice())?;
    if raster.has_alpha() {
        directory.write_tag(Tag::ExtraSamples, ExtraSamples::UnassociatedAlpha.to_u16())?;
    }
    Ok(())
}

fn write_strips<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    raster: &Raster,
) -> Result<(), Failure> {
    let row_samples = raster.width * raster.channels;
    let row_bytes = raster.samples.as_bytes().len() / raster.height;
    let rows = (STRIP_BYTES / row_bytes).clamp(1, raster.height);
    directory.write_tag(Tag::RowsPerStrip, side(rows)?)?;
    let mut offsets = Vec::new();
    let mut lengths = Vec::new();
    let mut predicted = Vec::with_capacity(rows * row_bytes);
    for top in (0..raster.height).step_by(rows) {
        predicted.clear();
        for y in top..raster.height.min(top + rows) {
            let span = y * row_samples..(y + 1) * row_samples;
            match &raster.samples {
                Samples::U8(samples) => predict_u8(&samples[span], raster.channels, &mut predicted),
                Samples::U16(samples) => predict_u16(&samples[span], raster.channels, &mut predicted),
                Samples::F32(samples) => predict_f32(&samples[span], raster.channels, &mut predicted),
            }
        }
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        deflate.write_all(&predicted)?;
        let strip = deflate.finish()?;
        offsets.push(K::convert_offset(directory.write_data(strip.as_slice())?)?);
        lengths.push(K::convert_offset(strip.len() as u64)?);
        pad(directory, strip.len())?;
    }
    directory.write_tag(Tag::StripOffsets, K::convert_slice(&offsets))?;
    directory.write_tag(Tag::StripByteCounts, K::convert_slice(&lengths))?;
    Ok(())
}

/// Each sample less the same channel's sample to its left.
fn predict_u8(row: &[u8], channels: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&row[..channels]);
    let pairs = row[channels..].iter().zip(row);
    out.extend(pairs.map(|(sample, left)| sample.wrapping_sub(*left)));
}

/// As [`predict_u8`], in the machine's byte order, which is the file's.
fn predict_u16(row: &[u16], channels: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(bytemuck::cast_slice(&row[..channels]));
    let pairs = row[channels..].iter().zip(row);
    out.extend(pairs.flat_map(|(sample, left)| sample.wrapping_sub(*left).to_ne_bytes()));
}

/// The row's bytes sorted by significance, highest first, then each less the one `channels` places before it.
fn predict_f32(row: &[f32], channels: usize, out: &mut Vec<u8>) {
    let mut sorted = Vec::with_capacity(row.len() * 4);
    for significance in 0..4 {
        sorted.extend(row.iter().map(|sample| sample.to_be_bytes()[significance]));
    }
    predict_u8(&sorted, channels, out);
}

fn write_entries<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    entries: &[Entry],
) -> Result<(), Failure> {
    for entry in entries {
        if let Some(kind) = Type::from_u16(entry.kind) {
            write_bytes(directory, Tag::from_u16_exhaustive(entry.tag), kind, &entry.bytes)?;
        }
    }
    Ok(())
}

/// One entry whose bytes are already in the file's byte order.
fn write_bytes<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    tag: Tag,
    kind: Type,
    bytes: &[u8],
) -> Result<(), Failure> {
    let entry = directory.write_entry_bytes(kind, bytes)?;
    pad(directory, bytes.len())?;
    let mut single = Directory::empty();
    single.extend([(tag, entry)]);
    directory.extend_from(&single);
    Ok(())
}

/// Values begin at even offsets.
fn pad<K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, &mut Output, K>,
    written: usize,
) -> Result<(), Failure> {
    // Shorter values lie within their entry.
    if written > 4 && !written.is_multiple_of(2) {
        directory.write_data([0_u8].as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::BufWriter;

    use super::*;
    use crate::{Limits, decode};

    /// Files beyond 4 GB are too large for a test; their kind is not.
    #[test]
    fn big_tiff_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("big.tiff");
        let raster = Raster {
            width: 5,
            height: 3,
            channels: 3,
            samples: Samples::U16((0..45).map(|v| v * 999).collect()),
        };
        let metadata = Metadata { density: Some(Density { x: 72.0, y: 72.0 }), ..Metadata::default() };
        let mut out = BufWriter::new(File::create(&path).expect("a file"));
        write_kind(TiffEncoder::new_big(&mut out).expect("a header"), &raster, &metadata).expect("written");
        out.flush().expect("written");
        drop(out);
        assert_eq!(std::fs::read(&path).expect("bytes")[2..4], 43_u16.to_ne_bytes());
        let back = decode(&path, &Limits::default()).expect("read");
        assert_eq!(Raster::from_picture(&back.picture, SampleDepth::U16), raster);
        assert_eq!(back.metadata.density, metadata.density);
    }
}
