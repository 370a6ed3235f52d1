//! `esrgan train`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use esrgan_testkit::shared_data;
use esrgan_train::Isa;

use crate::run::{Folder, command, ended, esrgan, text};
use crate::training::{assert_same_endings, gan_recipe, psnr_recipe, validation};

/// Runs until the line of a step is seen, and kills.
fn run_and_kill(recipe: &Path, output: &Path, step: u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_esrgan"))
        .args(["train", &text(recipe), "-o", &text(output)])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let beginning = format!("{step}/");
    let mut seen = Vec::new();
    let is_seen = lines.map_while(Result::ok).any(|line| {
        seen.push(line.clone());
        line.starts_with(&beginning)
    });
    child.kill().expect("a process to kill");
    child.wait().expect("it ends");
    assert!(is_seen, "step {step} was not reached: {seen:?}");
}

/// Trains twice, in `undisturbed` and in `killed`, where the run is killed at these steps: all files are the same in the end. Returns
/// them.
fn assert_kills_change_nothing(
    folder: &Folder,
    recipe: &Path,
    steps: impl IntoIterator<Item = u64>,
) -> BTreeMap<String, Vec<u8>> {
    let (undisturbed, killed) = (folder.join("undisturbed"), folder.join("killed"));
    let train = |output: &Path| {
        let ended = esrgan(&["train", &text(recipe), "-o", &text(output)]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    };
    train(&undisturbed);
    steps.into_iter().for_each(|step| run_and_kill(recipe, &killed, step));
    train(&killed);
    assert_same_endings(&undisturbed, &killed, "killed")
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bytes() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    let lr = shared_data("eval/Set5/LR").expect("the same data");
    std::fs::write(&recipe, psnr_recipe(&hr, 46) + &validation(&hr, &lr, "psnr-y")).unwrap();
    // Between checkpoints, and while a validation goes on.
    let expected =
        assert_kills_change_nothing(&folder, &recipe, (1..46).filter(|step| step % 2 == 1 || step % 4 == 0));
    for name in ["best.safetensors", "checkpoints/best.json", "step-00000004.png", "step-00000046.png"] {
        assert!(expected.contains_key(name), "{name}: {:?}", expected.keys());
    }
    assert!(folder.join("killed/curves.svg").exists());
    let log = String::from_utf8(expected["log.jsonl"].clone()).unwrap();
    assert!(log.contains("\"psnr_y_bicubic\":28.43"), "bicubic's figure of Set5: {log}");

    // The model is one that upscales.
    let small = shared_data("eval/Set5/LR/img_001.png").expect("the same data");
    let output = folder.join("x.png");
    let ended = esrgan(&[
        "upscale",
        &text(&small),
        "-m",
        &text(&folder.join("killed/model.safetensors")),
        "-o",
        &text(&output),
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn the_second_stage_starts_from_the_first_and_goes_on_after_a_kill() {
    let (Some(hr), Some(vgg)) =
        (shared_data("eval/Set5/HR"), shared_data("weights/vgg16_features.safetensors"))
    else {
        return;
    };
    let folder = Folder::new();
    let first = folder.join("first.toml");
    std::fs::write(&first, psnr_recipe(&hr, 4)).unwrap();
    let ended = esrgan(&["train", &text(&first), "-o", &text(&folder.join("first"))]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let recipe = folder.join("second.toml");
    let start = text(&folder.join("first/model.safetensors"));
    let gan = gan_recipe(&hr, 6, &vgg).replace("growth = 4\n", &format!("growth = 4\nstart = \"{start}\"\n"));
    std::fs::write(&recipe, gan).unwrap();
    let expected = assert_kills_change_nothing(&folder, &recipe, [1, 3, 5]);
    let log = String::from_utf8(expected["log.jsonl"].clone()).unwrap();
    for name in [
        "loss_pixel",
        "loss_perceptual",
        "loss_adversarial",
        "loss_d_real",
        "loss_d_fake",
        "norm_g",
        "norm_d",
    ] {
        assert!(log.contains(&format!("\"{name}\":")), "{name}: {log}");
    }
}

/// `generator.widen`: the wider network begins where the narrower one ended, with its results.
#[test]
fn a_wider_network_goes_on_from_a_narrower() {
    let (Some(hr), Some(lr)) = (shared_data("eval/Set5/HR"), shared_data("eval/Set5/LR")) else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, psnr_recipe(&hr, 40)).unwrap();
    let narrow = text(&folder.join("narrow"));
    let ended = esrgan(&["train", &text(&recipe), "-o", &narrow]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let narrow = format!("{narrow}/model.safetensors");
    let start = format!("generator.start={narrow}");
    let wide = text(&folder.join("wide"));
    // One step at a rate of nothing.
    let arguments = ["train", &text(&recipe), "-o", &wide, "--set", &start, "--set", "generator.growth=6"];
    let still = "steps=1 optimizer.generator.learning_rate=1e-30 schedule.minimum=0";
    let still: Vec<_> = still.split(' ').flat_map(|pair| ["--set", pair]).collect();
    let ended = esrgan(&[&arguments[..], &still].concat());
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("expected [6, 8, 3, 3], found [4, 8, 3, 3]"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: `generator.widen = true`"), "{}", ended.stderr);

    let widened = ["--set", "generator.features=13", "--set", "generator.widen=true"];
    let ended = esrgan(&[&arguments[..], &still, &widened].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let measured = |model: &str| {
        let set = ["--hr", &text(&hr), "--lr", &text(&lr), "--metrics", "psnr-rgb", "--json"];
        let ended = esrgan(&[&["eval", "-m", model][..], &set].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.json().pop().expect("the means")["mean"]["psnr-rgb"].as_f64().expect("a number")
    };
    let (narrower, wider) = (measured(&narrow), measured(&format!("{wide}/model.safetensors")));
    assert!((narrower - wider).abs() < 1e-3, "{narrower} and {wider} dB");

    // And not the other way round.
    let backwards = ["train", &text(&recipe), "-o", &text(&folder.join("back")), "--set"];
    let start = format!("generator.start={wide}/model.safetensors");
    let ended = esrgan(&[&backwards[..], &[&start, "--set", "generator.widen=true"]].concat());
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let expected =
        "expected x4, at most 8 features, 4 growth channels, 1 blocks (rrdb); found x4, 13 features";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

/// `generator.edge`: what is validated sees the edge as it was trained, and so does whatever reads the model's file.
#[test]
fn a_network_learns_with_its_edge_repeated() {
    let (Some(hr), Some(lr)) = (shared_data("eval/Set5/HR"), shared_data("eval/Set5/LR")) else { return };
    let folder = Folder::new();
    let (recipe, output) = (folder.join("recipe.toml"), folder.join("run"));
    std::fs::write(&recipe, psnr_recipe(&hr, 4) + &validation(&hr, &lr, "psnr-y")).unwrap();
    let ended = esrgan(&["train", &text(&recipe), "-o", &text(&output), "--set", "generator.edge=replicate"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let log = std::fs::read_to_string(output.join("log.jsonl")).unwrap();
    let measured = |edge: &[&str]| {
        let (model, hr, lr) = (text(&output.join("model.safetensors")), text(&hr), text(&lr));
        let what = ["eval", "-m", &model, "--hr", &hr, "--lr", &lr, "--metrics", "psnr-y", "--json"];
        let ended = esrgan(&[&what[..], &["--precision", "f32", "--device", "cpu"], edge].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.json().pop().expect("the means")["mean"]["psnr-y"].to_string()
    };
    let is_logged = |figure: String| log.contains(&format!("\"psnr_y\":{figure},"));
    assert!(is_logged(measured(&["--edge", "replicate"])), "{log}");
    assert!(is_logged(measured(&[])), "the file says it: {log}");
    assert!(!is_logged(measured(&["--edge", "zero"])), "{log}");
}

/// Real-ESRGAN's second stage: sharpened crops, its degradation, the U-Net discriminator and the vanilla loss.
#[test]
fn real_esrgans_stage_goes_on_after_a_kill() {
    let (Some(hr), Some(vgg)) =
        (shared_data("eval/Set5/HR"), shared_data("weights/vgg16_features.safetensors"))
    else {
        return;
    };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    let text_of = gan_recipe(&hr, 4, &vgg)
        .replace("kind = \"vgg\"", "kind = \"unet\"")
        .replace("input_px = 128\n", "")
        .replace("crop_px = 128", "crop_px = 32\nsharpen = true")
        .replace("\"bicubic\"", "\"real-esrgan\"")
        .replace("\"relativistic\"", "\"vanilla\"");
    std::fs::write(&recipe, text_of).unwrap();
    assert_kills_change_nothing(&folder, &recipe, [1, 3]);

    // Its discriminator is one to start from.
    let start = folder.join("undisturbed/checkpoints/step-0000000004/discriminator.safetensors");
    let start = format!("discriminator.start={}", text(&start));
    let output = text(&folder.join("again"));
    let ended = esrgan(&["train", &text(&recipe), "-o", &output, "--set", &start, "--set", "steps=1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Heads over the perceptual loss's layers and over the crops as the discriminator, and the losses of patterns.
#[test]
fn a_stage_against_heads_over_features_goes_on_after_a_kill() {
    let (Some(hr), Some(vgg)) =
        (shared_data("eval/Set5/HR"), shared_data("weights/vgg16_features.safetensors"))
    else {
        return;
    };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    let text_of = gan_recipe(&hr, 4, &vgg)
        .replace("kind = \"vgg\"", "kind = \"projected\"\npatch_features = 4")
        .replace("input_px = 128\n", "")
        .replace("crop_px = 128", "crop_px = 48")
        + "\n[losses.checkerboard]\nweight = 0.2\n\n[losses.autocorrelation]\nweight = 1\n";
    std::fs::write(&recipe, text_of).unwrap();
    let expected = assert_kills_change_nothing(&folder, &recipe, [1, 3]);
    let log = String::from_utf8(expected["log.jsonl"].clone()).unwrap();
    for figure in ["loss_checkerboard", "loss_autocorrelation", "logit_fake"] {
        assert!(log.contains(&format!("\"{figure}\":")), "{log}");
    }

    // Its discriminator is one to start from, for the same layers alone.
    let start = folder.join("undisturbed/checkpoints/step-0000000004/discriminator.safetensors");
    let start = format!("discriminator.start={}", text(&start));
    let again = |name: &str, layers: &str| {
        let output = text(&folder.join(name));
        let arguments = ["train", &text(&recipe), "-o", &output, "--set", &start, "--set", "steps=1"];
        esrgan(&[&arguments[..], &["--set", layers]].concat())
    };
    let ended = again("again", "steps=1");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = again("others", "losses.perceptual.layers={relu3_3=1}");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("relu3_3.conv0.weight"), "{}", ended.stderr);
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, psnr_recipe(&hr, 4)).unwrap();
    let output = text(&folder.join("out"));
    let refused = |settings: &[&str], expected: &str| {
        let mut arguments = vec!["train".to_owned(), text(&recipe), "-o".to_owned(), output.clone()];
        settings.iter().for_each(|setting| arguments.extend(["--set".to_owned(), (*setting).to_owned()]));
        let ended = esrgan(&arguments);
        assert_eq!(ended.code, 2, "{settings:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{settings:?}: {}", ended.stderr);
    };
    refused(&["data.bacth=3"], "data.batch");
    refused(&["data.crop_px=30"], "data.crop_px");
    refused(&["data.crop_px=1024"], "1024");
    refused(&["data.hr=[\"/nowhere\"]"], "/nowhere");
    refused(&["generator.start=\"/nowhere.pth\""], "/nowhere.pth");
    refused(&["validation={hr=\"/nowhere\"}"], "/nowhere");
    refused(&["validation={hr=\"x\",metrics=[\"psnr\"]}"], "psnr-y");

    let ended = esrgan(&["train", &text(&recipe), "-o", &output]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    refused(&["optimizer.generator.learning_rate=0.5"], "optimizer.generator.learning_rate");
    let again = esrgan(&["train", &text(&recipe), "-o", &output, "--resume", "none"]);
    assert_eq!(again.code, 2, "{}", again.stderr);
}

/// bf16 is computed where a processor is fast in it, and in plain Rust where that is asked for.
#[test]
fn bf16_is_computed_or_its_replacement_named() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, psnr_recipe(&hr, 3)).unwrap();
    let train = |name: &str, isa: &str, precision: &str| {
        let output = text(&folder.join(name));
        let precision = format!("precision={precision}");
        let mut command = command(&["train", &text(&recipe), "-o", &output, "--set", &precision]);
        let output = command.env("ESRGAN_ISA", isa).output().unwrap();
        (ended(&output).unwrap(), std::fs::read(folder.join(name).join("model.safetensors")).ok())
    };
    let (plain, of_f32) = train("f32", "portable", "f32");
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    let (shown, of_bf16) = train("bf16", "portable", "bf16");
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stderr.contains("no instructions for bf16"), "{}", shown.stderr);
    assert!(of_f32.is_some() && of_bf16.is_some() && of_f32 != of_bf16);

    if Isa::Avx2.is_available() {
        let (replaced, found) = train("avx2", "avx2", "bf16");
        assert_eq!(replaced.code, 0, "{}", replaced.stderr);
        assert!(replaced.stderr.contains("no instructions for bf16"), "{}", replaced.stderr);
        let (_, expected) = train("avx2-f32", "avx2", "f32");
        assert!(found.is_some() && found == expected);
    }
    let (refused, _) = train("refused", "vliw", "f32");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("ESRGAN_ISA") && refused.stderr.contains("vliw"), "{}", refused.stderr);
}

/// Two batches of two, averaged, are one of four: of the same samples.
#[test]
fn accumulated_batches_are_a_larger_one() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, psnr_recipe(&hr, 3)).unwrap();
    let figures = |batch: usize, accumulation: usize| -> Vec<[f64; 2]> {
        let output = folder.join(&format!("{batch}x{accumulation}"));
        let settings = [format!("data.batch={batch}"), format!("data.accumulation={accumulation}")];
        let ended = esrgan(&[
            "train",
            &text(&recipe),
            "-o",
            &text(&output),
            "--set",
            &settings[0],
            "--set",
            &settings[1],
        ]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let log = std::fs::read_to_string(output.join("log.jsonl")).unwrap();
        let records = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        records.map(|record| ["loss_pixel", "norm_g"].map(|name| record[name].as_f64().unwrap())).collect()
    };
    let (whole, parts, others) = (figures(4, 1), figures(2, 2), figures(2, 1));
    assert_eq!((whole.len(), parts.len()), (3, 3));
    for (whole, part) in whole.iter().flatten().zip(parts.iter().flatten()) {
        assert!((whole - part).abs() < 1e-4 * whole, "{whole} and {part}");
    }
    assert!((whole[0][0] - others[0][0]).abs() > 1e-4 * whole[0][0], "half of the samples are others");
}
