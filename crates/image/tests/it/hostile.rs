//! Odd and broken files of PngSuite and of the `image` crate's tests: a picture or a typed error, never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};
use esrgan_image::{ImageError, Limits, decode, probe};
use esrgan_testkit::shared_data;

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn all_files(folder: &str, least: usize) -> Option<Vec<PathBuf>> {
    let mut found = Vec::new();
    files_below(&shared_data(folder)?, &mut found);
    found.sort();
    assert!(found.len() >= least, "{folder} has {} files", found.len());
    Some(found)
}

/// An error that is a fault of the file, not of this program.
fn assert_typed(path: &Path, error: &ImageError) {
    assert!(
        matches!(error.kind(), Kind::Malformed | Kind::Unsupported | Kind::Limit),
        "{}: {error:?}",
        path.display()
    );
    assert!(!matches!(error, ImageError::DecoderPanicked { .. }), "{}: {error}", path.display());
    let text = error.to_string();
    let name = path.file_name().expect("a file").to_string_lossy();
    assert!(text.contains(&*name), "the message names the file: {text}");
}

#[test]
fn every_file_is_a_picture_or_a_typed_error() {
    let mut pictures = 0;
    let mut files = 0;
    for (folder, least) in [("hostile/pngsuite", 170), ("hostile/image-rs", 100)] {
        for path in all_files(folder, least).unwrap_or_default() {
            files += 1;
            let header = probe(&path, &Limits::default());
            match decode(&path, &Limits::default()) {
                Ok(decoded) => {
                    pictures += 1;
                    let header = header.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    assert_eq!(
                        (header.width, header.height),
                        (decoded.picture.width(), decoded.picture.height()),
                        "{}",
                        path.display()
                    );
                    assert_eq!(header.is_gray, decoded.picture.is_gray(), "{}", path.display());
                }
                Err(error) => {
                    println!("{error}");
                    assert_typed(&path, &error);
                }
            }
        }
    }
    if files > 0 {
        assert!(pictures > 220, "only {pictures} of {files} files are pictures");
    }
}

#[test]
fn png_suite_decodes_but_for_the_files_that_begin_with_x() {
    let Some(files) = all_files("hostile/pngsuite", 170) else {
        return;
    };
    let mut broken = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "png")) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let result = decode(path, &Limits::default());
        if name.starts_with('x') {
            broken += 1;
            assert!(result.is_err(), "{name} must not decode");
        } else {
            assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
        }
    }
    assert!(broken >= 14, "{broken} broken files");
}

#[test]
fn files_that_are_named_bad_are_errors_or_pictures_but_never_half() {
    let Some(files) = all_files("hostile/image-rs", 100) else {
        return;
    };
    let bad = files.iter().filter(|path| path.to_string_lossy().contains("Bad_"));
    let refused = bad.filter(|path| decode(path, &Limits::default()).is_err()).count();
    assert!(refused >= 9, "{refused} files refused");
}
