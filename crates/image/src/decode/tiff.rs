//! TIFF and BigTIFF, strip by strip or tile by tile, so that only one of them is held beside the planes.

use esrgan_core::Notice;
use tiff::decoder::Decoder;
use tiff::tags::{IfdPointer, PlanarConfiguration, SampleFormat, Tag, Type, ValueBuffer};

use crate::Limits;
use crate::canvas::Canvas;
use crate::decode::cmyk::{Inks, Separations};
use crate::decode::tiff_samples::{Layout, Space};
use crate::decode::{Codec, ReadSeek, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::limits::MAX_METADATA_BYTES;
use crate::metadata::directories::{DESCRIPTIVE, Directories, Entry, kind_bytes};
use crate::metadata::{Density, Found};
use crate::orientation::Orientation;

const XMP: Tag = Tag::Unknown(0x02BC);
const INTEROPERABILITY_DIRECTORY: u16 = 0xA005;
/// Bytes of all EXIF values beyond which the rest is left out.
const MAX_EXIF_BYTES: u64 = 1 << 20;

type Reader<'a> = Decoder<Box<dyn ReadSeek + 'a>>;

pub(super) struct Tiff<'a> {
    decoder: Reader<'a>,
    layout: Layout,
    is_planar: bool,
    stored: Stored,
}

impl<'a> Tiff<'a> {
    pub(super) fn open(source: Source<'a>, limits: &Limits) -> Result<Self, Failure> {
        let mut decoder = Decoder::new(source.reader)?.with_limits(codec_limits(limits));
        let (width, height) = decoder.dimensions()?;
        let color = decoder.colortype()?;
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples)?.unwrap_or_default();
        let format = decoder
            .find_tag_unsigned_vec::<u16>(Tag::SampleFormat)?
            .and_then(|formats| formats.first().copied())
            .map_or(SampleFormat::Uint, SampleFormat::from_u16_exhaustive);
        let layout = Layout::new(color, format, &extra)?;
        let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration)?;
        let is_planar = planar == Some(PlanarConfiguration::Planar.to_u16());
        if is_planar && !matches!(layout.space, Space::Gray | Space::Rgb) {
            return Err(Failure::Unsupported(format!("{:?} samples in separate planes", layout.space)));
        }
        let orientation = decoder.find_tag_unsigned::<u16>(Tag::Orientation)?.unwrap_or(1);
        let (chunk_width, chunk_height) = decoder.chunk_dimensions();
        let chunk_pixels = u64::from(chunk_width.min(width)) * u64::from(chunk_height.min(height));
        let chunk_bytes = chunk_pixels.saturating_mul(layout.sample_bytes()).saturating_mul(if is_planar {
            1
        } else {
            layout.samples as u64
        });
        Ok(Self {
            stored: Stored {
                width,
                height,
                depth: layout.depth(),
                has_alpha: layout.has_alpha,
                is_gray: layout.space == Space::Gray,
                orientation: Orientation::from_exif(orientation),
                // The decoded strip or tile, and as much again for the compressed one.
                scratch_bytes: chunk_bytes.saturating_mul(2),
            },
            decoder,
            layout,
            is_planar,
        })
    }

    fn found(&mut self) -> Found {
        let decoder = &mut self.decoder;
        let mut notices = Vec::new();
        if decoder.more_images() {
            notices.push(Notice::new("holds more than one page: only the first is used"));
        }
        if decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType).is_ok_and(|kind| kind.unwrap_or(0) & 1 == 1)
        {
            notices.push(Notice::new("the first page is a reduced preview of another"));
        }
        let kept = usize::from(self.layout.has_alpha) + self.layout.space.channels();
        if self.layout.samples > kept {
            notices.push(Notice::new("extra channels that are not alpha are dropped"));
        }
        Found {
            icc: decoder.get_tag_u8_vec(Tag::IccProfile).ok(),
            exif: directories(decoder).write(),
            xmp: decoder.get_tag_u8_vec(XMP).ok(),
            density: density(decoder),
            notices,
        }
    }

    /// Reads strips or tiles and hands their rows on: plane, column, row, samples.
    fn each_row(
        &mut self,
        mut put: impl FnMut(usize, usize, usize, &[f32]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (chunk_width, chunk_height) = self.decoder.chunk_dimensions();
        let across = self.stored.width.div_ceil(chunk_width.max(1));
        let down = self.stored.height.div_ceil(chunk_height.max(1));
        let (planes, samples) = if self.is_planar {
            (self.layout.samples.min(self.stored.channels()), 1)
        } else {
            (1, self.layout.samples)
        };
        let mut row = Vec::new();
        for plane in 0..planes as u32 {
            for index in 0..across * down {
                let chunk_index = plane * across * down + index;
                let (width, height) = self.decoder.chunk_data_dimensions(chunk_index);
                let chunk = self.decoder.read_chunk(chunk_index)?;
                let left = (index % across) as usize * chunk_width as usize;
                let top = (index / across) as usize * chunk_height as usize;
                for y in 0..height as usize {
                    self.layout.widen_row(&chunk, y, width as usize * samples, &mut row)?;
                    put(plane as usize, left, top + y, &row)?;
                }
            }
        }
        Ok(())
    }
}

fn codec_limits(limits: &Limits) -> tiff::decoder::Limits {
    let bytes = usize::try_from(limits.alloc_bytes()).unwrap_or(usize::MAX);
    let mut codec = tiff::decoder::Limits::default();
    codec.decoding_buffer_size = bytes;
    codec.intermediate_buffer_size = bytes;
    codec.ifd_value_size = MAX_METADATA_BYTES as usize;
    codec
}

impl Codec for Tiff<'_> {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(mut self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let mut found = self.found();
        let layout = self.layout;
        if self.is_planar {
            self.each_row(|plane, x, y, row| {
                canvas.segment(plane, x, y, row.len()).copy_from_slice(row);
                Ok(())
            })?;
        } else if layout.space == Space::Cmyk {
            self.put_inks(canvas, &mut found)?;
        } else {
            let channels = canvas.channels();
            let mut picked = Vec::new();
            self.each_row(|_, x, y, row| {
                picked.clear();
                for pixel in row.chunks_exact(layout.samples) {
                    picked.extend_from_slice(&pixel[..channels]);
                }
                if layout.space == Space::YCbCr {
                    picked.chunks_exact_mut(3).for_each(to_rgb);
                }
                canvas.put(x, y, &picked);
                Ok(())
            })?;
        }
        if layout.has_alpha && layout.is_premultiplied {
            canvas.divide_by_alpha();
        }
        Ok(found)
    }
}

impl Tiff<'_> {
    fn put_inks(&mut self, canvas: &mut Canvas, found: &mut Found) -> Result<(), Failure> {
        let layout = self.layout;
        let mut separations = Separations::new(found.icc.take(), &mut found.notices);
        let mut inks = Vec::new();
        self.each_row(|_, x, y, row| {
            inks.clear();
            for pixel in row.chunks_exact(layout.samples) {
                inks.extend(pixel[..4].iter().map(|ink| esrgan_core::quantise_u16(*ink)));
            }
            let rgb = separations.converted(&inks);
            for channel in 0..3 {
                let out = canvas.segment(channel, x, y, rgb.len() / 3);
                for (out, pixel) in out.iter_mut().zip(rgb.chunks_exact(3)) {
                    *out = pixel[channel];
                }
            }
            if layout.has_alpha {
                let out = canvas.segment(3, x, y, rgb.len() / 3);
                for (out, pixel) in out.iter_mut().zip(row.chunks_exact(layout.samples)) {
                    *out = pixel[4];
                }
            }
            Ok(())
        })
    }
}

fn to_rgb(pixel: &mut [f32]) {
    if let [y, cb, cr] = pixel {
        let coded = [*y, *cb, *cr].map(esrgan_core::quantise_u8);
        let rgb = Inks::rgb(coded).map(esrgan_core::dequantise_u8);
        [*y, *cb, *cr] = rgb;
    }
}

fn density(decoder: &mut Reader<'_>) -> Option<Density> {
    const CENTIMETRES: u16 = 3;
    const INCHES: u16 = 2;
    let unit = decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok()?;
    let scale = match unit.unwrap_or(INCHES) {
        INCHES => 1.0,
        CENTIMETRES => 2.54,
        _ => return None,
    };
    let mut value = |tag| -> Option<f64> {
        let rational = decoder.find_tag(tag).ok()??.into_u32_vec().ok()?;
        match rational.as_slice() {
            [dots, unit] if *unit > 0 => Some(f64::from(*dots) / f64::from(*unit) * scale),
            _ => None,
        }
    };
    Density::per_inch(value(Tag::XResolution)?, value(Tag::YResolution)?)
}

/// The descriptive entries of the page and its EXIF and GPS directories; what cannot be read is left out.
fn directories(decoder: &mut Reader<'_>) -> Directories {
    let mut budget = MAX_EXIF_BYTES;
    let main = entries(decoder, None, &mut budget, |tag| DESCRIPTIVE.contains(&tag));
    let pointer = |decoder: &mut Reader<'_>, tag| {
        let value = decoder.find_tag(tag).ok()??;
        value.into_ifd_pointer().ok()
    };
    let exif = pointer(decoder, Tag::ExifDirectory).map_or(Vec::new(), |at| {
        entries(decoder, Some(at), &mut budget, |tag| tag != INTEROPERABILITY_DIRECTORY)
    });
    let gps = pointer(decoder, Tag::GpsDirectory)
        .map_or(Vec::new(), |at| entries(decoder, Some(at), &mut budget, |_| true));
    Directories { main, exif, gps }
}

/// Entries of the directory at `at`, or of the page where there is none.
fn entries(
    decoder: &mut Reader<'_>,
    at: Option<IfdPointer>,
    budget: &mut u64,
    keep: impl Fn(u16) -> bool,
) -> Vec<Entry> {
    let directory = match at {
        Some(at) => match decoder.read_directory(at) {
            Ok(directory) => Some(directory),
            Err(_) => return Vec::new(),
        },
        None => None,
    };
    let mut tags = match &directory {
        Some(directory) => decoder.read_directory_tags(directory),
        None => decoder.image_ifd(),
    };
    let wanted: Vec<_> = tags
        .directory()
        .iter()
        .filter(|(tag, _)| keep(tag.to_u16()))
        .map(|(tag, entry)| (tag, entry.field_type(), entry.count()))
        .collect();
    wanted
        .into_iter()
        .filter_map(|(tag, kind, count)| {
            let (value_bytes, _) = kind_bytes(kind.to_u16())?;
            let length = count.saturating_mul(value_bytes as u64);
            if length == 0 || length > *budget {
                return None;
            }
            let mut value = ValueBuffer::empty(Type::BYTE);
            tags.find_tag_buf(tag, &mut value).ok()??;
            value.set_byte_order(tiff::tags::ByteOrder::native());
            *budget -= length;
            let count = u32::try_from(count).ok()?;
            Some(Entry { tag: tag.to_u16(), kind: kind.to_u16(), count, bytes: value.as_bytes().to_vec() })
        })
        .collect()
}
