//! `.param` and `.bin` files written and read through the crate's front door, and run in ncnn.

mod peers;

use std::path::Path;

use esrgan_testkit::shared_data;
use esrgan_weights::{DType, Format, KeyLayout, LoadOptions, SaveOptions, load, save};

/// f32 sums in another order and by Winograd's method.
const TOLERANCE: f64 = 1e-4;
/// f16 keeps 11 bits of each weight; the outputs of these networks are about 1.
const TOLERANCE_F16: f64 = 2e-3;

#[test]
fn the_published_x4plus_survives_the_round_trip() {
    let Some(path) = shared_data("weights/realesrgan-x4plus.param") else { return };
    let model = load(&path, &LoadOptions::default()).unwrap();
    assert_eq!((model.origin.format, model.origin.key_layout), (Format::Ncnn, KeyLayout::Ncnn));
    assert_eq!((model.origin.dtype, model.origin.parameters), (DType::F16, 16_697_987));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("x4plus_round_trip.param");
    save(&model, &copy, &SaveOptions::default()).unwrap();
    let bytes = |path: &Path| std::fs::read(path.with_extension("bin")).unwrap();
    assert!(bytes(&copy) == bytes(&path), "the same weights are the same bytes");
    let back = load(&copy, &LoadOptions::default()).unwrap();
    assert!(back.spec == model.spec && back.weights == model.weights);
}

#[test]
fn every_checkpoint_survives_the_round_trip() {
    let Some(folder) = shared_data("checkpoints") else { return };
    let checkpoints = peers::checkpoints(&folder);
    assert!(checkpoints.len() >= 21);
    for checkpoint in checkpoints {
        let model = load(&checkpoint, &peers::load_options(&checkpoint)).unwrap();
        let stem = checkpoint.file_stem().expect("a file name").to_string_lossy();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}_round_trip.param"));
        save(&model, &path, &SaveOptions::default()).unwrap();
        let back = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!(back.spec, model.spec, "{stem}");
        for (name, tensor) in model.weights.iter() {
            // ncnn keeps biases in single precision; the values are the same.
            let found = back.weights.get(name).unwrap_or_else(|| panic!("{stem}: {name}"));
            assert_eq!(found.to_f32(), tensor.to_f32(), "{stem}: {name}");
        }
    }
}

#[test]
fn ncnn_computes_what_pytorch_does() {
    peers::run_checkpoints("run_ncnn.py", "param", None, TOLERANCE);
}

#[test]
fn ncnn_runs_f16() {
    peers::run_checkpoints("run_ncnn.py", "param", Some(DType::F16), TOLERANCE_F16);
}
