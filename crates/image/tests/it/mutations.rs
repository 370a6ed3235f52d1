//! Seeds of every format, changed and cut at many places: never a panic, and never half a picture.

use std::path::Path;

use esrgan_core::SampleDepth;
use esrgan_image::{
    EncodeOptions, ImageError, Limits, Metadata, PictureFormat, Raster, decode_bytes, encode,
};

use crate::common::{decoded, fixture};

/// Small files of all formats that are read.
const SEEDS: &[&str] = &[
    "animated.gif",
    "animated.png",
    "animated.webp",
    "bilevel.tiff",
    "cmyk_icc.jpg",
    "gray.jpg",
    "gray4.png",
    "gray_f32.tiff",
    "late_exif_xmp.png",
    "lossless.webp",
    "lossy.webp",
    "orientation_6.jpg",
    "pages.tiff",
    "palette_trns.png",
    "progressive.jpg",
    "rgb.bmp",
    "rgb.ppm",
    "rgba.ico",
    "rgba.tga",
    "ycck.jpg",
];

/// Mutations of each seed.
const ROUNDS: u64 = 60;

/// SplitMix64: all that a reproducible change needs.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Small enough that no mutation can ask for much.
fn limits() -> Limits {
    Limits { max_pixels: 4_000_000, max_side: 20_000, max_alloc_bytes: 256 << 20 }
}

/// Formats whose seeds are written by us.
const WRITTEN: &[PictureFormat] =
    &[PictureFormat::OpenExr, PictureFormat::Qoi, PictureFormat::Tiff, PictureFormat::Pnm];

/// Name and bytes of all seeds.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = decoded("rgb.bmp").picture;
    let written = WRITTEN.iter().map(|format| {
        let raster = Raster::from_picture(&picture, format.encoded_depth(SampleDepth::F32));
        let name = format!("written.{format}");
        let path = folder.path().join(&name);
        encode(&raster, &Metadata::default(), *format, &EncodeOptions::default(), &path).expect(&name);
        (name, std::fs::read(path).expect("it was written"))
    });
    let fixtures =
        SEEDS.iter().map(|name| (name.to_string(), std::fs::read(fixture(name)).expect("it is committed")));
    // Radiance: flat scanlines of red, green, blue and exponent.
    let mut radiance = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 6 +X 5\n".to_vec();
    radiance.extend((0..6 * 5 * 4).map(|i| (i * 37 % 120 + 8) as u8));
    fixtures.chain(written).chain([("written.hdr".to_owned(), radiance)]).collect()
}

fn mutated(original: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..1 + numbers.below(6) {
        let at = numbers.below(bytes.len());
        match numbers.below(5) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = [0, 0xFF, 0x7F, 0x80, 1][numbers.below(5)],
            2 => bytes[at] = numbers.next() as u8,
            3 => {
                let end = (at + 1 + numbers.below(8)).min(bytes.len());
                let copy: Vec<u8> = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                // Headers decide most: change them more often.
                let head = numbers.below(bytes.len().min(64));
                bytes[head] = numbers.next() as u8;
            }
        }
    }
    bytes
}

#[test]
fn no_mutation_makes_a_decoder_panic() {
    let mut tried = 0;
    for (name, original) in seeds() {
        for round in 0..ROUNDS {
            let mut numbers = Numbers(round ^ (original.len() as u64) << 20);
            let bytes = mutated(&original, &mut numbers);
            let result = decode_bytes(Path::new(&name), &bytes, &limits());
            if let Err(error @ ImageError::DecoderPanicked { .. }) = result {
                let kept = std::env::temp_dir().join(format!("mutation-{round}-{name}"));
                std::fs::write(&kept, &bytes).expect("the temporary folder can be written");
                panic!("round {round} of {name}, kept as {}: {error}", kept.display());
            }
            tried += 1;
        }
    }
    assert!(tried >= 1_000, "{tried} mutations");
}

#[test]
fn a_file_that_is_cut_short_is_an_error() {
    for (name, original) in seeds() {
        let name = name.as_str();
        assert!(decode_bytes(Path::new(name), &original, &limits()).is_ok(), "{name} is whole");
        for percent in (0..=95).step_by(5) {
            let length = original.len() * percent / 100;
            if let Ok(decoded) = decode_bytes(Path::new(name), &original[..length], &limits()) {
                let whole = decode_bytes(Path::new(name), &original, &limits()).expect("the seed is whole");
                assert_eq!(decoded.picture, whole.picture, "{name} cut to {percent} % is half a picture");
            }
        }
    }
}
