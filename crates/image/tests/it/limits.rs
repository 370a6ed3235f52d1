//! Limits are checked on the header, before memory is taken, and errors say what lifts them.

use std::io::Write;

use esrgan_core::{Classify, Kind};
use esrgan_image::{ImageError, LimitName, Limits, decode, decode_bytes, probe};
use std::path::Path;

use crate::common::fixture;

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(kind);
    checksum.update(data);
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(data);
    bytes.extend(checksum.sum().to_be_bytes());
    bytes
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

/// A PNG of this size with these chunks and one row of pixels.
fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(png_chunk(b"IHDR", &header));
    bytes.extend(chunks.concat());
    bytes.extend(png_chunk(b"IDAT", &deflated(&vec![0; 1 + width as usize * 3])));
    bytes.extend(png_chunk(b"IEND", &[]));
    bytes
}

#[test]
fn each_limit_names_what_lifts_it() {
    let path = fixture("rgba8.tiff");
    let open = Limits::default();
    for (limits, name, found, flag) in [
        (Limits { max_pixels: 383, ..open.clone() }, LimitName::Pixels, 384, "--max-pixels 0"),
        (Limits { max_side: 23, ..open.clone() }, LimitName::Side, 24, "--max-side"),
        (
            Limits { max_alloc_bytes: 4_000, ..open.clone() },
            LimitName::Memory,
            384 * 4 * 4 + 384 * 4 * 2,
            "--memory",
        ),
    ] {
        for error in [probe(&path, &limits).unwrap_err(), decode(&path, &limits).map(|_| ()).unwrap_err()] {
            assert_eq!(error.kind(), Kind::Limit);
            let text = error.to_string();
            assert!(text.contains(flag) && text.contains("rgba8.tiff"), "{text}");
            match error {
                ImageError::LimitExceeded { limit, found: needs, .. } => {
                    assert_eq!((limit, needs), (name, found))
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let lifted = Limits { max_pixels: 0, max_side: 0, max_alloc_bytes: 0 };
    assert!(decode(&path, &lifted).is_ok());
}

#[test]
fn headers_that_promise_too_much_are_refused_at_once() {
    let jpeg_frame = [
        0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 0xFF, 0xFF, 0xFF, 0xFF, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0,
        0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xFF, 0xD9,
    ];
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend(60_000_i32.to_le_bytes());
    bmp.extend(60_000_i32.to_le_bytes());
    bmp.extend([1, 0, 24, 0]);
    bmp.extend([0; 24]);
    for (name, bytes) in [
        ("a.png", png(65_535, 65_535, &[])),
        ("a.jpg", jpeg_frame.to_vec()),
        ("a.bmp", bmp),
        ("a.ppm", b"P6 60000 60000 255\n".to_vec()),
    ] {
        let error = decode_bytes(Path::new(name), &bytes, &Limits::default()).unwrap_err();
        assert!(
            matches!(error, ImageError::LimitExceeded { limit: LimitName::Pixels, .. }),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn a_large_picture_without_data_is_an_error_that_costs_little() {
    let bytes = png(30_000, 30_000, &[]);
    let error = decode_bytes(Path::new("hollow.png"), &bytes, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed, "{error}");
}

#[test]
fn profiles_and_texts_that_inflate_without_end_are_dropped() {
    let bomb = deflated(&vec![b' '; 100 << 20]);
    let mut profile = b"bomb\0\0".to_vec();
    profile.extend(&bomb);
    let mut text = b"XML:com.adobe.xmp\0\x01\0\0\0".to_vec();
    text.extend(&bomb);
    let mut note = b"Comment\0\0".to_vec();
    note.extend(&bomb);
    let bytes =
        png(4, 1, &[png_chunk(b"iCCP", &profile), png_chunk(b"iTXt", &text), png_chunk(b"zTXt", &note)]);
    let decoded = decode_bytes(Path::new("bomb.png"), &bytes, &Limits::default()).expect("a picture");
    assert_eq!(decoded.metadata.icc, None);
    assert_eq!(decoded.metadata.xmp, None);
    let notices: Vec<_> = decoded.notices.iter().map(|n| n.as_str()).collect();
    assert_eq!(notices, ["the ICC profile is damaged and was dropped"]);
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, expected) in
        [(&b"\0\0\0\x20ftypavif\0\0\0\0"[..], "AVIF"), (b"", "empty"), (b"hello", "not a known kind")]
    {
        let error = decode_bytes(Path::new("x.png"), bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = probe(Path::new("/nowhere/at/all.png"), &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
}

#[test]
fn samples_that_are_no_numbers_are_named_by_place() {
    let mut tiff = b"II\x2a\0\x08\0\0\0".to_vec();
    let entries: [(u16, u16, u32); 8] = [
        (256, 4, 2),
        (257, 4, 2),
        (258, 3, 32),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8 + 2 + 8 * 12 + 4),
        (279, 4, 16),
        (339, 3, 3),
    ];
    tiff.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(1_u32.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend(0_u32.to_le_bytes());
    for sample in [0.0_f32, 0.5, f32::NAN, 1.0] {
        tiff.extend(sample.to_le_bytes());
    }
    let error = decode_bytes(Path::new("nan.tiff"), &tiff, &Limits::default()).unwrap_err();
    assert!(matches!(error, ImageError::NotFinite { x: 0, y: 1, channel: 0, .. }), "{error:?}");
}
