//! MATLAB's resampler against the pictures that it made: the published LR pictures of Set5 and Set14.

use std::path::{Path, PathBuf};

use esrgan_core::{Picture, Plane, SampleDepth, quantise_u8};
use esrgan_image::{Boundary, Limits, decode, imresize};
use esrgan_testkit::shared_data;

fn picture(path: &Path) -> Picture {
    decode(path, &Limits::default()).expect("a sound picture").picture
}

/// The pictures of a folder, by name.
fn pictures(folder: &str, count: usize) -> Vec<PathBuf> {
    let Some(folder) = shared_data(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert_eq!(paths.len(), count);
    paths
}

fn cropped(plane: &Plane, width: usize, height: usize) -> Plane {
    let samples = (0..height).flat_map(|y| plane.row(y)[..width].to_vec()).collect();
    Plane::new(width, height, samples).expect("as many samples as pixels")
}

fn differing(found: &Plane, expected: &Plane) -> usize {
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
    let pairs = found.samples().iter().zip(expected.samples());
    pairs.filter(|(found, expected)| quantise_u8(**found) != quantise_u8(**expected)).count()
}

#[test]
fn the_benchmarks_lr_pictures_are_made_to_the_bit() {
    for (set, count) in [("Set5", 5), ("Set14", 14)] {
        for path in pictures(&format!("eval/{set}/LR"), count) {
            let lr = picture(&path);
            let hr = picture(&path.parent().unwrap().with_file_name("HR").join(path.file_name().unwrap()));
            assert_eq!(hr.color.len(), lr.color.len(), "{}", path.display());
            for (hr, lr) in hr.color.iter().zip(&lr.color) {
                let hr = cropped(hr, 4 * lr.width(), 4 * lr.height());
                let made = imresize(&hr, lr.width(), lr.height(), SampleDepth::U8, Boundary::Replicate);
                assert_eq!(differing(&made, lr), 0, "{}", path.display());
            }
        }
    }
}

#[test]
fn the_benchmarks_bicubic_enlargements_are_made_to_the_bit() {
    for path in pictures("golden/bicubic_Set5", 5) {
        let enlarged = picture(&path);
        let lr = picture(&shared_data("eval/Set5/LR").unwrap().join(path.file_name().unwrap()));
        for (lr, enlarged) in lr.color.iter().zip(&enlarged.color) {
            let made = imresize(lr, 4 * lr.width(), 4 * lr.height(), SampleDepth::U8, Boundary::Replicate);
            println!("{}: {} differ", path.display(), differing(&made, enlarged));
            assert_eq!(differing(&made, enlarged), 0, "{}", path.display());
        }
    }
}
