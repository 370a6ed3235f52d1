//! The formats that come for free with the `image` crate: BMP, QOI, OpenEXR, PNM, TGA, Radiance and icons.

use esrgan_core::SampleDepth;
use image::{ColorType, ImageDecoder};

use crate::canvas::Canvas;
use crate::decode::{Codec, Source};
use crate::error::Failure;
use crate::header::Stored;
use crate::memory;
use crate::metadata::Found;
use crate::orientation::Orientation;
use crate::{Limits, PictureFormat};

pub(super) struct Bitmap<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    stored: Stored,
}

impl<'a> Bitmap<'a> {
    pub(super) fn open(format: PictureFormat, source: Source<'a>, limits: &Limits) -> Result<Self, Failure> {
        let mut decoder = image_decoder(format, source)?;
        let mut codec_limits = image::Limits::no_limits();
        codec_limits.max_alloc = Some(limits.alloc_bytes());
        decoder.set_limits(codec_limits)?;
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(Failure::malformed("the picture has no size"));
        }
        let (depth, is_gray) = match decoder.color_type() {
            ColorType::L8 | ColorType::La8 => (SampleDepth::U8, true),
            ColorType::Rgb8 | ColorType::Rgba8 => (SampleDepth::U8, false),
            ColorType::L16 | ColorType::La16 => (SampleDepth::U16, true),
            ColorType::Rgb16 | ColorType::Rgba16 => (SampleDepth::U16, false),
            ColorType::Rgb32F | ColorType::Rgba32F => (SampleDepth::F32, false),
            other => return Err(Failure::Unsupported(format!("samples of type {other:?}"))),
        };
        // OpenEXR copies its picture once more inside the codec.
        let copies = if format == PictureFormat::OpenExr { 2 } else { 1 };
        Ok(Self {
            stored: Stored {
                width,
                height,
                depth,
                has_alpha: decoder.color_type().has_alpha(),
                is_gray,
                orientation: Orientation::default(),
                scratch_bytes: decoder.total_bytes().saturating_mul(copies),
            },
            decoder,
        })
    }
}

fn image_decoder<'a>(
    format: PictureFormat,
    source: Source<'a>,
) -> Result<Box<dyn ImageDecoder + 'a>, Failure> {
    use image::codecs::{bmp, hdr, ico, openexr, pnm, qoi, tga};
    let reader = source.reader;
    Ok(match format {
        PictureFormat::Bmp => Box::new(bmp::BmpDecoder::new(reader)?),
        PictureFormat::Qoi => Box::new(qoi::QoiDecoder::new(reader)?),
        PictureFormat::OpenExr => Box::new(openexr::OpenExrDecoder::new(reader)?),
        PictureFormat::Pnm => Box::new(pnm::PnmDecoder::new(reader)?),
        PictureFormat::Tga => Box::new(tga::TgaDecoder::new(reader)?),
        PictureFormat::Hdr => Box::new(hdr::HdrDecoder::new(reader)?),
        PictureFormat::Ico => Box::new(ico::IcoDecoder::new(reader)?),
        other => return Err(Failure::Unsupported(format!("no decoder for {other}"))),
    })
}

impl Codec for Bitmap<'_> {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    fn decode(mut self: Box<Self>, canvas: &mut Canvas) -> Result<Found, Failure> {
        let icc = self.decoder.icc_profile()?;
        let bytes = self.decoder.total_bytes();
        match self.stored.depth {
            SampleDepth::U8 => {
                let mut samples = memory::zeroed::<u8>(bytes)?;
                self.decoder.read_image_boxed(&mut samples)?;
                canvas.put_all(&samples);
            }
            SampleDepth::U16 => {
                let mut samples = memory::zeroed::<u16>(bytes / 2)?;
                self.decoder.read_image_boxed(bytemuck::cast_slice_mut(&mut samples))?;
                canvas.put_all(&samples);
            }
            SampleDepth::F32 => {
                let mut samples = memory::zeroed::<f32>(bytes / 4)?;
                self.decoder.read_image_boxed(bytemuck::cast_slice_mut(&mut samples))?;
                canvas.put_all(&samples);
            }
        }
        Ok(Found { icc, ..Found::default() })
    }
}
