//! Networks between two.

use esrgan_core::{Classify, Kind};
use esrgan_weights::{
    DType, KeyLayout, LoadOptions, ModelSpec, SaveOptions, SpecParts, WeightsError, interpolate, load, save,
};

use crate::samples::{Folder, ambiguous, model, specs, x4};

#[test]
fn each_weight_is_the_mean_of_both_across_layouts() {
    let folder = Folder::new();
    let mut files = vec![];
    for (seed, layout) in [(1, KeyLayout::Old), (2, KeyLayout::RrdbTrunk)] {
        let path = folder.file(&format!("{seed}.pth"));
        let options = SaveOptions { layout: Some(layout), dtype: None };
        save(&model(&x4(), DType::F32, seed), &path, &options).unwrap();
        files.push(load(&path, &LoadOptions::default()).unwrap());
    }
    let mixed = interpolate(&files[0], &files[1], 0.8).unwrap();
    assert_eq!(mixed.spec, x4());
    assert_eq!(mixed.weights.len(), 72);
    for (name, tensor) in mixed.weights.iter() {
        let (a, b) =
            (files[0].weights.get(name).unwrap().to_f32(), files[1].weights.get(name).unwrap().to_f32());
        let expected: Vec<f32> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| ((1.0 - 0.8) * f64::from(a) + 0.8 * f64::from(b)) as f32)
            .collect();
        assert_eq!(tensor.to_f32(), expected, "{name}");
    }
    assert!(mixed.origin.path.is_none() && mixed.origin.sha256.is_empty());
    assert_eq!(mixed.origin.parameters, files[0].origin.parameters);
}

#[test]
fn the_ends_are_the_models_themselves() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let (a, b) = (model(&x4(), dtype, 1), model(&x4(), dtype, 2));
        assert_eq!(interpolate(&a, &b, 0.0).unwrap().weights, a.weights);
        assert_eq!(interpolate(&a, &b, 1.0).unwrap().weights, b.weights);
        // Halfway between a model and itself is the model, to the bit.
        assert_eq!(interpolate(&a, &a, 0.5).unwrap().weights, a.weights);
    }
}

#[test]
fn the_wider_type_wins() {
    for (first, second, expected) in [
        (DType::F16, DType::F16, DType::F16),
        (DType::BF16, DType::BF16, DType::BF16),
        (DType::F16, DType::F32, DType::F32),
        (DType::F16, DType::BF16, DType::F32),
    ] {
        let (a, b) = (model(&x4(), first, 1), model(&x4(), second, 2));
        for alpha in [0.0, 0.3, 1.0] {
            let mixed = interpolate(&a, &b, alpha).unwrap();
            assert_eq!(mixed.origin.dtype, expected);
            assert!(mixed.weights.iter().all(|(_, tensor)| tensor.dtype == expected));
        }
        let end = interpolate(&a, &b, 0.0).unwrap();
        for (name, tensor) in end.weights.iter() {
            assert_eq!(tensor.to_f32(), a.weights.get(name).unwrap().to_f32(), "{name}");
        }
    }
}

#[test]
fn models_of_two_kinds_are_refused_by_their_first_difference() {
    let original = model(&x4(), DType::F32, 1);
    let changed = |change: &dyn Fn(&mut SpecParts)| {
        let mut parts = x4().to_parts();
        change(&mut parts);
        model(&ModelSpec::new(parts).unwrap(), DType::F32, 1)
    };
    let (_, compact) = specs().into_iter().find(|(name, _)| *name == "compact x4").unwrap();
    for (other, expected, second) in [
        (model(&compact, DType::F32, 1), "family", "compact"),
        (model(&ambiguous(2), DType::F32, 1), "scale", "2"),
        (changed(&|parts| parts.out_channels = 1), "the number of output channels", "1"),
        (changed(&|parts| parts.num_features = 9), "the number of features", "9"),
        (changed(&|parts| parts.num_blocks = 3), "the number of blocks", "3"),
        (changed(&|parts| parts.growth_channels = 5), "the number of growth channels", "5"),
    ] {
        let error = interpolate(&original, &other, 0.5).unwrap_err();
        assert_eq!(error.kind(), Kind::Argument);
        match &error {
            WeightsError::Incompatible { what, second: found, .. } => {
                assert_eq!((*what, found.as_str()), (expected, second))
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn alpha_is_a_share() {
    let a = model(&x4(), DType::F32, 1);
    for alpha in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = interpolate(&a, &a, alpha).unwrap_err();
        assert!(matches!(error, WeightsError::Argument { argument: "alpha", .. }), "{error}");
    }
}
