//! `esrgan eval`.

use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth};
use esrgan_testkit::shared_data;
use esrgan_upscale::{EncodeOptions, Metadata, PictureFormat, Raster, encode};
use serde_json::Value;

use crate::run::{Folder, esrgan, text};

/// What BasicSR measured.
fn golden() -> Option<Value> {
    let bytes = std::fs::read(shared_data("golden/metrics.json")?).expect("a readable file");
    Some(serde_json::from_slice(&bytes).expect("JSON"))
}

/// A picture of one colour pattern, `level` brighter.
fn write(path: &Path, (width, height): (usize, usize), depth: SampleDepth, alpha: Option<f32>) {
    let samples = (0..width * height).map(|i| (i * 37 % 200) as f32 / 255.0).collect();
    let plane = Plane::new(width, height, samples).expect("as many samples as pixels");
    let alpha = alpha.map(|value| Plane::filled(width, height, value));
    let raster = Raster::from_picture(&Picture { color: vec![plane; 3], alpha }, depth);
    encode(&raster, &Metadata::default(), PictureFormat::Png, &EncodeOptions::default(), path)
        .expect("written");
}

#[test]
fn bicubic_gives_the_papers_digits() {
    let (Some(golden), Some(set5)) = (golden(), shared_data("eval/Set5")) else { return };
    let (hr, lr) = (text(&set5.join("HR")), text(&set5.join("LR")));
    let results = text(&shared_data("golden/bicubic_Set5").unwrap());
    let expected = &golden["bicubic_x4"]["Set5"];
    let runs = [
        vec!["eval", "--method", "bicubic", "--hr", &hr, "--lr", &lr, "--json"],
        // The small pictures made on the way are those of the folder, and the results those of the golden files.
        vec!["eval", "--method", "bicubic", "--hr", &hr, "--json"],
        vec!["eval", "--sr", &results, "--hr", &hr, "--json"],
    ];
    for arguments in runs {
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let lines = ended.json();
        assert_eq!(lines.len(), 6);
        for line in &lines {
            let (found, expected) = match line["hr"].as_str() {
                Some(hr) => (line, &expected[hr.rsplit('/').next().unwrap()]),
                None => (&line["mean"], &expected["mean"]),
            };
            for (name, key, bound) in [
                ("psnr-y", "psnr_y", 1e-4),
                ("psnr-rgb", "psnr_rgb", 1e-4),
                ("ssim-y", "ssim_y", 1e-5),
                ("ssim-rgb", "ssim_rgb", 1e-5),
            ] {
                let (found, expected) = (found[name].as_f64().unwrap(), expected[key].as_f64().unwrap());
                assert!((found - expected).abs() < bound, "{line}: {name} {found}, expected {expected}");
            }
        }
        let mean = &lines[5]["mean"];
        assert_eq!(format!("{:.2}", mean["psnr-y"].as_f64().unwrap()), "28.43");
        assert_eq!(format!("{:.4}", mean["ssim-y"].as_f64().unwrap()), "0.8111");
    }
}

#[test]
fn a_model_is_measured_and_a_report_is_one_whole_page() {
    let (Some(model), Some(set5)) = (shared_data("checkpoints/old_x4_legacy.pth"), shared_data("eval/Set5"))
    else {
        return;
    };
    let folder = Folder::new();
    let report = text(&folder.join("report"));
    let (hr, lr) = (text(&set5.join("HR")), text(&set5.join("LR")));
    let ended = esrgan(&["eval", "-m", &text(&model), "--hr", &hr, "--lr", &lr, "--report", &report]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 7, "a head, five pictures, the mean: {}", ended.stdout);
    let page = std::fs::read_to_string(folder.join("report/index.html")).unwrap();
    assert_eq!(page.matches("<section").count(), 5);
    // Of each picture five views, two of them again in the slider.
    assert_eq!(page.matches("src=\"data:image/png;base64,iVBOR").count(), 5 * 7);
    assert!(
        page.contains("32.73") && page.contains("ESRGAN, 2018, table 2"),
        "published figures stand beside"
    );
    assert!(!page.contains("{{") && !page.contains("http"), "nothing is left to be filled in or fetched");
    assert_eq!(std::fs::read_dir(folder.join("report")).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_measured_is_named_and_the_rest_is_done() {
    let folder = Folder::new();
    let (hr, sr) = (folder.join("hr"), folder.join("sr"));
    std::fs::create_dir(&hr).unwrap();
    std::fs::create_dir(&sr).unwrap();
    let (size, other) = ((64, 48), (60, 48));
    for (name, hr_depth, sr_size, sr_depth, alpha) in [
        ("a.png", SampleDepth::U8, size, SampleDepth::U8, None),
        ("b.png", SampleDepth::U8, other, SampleDepth::U8, None),
        ("c.png", SampleDepth::U16, size, SampleDepth::U8, None),
        ("d.png", SampleDepth::U8, size, SampleDepth::U8, Some(0.5)),
        ("e.png", SampleDepth::U8, size, SampleDepth::U8, Some(1.0)),
    ] {
        write(&hr.join(name), size, hr_depth, None);
        write(&sr.join(name), sr_size, sr_depth, alpha);
    }
    write(&hr.join("f.png"), size, SampleDepth::U8, None);
    std::fs::write(hr.join("g.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    let ended = esrgan(&["eval", "--sr", &text(&sr), "--hr", &text(&hr), "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for part in [
        "b.png: 60x48 pixels, but the true picture",
        "has 64x48",
        "has 8-bit samples, but the true picture",
        "d.png: partly transparent",
        "`f` was looked for",
        "g.png",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    let lines = ended.json();
    assert_eq!(lines.iter().filter(|line| line.get("error").is_some()).count(), 5);
    let mean = lines.last().unwrap();
    assert_eq!((&mean["pictures"], &mean["failed"]), (&Value::from(2), &Value::from(5)));
    assert_eq!(mean["mean"]["psnr-y"], "inf", "equal pictures");
    assert_eq!(mean["mean"]["ssim-y"], 1.0);
}

#[test]
fn what_is_wrong_beforehand_starts_nothing() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("empty")).unwrap();
    let empty = text(&folder.join("empty"));
    let Some(weights) = shared_data("weights") else { return };
    let backbone = text(&weights.join("vgg16_features.safetensors"));
    let heads = text(&weights.join("lpips_vgg_v0.1.safetensors"));
    for (arguments, part) in [
        (vec!["eval", "--method", "bicubic", "--hr", &empty], "holds no picture"),
        (vec!["eval", "--method", "bicubic", "--hr", "/nowhere"], "/nowhere"),
        (vec!["eval", "--method", "bicubic", "--hr", &empty, "--metrics", "lpips-vgg"], "--lpips-backbone"),
        (
            vec![
                "eval",
                "--method",
                "bicubic",
                "--hr",
                &empty,
                "--metrics",
                "lpips-vgg,lpips-alex",
                "--lpips-backbone",
                &backbone,
                "--lpips-heads",
                &heads,
            ],
            "one after the other",
        ),
        (vec!["eval", "--method", "bicubic", "--hr", &empty, "--metrics", "ssim"], "`ssim` is no metric"),
        (vec!["eval", "-m", "/nowhere.pth", "--hr", &empty], "/nowhere.pth"),
    ] {
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
