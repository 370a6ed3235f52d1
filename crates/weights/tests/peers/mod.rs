//! Runs written models in the engines that users run them in, by Python's packages of these engines.

use std::path::{Path, PathBuf};
use std::process::Command;

use esrgan_testkit::shared_data;
use esrgan_weights::{DType, LoadOptions, SaveOptions, load, save};

/// Converts every checkpoint of the shared folder to `extension` and runs it by `script`; compares with what PyTorch
/// computed. Skips, saying so, where no Python is named.
///
/// # Panics
/// Where a model does not load, does not run, or differs by more than `tolerance`.
pub fn run_checkpoints(script: &str, extension: &str, dtype: Option<DType>, tolerance: f64) {
    let Some(python) = std::env::var_os("ESRGAN_TEST_PYTHON") else {
        eprintln!("SKIPPED: set ESRGAN_TEST_PYTHON to a Python with numpy, onnx, onnxruntime and ncnn");
        return;
    };
    let Some(folder) = shared_data("checkpoints") else { return };
    let mut arguments = Vec::new();
    for checkpoint in checkpoints(&folder) {
        let model = load(&checkpoint, &load_options(&checkpoint)).expect("a checkpoint loads");
        let stem = checkpoint.file_stem().expect("a file name").to_string_lossy();
        let suffix = dtype.map_or("as_is", DType::name);
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}_{suffix}.{extension}"));
        save(&model, &written, &SaveOptions { dtype, ..SaveOptions::default() }).expect("a model is written");
        arguments.extend([written, checkpoint.with_extension("npz")]);
    }
    assert!(arguments.len() >= 2 * 21, "{} checkpoints were found", arguments.len() / 2);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script);
    let output =
        Command::new(&python).arg(&script).args(&arguments).output().expect("the named Python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let differences: Vec<(&str, f64)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, difference)| (name, difference.parse().expect("a number")))
        .collect();
    assert_eq!(differences.len(), arguments.len() / 2, "{text}");
    for (name, difference) in differences {
        assert!(difference <= tolerance, "{name} differs by {difference:e}");
    }
}

/// The checkpoints that hold a model; one is there to be refused.
pub fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "pth" || end == "safetensors"))
        .filter(|path| path.with_extension("npz").exists())
        .collect();
    files.sort();
    files
}

/// The scale that one of the checkpoints cannot tell.
pub fn load_options(checkpoint: &Path) -> LoadOptions {
    let is_x3 = checkpoint.to_string_lossy().contains("x3_needs_scale");
    LoadOptions { scale: is_x3.then_some(3), ..LoadOptions::default() }
}
