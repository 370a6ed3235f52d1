//! `esrgan degrade`.

use std::path::Path;

use esrgan_core::Picture;
use esrgan_testkit::shared_data;
use esrgan_upscale::{Limits, decode};

use crate::run::{Folder, esrgan, text};

fn picture(path: &Path) -> Picture {
    decode(path, &Limits::default()).expect("a sound picture").picture
}

/// Two folders of pictures that are the same sample for sample.
fn is_same(first: &Path, second: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| picture(&first.join(name)) == picture(&second.join(name)))
}

const NAMES: [&str; 5] = ["img_001.png", "img_002.png", "img_003.png", "img_004.png", "img_005.png"];

#[test]
fn the_same_seed_gives_the_same_pictures_and_another_seed_others() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let degrade = |name: &str, flags: &[&str]| {
        let output = text(&folder.join(name));
        let ended = esrgan(&[&["degrade", &text(&hr), "-o", &output, "--json"], flags].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("5 done, 0 skipped, 0 failed"), "{}", ended.stderr);
        ended.json()
    };
    let lines = degrade("a", &["--seed", "7", "--threads", "1"]);
    assert_eq!(degrade("b", &["--seed", "7", "--threads", "3"]).len(), 5);
    degrade("c", &["--seed", "8"]);
    degrade("d", &["--seed", "7", "--preset", "mild"]);
    assert!(is_same(&folder.join("a"), &folder.join("b"), &NAMES));
    for other in ["c", "d"] {
        assert!(NAMES.iter().all(|name| !is_same(&folder.join("a"), &folder.join(other), &[name])));
    }
    let first = &lines[0]["parameters"];
    assert_eq!(
        (first["seed"].as_u64(), first["sample"].as_u64(), first["scale"].as_u64()),
        (Some(7), Some(0), Some(4))
    );
    let steps: Vec<&str> =
        first["steps"].as_array().unwrap().iter().filter_map(|step| step["op"].as_str()).collect();
    assert_eq!(steps[..4], ["blur", "resize", "noise", "jpeg"]);
    let small = picture(&folder.join("a/img_001.png"));
    assert_eq!((small.width(), small.height()), (128, 128));
}

#[test]
fn bicubic_is_what_downscale_makes() {
    let Some(hr) = shared_data("eval/Set5") else { return };
    let folder = Folder::new();
    let output = folder.join("lr");
    let ended = esrgan(&["degrade", &text(&hr.join("HR")), "-o", &text(&output), "--preset", "bicubic"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(is_same(&output, &hr.join("LR"), &NAMES));
}

#[test]
fn a_contact_sheet_comes_with_the_parameters_of_its_samples() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let sheet = folder.join("sheet.png");
    let ended = esrgan(&["degrade", &text(&hr), "--preview", &text(&sheet), "--seed", "3", "-s", "2"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines = ended.json();
    let cells: Vec<u64> = lines.iter().filter_map(|line| line["cell"].as_u64()).collect();
    assert_eq!(cells, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(lines.iter().all(|line| line["parameters"]["seed"] == 3 && line["parameters"]["scale"] == 2));
    let (sheet, hr) = (picture(&sheet), picture(&hr.join("img_001.png")));
    assert_eq!((sheet.width(), sheet.height()), (768, 768));
    let middle = &hr.color[0].row(hr.height() / 2 - 128)[hr.width() / 2 - 128..][..256];
    assert_eq!(&sheet.color[0].row(0)[..256], middle, "the picture itself comes first");
    assert_ne!(&sheet.color[0].row(0)[256..512], middle);
    assert_eq!(std::fs::read_dir(folder.join("")).unwrap().count(), 1, "nothing else was written");
}

#[test]
fn failures_are_named_and_the_rest_is_done() {
    let (Some(rgb), Some(rgba)) =
        (shared_data("hostile/pngsuite/basn2c08.png"), shared_data("hostile/pngsuite/basn6a16.png"))
    else {
        return;
    };
    let folder = Folder::new();
    std::fs::create_dir(folder.join("in")).unwrap();
    std::fs::copy(&rgb, folder.join("in/a.png")).unwrap();
    std::fs::write(folder.join("in/b.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    std::fs::copy(&rgba, folder.join("in/c.png")).unwrap();
    let (input, output) = (text(&folder.join("in")), text(&folder.join("out")));
    let ended = esrgan(&["degrade", &input, "-o", &output, "-s", "3", "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let has_failed: Vec<bool> = ended.json().iter().map(|line| line.get("error").is_some()).collect();
    assert_eq!(has_failed, [false, true, false]);
    assert!(ended.stderr.contains("c.png: transparency is left behind"), "{}", ended.stderr);
    assert!(ended.stderr.contains("32x32 is no multiple of 3: cut to 30x30"), "{}", ended.stderr);
    assert!(ended.stderr.contains("b.png"), "{}", ended.stderr);

    let tiny = esrgan(&["degrade", &text(&rgb), "-o", &text(&folder.join("x.png")), "-s", "16", "--json"]);
    assert_eq!(tiny.code, 0, "{}", tiny.stderr);
    let sheet = esrgan(&["degrade", &text(&rgb), "--preview", &text(&folder.join("x.jpg"))]);
    assert_eq!(sheet.code, 2, "{}", sheet.stderr);
    assert!(sheet.stderr.contains("expected a name that ends in `.png`"), "{}", sheet.stderr);
    let scale = esrgan(&["degrade", &text(&rgb), "-o", &output, "-s", "17"]);
    assert!(scale.code == 2 && scale.stderr.contains("expected 1 to 16"), "{}", scale.stderr);
    let preset = esrgan(&["degrade", &text(&rgb), "-o", &output, "--preset", "wild"]);
    assert!(
        preset.code == 2 && preset.stderr.contains("`real-esrgan`, `mild` or `bicubic`"),
        "{}",
        preset.stderr
    );
}
