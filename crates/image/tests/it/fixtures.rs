//! Files that other programs wrote, each against the pattern it shows.

use esrgan_core::SampleDepth;
use esrgan_image::{Limits, PictureFormat, probe};

use crate::common::{HEIGHT, WIDTH, assert_rgb, decoded, deviation, fixture, notices, pattern, widened};

/// Differences that are rounding to f32 only.
const EXACT: f32 = 1e-6;

#[test]
fn png_of_sixteen_bits_keeps_every_bit() {
    let file = decoded("rgba16_icc.png");
    assert_eq!(file.header.depth, SampleDepth::U16);
    let planes = file.picture.color.iter().chain(&file.picture.alpha);
    for (channel, plane) in planes.enumerate() {
        let worst =
            deviation(plane, |x, y| f32::from(widened(pattern(x, y)[channel], x, y, channel)) / 65_535.0);
        assert!(worst < EXACT, "channel {channel}: {worst}");
    }
    assert_eq!(file.picture.color.len(), 3);
    assert!(file.picture.alpha.is_some());
    assert!(file.metadata.icc.is_some());
    let density = file.metadata.density.expect("pHYs is there");
    assert!((density.x - 300.0).abs() < 0.01, "{density:?}");
}

#[test]
fn gray_stays_one_plane() {
    for (name, depth, alpha) in [
        ("gray.jpg", SampleDepth::U8, false),
        ("gray4.png", SampleDepth::U8, false),
        ("gray_alpha16.png", SampleDepth::U16, true),
        ("gray8.tiff", SampleDepth::U8, false),
        ("gray16.tiff", SampleDepth::U16, false),
        ("gray_f32.tiff", SampleDepth::F32, false),
        ("bilevel.tiff", SampleDepth::U8, false),
        ("gray16.pgm", SampleDepth::U16, false),
    ] {
        let file = decoded(name);
        assert!(file.picture.is_gray(), "{name}");
        assert_eq!(file.picture.alpha.is_some(), alpha, "{name}");
        assert_eq!(file.header.depth, depth, "{name}");
        assert!(file.header.is_gray, "{name}");
        let gray = |x: usize| pattern(x, 0)[0];
        let expected = |x: usize, y: usize| match name {
            "gray4.png" => x.min(15) as f32 / 15.0,
            "bilevel.tiff" => f32::from(gray(x) > 100),
            _ if depth == SampleDepth::U16 => f32::from(widened(gray(x), x, y, 0)) / 65_535.0,
            _ => f32::from(gray(x)) / 255.0,
        };
        let worst = deviation(&file.picture.color[0], expected);
        let bound = if name == "gray.jpg" { 3.0 / 255.0 } else { EXACT };
        assert!(worst < bound, "{name}: {worst}");
    }
}

#[test]
fn lossless_colour_is_exact_in_every_format() {
    for name in ["animated.png", "rgb.bmp", "rgb.ppm", "rgba.ico", "rgba.tga", "rgba8.tiff"] {
        assert_rgb(name, &decoded(name).picture, 0.001);
    }
    // The animation's encoder clears colours that nobody sees, in the first four columns.
    let file = decoded("animated.webp");
    let worst =
        deviation(
            &file.picture.color[0],
            |x, y| {
                if x < 4 { 0.0 } else { f32::from(pattern(x, y)[0]) / 255.0 }
            },
        );
    assert!(worst < EXACT, "{worst}");
}

#[test]
fn alpha_is_straight_and_exact() {
    for name in ["rgba8.tiff", "rgba.tga", "animated.webp", "animated.png", "rgba.ico"] {
        let file = decoded(name);
        let alpha = file.picture.alpha.unwrap_or_else(|| panic!("{name} has alpha"));
        let worst = deviation(&alpha, |x, y| f32::from(pattern(x, y)[3]) / 255.0);
        assert!(worst < EXACT, "{name}: {worst}");
    }
}

#[test]
fn half_floats_are_floats() {
    let file = decoded("half_float.tiff");
    assert_eq!(file.header.depth, SampleDepth::F32);
    // Eleven bits of precision.
    assert_rgb("half_float.tiff", &file.picture, 255.0 / 2048.0);
}

#[test]
fn premultiplied_colours_become_straight() {
    let picture = decoded("premultiplied.tiff").picture;
    let alpha = picture.alpha.as_ref().expect("alpha");
    for (channel, plane) in picture.color.iter().enumerate() {
        for y in 0..HEIGHT {
            for x in 4..WIDTH {
                let expected = f32::from(pattern(x, y)[channel]) / 255.0;
                // A step of 8 bits in the product, magnified by the quotient.
                let bound = 1.0 / 255.0 / alpha.row(y)[x];
                assert!((plane.row(y)[x] - expected).abs() <= bound, "channel {channel} at {x}, {y}");
            }
        }
    }
}

#[test]
fn transparent_colours_and_palettes_become_alpha() {
    let file = decoded("rgb_transparent_color.png");
    let alpha = file.picture.alpha.as_ref().expect("tRNS gives alpha");
    let key = pattern(5, 3);
    let worst = deviation(alpha, |x, y| f32::from(pattern(x, y)[..3] != key[..3]));
    assert_eq!(worst, 0.0);
    let palette = decoded("palette_trns.png");
    let alpha = palette.picture.alpha.expect("tRNS gives alpha");
    let mut levels: Vec<u8> = alpha.samples().iter().map(|v| (v * 255.0).round() as u8).collect();
    levels.sort_unstable();
    levels.dedup();
    assert_eq!(levels, [0, 128, 255]);
}

#[test]
fn lossy_pictures_are_near() {
    // Chroma of half size smears the pattern's ramps at the edges.
    for (name, steps) in [("progressive.jpg", 5.0), ("subsampled.jpg", 12.0), ("lossy.webp", 30.0)] {
        assert_rgb(name, &decoded(name).picture, steps);
    }
}

#[test]
fn all_eight_orientations_show_the_same_picture() {
    for orientation in 1..=8 {
        let name = format!("orientation_{orientation}.jpg");
        assert_rgb(&name, &decoded(&name).picture, 6.0);
        let header = probe(&fixture(&name), &Limits::default()).expect("a header");
        assert_eq!((header.width, header.height), (WIDTH, HEIGHT), "{name}");
    }
}

#[test]
fn orientation_is_applied_in_every_format_that_holds_it() {
    for name in ["late_exif_xmp.png", "lossless.webp", "pages.tiff"] {
        let file = decoded(name);
        let red = &file.picture.color[0];
        assert_eq!((red.width(), red.height()), (HEIGHT, WIDTH), "{name}");
        // A quarter turn clockwise: the stored bottom row becomes the left column.
        let worst = deviation(red, |x, y| f32::from(pattern(y, HEIGHT - 1 - x)[0]) / 255.0);
        assert!(worst < EXACT, "{name}: {worst}");
        let header = probe(&fixture(name), &Limits::default()).expect("a header");
        assert_eq!((header.width, header.height), (HEIGHT, WIDTH), "{name}");
    }
}

#[test]
fn the_first_frame_or_page_is_used_and_said() {
    for name in ["animated.png", "animated.webp", "animated.gif"] {
        let file = decoded(name);
        assert_eq!(notices(&file), ["animated: only the first frame is used"], "{name}");
    }
    let file = decoded("pages.tiff");
    assert_eq!(notices(&file), ["holds more than one page: only the first is used"]);
}

#[test]
fn an_opaque_gif_has_no_alpha() {
    let file = decoded("animated.gif");
    assert!(file.picture.alpha.is_none());
    assert!(!file.header.has_alpha);
    // 64 colours for 384 pixels.
    assert_rgb("animated.gif", &file.picture, 40.0);
}

/// Inks of the patches and their colours by LittleCMS.
fn patches() -> Vec<[u8; 7]> {
    let text = std::fs::read_to_string(fixture("cmyk_icc.txt")).expect("the file is committed");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let numbers: Vec<u8> = line.split(' ').map(|number| number.parse().expect("numbers")).collect();
            numbers.try_into().expect("seven numbers a line")
        })
        .collect()
}

#[test]
fn cmyk_goes_through_its_profile_as_little_cms_does_it() {
    for name in ["cmyk_icc.jpg", "cmyk_icc.tiff"] {
        let file = decoded(name);
        assert_eq!(notices(&file), ["CMYK was converted to sRGB through the file's profile"], "{name}");
        assert_eq!(file.metadata.icc, None, "{name}");
        for (index, patch) in patches().iter().enumerate() {
            let (x, y) = (index % 3 * 8 + 4, index / 3 * 8 + 4);
            for channel in 0..3 {
                let found = file.picture.color[channel].row(y)[x] * 255.0;
                let expected = f32::from(patch[4 + channel]);
                // Three grid points between inks: interpolation differs between the two programs, and JPEG adds a step.
                assert!(
                    (found - expected).abs() < 4.0,
                    "{name}, patch {patch:?}, channel {channel}: {found}"
                );
            }
        }
    }
}

#[test]
fn cmyk_without_a_profile_is_converted_plainly_and_said() {
    for name in ["cmyk.jpg", "ycck.jpg"] {
        let file = decoded(name);
        assert_eq!(
            notices(&file),
            ["CMYK was converted to sRGB without a profile: colours are approximate"],
            "{name}"
        );
        for (index, patch) in patches().iter().enumerate() {
            let (x, y) = (index % 3 * 8 + 4, index / 3 * 8 + 4);
            for channel in 0..3 {
                let found = file.picture.color[channel].row(y)[x] * 255.0;
                let expected = (255.0 - f32::from(patch[channel])) * (255.0 - f32::from(patch[3])) / 255.0;
                assert!(
                    (found - expected).abs() < 4.0,
                    "{name}, patch {patch:?}, channel {channel}: {found}"
                );
            }
        }
    }
}

#[test]
fn formats_are_told_by_content() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, format) in [
        ("gray.jpg", PictureFormat::Jpeg),
        ("gray8.tiff", PictureFormat::Tiff),
        ("lossy.webp", PictureFormat::WebP),
        ("animated.gif", PictureFormat::Gif),
        ("rgb.bmp", PictureFormat::Bmp),
        ("rgba.ico", PictureFormat::Ico),
        ("rgb.ppm", PictureFormat::Pnm),
    ] {
        let lie = folder.path().join("写真 ü.png");
        std::fs::copy(fixture(name), &lie).expect("a copy");
        let header = probe(&lie, &Limits::default()).expect("a header");
        assert_eq!(header.format, format);
    }
}
