//! `esrgan devices`, and the wish for a device.

use esrgan_testkit::shared_data;

use crate::run::{Folder, esrgan, text};

#[test]
fn the_processor_is_always_there() {
    let ended = esrgan(&["devices", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines = ended.json();
    let processor = &lines[0];
    assert_eq!(processor["device"], "cpu");
    assert!(processor["isa"].is_string() && processor["threads"].as_u64() > Some(0), "{processor}");
    assert_eq!(processor["precisions"][0], "f32");
    for (number, device) in lines[1..].iter().enumerate() {
        assert_eq!(device["device"], format!("vulkan:{number}"));
        assert!(device["name"].is_string() && device["kind"].is_string(), "{device}");
    }
    let ended = esrgan(&["devices"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, lines.len()), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("cpu: "), "{}", ended.stdout);
    if cfg!(not(feature = "vulkan")) {
        assert_eq!(lines.len(), 1);
        assert!(ended.stderr.contains("cargo build --release --features vulkan"), "{}", ended.stderr);
    }
}

#[test]
#[cfg(not(feature = "vulkan"))]
fn a_gpu_is_refused_by_a_build_without_them_before_anything_is_read() {
    let folder = Folder::new();
    let absent = text(&folder.join("absent.pth"));
    for device in ["vulkan", "vulkan:0"] {
        for arguments in [
            vec!["upscale", "absent.png", "-m", &absent, "--device", device],
            vec!["eval", "-m", &absent, "--hr", "absent", "--device", device],
            vec!["bench", "-m", &absent, "-i", "absent.png", "--device", device],
        ] {
            let ended = esrgan(&arguments);
            assert_eq!((ended.code, ended.stdout.len()), (2, 0), "{arguments:?}: {}", ended.stderr);
            for words in ["no GPU support", "cargo build --release --features vulkan"] {
                assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
            }
        }
    }
}

#[test]
#[cfg(feature = "vulkan")]
fn a_device_that_is_not_there_is_an_error() {
    let Some(model) = shared_data("checkpoints/old_x2.pth") else { return };
    let ended = esrgan(&["upscale", "absent.png", "-m", &text(&model), "--device", "vulkan:999"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("vulkan:999"), "{}", ended.stderr);
}

#[test]
fn a_suite_is_the_processors() {
    let ended = esrgan(&["bench", "--suite", "--device", "vulkan"]);
    assert_eq!((ended.code, ended.stdout.len()), (2, 0));
    assert!(ended.stderr.contains("a suite measures the processor"), "{}", ended.stderr);
}

/// A run says where it runs, and half precision is never computed on the processor.
#[test]
fn runs_say_where_they_run() {
    let (Some(model), Some(picture)) =
        (shared_data("checkpoints/old_x2.pth"), shared_data("hostile/pngsuite/basn2c08.png"))
    else {
        return;
    };
    let folder = Folder::new();
    let (model, picture, output) = (text(&model), text(&picture), text(&folder.join("o.png")));
    for precision in ["auto", "f32", "bf16", "f16"] {
        let ended = esrgan(&[
            "upscale",
            &picture,
            "-m",
            &model,
            "-o",
            &output,
            "--device",
            "cpu",
            "--precision",
            precision,
            "--json",
        ]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let report = &ended.json()[0];
        assert_eq!(report["device"], "cpu");
        assert!(["f32", "bf16"].contains(&report["precision"].as_str().unwrap()), "{report}");
        assert!(ended.stderr.contains("device: cpu, "), "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("f16 is for GPUs"), precision == "f16", "{}", ended.stderr);
    }
    let ended = esrgan(&["bench", "-m", &model, "-i", &picture, "--device", "cpu", "--json"]);
    assert_eq!((ended.code, &ended.json()[0]["device"]), (0, &"cpu".into()), "{}", ended.stderr);
}
