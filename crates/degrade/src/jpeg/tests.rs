use super::*;

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
