//! `esrgan check`.

use std::collections::BTreeSet;
use std::path::Path;

use esrgan_testkit::shared_data;
use serde_json::Value;

use crate::run::{Ended, Folder, command, ended, text};
use crate::training::{gan_recipe, own_set5, psnr_recipe, truncate};

const KEYS: [&str; 16] = [
    "discriminator_parameters",
    "estimated_seconds",
    "expected_memory_bytes",
    "generator_parameters",
    "gpu",
    "leaks",
    "machine_memory_bytes",
    "megapixels",
    "peak_memory_bytes",
    "pictures",
    "problems",
    "recipe",
    "repeats",
    "seconds_per_step",
    "stage",
    "validation_pictures",
];

/// Checks a recipe in its folder, where nothing may come to be.
fn check(folder: &Folder, recipe: &str, arguments: &[&str]) -> Ended {
    std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let before = everything_in(folder.path());
    let arguments = [&["check", "recipe.toml"], arguments].concat();
    let output = command(&arguments).current_dir(folder.path()).output().unwrap();
    assert_eq!(everything_in(folder.path()), before, "a check writes nothing");
    ended(&output).expect("ended by itself")
}

fn everything_in(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_in(&path));
        }
        found.insert(text(&path));
    }
    found
}

fn only_line(ended: &Ended) -> Value {
    let mut lines = ended.json();
    assert_eq!(lines.len(), 1, "{}", ended.stdout);
    lines.remove(0)
}

fn with_validation(recipe: &str, hr: &Path) -> String {
    format!("{recipe}[validation]\nhr = \"{}\"\n", hr.display())
}

#[test]
fn sound_data_are_counted_and_steps_are_timed() {
    let Some(other) = shared_data("eval/Set14/HR") else { return };
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    let recipe = with_validation(&psnr_recipe(&hr, 5000), &other);
    let ended = check(&folder, &recipe, &["--json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let line = only_line(&ended);
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, KEYS);
    assert_eq!((&line["recipe"], &line["stage"]), (&"recipe.toml".into(), &"psnr".into()));
    assert_eq!((&line["pictures"], &line["validation_pictures"]), (&5.into(), &14.into()));
    assert_eq!(line["megapixels"], 0.567456);
    for list in ["problems", "repeats", "leaks"] {
        assert_eq!(line[list], Value::Array(Vec::new()), "{list}");
    }
    assert_eq!(line["discriminator_parameters"], Value::Null);
    assert!(line["generator_parameters"].as_u64().unwrap() > 1000);
    let seconds = line["seconds_per_step"].as_f64().unwrap();
    assert!(seconds > 0.0, "{seconds}");
    assert_eq!(line["estimated_seconds"], seconds * 5000.0);
    if cfg!(target_os = "linux") {
        let bytes = |key: &str| line[key].as_u64().unwrap_or_else(|| panic!("{key}: {line}"));
        assert!(bytes("peak_memory_bytes") > 1 << 20);
        assert!(bytes("expected_memory_bytes") >= bytes("peak_memory_bytes"));
        assert!(bytes("machine_memory_bytes") > bytes("peak_memory_bytes"));
    }

    // Drivers of GPUs have words of their own for stderr.
    let ended = check(&folder, &recipe, &["--device", "cpu"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert_eq!(ended.stderr, "", "progress is for terminals");
    for words in ["5 pictures, 0.6 megapixels", "14 pictures", " s; 5000 steps: ", "ready to train\n"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

#[test]
fn everything_that_is_wrong_with_pictures_is_named() {
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(folder.join(to).parent().unwrap()).unwrap();
        std::fs::write(folder.join(to), std::fs::read(folder.join(from)).unwrap()).unwrap();
    };
    copy("hr/img_002.png", "hr/img_009.png");
    copy("lr/img_002.png", "lr/img_009.png");
    copy("hr/img_002.png", "validation/a.png");
    copy("hr/img_003.png", "validation/b.png");
    truncate(&folder.join("validation/b.png"));
    truncate(&folder.join("hr/img_001.png"));
    copy("lr/img_003.png", "lr/img_004.png");
    std::fs::remove_file(folder.join("lr/img_003.png")).unwrap();
    let recipe = with_validation(&psnr_recipe(&hr, 4), &folder.join("validation"));
    let lr = format!("data.lr=\"{}\"", text(&folder.join("lr")));
    let settings = ["--set", "data.degradation=", "--set", &lr, "--set", "data.crop_px=256"];
    let expected = [
        ("hr/img_003.png", "has no low-resolution partner"),
        ("hr/img_001.png", "truncated png"),
        ("lr/img_004.png", "64x64 pixels at scale 4 do not fit"),
        ("hr/img_005.png", "228x344 is too small for crops of 256x256"),
        ("validation/b.png", "truncated png"),
    ];

    let ended = check(&folder, &recipe, &[&settings[..], &["--json"]].concat());
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let line = only_line(&ended);
    let problems = line["problems"].as_array().unwrap();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (path, message)) in problems.iter().zip(expected) {
        assert_eq!(problem["path"], text(&folder.join(path)), "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
    }
    let [repeat, leak] = ["repeats", "leaks"].map(|list| line[list].as_array().unwrap().clone());
    assert_eq!((repeat.len(), leak.len()), (1, 1), "{line}");
    assert_eq!(repeat[0]["picture"], text(&folder.join("hr/img_009.png")));
    assert_eq!(leak[0]["picture"], text(&folder.join("validation/a.png")));
    assert_eq!(leak[0]["of"], text(&folder.join("hr/img_002.png")));
    assert!(line["generator_parameters"].is_u64(), "files are checked all the same: {line}");
    assert_eq!(line["seconds_per_step"], Value::Null);

    let ended = check(&folder, &recipe, &settings);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for (path, message) in expected {
        let is_named = |line: &str| {
            line.starts_with("problem ") && line.contains(&text(&folder.join(path))) && line.contains(message)
        };
        assert!(ended.stdout.lines().any(is_named), "{path}: {message}: {}", ended.stdout);
    }
    assert!(ended.stdout.ends_with("problems: 5, warnings: 2\n"), "{}", ended.stdout);
}

#[test]
fn pictures_that_are_there_twice_are_warnings() {
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    let ended = check(&folder, &with_validation(&psnr_recipe(&hr, 4), &hr), &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let leaks = ended.stdout.lines().filter(|line| line.contains("is a training picture too")).count();
    assert_eq!(leaks, 5, "{}", ended.stdout);
    assert!(ended.stdout.ends_with("ready to train, warnings: 5\n"), "{}", ended.stdout);
}

#[test]
fn every_file_to_start_from_is_checked_at_once() {
    let Some(vgg16) = shared_data("weights/vgg16_features.safetensors") else { return };
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    let recipe = with_validation(&gan_recipe(&hr, 4, &vgg16), &folder.join("lr"));
    let ended = check(&folder, &recipe, &["--json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let line = only_line(&ended);
    assert_eq!(line["stage"], "gan");
    assert!(line["discriminator_parameters"].as_u64() > Some(1000), "{line}");
    assert!(line["seconds_per_step"].as_f64() > Some(0.0), "{line}");

    let other_generator = shared_data("checkpoints/old_x4_plus.pth").expect("the same data");
    let heads = vgg16.with_file_name("lpips_vgg_v0.1.safetensors");
    let (generator, weights) = (text(&other_generator), text(&vgg16));
    let values = [
        format!("generator.start=\"{generator}\""),
        "discriminator.start=nowhere.safetensors".to_owned(),
        "losses.perceptual.network=vgg19".to_owned(),
        "validation.metrics=[\"lpips-vgg\"]".to_owned(),
        "validation.lpips_backbone=recipe.toml".to_owned(),
        format!("validation.lpips_heads=\"{}\"", text(&heads)),
    ];
    let settings: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    truncate(&hr.join("img_001.png"));
    let ended = check(&folder, &recipe, &[&settings[..], &["--json"]].concat());
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    let line = only_line(&ended);
    let picture = text(&hr.join("img_001.png"));
    let expected = [
        (weights.as_str(), "vgg19-dcbb9e9d.pth"),
        (&generator, "the network has none of this name"),
        ("nowhere.safetensors", "No such file"),
        ("recipe.toml", "not a model file"),
        (&picture, "truncated"),
    ];
    let problems = line["problems"].as_array().unwrap();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (path, message)) in problems.iter().zip(expected) {
        assert_eq!(problem["path"], path, "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{problem}");
    }
    assert_eq!(line["seconds_per_step"], Value::Null);
    assert_eq!(line["pictures"], 5);
}

#[test]
fn files_of_lpips_that_do_not_fit_each_other_are_a_problem() {
    let Some(vgg16) = shared_data("weights/vgg16_features.safetensors") else { return };
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    let recipe = with_validation(&psnr_recipe(&hr, 4), &folder.join("lr"));
    let heads = vgg16.with_file_name("lpips_alex_v0.1.safetensors");
    let values = [
        "validation.metrics=[\"lpips-vgg\"]".to_owned(),
        format!("validation.lpips_backbone=\"{}\"", text(&vgg16)),
        format!("validation.lpips_heads=\"{}\"", text(&heads)),
    ];
    let settings: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    let ended = check(&folder, &recipe, &[&settings[..], &["--json"]].concat());
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    let line = only_line(&ended);
    let problems = line["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0]["message"].as_str().unwrap().contains("lin"), "{problems:#?}");
    assert_eq!(line["seconds_per_step"], Value::Null);
}

#[test]
fn what_cannot_be_checked_at_all_ends_with_two() {
    let folder = Folder::new();
    let recipe = psnr_recipe(Path::new("nowhere"), 4);
    for (settings, expected) in [
        (&["--set", "data.bach=3"][..], "did you mean `data.batch`?"),
        (&["--set", "data.crop_px=30", "--json"], "`data.crop_px` is 30"),
    ] {
        let ended = check(&folder, &recipe, settings);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    // The recipe is sound: the folder is missing, and the networks are made all the same.
    let ended = check(&folder, &recipe, &["--json"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let line = only_line(&ended);
    assert_eq!(line["pictures"], Value::Null);
    assert!(line["problems"][0]["path"].as_str().unwrap().ends_with("nowhere"), "{line}");
    assert!(line["generator_parameters"].is_u64(), "{line}");
}
