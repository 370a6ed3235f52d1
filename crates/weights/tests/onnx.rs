//! `.onnx` files written and read through the crate's front door, and run in ONNX Runtime.

mod peers;

use std::path::Path;

use esrgan_testkit::shared_data;
use esrgan_weights::{DType, Format, KeyLayout, LoadOptions, SaveOptions, load, save};

/// f32 sums in another order: measured 2.4e-7, with room for engines that fuse.
const TOLERANCE: f64 = 1e-5;
/// bf16 keeps 8 bits of each weight; the outputs of these networks are about 1.
const TOLERANCE_BF16: f64 = 1e-2;

#[test]
fn every_checkpoint_survives_the_round_trip() {
    let Some(folder) = shared_data("checkpoints") else { return };
    let checkpoints = peers::checkpoints(&folder);
    assert!(checkpoints.len() >= 21);
    for checkpoint in checkpoints {
        let model = load(&checkpoint, &peers::load_options(&checkpoint)).unwrap();
        let stem = checkpoint.file_stem().expect("a file name").to_string_lossy();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}_round_trip.onnx"));
        save(&model, &path, &SaveOptions::default()).unwrap();
        let back = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!((back.origin.format, back.origin.key_layout), (Format::Onnx, KeyLayout::Onnx));
        assert_eq!(back.spec, model.spec, "{stem}");
        assert!(back.weights == model.weights, "{stem}");
        assert!(!back.origin.scale_is_ambiguous, "{stem}: an ONNX graph states its scale");
    }
}

#[test]
fn onnx_runtime_computes_what_pytorch_does() {
    peers::run_checkpoints("run_onnx.py", "onnx", None, TOLERANCE);
}

#[test]
fn onnx_runtime_runs_bf16() {
    peers::run_checkpoints("run_onnx.py", "onnx", Some(DType::BF16), TOLERANCE_BF16);
}
