//! `esrgan train` where something goes wrong: what is said, how it ends, and that the run goes on to the same bytes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use esrgan_testkit::shared_data;

use crate::run::{Ended, Folder, command, ended, esrgan, text};
use crate::training::{assert_same_endings, gan_recipe, own_set5, psnr_recipe, truncate};

/// Every point of a save at which `ESRGAN_FAIL_SAVE` can end the process.
const POINTS: [&str; 6] =
    ["before-write", "mid-write", "before-sync", "before-rename", "after-rename", "while-pruning"];
/// More passages of a point than the saves of a short run have.
const MANY_PASSAGES: u64 = 100;

/// A recipe in a folder, with its arguments.
struct Training {
    folder: Folder,
    settings: Vec<String>,
}

impl Training {
    fn new(folder: Folder, recipe: &str, settings: &[&str]) -> Self {
        std::fs::write(folder.join("recipe.toml"), recipe).unwrap();
        let settings = settings.iter().flat_map(|setting| ["--set", setting]).map(str::to_owned).collect();
        Self { folder, settings }
    }

    fn command(&self, output: &Path) -> Command {
        let arguments = ["train".to_owned(), text(&self.folder.join("recipe.toml"))];
        let output = ["-o".to_owned(), text(output)];
        command(&[&arguments[..], &output, &self.settings].concat())
    }

    fn run(&self, output: &Path) -> Ended {
        ended(&self.command(output).output().unwrap()).expect("ended by itself")
    }

    /// A run that nothing disturbs.
    fn undisturbed(&self) -> PathBuf {
        let output = self.folder.join("undisturbed");
        let ended = self.run(&output);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        output
    }

    /// Goes on with a run that was disturbed: it ends as the other one did, and with nothing left over.
    fn finish_as(&self, undisturbed: &Path, disturbed: &Path, how: &str) {
        let ended = self.run(disturbed);
        assert_eq!(ended.code, 0, "{how}: {}", ended.stderr);
        assert_same_endings(undisturbed, disturbed, how);
        let leftovers: Vec<_> = names(disturbed)
            .into_iter()
            .filter(|name| name.contains("tmp") || name.contains("old"))
            .collect();
        assert!(leftovers.is_empty(), "{how}: {leftovers:?}");
    }
}

/// What lies in a run's folder of checkpoints.
fn names(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn checkpoints(run: &Path) -> usize {
    names(run).iter().filter(|name| name.starts_with("step-")).count()
}

#[test]
fn a_damaged_picture_stops_the_run_where_it_is_met() {
    let folder = Folder::new();
    let Some(hr) = own_set5(&folder) else { return };
    // Five pictures, five steps, a crop in each: every picture is met once.
    let settings = ["data.batch=1", "checkpoints.every=1", "checkpoints.keep=5"];
    let training = Training::new(folder, &psnr_recipe(&hr, 5), &settings);
    let undisturbed = training.undisturbed();
    let mut met_behind = Vec::new();
    for number in 1..=5 {
        let name = format!("img_00{number}.png");
        let path = hr.join(&name);
        let sound = std::fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= u8::MAX;
        std::fs::write(&path, damaged).unwrap();
        let output = training.folder.join(&name);
        let ended = training.run(&output);
        assert_eq!(ended.code, 1, "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{name}` is a damaged png")), "{}", ended.stderr);
        met_behind.push(checkpoints(&output));
        std::fs::write(&path, sound).unwrap();
        training.finish_as(&undisturbed, &output, &name);
    }
    met_behind.sort_unstable();
    assert_eq!(met_behind, [0, 1, 2, 3, 4], "checkpoints before each picture was met");
}

#[test]
fn broken_data_are_refused_by_name() {
    let refused = |break_it: &dyn Fn(&Folder), settings: &[&str], expected: &[&str]| {
        let folder = Folder::new();
        let Some(hr) = own_set5(&folder) else { return };
        break_it(&folder);
        let lr = format!("data.lr=\"{}\"", text(&folder.join("lr")));
        let settings = [&["data.degradation=", &lr], settings].concat();
        let training = Training::new(folder, &psnr_recipe(&hr, 2), &settings);
        let ended = training.run(&training.folder.join("out"));
        assert_eq!(ended.code, 2, "{expected:?}: {}", ended.stderr);
        for words in expected {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
    };
    let copy = |folder: &Folder, from: &str, to: &str| {
        std::fs::write(folder.join(to), std::fs::read(folder.join(from)).unwrap()).unwrap();
    };
    refused(&|folder| truncate(&folder.join("hr/img_003.png")), &[], &["img_003.png` is a truncated png"]);
    refused(&|_| (), &["data.crop_px=256"], &["img_005.png`: 228x344", "crops of 256x256"]);
    refused(
        &|folder| copy(folder, "lr/img_001.png", "lr/img_002.png"),
        &[],
        &["lr/img_002.png`: 128x128 pixels at scale 4 do not fit", "hr/img_002.png`, which has 288x288"],
    );
    refused(
        &|folder| std::fs::remove_file(folder.join("lr/img_004.png")).unwrap(),
        &[],
        &["hr/img_004.png` has no low-resolution partner"],
    );
    refused(&|_| (), &["data.bach=4"], &["`data.bach`", "did you mean `data.batch`?"]);
    refused(&|_| (), &["optimizer.generator.learning_rate=1e30"], &["learning_rate", "at most 1"]);
}

#[test]
fn a_wrong_file_of_the_perceptual_loss_is_refused_with_a_hint() {
    let (Some(hr), Some(vgg16)) =
        (shared_data("eval/Set5/HR"), shared_data("weights/vgg16_features.safetensors"))
    else {
        return;
    };
    let refused = |settings: &[String], expected: &[&str]| {
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let training = Training::new(Folder::new(), &gan_recipe(&hr, 2, &vgg16), &settings);
        let output = training.folder.join("out");
        let ended = training.run(&output);
        assert_eq!(ended.code, 2, "{settings:?}: {}", ended.stderr);
        for words in expected {
            assert!(ended.stderr.contains(words), "{settings:?}: {words}: {}", ended.stderr);
        }
        assert!(!output.exists(), "{settings:?}: nothing is made before the files are known to fit");
    };
    let file = |path: &Path| format!("losses.perceptual.weights_file=\"{}\"", text(path));
    let vgg19 = || "losses.perceptual.network=vgg19".to_owned();
    let of_vgg16 = "\nhint: torchvision's file will do, as it is: https://download.pytorch.org/models/vgg16-397923af.pth, \
                    whose SHA-256 begins with 397923af";
    let of_vgg19 = "/vgg19-dcbb9e9d.pth, whose SHA-256 begins with dcbb9e9d";
    refused(&[file(Path::new("/nowhere/vgg.pth"))], &["/nowhere/vgg.pth", "No such file", of_vgg16]);
    refused(&[file(&hr.join("img_001.png"))], &["img_001.png", "not a model file", of_vgg16]);
    let heads = vgg16.with_file_name("lpips_vgg_v0.1.safetensors");
    refused(&[file(&heads)], &["tensor `features.0.weight`: missing, expected [64, 3, 3, 3]", of_vgg16]);
    // Both networks have the layer `conv1_2`, with the same names and shapes.
    refused(&[vgg19()], &["the weights are those of vgg16, expected vgg19's", of_vgg19]);
    let deep = "losses.perceptual.layers={conv5_4=1.0}".to_owned();
    refused(&[vgg19(), deep], &["`features.17.weight`", "the weights are those of vgg16", of_vgg19]);
}

#[test]
fn figures_that_are_no_numbers_stop_the_run_at_the_last_good_checkpoint() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    // Each step takes a thousand times the weights off them.
    let settings = [
        "optimizer.generator.kind=adamw",
        "optimizer.generator.weight_decay=1e6",
        "schedule.warm_up_steps=0",
        "checkpoints.every=1",
    ];
    let training = Training::new(Folder::new(), &psnr_recipe(&hr, 9), &settings);
    let output = training.folder.join("out");
    let ended = training.run(&output);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let last = names(&output).into_iter().rfind(|name| name.starts_with("step-")).expect("a checkpoint");
    let expected = format!("the last good checkpoint is `{}`", text(&output.join("checkpoints").join(&last)));
    assert!(ended.stderr.contains("error: step 2: loss_pixel is "), "{}", ended.stderr);
    assert!(ended.stderr.contains(&expected), "{}: expected {expected}", ended.stderr);
    assert_eq!(last, "step-0000000001");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_at_any_point_of_a_save_ends_with_the_same_bytes() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let training = Training::new(Folder::new(), &psnr_recipe(&hr, 4), &["checkpoints.keep=1"]);
    let undisturbed = training.undisturbed();
    for point in POINTS {
        let kills = (1..MANY_PASSAGES).take_while(|passage| {
            let trap = format!("{point}:{passage}");
            let output = training.folder.join(&trap.replace(':', "-"));
            let ran = training.command(&output).env("ESRGAN_FAIL_SAVE", &trap).output().unwrap();
            if let Some(ended) = ended(&ran) {
                assert_eq!(ended.code, 0, "{trap}: {}", ended.stderr);
                return false;
            }
            training.finish_as(&undisturbed, &output, &trap);
            std::fs::remove_dir_all(&output).unwrap();
            true
        });
        // Two saves, one of which removes the other's checkpoint.
        let kills = kills.count();
        assert!((2..MANY_PASSAGES as usize - 1).contains(&kills), "{point}: {kills} kills");
    }
}

#[test]
fn a_full_disk_stops_the_run_and_leaves_earlier_checkpoints_whole() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let training = Training::new(Folder::new(), &psnr_recipe(&hr, 4), &["checkpoints.keep=1"]);
    let undisturbed = training.undisturbed();
    // Passages of the second save: each of five files is written and synced, and the folder is.
    let passages = [6, 7, 8, 2, 2, 1];
    for (point, passage) in POINTS.into_iter().zip(passages) {
        let trap = format!("{point}:{passage}");
        let output = training.folder.join(point);
        let ran = training.command(&output).env("ESRGAN_FAIL_SAVE_ERROR", &trap).output().unwrap();
        let ended = ended(&ran).expect("ended by itself");
        assert_eq!(ended.code, 1, "{trap}: {}", ended.stderr);
        assert!(ended.stderr.contains("no storage space"), "{trap}: {}", ended.stderr);
        assert!(ended.stderr.contains("checkpoints/step-000000000"), "{trap}: {}", ended.stderr);
        assert!(ended.stderr.contains("\nstep 2: ") && !ended.stderr.contains("\nstep 4: "), "{trap}");
        assert!(names(&output).contains(&"step-0000000002".to_owned()), "{trap}: {:?}", names(&output));
        training.finish_as(&undisturbed, &output, &trap);
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_stop_saves_and_says_so() {
    let Some(hr) = shared_data("eval/Set5/HR") else { return };
    let settings = ["checkpoints.every=100000"];
    let training = Training::new(Folder::new(), &psnr_recipe(&hr, 300), &settings);
    let undisturbed = training.undisturbed();
    for signal in ["-TERM", "-INT"] {
        let output = training.folder.join(signal);
        let mut child = training.command(&output).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("3/300 ") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the third step was not reached");
        }
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}: {rest}");
        assert!(rest.contains(" saved\nstopped on request"), "{signal}: {rest}");
        assert_eq!(checkpoints(&output), 1, "{signal}: {rest}");
        training.finish_as(&undisturbed, &output, signal);
    }
}

#[test]
fn a_typo_in_a_recipe_is_named_with_its_line() {
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    let typo = psnr_recipe(Path::new("/nowhere"), 2).replace("crop_px", "crop_pix");
    std::fs::write(&recipe, &typo).unwrap();
    let line = 1 + typo.lines().position(|line| line.contains("crop_pix")).unwrap();
    let ended = esrgan(&["train", &text(&recipe), "-o", &text(&folder.join("out"))]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let expected = format!("recipe.toml:{line}: `data.crop_pix`: unknown key: did you mean `data.crop_px`?");
    assert!(ended.stderr.contains(&expected), "{}: expected {expected}", ended.stderr);
}
