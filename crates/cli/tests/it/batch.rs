//! Folders, names, failures among many, and exit codes.

use std::path::Path;

use esrgan_testkit::shared_data;

use crate::run::{Ended, Folder, esrgan, text};

/// A folder of pictures, some below, one broken, one no picture.
fn tree() -> Option<(Folder, String)> {
    let model = shared_data("checkpoints/old_x2.pth")?;
    let picture = shared_data("hostile/pngsuite/basn2c08.png")?;
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("in/unten/ganz")).unwrap();
    for name in ["in/a.png", "in/ß 図 🦋.png", "in/unten/b.png", "in/unten/ganz/c.png"] {
        std::fs::copy(&picture, folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("in/broken.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    std::fs::write(folder.join("in/notes.txt"), b"not a picture").unwrap();
    Some((folder, text(&model)))
}

fn upscale(folder: &Folder, model: &str, extra: &[&str]) -> Ended {
    let (input, output) = (text(&folder.join("in")), text(&folder.join("out")));
    let mut arguments = vec!["upscale", &input, "-m", model, "-o", &output];
    arguments.extend(extra);
    esrgan(&arguments)
}

#[test]
fn a_tree_is_mirrored_and_goes_on_after_a_bad_file() {
    let Some((folder, model)) = tree() else { return };
    let ended = upscale(&folder, &model, &["--recursive", "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for name in ["out/a.png", "out/ß 図 🦋.png", "out/unten/b.png", "out/unten/ganz/c.png"] {
        assert!(folder.join(name).exists(), "{name}: {}", ended.stderr);
    }
    assert!(!folder.join("out/broken.png").exists());
    assert!(ended.stderr.contains("failed: ") && ended.stderr.contains("broken.png"), "{}", ended.stderr);
    assert!(ended.stderr.contains("notes.txt"), "{}", ended.stderr);
    let lines = ended.json();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines.iter().filter(|line| line.get("error").is_some()).count(), 1);
    let leftovers = std::fs::read_dir(folder.join("out")).unwrap().count();
    assert_eq!(leftovers, 3, "no temporary files stay behind");
}

#[test]
fn what_exists_is_left_alone_on_request() {
    let Some((folder, model)) = tree() else { return };
    std::fs::remove_file(folder.join("in/broken.png")).unwrap();
    std::fs::create_dir_all(folder.join("out")).unwrap();
    std::fs::write(folder.join("out/a.png"), b"mine").unwrap();
    let ended = upscale(&folder, &model, &["--skip-existing"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(std::fs::read(folder.join("out/a.png")).unwrap(), b"mine");
    assert!(ended.stderr.contains("1 done, 1 skipped, 0 failed"), "{}", ended.stderr);
    assert!(!folder.join("out/unten").exists(), "folders below are not looked into unasked");
}

#[test]
fn an_output_beside_its_input_is_named_after_the_scale() {
    let Some((folder, model)) = tree() else { return };
    let input = text(&folder.join("in/a.png"));
    assert_eq!(esrgan(&["upscale", &input, "-m", &model]).code, 0);
    assert!(folder.join("in/a_x2.png").exists());
    assert_eq!(esrgan(&["upscale", &input, "-m", &model, "-s", "1.5", "--format", "webp"]).code, 0);
    assert!(folder.join("in/a_x1.5.webp").exists());
    assert_eq!(esrgan(&["upscale", &input, "-m", &model, "--width", "50"]).code, 0);
    let header =
        esrgan_upscale::probe(&folder.join("in/a_50w.png"), &esrgan_upscale::Limits::default()).unwrap();
    assert_eq!((header.width, header.height), (50, 50));
}

#[test]
fn faults_that_can_be_known_are_said_before_any_work() {
    let Some((folder, model)) = tree() else { return };
    let picture = text(&folder.join("in/a.png"));
    let twin = folder.join("in/a.bmp");
    std::fs::copy(folder.join("in/a.png"), &twin).unwrap();
    let beside = text(&folder.join("in/a_x2.png"));
    std::fs::copy(folder.join("in/a.png"), &beside).unwrap();
    let out = text(&folder.join("out"));
    for (arguments, words) in [
        (vec!["upscale", &picture, "-m", &model, "-o", &picture], "overwritten"),
        (
            vec!["upscale", &picture, &text(&twin), "-m", &model, "-o", &out, "--format", "png"],
            "both be written",
        ),
        (vec!["upscale", "absent.png", "-m", &model], "absent.png"),
        (vec!["upscale", &picture, "-m", &model, "-s", "0"], "above zero"),
        (vec!["upscale", &picture, "-m", &model, "--device", "vulkan"], "no GPU support"),
        (vec!["upscale", &picture, "-m", &model, "-o", "x.gif"], "not written"),
    ] {
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn limits_and_lack_of_memory_are_clear_errors() {
    let Some((folder, model)) = tree() else { return };
    let picture = text(&folder.join("in/a.png"));
    let output = folder.join("o.png");
    for (extra, words) in [
        (vec!["--max-pixels", "100"], "--max-pixels"),
        (vec!["--max-side", "31"], "--max-side"),
        (vec!["--memory", "1M", "--tile", "off"], "--memory"),
        (vec!["--tile", "5"], "tile"),
        (vec!["--width", "1100015201", "--height", "1117969040"], "--memory"),
    ] {
        let mut arguments = vec!["upscale", &picture, "-m", &model, "-o", output.to_str().unwrap()];
        arguments.extend(extra);
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 1, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
        assert!(!output.exists());
    }
}

/// Where nothing can be written, nothing is computed.
#[test]
#[cfg(target_os = "linux")]
fn an_unwritable_output_is_said_before_the_work() {
    let Some((folder, model)) = tree() else { return };
    let picture = text(&folder.join("in/a.png"));
    let ended = esrgan(&["upscale", &picture, "-m", &model, "-o", "/proc/esrgan.png", "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(ended.json()[0]["kind"], "io", "{}", ended.stdout);
    assert!(ended.stderr.contains("/proc/esrgan.png") && !ended.stderr.contains("exact"), "{}", ended.stderr);
}

/// With less memory than the whole picture needs, tiles are made and said, and the result is nearly the same.
#[test]
fn tiles_are_announced() {
    let Some((folder, model)) = tree() else { return };
    let Some(picture) = shared_data("eval/Set14/HR/img_001.png") else { return };
    let output = text(&folder.join("o.png"));
    let ended = esrgan(&["upscale", &text(&picture), "-m", &model, "-o", &output, "--tile", "128", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json()[0]["mode"], "tiled");
    assert!(ended.stderr.contains("deviated from the exact result"), "{}", ended.stderr);
}

/// A model whose file fits x2 and x3 alike runs as x2, unless x3 is asked for; either way it says so.
#[test]
fn an_ambiguous_scale_is_corrected_by_asking_for_it() {
    let Some(model) = shared_data("checkpoints/old_x3_needs_scale.pth") else { return };
    let Some((folder, _)) = tree() else { return };
    let picture = text(&folder.join("in/a.png"));
    for (extra, side, words) in [
        (vec![], 64, "x3"),
        (vec!["-s", "3"], 96, "--model-scale 2"),
        (vec!["-s", "3", "--model-scale", "2"], 96, ""),
        (vec!["--model-scale", "3"], 96, ""),
    ] {
        let output = text(&folder.join("o.png"));
        let mut arguments = vec!["upscale", &picture, "-m", model.to_str().unwrap(), "-o", &output, "--json"];
        arguments.extend(&extra);
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 0, "{extra:?}: {}", ended.stderr);
        assert_eq!(ended.json()[0]["width"], side, "{extra:?}");
        assert!(ended.stderr.contains(words), "{extra:?}: {}", ended.stderr);
    }
}

/// Outputs below the input folder are not enlarged again by the next run, and gray stays gray through an RGBA model.
#[test]
fn outputs_are_no_inputs_and_gray_stays_gray() {
    let (Some((folder, _)), Some(model), Some(gray)) =
        (tree(), shared_data("checkpoints/old_x4_rgba.pth"), shared_data("hostile/pngsuite/basn4a08.png"))
    else {
        return;
    };
    let input = folder.join("gray");
    std::fs::create_dir_all(input.join("out")).unwrap();
    std::fs::copy(gray, input.join("g.png")).unwrap();
    for _ in 0..2 {
        let output = text(&input.join("out"));
        let ended =
            esrgan(&["upscale", &text(&input), "-m", &text(&model), "-o", &output, "--recursive", "--json"]);
        assert_eq!((ended.code, ended.json().len()), (0, 1), "{}", ended.stderr);
    }
    let limits = esrgan_upscale::Limits::default();
    let header = esrgan_upscale::probe(&input.join("out/g.png"), &limits).unwrap();
    assert!(header.is_gray && header.has_alpha, "{header:?}");
}

/// A reader that goes away does not stop the pictures from being made, nor make the program panic.
#[test]
fn a_full_stdout_is_an_error_or_ignored_but_never_a_panic() {
    let Some((folder, model)) = tree() else { return };
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let picture = text(&folder.join("in/a.png"));
    for (arguments, code) in
        [(vec!["inspect", &model, "--json"], 2), (vec!["upscale", &picture, "-m", &model, "--json"], 0)]
    {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_esrgan"))
            .args(&arguments)
            .stdout(full.try_clone().unwrap())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
    assert!(folder.join("in/a_x2.png").exists());
}
