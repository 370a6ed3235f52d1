//! Commands about models.

use esrgan_testkit::shared_data;

use crate::run::{Folder, esrgan, text};

/// `inspect --json` says what the generator of each checkpoint wrote down.
#[test]
fn inspect_agrees_with_every_description() {
    let Some(folder) = shared_data("checkpoints") else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_model = path.extension().is_some_and(|e| e == "pth" || e == "safetensors");
        let description = path.with_extension("json");
        if !is_model || !description.exists() {
            continue;
        }
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(description).unwrap()).unwrap();
        let scale = expected["scale"].to_string();
        let mut arguments = vec!["inspect".to_owned(), text(&path), "--json".to_owned()];
        if path.to_string_lossy().contains("needs_scale") {
            let uncorrected = esrgan(&arguments);
            assert_eq!(uncorrected.json()[0]["scale"], 2, "{}", path.display());
            assert_eq!(uncorrected.json()[0]["scale_is_ambiguous"], true);
            arguments.extend(["--scale".to_owned(), scale]);
        }
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let found = &ended.json()[0];
        for (key, value) in expected.as_object().unwrap().iter().filter(|(key, _)| *key != "note") {
            assert_eq!(&found[key], value, "{}: {key}", path.display());
        }
        assert_eq!(found["sha256"].as_str().unwrap().len(), 64);
        seen += 1;
    }
    assert!(seen >= 21, "only {seen} checkpoints");
}

#[test]
fn a_hostile_pickle_is_refused_by_name_and_nothing_runs() {
    let Some(path) = shared_data("checkpoints/hostile_os_system.pth") else { return };
    let ended = esrgan(&["inspect", &text(&path)]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("system"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
    assert!(!std::path::Path::new("PWNED").exists());
}

/// Every format gives the same pictures to the bit, through every layout.
#[test]
fn converted_models_enlarge_alike() {
    let (Some(model), Some(picture)) =
        (shared_data("checkpoints/old_x4_legacy.pth"), shared_data("eval/Set5/LR/img_003.png"))
    else {
        return;
    };
    let folder = Folder::new();
    let enlarge = |model: &str, name: &str| {
        let output = text(&folder.join(name));
        let ended = esrgan(&["upscale", &text(&picture), "-m", model, "-o", &output]);
        assert_eq!(ended.code, 0, "{model}: {}", ended.stderr);
        std::fs::read(output).unwrap()
    };
    let original = enlarge(&text(&model), "original.png");
    for (name, layout) in
        [("a.safetensors", "trunk"), ("b.pth", "basicsr"), ("c.pth", "old"), ("d.onnx", ""), ("e.param", "")]
    {
        let output = text(&folder.join(name));
        let mut arguments = vec!["convert".to_owned(), text(&model), output.clone()];
        if !layout.is_empty() {
            arguments.extend(["--layout".to_owned(), layout.to_owned()]);
        }
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
        assert!(enlarge(&output, &format!("{name}.png")) == original, "{name}");
    }
    let listed = esrgan(&["models", "--models-dir", &text(folder.path()), "--json"]);
    assert_eq!((listed.code, listed.json().len()), (0, 3 + 5), "built-in ones first: {}", listed.stderr);
    let by_name = esrgan(&[
        "upscale",
        &text(&picture),
        "-m",
        "a",
        "--models-dir",
        &text(folder.path()),
        "-o",
        &text(&folder.join("n.png")),
    ]);
    assert_eq!(by_name.code, 0, "{}", by_name.stderr);
}

#[test]
fn models_are_mixed_across_layouts() {
    let (Some(a), Some(b), Some(other)) = (
        shared_data("checkpoints/old_x4_legacy.pth"),
        shared_data("checkpoints/basicsr_x4.safetensors"),
        shared_data("checkpoints/old_x2.pth"),
    ) else {
        return;
    };
    let folder = Folder::new();
    let mixed = text(&folder.join("mixed.safetensors"));
    let ended = esrgan(&["interpolate", &text(&a), &text(&b), "--alpha", "0.8", "-o", &mixed]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(esrgan(&["inspect", &mixed, "--json"]).json()[0]["scale"], 4);
    let refused = esrgan(&["interpolate", &text(&a), &text(&other), "--alpha", "0.5", "-o", &mixed]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("scale") || refused.stderr.contains("upsampling"), "{}", refused.stderr);
}

#[test]
fn what_is_no_model_is_refused_before_any_work() {
    let Some(picture) = shared_data("eval/Set5/LR/img_003.png") else { return };
    let folder = Folder::new();
    let output = folder.join("out.png");
    for (model, words) in [(text(&picture), "model"), (text(&folder.join("absent.pth")), "absent.pth")] {
        let ended = esrgan(&["upscale", &text(&picture), "-m", &model, "-o", &text(&output)]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert!(!output.exists());
    }
}
