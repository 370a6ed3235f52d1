//! The same pictures through Pillow: what we read, and what we write. Set `ESRGAN_TEST_PYTHON` to a Python with Pillow and NumPy.

use std::fs;
use std::path::Path;
use std::process::Command;

use esrgan_core::SampleDepth;
use esrgan_image::{
    Density, EncodeOptions, Limits, Metadata, PictureFormat, Raster, Samples, decode, encode,
};

use crate::common::{decoded, fixture};

/// Runs the script; `None`, with a line on stderr, where no Python is named.
fn python(arguments: &[&Path]) -> Option<String> {
    let Some(interpreter) = std::env::var_os("ESRGAN_TEST_PYTHON") else {
        eprintln!("SKIPPED: set ESRGAN_TEST_PYTHON to a Python with Pillow and NumPy");
        return None;
    };
    let output = Command::new(interpreter)
        .arg(fixture("check_outputs.py"))
        .args(arguments)
        .output()
        .expect("ESRGAN_TEST_PYTHON can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn pillow_reads_the_fixtures_as_we_do() {
    let folder = tempfile::tempdir().expect("a folder");
    if python(&[Path::new("dump"), &fixture(""), folder.path()]).is_none() {
        return;
    }
    let mut compared = 0;
    for entry in fs::read_dir(folder.path()).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("the dump can be read");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let number =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let ours = decode(&fixture(&name), &Limits::default()).expect(&name);
        let raster = Raster::from_picture(&ours.picture, SampleDepth::U8);
        assert_eq!((raster.width, raster.height), (number(0), number(4)), "{name}");
        if raster.channels != number(8) || ours.header.depth != SampleDepth::U8 {
            // Pillow reads 16 bits with alpha as 8, and animations with another number of channels.
            continue;
        }
        let Samples::U8(samples) = raster.samples else { panic!("eight bits were asked for") };
        let worst = samples.iter().zip(&bytes[12..]).map(|(a, b)| a.abs_diff(*b)).max();
        // Inverse transforms and chroma interpolation of lossy formats differ by rounding.
        let lossy = name.ends_with(".jpg") || name == "lossy.webp";
        let bound = match name.as_str() {
            _ if lossy => 4,
            // The quotient by alpha is truncated there and rounded here.
            "premultiplied.tiff" => 1,
            _ => 0,
        };
        assert!(worst <= Some(bound), "{name}: {worst:?}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared} fixtures compared");
}

/// A picture to write, and its mode in Pillow.
struct Case {
    format: PictureFormat,
    channels: usize,
    depth: SampleDepth,
    mode: &'static str,
}

fn case(format: PictureFormat, channels: usize, depth: SampleDepth, mode: &'static str) -> Case {
    Case { format, channels, depth, mode }
}

fn ramp(channels: usize, depth: SampleDepth) -> Raster {
    let (width, height) = (50, 40);
    let value = |i: usize| ((i / channels % width) * 4 + (i / channels / width) + i % channels * 9) as u8;
    let count = width * height * channels;
    let samples = match depth {
        SampleDepth::U8 => Samples::U8((0..count).map(value).collect()),
        SampleDepth::U16 => {
            Samples::U16((0..count).map(|i| u16::from(value(i)) * 256 + (i % 251) as u16).collect())
        }
        SampleDepth::F32 => Samples::F32((0..count).map(|i| f32::from(value(i)) / 173.0).collect()),
    };
    Raster { width, height, channels, samples }
}

fn write_case(folder: &Path, index: usize, case: &Case, all: &Metadata) {
    let raster = ramp(case.channels, case.depth);
    let is_rich = matches!(
        case.format,
        PictureFormat::Png | PictureFormat::Jpeg | PictureFormat::WebP | PictureFormat::Tiff
    );
    // The profile is for RGB.
    let has_metadata = is_rich && case.channels > 2;
    let metadata = if has_metadata { all.clone() } else { Metadata::default() };
    let name = format!("{index:02}.{}", case.format.extension());
    let notices =
        encode(&raster, &metadata, case.format, &EncodeOptions::default(), &folder.join(&name)).expect(&name);
    assert_eq!(notices, [], "{name}");
    let (kind, bytes) = match &raster.samples {
        Samples::U8(samples) => ("u8", samples.clone()),
        Samples::U16(samples) => ("u16", samples.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Samples::F32(samples) => ("f32", samples.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let tolerance = if case.format == PictureFormat::Jpeg { 8 } else { 0 };
    fs::write(folder.join(format!("{index:02}.samples")), bytes).expect("it can be written");
    let expected = format!(
        r#"{{"file": "{name}", "samples": "{index:02}.samples", "size": [50, 40], "mode": "{}", "type": "{kind}", "tolerance": {tolerance}, "metadata": {has_metadata}}}"#,
        case.mode
    );
    fs::write(folder.join(format!("{index:02}.json")), expected).expect("it can be written");
}

#[test]
fn pillow_reads_what_we_write() {
    use PictureFormat::{Bmp, Jpeg, Png, Pnm, Qoi, Tga, Tiff, WebP};
    use SampleDepth::{F32, U8, U16};
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = decoded("lossless.webp").metadata;
    all.density = Some(Density { x: 300.0, y: 300.0 });
    fs::write(folder.path().join("profile.icc"), all.icc.as_ref().expect("a profile"))
        .expect("it can be written");
    let cases = [
        case(Png, 1, U8, "L"),
        case(Png, 1, U16, "I;16"),
        case(Png, 2, U8, "LA"),
        case(Png, 3, U8, "RGB"),
        case(Png, 4, U8, "RGBA"),
        case(Jpeg, 1, U8, "L"),
        case(Jpeg, 3, U8, "RGB"),
        case(WebP, 3, U8, "RGB"),
        case(WebP, 4, U8, "RGBA"),
        case(Tiff, 1, U8, "L"),
        case(Tiff, 1, U16, "I;16"),
        case(Tiff, 1, F32, "F"),
        case(Tiff, 2, U8, "LA"),
        case(Tiff, 3, U8, "RGB"),
        case(Tiff, 4, U8, "RGBA"),
        case(Bmp, 3, U8, "RGB"),
        case(Bmp, 4, U8, "RGBA"),
        case(Qoi, 3, U8, "RGB"),
        case(Qoi, 4, U8, "RGBA"),
        case(Tga, 3, U8, "RGB"),
        case(Pnm, 1, U8, "L"),
        case(Pnm, 3, U8, "RGB"),
    ];
    for (index, case) in cases.iter().enumerate() {
        write_case(folder.path(), index, case, &all);
    }
    if let Some(checked) = python(&[Path::new("check"), folder.path()]) {
        assert_eq!(checked, cases.len().to_string());
    }
}
