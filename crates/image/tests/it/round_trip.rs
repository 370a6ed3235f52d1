//! What is written is read back: every format, depth and number of channels that it holds.

use esrgan_core::SampleDepth;
use esrgan_image::{EncodeOptions, Limits, Metadata, PictureFormat, Raster, Samples, decode, encode};

use crate::common::{assert_rgb, decoded};

const SIZE: (usize, usize) = (37, 29);

fn noise(count: usize) -> impl Iterator<Item = u64> {
    (0..count as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
}

fn raster(channels: usize, depth: SampleDepth) -> Raster {
    let count = SIZE.0 * SIZE.1 * channels;
    let samples = match depth {
        SampleDepth::U8 => Samples::U8(noise(count).map(|v| v as u8).collect()),
        SampleDepth::U16 => Samples::U16(noise(count).map(|v| v as u16).collect()),
        SampleDepth::F32 => {
            Samples::F32(noise(count).map(|v| (v % 100_000) as f32 / 65_537.0 - 0.25).collect())
        }
    };
    Raster { width: SIZE.0, height: SIZE.1, channels, samples }
}

#[test]
fn lossless_formats_bring_every_sample_back() {
    use PictureFormat::{Bmp, Png, Pnm, Qoi, Tga, Tiff, WebP};
    use SampleDepth::{F32, U8, U16};
    let folder = tempfile::tempdir().expect("a folder");
    let cases: &[(PictureFormat, &[SampleDepth], &[usize])] = &[
        (Png, &[U8, U16], &[1, 2, 3, 4]),
        (Tiff, &[U8, U16, F32], &[1, 2, 3, 4]),
        (Pnm, &[U8, U16], &[1, 2, 3, 4]),
        (WebP, &[U8], &[3, 4]),
        (Bmp, &[U8], &[3, 4]),
        (Qoi, &[U8], &[3, 4]),
        (Tga, &[U8], &[1, 3, 4]),
    ];
    let mut tried = 0;
    for (format, depths, channel_counts) in cases {
        for depth in *depths {
            for channels in *channel_counts {
                let name = format!("{format}-{depth:?}-{channels}.{}", format.extension());
                let path = folder.path().join(&name);
                let original = raster(*channels, *depth);
                let notices =
                    encode(&original, &Metadata::default(), *format, &EncodeOptions::default(), &path)
                        .unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(notices, [], "{name}");
                let back = decode(&path, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(back.header.depth, *depth, "{name}");
                assert_eq!(Raster::from_picture(&back.picture, *depth), original, "{name}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 37);
}

#[test]
fn strips_and_rows_of_larger_pictures_fit_together() {
    // More than one strip of 256 KiB, and a side that no block size divides.
    let (width, height) = (701, 413);
    let folder = tempfile::tempdir().expect("a folder");
    for (format, depth) in [
        (PictureFormat::Tiff, SampleDepth::U16),
        (PictureFormat::Tiff, SampleDepth::F32),
        (PictureFormat::Png, SampleDepth::U16),
        (PictureFormat::WebP, SampleDepth::U8),
    ] {
        let count = width * height * 3;
        let samples = match depth {
            SampleDepth::U8 => Samples::U8(noise(count).map(|v| v as u8).collect()),
            SampleDepth::U16 => Samples::U16(noise(count).map(|v| v as u16).collect()),
            SampleDepth::F32 => Samples::F32(noise(count).map(|v| v as f32 / 16e6).collect()),
        };
        let original = Raster { width, height, channels: 3, samples };
        let path = folder.path().join("large");
        encode(&original, &Metadata::default(), format, &EncodeOptions::default(), &path)
            .expect("it can be written");
        let back = decode(&path, &Limits::default()).expect("it can be read");
        assert_eq!(Raster::from_picture(&back.picture, depth), original, "{format} {depth:?}");
    }
}

#[test]
fn open_exr_holds_linear_light_and_brings_encoded_samples_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for channels in [3, 4] {
        let mut original = raster(channels, SampleDepth::F32);
        if let (4, Samples::F32(samples)) = (channels, &mut original.samples) {
            // Alpha of 0 loses colour in a premultiplied format.
            for alpha in samples.iter_mut().skip(3).step_by(4) {
                *alpha = alpha.abs().clamp(0.1, 1.0);
            }
        }
        let path = folder.path().join("linear.exr");
        encode(&original, &Metadata::default(), PictureFormat::OpenExr, &EncodeOptions::default(), &path)
            .expect("it can be written");
        let back = decode(&path, &Limits::default()).expect("it can be read");
        let (Samples::F32(found), Samples::F32(expected)) =
            (Raster::from_picture(&back.picture, SampleDepth::F32).samples, original.samples)
        else {
            panic!("floating point was asked for");
        };
        for (found, expected) in found.iter().zip(&expected) {
            // Roundings of the curve, of the product with alpha and of the quotient.
            let bound = 8.0 * f32::EPSILON * expected.abs().max(0.1);
            assert!((found - expected).abs() <= bound, "{expected} came back as {found}");
        }
    }
}

#[test]
fn jpeg_of_quality_95_is_near_and_keeps_its_chroma() {
    let folder = tempfile::tempdir().expect("a folder");
    let original = Raster::from_picture(&decoded("rgb.bmp").picture, SampleDepth::U8);
    let path = folder.path().join("near.jpg");
    let notices =
        encode(&original, &Metadata::default(), PictureFormat::Jpeg, &EncodeOptions::default(), &path)
            .expect("it can be written");
    assert_eq!(notices, []);
    assert_rgb("near.jpg", &decode(&path, &Limits::default()).expect("a picture").picture, 9.0);
    // Red and blue columns of one pixel survive only where chroma has full resolution.
    let mut stripes = original.clone();
    if let Samples::U8(samples) = &mut stripes.samples {
        for (at, pixel) in samples.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(if at % 2 == 0 { &[200, 60, 60] } else { &[60, 60, 200] });
        }
    }
    encode(&stripes, &Metadata::default(), PictureFormat::Jpeg, &EncodeOptions::default(), &path)
        .expect("it can be written");
    let back = decode(&path, &Limits::default()).expect("a picture").picture;
    for x in 4..20 {
        let (red, blue) = (back.color[0].row(5)[x], back.color[2].row(5)[x]);
        assert!((red > blue + 0.4) == (x % 2 == 0), "column {x}: red {red}, blue {blue}");
    }
}

#[test]
fn gray_jpeg_has_one_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gray.jpg");
    encode(
        &raster(1, SampleDepth::U8),
        &Metadata::default(),
        PictureFormat::Jpeg,
        &EncodeOptions { quality: 100 },
        &path,
    )
    .expect("it can be written");
    let back = decode(&path, &Limits::default()).expect("a picture");
    assert!(back.picture.is_gray());
}
