use super::*;
use crate::golden::{golden, planes};

/// As libjpeg-turbo writes them and pillow reads them back.
#[test]
fn tables_are_those_in_files() {
    let tables = &golden()["tables"];
    assert_eq!(tables.shape, [100, 2, 64]);
    for (quality, expected) in (1..=100).zip(tables.values.chunks(2 * 64)) {
        let found = quantisation_tables(quality);
        assert!(
            found.as_flattened().iter().map(|entry| f64::from(*entry)).eq(expected.iter().copied()),
            "{quality}"
        );
    }
}

/// libjpeg-turbo transforms with whole numbers, so a coefficient that lies half way between two steps may fall to the other
/// side. That leaves 49 dB and more, and far less than the next quality's difference.
#[test]
fn what_is_left_is_what_files_leave() {
    let golden = golden();
    for (name, source) in [("rgb", "picture"), ("gray", "gray")] {
        let source = planes(&golden[source], 255.0);
        for quality in [30, 62, 95] {
            let expected = planes(&golden[&format!("jpeg_{name}_{quality}")], 255.0);
            let psnr_at = |quality| psnr(&jpeg(&source, quality), &expected);
            let same = psnr_at(quality);
            let next = psnr_at(quality - 1).max(psnr_at(quality + 1));
            assert!(same > 48.0 && same > next + 4.0, "{name} {quality}: {same} dB, next quality {next} dB");
        }
    }
}

fn psnr(found: &[Plane], expected: &[Plane]) -> f32 {
    let pairs = found.iter().flat_map(Plane::samples).zip(expected.iter().flat_map(Plane::samples));
    let squares: Vec<f32> = pairs.map(|(a, b)| (a - b) * (a - b)).collect();
    -10.0 * (squares.iter().sum::<f32>() / squares.len() as f32).log10()
}

#[test]
fn quality_scales_the_tables_as_files_have_it() {
    assert_eq!(quantisation_tables(50), [LUMA, CHROMA]);
    assert_eq!(quantisation_tables(100), [[1; 64]; 2]);
    assert_eq!(quantisation_tables(75)[0][..4], [8, 6, 5, 8]);
    assert_eq!(quantisation_tables(10)[0][..4], [80, 55, 50, 80]);
}

#[test]
fn flat_colours_come_back_within_two_levels() {
    for color in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.8, 0.2, 0.1], [0.1, 0.4, 0.9]] {
        let planes: Vec<Plane> = color.iter().map(|value| Plane::filled(21, 13, *value)).collect();
        for (plane, value) in jpeg(&planes, 95).iter().zip(color) {
            assert_eq!((plane.width(), plane.height()), (21, 13));
            assert!(plane.samples().iter().all(|sample| (sample - value).abs() < 2.6 / 255.0), "{color:?}");
        }
    }
}
