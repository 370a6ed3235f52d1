//! The pattern that all fixtures show, and small conveniences.

use std::path::PathBuf;

use esrgan_core::{Picture, Plane};
use esrgan_image::{Decoded, Limits, decode};

pub const WIDTH: usize = 24;
pub const HEIGHT: usize = 16;

/// A fixture's path; see `tests/data/make_fixtures.py`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn decoded(name: &str) -> Decoded {
    decode(&fixture(name), &Limits::default()).expect(name)
}

/// Red, green, blue and alpha of the pattern, 0..=255.
pub fn pattern(x: usize, y: usize) -> [u8; 4] {
    let alpha = if x < 4 { 0 } else { 255 - 8 * x };
    [10 * x, 15 * y, 255 - 5 * (x + y), alpha].map(|v| v as u8)
}

/// The 16-bit sample that stands for `value` at a place.
pub fn widened(value: u8, x: usize, y: usize, channel: usize) -> u16 {
    u16::from(value) * 256 + ((7 * x + 3 * y + channel) % 128) as u16
}

/// The largest difference between a plane and the samples that a function expects.
pub fn deviation(plane: &Plane, expected: impl Fn(usize, usize) -> f32) -> f32 {
    let mut worst = 0.0_f32;
    for y in 0..plane.height() {
        for (x, sample) in plane.row(y).iter().enumerate() {
            worst = worst.max((sample - expected(x, y)).abs());
        }
    }
    worst
}

/// Whether the colours are the pattern's, within `steps` of 8 bits.
pub fn assert_rgb(name: &str, picture: &Picture, steps: f32) {
    assert_eq!((picture.width(), picture.height()), (WIDTH, HEIGHT), "{name}");
    assert_eq!(picture.color.len(), 3, "{name}");
    for (channel, plane) in picture.color.iter().enumerate() {
        let worst = deviation(plane, |x, y| f32::from(pattern(x, y)[channel]) / 255.0) * 255.0;
        assert!(worst <= steps, "{name}: channel {channel} is off by {worst} steps");
    }
}

pub fn notices(decoded: &Decoded) -> Vec<&str> {
    decoded.notices.iter().map(|notice| notice.as_str()).collect()
}
