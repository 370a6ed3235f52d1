//! For this crate's tests: small pictures, in files and in memory.

use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth, dequantise_u8};
use esrgan_image::{EncodeOptions, Metadata, PictureFormat, Raster, encode};

use crate::stored::StoredPicture;

/// A picture whose every pixel is another; `number` tells pictures apart.
pub(crate) fn picture(width: usize, height: usize, number: usize) -> Picture {
    assert!(width <= 256 && height <= 256 && number <= 128, "levels tell pixels apart");
    let plane = |level: &dyn Fn(usize, usize) -> usize| {
        let places = (0..width * height).map(|at| (at % width, at / width));
        let samples = places.map(|(x, y)| dequantise_u8((level(x, y) % 256) as u8)).collect();
        Plane::new(width, height, samples).expect("a sample for each pixel")
    };
    let color = vec![plane(&|x, _| x), plane(&|_, y| y), plane(&|x, y| number * 2 + (x * 37 + y * 91) % 7)];
    Picture { color, alpha: None }
}

/// Writes a picture in the format of its name, in 8 bits.
pub(crate) fn write(picture: &Picture, path: &Path) {
    write_deep(picture, path, SampleDepth::U8);
}

/// Writes a picture in the format of its name.
pub(crate) fn write_deep(picture: &Picture, path: &Path, depth: SampleDepth) {
    std::fs::create_dir_all(path.parent().expect("a folder around it")).expect("a folder");
    let raster = Raster::from_picture(picture, depth);
    let format = PictureFormat::from_path(path).expect("a picture's name");
    encode(&raster, &Metadata::default(), format, &EncodeOptions::default(), path)
        .expect("it can be written");
}

/// Cuts a file in half.
pub(crate) fn truncate(path: &Path) {
    let bytes = std::fs::read(path).expect("it can be read");
    std::fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written");
}

/// Turns all bits of the byte in the middle of a file.
pub(crate) fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= u8::MAX;
    std::fs::write(path, bytes).expect("it can be written");
}

/// A gray picture of so many bytes, in memory.
pub(crate) fn gray_picture(bytes: usize) -> StoredPicture {
    StoredPicture::of(&Picture { color: vec![Plane::filled(bytes, 1, 0.0)], alpha: None }, SampleDepth::U8)
}
