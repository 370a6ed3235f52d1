use super::*;
use crate::golden::{golden, largest_difference, planes};

#[test]
fn samples_are_those_of_torch() {
    let golden = golden();
    let source = &planes(&golden["picture"], 255.0)[0];
    for (name, mode) in [
        ("area", ResizeMode::Area),
        ("bilinear", ResizeMode::Bilinear),
        ("bicubic", ResizeMode::Bicubic),
        ("nearest-exact", ResizeMode::NearestExact),
    ] {
        let of_mode = golden.iter().filter_map(|(key, array)| Some((key.strip_prefix(name)?, array)));
        let mut count = 0;
        for (how, array) in of_mode {
            let expected = planes(array, 1.0);
            let size = (expected[0].width(), expected[0].height());
            let factor = how.strip_prefix("_by_").map(|factor| factor.parse().unwrap());
            let resized = resize(source, size, factor, mode);
            let largest = largest_difference(&[resized], &expected);
            // Torch computes coordinates in f32: off by some 1e-5 px where they are near 100.
            assert!(largest < 2e-5, "{name}{how}: {largest:e}");
            count += 1;
        }
        assert_eq!(count, 8, "{name}");
    }
}

const MODES: [ResizeMode; 5] = [
    ResizeMode::Area,
    ResizeMode::Bilinear,
    ResizeMode::Bicubic,
    ResizeMode::NearestExact,
    ResizeMode::Lanczos,
];

#[test]
fn flat_planes_stay_flat() {
    let plane = Plane::filled(13, 9, 0.4);
    for mode in MODES {
        for (size, factor) in [((5, 4), None), ((19, 13), Some(1.5)), ((1, 1), Some(0.1))] {
            let resized = resize(&plane, size, factor, mode);
            assert_eq!((resized.width(), resized.height()), size);
            assert!(resized.samples().iter().all(|sample| (sample - 0.4).abs() < 1e-6), "{mode:?}");
        }
    }
}
