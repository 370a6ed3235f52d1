//! `esrgan bench`, and the memory that a plan promises.

use esrgan_testkit::shared_data;

use crate::run::{Folder, esrgan, text};

#[test]
fn bench_reports_what_scripts_rely_on() {
    let (Some(model), Some(picture)) =
        (shared_data("checkpoints/basicsr_bare_x4.pth"), shared_data("eval/Set5/LR/img_001.png"))
    else {
        return;
    };
    let folder = Folder::new();
    let output = folder.join("out.png");
    for precision in ["f32", "bf16"] {
        let ended = esrgan(&[
            "bench",
            "--model",
            &text(&model),
            "--input",
            &text(&picture),
            "--precision",
            precision,
            "--threads",
            "2",
            "--repeat",
            "1",
            "--output",
            &text(&output),
            "--json",
        ]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let report = &ended.json()[0];
        for key in ["seconds", "gflops", "peak_rss_bytes"] {
            assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
        }
        // Without instructions for bf16 the precision is replaced, and a note says so.
        let has_bf16 = ["amx", "avx512-bf16"].contains(&report["isa"].as_str().unwrap());
        let used = if precision == "bf16" && !has_bf16 { "f32" } else { precision };
        assert_eq!((report["precision"].as_str(), report["threads"].as_u64()), (Some(used), Some(2)));
        assert_eq!(ended.stderr.contains("no instructions for bf16"), used != precision, "{}", ended.stderr);
        assert!(output.exists());
    }
}

/// A run holds what its plan said: no more than 15 percent above, nor below, with the real network.
#[test]
fn the_planned_memory_is_what_is_taken() {
    let (Some(model), Some(picture)) =
        (shared_data("weights/realesrgan-x4plus.param"), shared_data("eval/Set14/LR/img_001.png"))
    else {
        return;
    };
    let arguments =
        ["bench", "--model", &text(&model), "--input", &text(&picture), "--repeat", "1", "--json"];
    let ended = esrgan(&arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let report = &ended.json()[0];
    let ratio = report["peak_rss_bytes"].as_f64().unwrap() / report["peak_bytes_planned"].as_f64().unwrap();
    println!("measured over planned peak memory: {ratio:.3}");
    assert!((0.85..=1.15).contains(&ratio), "{report}");
}

/// The same holds where other parts than the network weigh most: alpha, other sizes, averages, 16 bits.
#[test]
fn the_planned_memory_holds_for_every_way_through() {
    let (Some(model), Some(picture)) =
        (shared_data("checkpoints/basicsr_bare_x4.pth"), shared_data("eval/Kodak24/HR"))
    else {
        return;
    };
    let folder = Folder::new();
    let mut pictures: Vec<_> =
        std::fs::read_dir(picture).unwrap().map(|entry| entry.unwrap().path()).collect();
    pictures.sort();
    let rgba = folder.join("rgba.png");
    let decoded = esrgan_upscale::decode(&pictures[0], &esrgan_upscale::Limits::default()).unwrap();
    let mut with_alpha = decoded.picture.clone();
    with_alpha.alpha = Some(with_alpha.color[0].clone());
    let raster = esrgan_upscale::Raster::from_picture(&with_alpha, esrgan_core::SampleDepth::U16);
    let (format, options) = (esrgan_upscale::PictureFormat::Png, esrgan_upscale::EncodeOptions::default());
    esrgan_upscale::encode(&raster, &decoded.metadata, format, &options, &rgba).unwrap();
    let mut failures = Vec::new();
    for (input, extra) in [
        (&pictures[0], &[][..]),
        (&pictures[0], &["-s", "3"]),
        (&rgba, &[]),
        (&rgba, &["--alpha", "resample"]),
        (&rgba, &["--alpha", "drop"]),
        (&rgba, &["-s", "2"]),
        (&rgba, &["--format", "tif", "--alpha", "resample"]),
        (&rgba, &["--format", "jpg", "--alpha", "resample"]),
    ] {
        let (input, output) = (text(input), text(&folder.join("out.x")));
        let mut arguments = vec!["upscale", &input, "-m", model.to_str().unwrap(), "-o", &output, "--json"];
        arguments.extend(extra);
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let report = &ended.json()[0];
        let ratio =
            report["peak_rss_bytes"].as_f64().unwrap() / report["peak_bytes_planned"].as_f64().unwrap();
        println!("{input} {extra:?}: measured over planned {ratio:.3}");
        if !(0.85..=1.15).contains(&ratio) {
            failures.push(format!("{extra:?}: {ratio:.3}"));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_suite_measures_every_row_by_itself() {
    let Some(model) = shared_data("checkpoints/basicsr_bare_x4.pth") else {
        return;
    };
    let model = text(&model);
    let common = ["bench", "--suite", "--sizes", "16,8", "--threads", "1", "--repeat", "1"];
    let arguments = [&common[..], &["--model", &model, "--json"]].concat();
    let ended = esrgan(&arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows = ended.json()[0]["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 4, "two sizes, two precisions");
    let machine = &ended.json()[0]["machine"];
    assert!(machine["isa"].is_string() && machine["ceilings"][0]["gflops"].as_f64() > Some(0.0), "{machine}");
    for row in &rows {
        for key in ["seconds", "gflops", "peak_rss_bytes", "share_of_ceiling"] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key}: {row}");
        }
    }
    let ended = esrgan(&[&common[..], &["--model", "missing.pth", "--model", &model]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("missing.pth") && ended.stdout.contains("failed"), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().filter(|line| line.contains("basicsr_bare_x4")).count(), 4);
}

/// A suite reads a model as the single bench does: by `--scale`, where the file fits x2 and x3 alike.
#[test]
fn a_suite_passes_the_scale_on() {
    let Some(model) = shared_data("checkpoints/old_x3_needs_scale.pth") else {
        return;
    };
    let flop = |scale: &str| {
        let fixed =
            ["bench", "--suite", "--sizes", "16", "--threads", "1", "--repeat", "1", "--precision", "f32"];
        let ended = esrgan(&[&fixed[..], &["--json", "--scale", scale, "--model", &text(&model)]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let row = &ended.json()[0]["rows"][0];
        row["seconds"].as_f64().unwrap() * row["gflops"].as_f64().unwrap()
    };
    assert!(flop("3") > 1.1 * flop("2"), "x3 enlarges more than x2");
}

/// What no row could be measured with is said before any of them.
#[test]
fn a_suite_without_its_instruction_set_does_not_start() {
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_esrgan"))
        .args(["bench", "--suite", "--sizes", "8"])
        .env("ESRGAN_ISA", "sse9")
        .output()
        .unwrap();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0));
}

#[test]
#[cfg(target_os = "linux")]
fn a_stopped_suite_leaves_nothing_behind() {
    let folder = Folder::new();
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_esrgan"))
        .args(["bench", "--suite", "--sizes", "64", "--threads", "1", "--repeat", "1", "--json"])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Its folder appears after the handler of signals.
    while std::fs::read_dir(folder.path()).unwrap().next().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // The shell's own: not every system has a program of that name.
    let kill = format!("kill -TERM {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_suite_needs_no_files() {
    let ended = esrgan(&[
        "bench",
        "--suite",
        "--sizes",
        "8",
        "--threads",
        "2",
        "--repeat",
        "1",
        "--precision",
        "f32",
        "--json",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json()[0]["rows"].as_array().unwrap().len(), 3, "the published shapes");
}

#[test]
fn one_bench_takes_one_model_and_one_picture() {
    assert_eq!(esrgan(&["bench", "--model", "a.pth"]).code, 2);
    assert_eq!(esrgan(&["bench", "--model", "a.pth", "--model", "b.pth", "--input", "c.png"]).code, 2);
    assert_eq!(esrgan(&["bench", "--suite", "--input", "c.png"]).code, 2);
    assert_eq!(esrgan(&["bench", "--suite", "--sizes", "0"]).code, 2);
}
