//! What tests of `train` and `check` share: recipes of very small networks, and what a run leaves behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use esrgan_testkit::shared_data;

use crate::run::{Folder, text};

/// A recipe of a very small network.
pub fn psnr_recipe(hr: &Path, steps: u64) -> String {
    format!(
        r#"
stage = "psnr"
scale = 4
seed = 5
steps = {steps}
threads = 2
[generator]
features = 8
blocks = 1
growth = 4
[data]
hr = ["{}"]
degradation = "bicubic"
crop_px = 32
batch = 2
flips = true
rotations = true
cache = "64MiB"
[losses.pixel]
kind = "l1"
weight = 1.0
[optimizer.generator]
kind = "adam"
learning_rate = 1e-3
betas = [0.9, 0.99]
epsilon = 1e-8
weight_decay = 0.0
[schedule]
kind = "cosine-restart"
periods = [{steps}]
restart_weights = [1.0]
minimum = 1e-7
warm_up_steps = 3
[average]
decay = 0.9
[checkpoints]
every = 2
keep = 2
log_every = 1
"#,
        hr.display()
    )
}

/// A validation every four steps, by which the best checkpoint is known.
pub fn validation(hr: &Path, lr: &Path, best_by: &str) -> String {
    format!(
        r#"best_by = "{best_by}"
[validation]
hr = "{}"
lr = "{}"
every = 4
border_px = 4
metrics = ["psnr-y", "ssim-y"]
"#,
        hr.display(),
        lr.display()
    )
}

/// All files of the newest checkpoint, the model and the log, by their names.
fn ending(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut steps: Vec<_> = std::fs::read_dir(folder.join("checkpoints"))
        .expect("a folder of checkpoints")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    steps.sort();
    for entry in std::fs::read_dir(steps.last().expect("a checkpoint")).expect("its files") {
        let path = entry.expect("an entry").path();
        files.insert(
            text(path.file_name().map(Path::new).expect("a name")),
            std::fs::read(&path).expect("a file"),
        );
    }
    for name in ["model.safetensors", "log.jsonl", "best.safetensors", "checkpoints/best.json"] {
        files.extend(std::fs::read(folder.join(name)).ok().map(|bytes| (name.to_owned(), bytes)));
    }
    for sheet in std::fs::read_dir(folder.join("validation")).into_iter().flatten() {
        let path = sheet.expect("an entry").path();
        files.insert(
            text(path.file_name().map(Path::new).expect("a name")),
            std::fs::read(&path).expect("a sheet"),
        );
    }
    files
}

/// The files of both folders' ends are the same. Returns them.
pub fn assert_same_endings(expected: &Path, found: &Path, how: &str) -> BTreeMap<String, Vec<u8>> {
    let (expected, found) = (ending(expected), ending(found));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{how}");
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{how}: {name} differs");
    }
    expected
}

/// A recipe of the second stage, with VGG16's first two layers.
pub fn gan_recipe(hr: &Path, steps: u64, vgg16: &Path) -> String {
    let sections = format!(
        r#"
[losses.perceptual]
network = "vgg16"
weights_file = "{}"
criterion = "l1"
weight = 0.01
layers = {{ conv1_2 = 1.0 }}
[losses.adversarial]
kind = "relativistic"
weight = 5e-3
[discriminator]
kind = "vgg"
features = 4
input_px = 128
[optimizer.discriminator]
kind = "adam"
learning_rate = 1e-4
betas = [0.9, 0.99]
epsilon = 1e-8
weight_decay = 0.0
"#,
        vgg16.display()
    );
    let first = psnr_recipe(hr, steps);
    first.replace("\"psnr\"", "\"gan\"").replace("crop_px = 32", "crop_px = 128") + &sections
}

/// Set5 in a folder of its own, where it can be broken: true pictures in `hr`, small ones in `lr`. None where there is no Set5.
pub fn own_set5(folder: &Folder) -> Option<PathBuf> {
    for (name, from) in [("hr", shared_data("eval/Set5/HR")?), ("lr", shared_data("eval/Set5/LR")?)] {
        std::fs::create_dir(folder.join(name)).expect("a new folder");
        for entry in std::fs::read_dir(from).expect("its pictures") {
            let path = entry.expect("an entry").path();
            let name = folder.join(name).join(path.file_name().expect("a name"));
            // Written anew: a copy would be as read-only as its original may be.
            std::fs::write(name, std::fs::read(path).expect("a picture")).expect("it can be written");
        }
    }
    Some(folder.join("hr"))
}

/// Cuts a file in half.
pub fn truncate(path: &Path) {
    let bytes = std::fs::read(path).expect("a file");
    std::fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written");
}
