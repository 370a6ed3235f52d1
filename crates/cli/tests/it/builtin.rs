//! The models that the program brings along.

use esrgan_testkit::{autocorrelations, shared_data};
use serde_json::Value;

use crate::run::{Folder, esrgan, python, text};

/// A flat picture of a level, as a Netpbm file.
fn flat(folder: &Folder, name: &str, level: u8) -> String {
    let mut bytes = b"P6\n24 20\n255\n".to_vec();
    bytes.extend(std::iter::repeat_n(level, 24 * 20 * 3));
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the folder takes a file");
    text(&path)
}

/// Enlarges, and returns the output's samples and the report.
fn enlarged(folder: &Folder, picture: &str, arguments: &[&str]) -> (Vec<u8>, Value) {
    let output = text(&folder.join("out.ppm"));
    let mut all = vec!["upscale", picture, "-o", &output, "--json"];
    all.extend(arguments);
    let ended = esrgan(&all);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    let bytes = std::fs::read(&output).expect("a picture was written");
    let header = b"P6\n96 80\n255\n";
    assert!(bytes.starts_with(header));
    (bytes[header.len()..].to_vec(), ended.json().remove(0))
}

#[test]
fn without_a_model_the_built_in_one_enlarges() {
    let folder = Folder::new();
    let picture = flat(&folder, "flat.ppm", 90);
    let (default, report) = enlarged(&folder, &picture, &[]);
    let strength = report["model"].as_str().unwrap().strip_prefix("photo-x4 at strength ").expect("its name");
    for command in ["upscale", "eval", "bench", "convert"] {
        let help = esrgan(&[command, "--help"]).stdout;
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("(most texture) [default: {strength}]")), "{command}: {help}");
    }
    let same = |arguments: &[&str]| enlarged(&folder, &picture, arguments).0;
    assert!(same(&["-m", "photo-x4"]) == default);
    assert!(same(&["--strength", "0"]) == same(&["-m", "photo-x4-psnr"]));
    assert!(same(&["--strength", "1"]) == same(&["-m", "photo-x4-gan"]));
}

#[test]
fn flat_pictures_stay_flat() {
    let folder = Folder::new();
    for level in [0, 64, 90, 128, 200, 255] {
        let picture = flat(&folder, "flat.ppm", level);
        for arguments in [&[][..], &["--strength", "0"], &["--strength", "0.5"], &["--strength", "1"]] {
            let (samples, _) = enlarged(&folder, &picture, arguments);
            let furthest = samples.iter().map(|sample| sample.abs_diff(level)).max();
            assert!(furthest <= Some(1), "level {level}, {arguments:?}: {furthest:?} away");
        }
    }
}

#[test]
fn built_in_models_are_listed_described_and_exported() {
    let folder = Folder::new();
    let listed = esrgan(&["models", "--json"]);
    let names: Vec<Value> = listed.json().iter().map(|model| model["file"].clone()).collect();
    assert_eq!((listed.code, names.len()), (0, 3), "{}", listed.stderr);
    assert!(listed.json().iter().all(|model| model["built_in"] == true && model["scale"] == 4));
    assert!(esrgan(&["models"]).stdout.contains("photo-x4-psnr  rrdb x4"));
    assert_eq!(esrgan(&["inspect", "photo-x4-gan", "--json"]).json()[0]["dtype"], "f16");
    let picture = flat(&folder, "flat.ppm", 40);
    let timed = esrgan(&["bench", "--input", &picture, "--repeat", "1", "--json"]);
    assert_eq!(timed.code, 0, "{}", timed.stderr);
    let expected = enlarged(&folder, &picture, &["--strength", "0.25"]).0;
    // Every file but those of the older layouts says itself that its edge is repeated.
    for (name, layout, elsewhere, here) in [
        ("mine.safetensors", &[][..], true, false),
        ("mine.pth", &[], true, false),
        ("mine.onnx", &[], false, false),
        ("mine.param", &[], false, false),
        ("old.pth", &["--layout", "old"], true, true),
    ] {
        let exported = text(&folder.join(name));
        let arguments = ["convert", "photo-x4", &exported, "--strength", "0.25", "--dtype", "f32"];
        let ended = esrgan(&[&arguments, layout].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("unless they get the network as `.onnx`"), elsewhere, "{name}");
        assert_eq!(ended.stderr.contains("enlarge with `--edge replicate`"), here, "{name}");
        let edge: &[&str] = if here { &["--edge", "replicate"] } else { &[] };
        assert!(enlarged(&folder, &picture, &[&["-m", &exported], edge].concat()).0 == expected, "{name}");
        let edge = if here { "zero" } else { "replicate" };
        assert_eq!(esrgan(&["inspect", &exported, "--json"]).json()[0]["edge"], edge, "{name}");
    }
    let exported = text(&folder.join("mine.safetensors"));
    assert!(esrgan(&["inspect", &exported]).stdout.contains("edge        repeated"));
}

/// ONNX Runtime and ncnn make the same picture of what `convert` writes for them, up to its edge.
#[test]
fn other_engines_repeat_the_edge_as_well() {
    let folder = Folder::new();
    let picture = text(&folder.join("picture.ppm"));
    let samples = (0..24 * 20 * 3).map(|index| (index * 7919 % 251) as u8);
    std::fs::write(&picture, b"P6\n24 20\n255\n".iter().copied().chain(samples).collect::<Vec<_>>()).unwrap();
    enlarged(&folder, &picture, &["--precision", "f32"]);
    let models = ["photo.onnx", "photo.param"].map(|name| text(&folder.join(name)));
    for model in &models {
        assert_eq!(esrgan(&["convert", "photo-x4", model]).code, 0);
    }
    let [onnx, ncnn] = models;
    let arguments = [picture, text(&folder.join("out.ppm")), onnx, ncnn];
    let Some(said) = python("run_elsewhere.py", &arguments) else { return };
    let differences: Vec<u8> = said.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(matches!(differences[..], [0..=1, 0..=1]), "levels of difference: {differences:?}");
}

#[test]
fn strengths_and_names_that_mean_nothing_are_refused() {
    let folder = Folder::new();
    let picture = flat(&folder, "flat.ppm", 90);
    for (arguments, words) in [
        (&["--strength", "1.5"][..], "from 0 to 1"),
        (&["-m", "photo-x4-gan", "--strength", "0.5"], "takes no strength"),
        (&["-m", "absent.pth", "--strength", "0.5"], "takes no strength"),
        (&["-m", "photo-x8"], "photo-x4-psnr"),
        (&["--model-scale", "2"], "x4"),
    ] {
        let output = folder.join("refused.ppm");
        let mut all = vec!["upscale".to_owned(), picture.clone(), "-o".to_owned(), text(&output)];
        all.extend(arguments.iter().map(ToString::to_string));
        let ended = esrgan(&all);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
        assert!(!output.exists());
    }
}

/// The mean of metrics over a set of the evaluation data.
fn measured(set: &str, arguments: &[&str]) -> Option<Value> {
    let (folder, weights) = (shared_data("eval")?.join(set), shared_data("weights")?);
    let [hr, lr] = ["HR", "LR"].map(|size| text(&folder.join(size)));
    let [backbone, heads] =
        ["vgg16_features.safetensors", "lpips_vgg_v0.1.safetensors"].map(|name| text(&weights.join(name)));
    let mut all =
        vec!["eval", "--hr", &hr, "--lr", &lr, "--lpips-backbone", &backbone, "--lpips-heads", &heads];
    all.extend(["--metrics", "psnr-y,lpips-vgg", "--json"]);
    all.extend(arguments);
    let ended = esrgan(&all);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    Some(ended.json().pop()?["mean"].clone())
}

/// Figures that `docs/models.md` shows, with some room below: another instruction set gives other last bits.
#[test]
fn the_models_are_as_good_as_their_card_says() {
    let figure = |mean: &Value, metric: &str| mean[metric].as_f64().unwrap();
    let Some(faithful) = measured("Set14", &["-m", "photo-x4-psnr"]) else { return };
    let textured = measured("Set14", &["-m", "photo-x4", "--strength", "1"]).unwrap();
    assert!(figure(&faithful, "psnr-y") >= 28.1, "{faithful}");
    assert!(figure(&textured, "lpips-vgg") < 0.88 * figure(&faithful, "lpips-vgg"), "{faithful} {textured}");
    // Means of networks whose weights lie far apart are worse than both.
    let between = measured("Set14", &["-m", "photo-x4"]).unwrap();
    assert!(figure(&between, "lpips-vgg") < 0.9 * figure(&faithful, "lpips-vgg"), "{faithful} {between}");
    assert!(figure(&between, "psnr-y") > figure(&textured, "psnr-y") + 0.3, "{textured} {between}");
    for (model, least) in [("photo-x4-psnr", 31.3), ("photo-x4-gan", 29.8)] {
        let mean = measured("Set5", &["-m", model]).unwrap();
        assert!(figure(&mean, "psnr-y") >= least, "{model}: {mean}");
    }
}

/// Samples of one channel of a binary Netpbm picture with three: width, height, values.
fn greens(path: &std::path::Path) -> (usize, usize, Vec<i32>) {
    let bytes = std::fs::read(path).expect("a picture was written");
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n').skip(1);
    let mut next = || lines.next().expect("a header of three lines and samples");
    let size = std::str::from_utf8(next()).expect("a size in ASCII");
    let (width, height) = size.split_once(' ').expect("a width and a height");
    let _most = next();
    let greens = next().chunks_exact(3).map(|pixel| i32::from(pixel[1])).collect();
    let number = |digits: &str| digits.parse().expect("a number of pixels");
    (number(width), number(height), greens)
}

/// How unlike each other the four columns and the four rows are that come of one pixel: the mean second difference across each,
/// the largest divided by the smallest. Photographs have 1.0 to 1.1, a checkerboard far more.
fn grid((width, height, samples): &(usize, usize, Vec<i32>)) -> f64 {
    let along = |count: usize, lines: usize, at: &dyn Fn(usize, usize) -> i32| {
        let mut sums = [0.0f64; 4];
        for line in 0..lines {
            for place in 8..count - 8 {
                let bend = at(place - 1, line) - 2 * at(place, line) + at(place + 1, line);
                sums[place % 4] += f64::from(bend.abs());
            }
        }
        sums.iter().copied().fold(0.0, f64::max) / sums.iter().copied().fold(f64::INFINITY, f64::min)
    };
    let columns = along(*width, *height, &|x, y| samples[y * width + x]);
    let rows = along(*height, *width, &|y, x| samples[y * width + x]);
    f64::midpoint(columns, rows)
}

/// How much more alike a picture's details are to themselves, shifted, than the truth's, in the direction and at the shift where
/// that is most: what is seen as a weave. It is 0.06 for the faithful model, and 0.1 where an eye begins to see one.
fn weave(picture: &(usize, usize, Vec<i32>), truth: &(usize, usize, Vec<i32>)) -> f64 {
    let alike = |(width, height, samples): &(usize, usize, Vec<i32>)| {
        let values: Vec<f64> = samples.iter().copied().map(f64::from).collect();
        autocorrelations(&values, [*height, *width], 3..=12, 0.0)
    };
    let pairs = alike(picture).into_iter().zip(alike(truth));
    pairs.map(|(found, true_one)| found - true_one).fold(f64::NEG_INFINITY, f64::max)
}

/// Neither a pattern as wide as the scale nor one of another width.
#[test]
fn no_checkerboard_and_no_weave_show() {
    let Some(data) = shared_data("eval") else { return };
    let folder = Folder::new();
    let names = ["img_001", "img_010", "img_014"];
    let truths = names.map(|name| {
        let picture = text(&data.join("Set14/HR").join(name).with_extension("png"));
        let output = folder.join(&format!("{name}-true.ppm"));
        let ended = esrgan(&["downscale", &picture, "-o", &text(&output), "--scale", "1"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        greens(&output)
    });
    for arguments in [&["--strength", "0"][..], &[], &["--strength", "1"]] {
        let pictures = names.map(|name| {
            let picture = text(&data.join("Set14/LR").join(name).with_extension("png"));
            let output = folder.join(&format!("{name}.ppm"));
            let ended = esrgan(&[&["upscale", &picture, "-o", &text(&output)], arguments].concat());
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            greens(&output)
        });
        let grids = pictures.each_ref().map(grid);
        assert!(grids.iter().sum::<f64>() / 3.0 < 1.3, "{arguments:?}: {grids:?}");
        let weaves: Vec<f64> =
            pictures.iter().zip(&truths).map(|(picture, truth)| weave(picture, truth)).collect();
        assert!(weaves.iter().sum::<f64>() / 3.0 < 0.08, "{arguments:?}: {weaves:?}");
    }
}
