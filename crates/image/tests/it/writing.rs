//! Atomic writing: names, leftovers, failures.

use std::fs;
use std::path::Path;

use esrgan_core::{Classify, Kind};
use esrgan_image::{
    EncodeOptions, ImageError, Metadata, PictureFormat, Raster, Samples, encode, encoding_bytes,
};

fn raster(width: usize, height: usize) -> Raster {
    Raster { width, height, channels: 1, samples: Samples::U8(vec![9; width * height]) }
}

fn write(raster: &Raster, format: PictureFormat, path: &Path) -> Result<(), ImageError> {
    encode(raster, &Metadata::default(), format, &EncodeOptions::default(), path).map(|_| ())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn names_in_any_alphabet_and_of_full_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = format!("{}.png", "n".repeat(251));
    let all = ["写真.png", "größer & kleiner.png", "Фото №1.png", "🖼.png", &long];
    for name in all {
        write(&raster(3, 2), PictureFormat::Png, &folder.path().join(name))
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let mut expected: Vec<String> = all.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(names(folder.path()), expected, "and nothing else");
}

#[test]
fn a_failure_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("old.jpg");
    fs::write(&path, b"the old file").expect("it can be written");
    for (raster, format) in [
        (raster(65_536, 1), PictureFormat::Jpeg),
        (raster(3, 2), PictureFormat::Gif),
        (Raster { channels: 3, ..raster(3, 2) }, PictureFormat::Png),
    ] {
        let error = write(&raster, format, &path).unwrap_err();
        assert!(matches!(error.kind(), Kind::Argument | Kind::Internal), "{error:?}");
        assert_eq!(fs::read(&path).expect("still there"), b"the old file");
        assert_eq!(names(folder.path()), ["old.jpg"]);
    }
}

#[test]
fn an_encoder_that_fails_half_way_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("a folder of that name.png");
    fs::create_dir(&target).expect("a folder");
    let error = write(&raster(3, 2), PictureFormat::Png, &target).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert_eq!(names(folder.path()), ["a folder of that name.png"]);
    let missing = folder.path().join("missing/out.png");
    let error = write(&raster(3, 2), PictureFormat::Png, &missing).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("out.png"));
}

#[cfg(unix)]
#[test]
fn permissions_of_a_replaced_file_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shared.png");
    write(&raster(3, 2), PictureFormat::Png, &path).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("permissions");
    write(&raster(5, 2), PictureFormat::Png, &path).expect("it can be written");
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn memory_for_encoding_is_foretold() {
    use esrgan_core::SampleDepth::{F32, U8};
    let (width, height) = (1000, 1000);
    let rows = 4 << 20;
    let bytes = |format, channels, depth| encoding_bytes(format, width, height, channels, depth) - rows;
    assert_eq!(bytes(PictureFormat::Png, 3, U8), 0);
    assert_eq!(bytes(PictureFormat::Png, 3, F32), 6_000_000);
    assert_eq!(bytes(PictureFormat::Jpeg, 4, U8), 3_000_000);
    assert_eq!(bytes(PictureFormat::WebP, 3, U8), 7_000_000);
    assert_eq!(encoding_bytes(PictureFormat::Gif, width, height, 3, U8), 0);
}
