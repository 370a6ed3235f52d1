//! What other programs computed: `golden/degrade/make_degrade.py`.

use std::collections::BTreeMap;
use std::path::Path;

use esrgan_core::Plane;
use esrgan_testkit::{Array, read_npz};

pub(crate) fn golden() -> BTreeMap<String, Array> {
    read_npz(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/degrade/degrade.npz")))
}

/// The planes of an array of channel, height, width, its values divided by `white`.
pub(crate) fn planes(array: &Array, white: f64) -> Vec<Plane> {
    let [_, height, width] = array.shape[..] else { panic!("{:?}: three dimensions expected", array.shape) };
    let plane = |values: &[f64]| {
        let samples = values.iter().map(|value| (value / white) as f32).collect();
        Plane::new(width, height, samples).expect("as many values as the shape says")
    };
    array.values.chunks(width * height).map(plane).collect()
}

/// The largest difference between planes of the same sizes.
pub(crate) fn largest_difference(found: &[Plane], expected: &[Plane]) -> f32 {
    let sizes = |planes: &[Plane]| planes.iter().map(|p| (p.width(), p.height())).collect::<Vec<_>>();
    assert_eq!(sizes(found), sizes(expected));
    let pairs = found.iter().flat_map(Plane::samples).zip(expected.iter().flat_map(Plane::samples));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
