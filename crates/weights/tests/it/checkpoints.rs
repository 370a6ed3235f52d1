//! Files as PyTorch wrote them, in every layout found in the wild: what is read equals what their maker wrote down.

use std::path::{Path, PathBuf};

use esrgan_core::{Classify, Kind};
use esrgan_testkit::shared_data;
use esrgan_weights::{DType, Format, KeyLayout, LoadOptions, Model, WeightsError, load};
use serde_json::{Value, json};

fn options(scale: Option<usize>) -> LoadOptions {
    LoadOptions { scale, ..LoadOptions::default() }
}

fn described(model: &Model) -> Value {
    json!({
        "family": model.spec.family().name(),
        "scale": model.spec.scale(),
        "in_channels": model.spec.in_channels(),
        "out_channels": model.spec.out_channels(),
        "num_features": model.spec.num_features(),
        "num_blocks": model.spec.num_blocks(),
        "growth_channels": model.spec.growth_channels(),
    })
}

fn expected(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("note");
    value
}

/// Checkpoints with a description beside them.
fn checkpoints() -> Vec<PathBuf> {
    let Some(folder) = shared_data("checkpoints") else { return vec![] };
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|e| e == "pth" || e == "safetensors");
    let mut found: Vec<PathBuf> =
        paths.filter(|path| is_weights(path) && path.with_extension("json").exists()).collect();
    found.sort();
    assert!(found.len() >= 21, "only {} checkpoints", found.len());
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_checkpoint_is_what_its_description_says() {
    let mut failures = vec![];
    for path in checkpoints() {
        let scale = stem(&path).contains("needs_scale").then_some(3);
        match load(&path, &options(scale)) {
            Ok(model) if described(&model) == expected(&path) => {}
            Ok(model) => failures.push(format!("{}: {}", path.display(), described(&model))),
            Err(error) => failures.push(error.to_string()),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn origins_say_format_layout_and_type() {
    for path in checkpoints() {
        let name = stem(&path);
        let model = load(&path, &options(None)).unwrap();
        let origin = &model.origin;
        let layout = match name.split('_').next() {
            Some("old") => KeyLayout::Old,
            Some("trunk") => KeyLayout::RrdbTrunk,
            Some("compact") => KeyLayout::Compact,
            _ => KeyLayout::BasicSr,
        };
        assert_eq!(origin.key_layout, layout, "{name}");
        assert_eq!(origin.dtype, if name.ends_with("half") { DType::F16 } else { DType::F32 }, "{name}");
        let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
        assert_eq!(origin.format, if is_safetensors { Format::Safetensors } else { Format::Pth }, "{name}");
        assert_eq!(origin.path.as_deref(), Some(path.as_path()), "{name}");
        let elements: usize = model.weights.iter().map(|(_, tensor)| tensor.num_elements()).sum();
        assert_eq!(origin.parameters, elements as u64, "{name}");
        assert_eq!(origin.sha256.len(), 64, "{name}");
    }
}

#[test]
fn the_digest_is_that_of_the_file() {
    let Some(path) = shared_data("checkpoints/basicsr_x4.safetensors") else { return };
    // By coreutils' sha256sum.
    let expected = "fb5f46702ca947ec167c7f242cde55b613b276220ae53c1c7f52aa21d82e7b33";
    assert_eq!(load(&path, &options(None)).unwrap().origin.sha256, expected);
}

#[test]
fn moving_averages_win_over_the_last_step() {
    let Some(path) = shared_data("checkpoints/basicsr_params_ema_x4.pth") else { return };
    let model = load(&path, &options(None)).unwrap();
    // Its "params" are all zero.
    assert!(model.weights.get("conv_first.weight").unwrap().to_f32().iter().any(|value| *value != 0.0));
}

#[test]
fn another_network_beside_the_generator_is_left_out_with_a_notice() {
    let Some(path) = shared_data("checkpoints/mmagic_generator_x4.pth") else { return };
    let model = load(&path, &options(None)).unwrap();
    let notices: Vec<&str> = model.origin.notices.iter().map(|notice| notice.as_str()).collect();
    assert_eq!(notices, ["tensors left out because their keys lack the prefix `generator.`: 1"]);
}

#[test]
fn what_may_be_x2_or_x3_is_x2_until_someone_names_the_scale() {
    let Some(path) = shared_data("checkpoints/old_x3_needs_scale.pth") else { return };
    let silent = load(&path, &options(None)).unwrap();
    assert_eq!((silent.spec.scale(), silent.spec.upsampling()), (2, &[2][..]));
    assert!(silent.origin.scale_is_ambiguous);
    assert!(silent.origin.notices.iter().any(|notice| notice.as_str().contains("x2 and x3")));

    let named = load(&path, &options(Some(3))).unwrap();
    assert_eq!((named.spec.scale(), named.spec.upsampling()), (3, &[3][..]));
    assert!(!named.origin.scale_is_ambiguous && named.origin.notices.is_empty());

    let error = load(&path, &options(Some(4))).unwrap_err();
    assert!(matches!(error.problem(), WeightsError::Scale { requested: 4, found: 2 }), "{error}");
}

#[test]
fn a_scale_that_cannot_be_names_both() {
    let Some(path) = shared_data("checkpoints/basicsr_bare_x4.pth") else { return };
    assert_eq!(load(&path, &options(Some(4))).unwrap().spec.scale(), 4);
    let error = load(&path, &options(Some(3))).unwrap_err();
    assert_eq!(error.kind(), Kind::Argument);
    assert!(
        error.to_string().ends_with("scale 3 was asked for, but the model's tensors make it x4"),
        "{error}"
    );
}

#[test]
fn the_content_decides_not_the_name() {
    let folder = crate::samples::Folder::new();
    for (from, to) in [
        ("basicsr_bare_x4.pth", "a.safetensors"),
        ("old_x4_legacy.pth", "b.onnx"),
        ("basicsr_x4.safetensors", "c.pth"),
        ("compact_x4.pth", "d"),
        ("compact_x4.pth", "e.bin"),
    ] {
        let Some(path) = shared_data(&format!("checkpoints/{from}")) else { return };
        let copy = folder.file(to);
        std::fs::copy(&path, &copy).unwrap();
        assert_eq!(described(&load(&copy, &options(None)).unwrap()), expected(&path), "{from} as {to}");
    }
}

#[test]
fn the_hostile_checkpoint_is_refused_by_name() {
    let Some(path) = shared_data("checkpoints/hostile_os_system.pth") else { return };
    let error = load(&path, &options(None)).unwrap_err();
    let WeightsError::ForbiddenGlobal { global, offset } = error.problem() else { panic!("{error}") };
    assert_eq!((global.as_str(), error.kind()), ("posix.system", Kind::Unsupported));
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes[*offset as usize..].starts_with(b"cposix\nsystem\n"), "{offset} is where it is named");
    assert!(error.to_string().contains("hostile_os_system.pth"), "{error}");
}

#[test]
fn the_published_network_is_read_from_either_of_its_files() {
    for name in ["realesrgan-x4plus.param", "realesrgan-x4plus.bin"] {
        let Some(path) = shared_data(&format!("weights/{name}")) else { return };
        let model = load(&path, &options(None)).unwrap();
        let expected = json!({
            "family": "rrdb", "scale": 4, "in_channels": 3, "out_channels": 3, "num_features": 64, "num_blocks": 23,
            "growth_channels": 32,
        });
        assert_eq!(described(&model), expected, "{name}");
        let origin = &model.origin;
        assert_eq!(
            (origin.format, origin.key_layout, origin.dtype),
            (Format::Ncnn, KeyLayout::Ncnn, DType::F16)
        );
        // As published for RealESRGAN_x4plus: 16.70 million.
        assert_eq!(origin.parameters, 16_697_987);
    }
}
