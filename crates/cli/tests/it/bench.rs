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
        assert_eq!((report["precision"].as_str(), report["threads"].as_u64()), (Some(precision), Some(2)));
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
