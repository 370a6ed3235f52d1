use std::sync::Mutex;

use esrgan_core::{Classify, Kind, Picture};
use tempfile::TempDir;

use super::*;
use crate::fixture::{picture, truncate, write};
use crate::options::LrSource;

/// Files of pictures: name, size and number.
fn folder(files: &[(&str, (usize, usize), usize)]) -> (TempDir, DatasetOptions) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, (width, height), number) in files {
        write(&picture(*width, *height, *number), &folder.path().join(name));
    }
    let hr_folders = vec![folder.path().join("hr")];
    let options =
        DatasetOptions { hr_folders, scale: 2, hr_crop_px: 8, threads: 3, ..DatasetOptions::default() };
    (folder, options)
}

fn validation(hr: &Path) -> Option<ValidationFolders<'_>> {
    Some(ValidationFolders { hr, lr: None })
}

#[test]
fn a_sound_data_set_is_counted() {
    let (folder, options) =
        folder(&[("hr/a.png", (20, 10), 0), ("hr/in/b.webp", (8, 8), 1), ("val/c.png", (5, 5), 2)]);
    let calls = Mutex::new(Vec::new());
    let progress = |done, total| calls.lock().unwrap().push((done, total));
    let inspection = inspect(&options, validation(&folder.path().join("val")), progress).unwrap();
    assert!(inspection.problems.is_empty(), "{:?}", inspection.problems);
    assert!(inspection.repeats.is_empty() && inspection.leaks.is_empty());
    assert_eq!((inspection.pictures, inspection.validation_pictures), (2, 1));
    assert_eq!((inspection.pixels, inspection.decoded_bytes), (264, 3 * 264));
    assert!((inspection.megapixels() - 264e-6).abs() < 1e-12);
    let mut calls = calls.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn all_problems_are_collected() {
    let (folder, mut options) = folder(&[
        ("hr/0.png", (40, 40), 0),
        ("hr/1.png", (7, 8), 1),
        ("hr/2.png", (16, 16), 2),
        ("hr/3.png", (16, 16), 3),
        ("hr/4.png", (16, 16), 4),
        ("hr/5.png", (16, 16), 5),
        ("lr/0.png", (20, 20), 0),
        ("lr/1.png", (4, 4), 1),
        ("lr/2.png", (8, 7), 2),
        ("lr/3.png", (8, 8), 3),
        ("lr/5.png", (8, 8), 5),
        ("val/6.png", (40, 40), 6),
        ("val/7.png", (40, 40), 7),
    ]);
    options.lr = LrSource::Paired(folder.path().join("lr"));
    for name in ["hr/0.png", "lr/3.png", "val/6.png"] {
        truncate(&folder.path().join(name));
    }
    let inspection = inspect(&options, validation(&folder.path().join("val")), |_, _| ()).unwrap();
    let problems: Vec<_> = inspection.problems.iter().map(ToString::to_string).collect();
    let expected = [
        "4.png` has no low-resolution partner",
        "hr/0.png",
        "hr/1.png`: 7x8 is too small",
        "2.png`: 8x7 pixels at scale 2 do not fit",
        "lr/3.png",
        "val/6.png",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}: expected {expected}");
    }
    assert_eq!((inspection.pictures, inspection.validation_pictures), (6, 2));
    assert_eq!(inspection.pixels, 56 + 4 * 256, "of those that could be decoded");
}

#[test]
fn duplicates_are_found_within_training_and_across() {
    let (folder, options) = folder(&[
        ("hr/a.png", (16, 16), 0),
        ("hr/b.webp", (16, 16), 0),
        ("hr/c.png", (16, 16), 1),
        ("val/a.bmp", (16, 16), 0),
        ("val/d.png", (16, 16), 2),
        ("val/e.png", (16, 16), 2),
    ]);
    // The same gray, once as one channel and once as three.
    let gray = picture(16, 16, 0).color[0].clone();
    let of = |count| Picture { color: vec![gray.clone(); count], alpha: None };
    write(&of(1), &folder.path().join("hr/g.png"));
    write(&of(3), &folder.path().join("val/g.png"));
    let inspection = inspect(&options, validation(&folder.path().join("val")), |_, _| ()).unwrap();
    let duplicate = |picture: &str, of: &str| Duplicate {
        picture: folder.path().join(picture),
        of: folder.path().join(of),
    };
    assert_eq!(inspection.repeats, [duplicate("hr/b.webp", "hr/a.png")]);
    assert_eq!(inspection.leaks, [duplicate("val/a.bmp", "hr/a.png"), duplicate("val/g.png", "hr/g.png")]);
    assert!(inspection.problems.is_empty());
}

#[test]
fn partners_of_validation_are_inspected_too() {
    let (folder, options) = folder(&[
        ("hr/a.png", (16, 16), 0),
        ("val/1.png", (21, 20), 1),
        ("val/2.png", (20, 20), 2),
        ("val/3.png", (20, 20), 3),
        ("val/4.png", (20, 20), 4),
        ("val-lr/1x2.png", (10, 10), 1),
        ("val-lr/2.png", (10, 9), 2),
        ("val-lr/4.png", (10, 10), 4),
    ]);
    truncate(&folder.path().join("val-lr/4.png"));
    let (hr, lr) = (folder.path().join("val"), folder.path().join("val-lr"));
    let folders = ValidationFolders { hr: &hr, lr: Some(&lr) };
    let inspection = inspect(&options, Some(folders), |_, _| ()).unwrap();
    let problems: Vec<_> = inspection.problems.iter().map(ToString::to_string).collect();
    let expected =
        ["val/3.png` has no low-resolution partner", "2.png`: 10x9 pixels at scale 2", "val-lr/4.png"];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}: expected {expected}");
    }
    let paths: Vec<_> = inspection.problems.iter().map(|problem| problem.path().unwrap()).collect();
    assert_eq!(paths, [hr.join("3.png"), lr.join("2.png"), lr.join("4.png")]);
    assert_eq!(inspection.validation_pictures, 4);
    assert_eq!(inspection.pixels, 256, "validation is not learned from");
}

#[test]
fn nothing_to_inspect_is_an_error_and_nothing_to_measure_is_a_problem() {
    let (folder, mut options) = folder(&[("hr/a.png", (16, 16), 0)]);
    let absent = folder.path().join("absent");
    let inspection = inspect(&options, validation(&absent), |_, _| ()).unwrap();
    assert_eq!((inspection.pictures, inspection.validation_pictures), (1, 0));
    assert_eq!(inspection.problems.len(), 1, "{:?}", inspection.problems);
    assert_eq!((inspection.problems[0].kind(), inspection.problems[0].path()), (Kind::Io, Some(&*absent)));
    options.hr_folders.push(absent);
    assert_eq!(inspect(&options, None, |_, _| ()).unwrap_err().kind(), Kind::Io);
    options.hr_crop_px = 9;
    assert!(matches!(inspect(&options, None, |_, _| ()), Err(DatasetError::CropNotMultiple { .. })));
}
