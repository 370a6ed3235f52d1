use super::*;

const MODES: [ResizeMode; 5] = [
    ResizeMode::Area,
    ResizeMode::Bilinear,
    ResizeMode::Bicubic,
    ResizeMode::NearestExact,
    ResizeMode::Lanczos,
];

/// Values worked out by hand from the definitions.
#[test]
fn small_cases_are_those_of_the_definition() {
    let plane = Plane::new(4, 1, vec![0.0, 1.0, 2.0, 5.0]).unwrap();
    for (mode, width, expected) in [
        (ResizeMode::Area, 2, vec![0.5, 3.5]),
        (ResizeMode::Area, 3, vec![0.5, 1.5, 3.5]),
        (ResizeMode::Bilinear, 2, vec![0.5, 3.5]),
        (ResizeMode::Bilinear, 8, vec![0.0, 0.25, 0.75, 1.25, 1.75, 2.75, 4.25, 5.0]),
        (ResizeMode::NearestExact, 2, vec![1.0, 5.0]),
        (ResizeMode::Bicubic, 2, vec![0.5 * 1.1875 + 0.5 * 0.0 + 0.0 - 0.09375 * 2.0 + 0.0, 0.0]),
    ] {
        let resized = resize(&plane, (width, 1), None, mode);
        if mode == ResizeMode::Bicubic {
            // Half way: weights -3/32, 19/32, 19/32, -3/32 of 0 0 1 2.
            assert!((resized.samples()[0] - (19.0 - 6.0) / 32.0).abs() < 1e-6, "{resized:?}");
            continue;
        }
        assert_eq!(resized.samples(), expected, "{mode:?} {width}");
    }
}

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
