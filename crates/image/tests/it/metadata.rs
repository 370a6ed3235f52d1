//! Profiles, EXIF, XMP and density from an input to an output of every format.

use esrgan_core::SampleDepth;
use esrgan_image::{
    Density, EncodeOptions, Limits, Metadata, PictureFormat, Raster, Samples, decode, encode,
};

use crate::common::decoded;

/// Writes a raster with this metadata and reads it back.
fn carried(metadata: &Metadata, format: PictureFormat, channels: usize) -> (Metadata, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("carried.{}", format.extension()));
    let raster =
        Raster { width: 96, height: 64, channels, samples: Samples::U8(vec![128; 96 * 64 * channels]) };
    let notices =
        encode(&raster, metadata, format, &EncodeOptions::default(), &path).expect("it can be written");
    let back = decode(&path, &Limits::default()).expect("it can be read");
    (back.metadata, notices.iter().map(ToString::to_string).collect())
}

/// Everything at once: profile, EXIF and XMP of the fixtures.
fn everything() -> Metadata {
    let mut metadata = decoded("lossless.webp").metadata;
    assert!(metadata.icc.is_some() && metadata.exif.is_some() && metadata.xmp.is_some());
    metadata.density = Some(Density { x: 300.0, y: 300.0 });
    metadata
}

/// The value of a one-element SHORT or LONG entry of a block's directory at `at`, in the block's byte order.
fn number(block: &[u8], at: usize, tag: u16) -> Option<u32> {
    let is_little = block.starts_with(b"II\x2a\0");
    assert!(is_little || block.starts_with(b"MM\0\x2a"));
    let joined = |bytes: &[u8]| {
        let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        if is_little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    };
    let entries = joined(&block[at..at + 2]) as usize;
    (0..entries)
        .map(|index| at + 2 + index * 12)
        .find(|entry| joined(&block[*entry..entry + 2]) == u32::from(tag))
        .map(|entry| match joined(&block[entry + 2..entry + 4]) {
            3 => joined(&block[entry + 8..entry + 10]),
            _ => joined(&block[entry + 8..entry + 12]),
        })
}

#[test]
fn decoding_makes_orientation_and_size_true() {
    for name in ["orientation_6.jpg", "lossless.webp", "late_exif_xmp.png"] {
        let file = decoded(name);
        let exif = file.metadata.exif.unwrap_or_else(|| panic!("{name} has EXIF"));
        assert_eq!(number(&exif, 8, 0x0112), Some(1), "{name}");
        assert_eq!(number(&exif, 8, 0x0100), Some(file.header.width as u32), "{name}");
    }
    let xmp = decoded("orientation_8.jpg").metadata.xmp.expect("XMP is there");
    let text = String::from_utf8(xmp).expect("UTF-8");
    assert!(text.contains(r#"tiff:Orientation="1""#), "{text}");
    assert!(text.contains(r#"tiff:ImageWidth="24""#), "{text}");
    assert!(text.contains("Füße 写真"), "{text}");
}

#[test]
fn formats_that_can_hold_everything_do() {
    let metadata = everything();
    for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP, PictureFormat::Tiff] {
        let (back, notices) = carried(&metadata, format, 3);
        assert_eq!(notices, [""; 0], "{format}");
        assert_eq!(back.icc, metadata.icc, "{format}");
        let xmp = String::from_utf8(back.xmp.expect("XMP")).expect("UTF-8");
        assert!(xmp.contains(r#"tiff:ImageWidth="96""#) && xmp.contains("Füße 写真"), "{format}: {xmp}");
        let exif = back.exif.unwrap_or_else(|| panic!("{format} has EXIF"));
        let text = b"Camera Seven";
        assert!(exif.windows(text.len()).any(|w| w == text), "{format}");
        if format != PictureFormat::WebP {
            let density = back.density.unwrap_or_else(|| panic!("{format} has a density"));
            assert!((density.x - 300.0).abs() < 0.01, "{format}: {density:?}");
        }
    }
}

#[test]
fn exif_says_the_size_of_the_output() {
    let (back, _) = carried(&everything(), PictureFormat::Tiff, 3);
    let exif = back.exif.expect("EXIF");
    let block = exif.as_slice();
    let at = number(block, 8, 0x8769).expect("an EXIF directory") as usize;
    assert_eq!(number(block, at, 0xA002), Some(96));
    assert_eq!(number(block, at, 0xA003), Some(64));
    let gps = number(block, 8, 0x8825).expect("a GPS directory") as usize;
    assert!(number(block, gps, 0x0001).is_some());
}

#[test]
fn what_a_format_cannot_hold_is_said() {
    for (format, expected) in [
        (PictureFormat::Bmp, "bmp holds no ICC profile, no EXIF, no XMP"),
        (PictureFormat::Pnm, "pnm holds no ICC profile, no EXIF, no XMP"),
        (PictureFormat::Qoi, "qoi holds no ICC profile, no EXIF, no XMP"),
        (PictureFormat::Tga, "tga holds no ICC profile, no EXIF, no XMP"),
    ] {
        let (_, notices) = carried(&everything(), format, 3);
        assert_eq!(notices, [expected], "{format}");
    }
}

#[test]
fn a_profile_never_meets_pixels_of_another_colour_space() {
    let rgb = decoded("rgba16_icc.png").metadata;
    let mut gray_profile = rgb.icc.clone().expect("a profile");
    gray_profile[16..20].copy_from_slice(b"GRAY");
    let gray = Metadata { icc: Some(gray_profile.clone()), ..Metadata::default() };
    for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::Tiff] {
        let (back, notices) = carried(&gray, format, 3);
        assert_eq!(back.icc, None);
        assert_eq!(notices, ["the ICC profile is for gray, the picture is RGB: profile dropped"]);
        let (back, notices) = carried(&gray, format, 1);
        assert_eq!(back.icc.as_ref(), Some(&gray_profile), "{format}");
        assert_eq!(notices, [""; 0]);
        let (back, notices) = carried(&rgb, format, 1);
        assert_eq!(back.icc, None);
        assert_eq!(notices, ["the ICC profile is for RGB, the picture is gray: profile dropped"]);
    }
    // Gray becomes RGB in WebP, so its profile must go there.
    let (back, notices) = carried(&gray, PictureFormat::WebP, 1);
    assert_eq!(back.icc, None);
    assert_eq!(notices.len(), 2, "{notices:?}");
}

#[test]
fn damaged_blocks_are_dropped_with_a_notice() {
    let damaged = Metadata {
        icc: Some(vec![1; 200]),
        exif: Some(b"II\x2a\0\xff\xff\xff\xff".to_vec()),
        ..Metadata::default()
    };
    let (back, notices) = carried(&damaged, PictureFormat::Png, 3);
    assert_eq!((back.icc, back.exif), (None, None));
    assert_eq!(
        notices,
        [
            "the ICC profile is damaged, the picture is RGB: profile dropped",
            "EXIF dropped: a directory lies outside the block"
        ]
    );
}

#[test]
fn jpeg_splits_large_profiles_and_says_which_blocks_are_too_large() {
    let mut metadata = everything();
    let mut profile = metadata.icc.take().expect("a profile");
    profile.resize(200_000, 7);
    metadata.icc = Some(profile.clone());
    metadata.xmp = Some(vec![b' '; 70_000]);
    let (back, notices) = carried(&metadata, PictureFormat::Jpeg, 3);
    assert_eq!(back.icc, Some(profile));
    assert_eq!(back.xmp, None);
    assert_eq!(notices, ["jpg holds XMP of at most 65504 bytes: XMP of 70000 bytes dropped"]);
}

#[test]
fn depth_and_alpha_that_do_not_fit_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let raster = Raster {
        width: 2,
        height: 1,
        channels: 4,
        samples: Samples::F32(vec![0.5, 0.25, 1.5, 0.0, 0.0, 1.0, 0.0, 1.0]),
    };
    for (format, expected) in [
        (
            PictureFormat::Jpeg,
            &[
                "jpg holds no alpha: blended on white",
                "jpg holds 8 bits a sample: rounded from floating point",
            ][..],
        ),
        (PictureFormat::Png, &["png holds 16 bits a sample: rounded from floating point"]),
        (PictureFormat::Tiff, &[]),
    ] {
        let path = folder.path().join("fitted");
        let notices = encode(&raster, &Metadata::default(), format, &EncodeOptions::default(), &path)
            .expect("it can be written");
        let texts: Vec<_> = notices.iter().map(|notice| notice.as_str()).collect();
        assert_eq!(texts, expected, "{format}");
    }
    let path = folder.path().join("fitted");
    let notices =
        encode(&raster, &Metadata::default(), PictureFormat::WebP, &EncodeOptions { quality: 80 }, &path)
            .expect("it can be written");
    assert!(
        notices.iter().any(|n| n.as_str() == "webp is written without loss: quality 80 is not used"),
        "{notices:?}"
    );
    assert_eq!(decode(&path, &Limits::default()).expect("a picture").header.depth, SampleDepth::U8);
}
