//! What is saved comes back; what is no longer wanted goes.

use std::fs;

use esrgan_checkpoint::{Best, Checkpoint, CheckpointError, Checkpoints, Contents, newest_valid};
use esrgan_weights::{Tensor, WeightMap};

use crate::samples::{checkpoint, large_checkpoint, names, tensors, tree};

fn open() -> (tempfile::TempDir, Checkpoints) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    (folder, checkpoints)
}

fn with_steps(steps: &[u64]) -> (tempfile::TempDir, Checkpoints) {
    let (folder, checkpoints) = open();
    for step in steps {
        checkpoints.save(&checkpoint(*step)).unwrap();
    }
    (folder, checkpoints)
}

#[test]
fn what_is_saved_comes_back() {
    let (folder, checkpoints) = open();
    assert!(checkpoints.newest_valid().unwrap().is_none());
    let saved = checkpoints.save(&large_checkpoint(12345, 1_000_001)).unwrap();
    assert_eq!(saved.path, folder.path().join("step-0000012345"));
    let sizes: usize = tree(&saved.path).values().map(Vec::len).sum();
    assert_eq!((saved.bytes, saved.was_there, saved.replaced.is_none()), (sizes as u64, false, true));

    let found = checkpoints.newest_valid().unwrap().unwrap();
    assert_eq!((found.step, &found.path, found.passed_over.len()), (12345, &saved.path, 0));
    assert_eq!(found.code_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(found.notes, checkpoint(12345).notes);
    let expected = ["generator.safetensors", "large.bin", "schedule.json"];
    assert_eq!(found.file_names().collect::<Vec<_>>(), expected);
    assert_eq!(found.tensors("generator.safetensors").unwrap(), tensors(12345));
    assert_eq!(found.text("schedule.json").unwrap(), "{\"step\": 12345, \"name\": \"größer\"}");
    let large = found.bytes("large.bin").unwrap();
    assert!(matches!(&large_checkpoint(0, 1_000_001).files[2].1, Contents::Bytes(bytes) if *bytes == large));
}

#[test]
fn a_checkpoint_may_be_empty() {
    let (_folder, checkpoints) = open();
    let files = vec![
        ("none.bin".to_owned(), Contents::Bytes(Vec::new())),
        ("none.safetensors".to_owned(), Contents::Tensors(WeightMap::new())),
    ];
    checkpoints.save(&Checkpoint { step: 1, files, ..Checkpoint::default() }).unwrap();
    checkpoints.save(&Checkpoint { step: u64::MAX, ..Checkpoint::default() }).unwrap();
    let found = checkpoints.newest_valid().unwrap().unwrap();
    assert_eq!((found.step, found.file_names().len()), (u64::MAX, 0));
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let (first, _lock) = with_steps(&[1, 2]);
    let (second, checkpoints) = open();
    for step in [2, 1] {
        let mut checkpoint = checkpoint(step);
        checkpoint.files.reverse();
        checkpoints.save(&checkpoint).unwrap();
    }
    assert_eq!(tree(first.path()), tree(second.path()));
}

#[test]
fn the_same_step_again_is_the_same_or_an_error() {
    let (folder, checkpoints) = with_steps(&[7]);
    let before = tree(folder.path());
    let saved = checkpoints.save(&checkpoint(7)).unwrap();
    assert!(saved.was_there && saved.replaced.is_none());
    assert_eq!(saved.bytes, before.values().map(|bytes| bytes.len() as u64).sum::<u64>());

    let mut other_notes = checkpoint(7);
    other_notes.notes.clear();
    let mut other_text = checkpoint(7);
    other_text.files[1].1 = Contents::Text("{}".to_owned());
    let mut fewer = checkpoint(7);
    fewer.files.pop();
    let others = [
        (other_notes, "notes"),
        (other_text, "bytes in `schedule.json`"),
        (fewer, "files"),
        (large_checkpoint(7, 9), "bytes in `large.bin`"),
    ];
    for (other, words) in others {
        let error = checkpoints.save(&other).unwrap_err();
        assert!(matches!(&error, CheckpointError::Exists { item, .. } if item == words), "{error}");
    }
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn what_could_not_be_read_again_is_not_saved() {
    let (folder, checkpoints) = open();
    let file = |name: &str, contents: Contents| (name.to_owned(), contents);
    let text = || Contents::Text(String::new());
    let forbidden =
        [("__metadata__".to_owned(), Tensor::from_f32(vec![1], &[0.0]).unwrap())].into_iter().collect();
    let many: WeightMap =
        (0..20_001).map(|index| (index.to_string(), Tensor::from_f32(vec![0], &[]).unwrap())).collect();
    let cases = [
        vec![file("../x", text())],
        vec![file("", text())],
        vec![file("manifest.json", text())],
        vec![file("a", text()), file("A", text())],
        (0..257).map(|index| file(&index.to_string(), text())).collect(),
        vec![file("a", text()), file("b", Contents::Tensors(forbidden))],
        vec![file("b", Contents::Tensors(many))],
    ];
    for files in cases {
        let error = checkpoints.save(&Checkpoint { step: 1, files, ..Checkpoint::default() }).unwrap_err();
        assert_eq!(names(folder.path()), ["lock"], "{error}");
    }
    let mut long = checkpoint(1);
    long.notes.insert("long".to_owned(), "x".repeat(2 << 20));
    let error = checkpoints.save(&long).unwrap_err();
    assert!(matches!(error, CheckpointError::Limit { .. }), "{error}");
    assert_eq!(names(folder.path()), ["lock"]);
}

#[test]
fn pruning_keeps_what_it_must() {
    type Case = (usize, &'static [u64], Option<u64>, &'static [u64]);
    let cases: [Case; 7] = [
        (2, &[], None, &[40, 50]),
        (0, &[], None, &[50]),
        (1, &[10, 30, 99], None, &[10, 30, 50]),
        (1, &[], Some(20), &[20, 50]),
        (2, &[10], Some(20), &[10, 20, 40, 50]),
        (5, &[], None, &[10, 20, 30, 40, 50]),
        (usize::MAX, &[], Some(10), &[10, 20, 30, 40, 50]),
    ];
    for (keep_last, keep, best, expected) in cases {
        let (folder, checkpoints) = with_steps(&[10, 20, 30, 40, 50]);
        if let Some(step) = best {
            checkpoints.set_best(&Best { metric: "psnr_y_db".to_owned(), value: 27.5, step }).unwrap();
        }
        let removed = checkpoints.prune(keep_last, keep).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), expected, "{keep_last} {keep:?} {best:?}");
        assert_eq!(removed.len(), 5 - expected.len());
        let others = names(folder.path()).into_iter().filter(|name| !name.starts_with("step-"));
        assert_eq!(others.count(), if best.is_some() { 2 } else { 1 });
    }
}

#[test]
fn pruning_keeps_the_newest_that_is_whole() {
    let (folder, checkpoints) = with_steps(&[10, 20, 30, 40, 50]);
    for step in ["step-0000000040", "step-0000000050"] {
        fs::write(folder.path().join(step).join("schedule.json"), "").unwrap();
    }
    checkpoints.prune(1, &[]).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [30, 50]);
    assert_eq!(checkpoints.newest_valid().unwrap().unwrap().step, 30);
}

#[test]
fn pruning_stops_where_the_best_is_not_known() {
    let (folder, checkpoints) = with_steps(&[10, 20, 30]);
    fs::write(folder.path().join("best.json"), "{").unwrap();
    let error = checkpoints.prune(1, &[]).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Malformed { path, .. } if path.ends_with("best.json")),
        "{error}"
    );
    assert_eq!(checkpoints.steps().unwrap(), [10, 20, 30]);
}

#[test]
fn the_best_is_remembered_to_the_last_bit() {
    let (folder, checkpoints) = with_steps(&[10, 20]);
    assert_eq!(checkpoints.best().unwrap(), None);
    let mut best = Best { metric: "lpips".to_owned(), value: 0.1 + 0.2, step: 10 };
    checkpoints.set_best(&best).unwrap();
    best = Best { step: 20, value: 1.0 / 3.0, ..best };
    checkpoints.set_best(&best).unwrap();
    let wrong = [
        Best { value: f64::NAN, ..best.clone() },
        Best { value: f64::INFINITY, ..best.clone() },
        Best { step: 30, ..best.clone() },
        Best { metric: "x".repeat(201), ..best.clone() },
    ];
    for best in wrong {
        assert!(matches!(checkpoints.set_best(&best).unwrap_err(), CheckpointError::Argument { .. }));
    }
    drop(checkpoints);
    assert_eq!(Checkpoints::open(folder.path()).unwrap().best().unwrap(), Some(best));
    for text in ["", "[]", "{\"metric\":\"a\",\"value\":1e999,\"step\":1}", "{\"metric\":\"a\",\"value\":1}"]
    {
        fs::write(folder.path().join("best.json"), text).unwrap();
        assert!(Checkpoints::open(folder.path()).unwrap().best().is_err(), "{text}");
    }
}

#[test]
fn opening_makes_the_folder_and_leaves_what_is_not_ours() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("runs").join("one");
    fs::create_dir_all(folder.join("step-0000000005.tmp-1").join("deep")).unwrap();
    fs::create_dir(folder.join("step-0000000004.tmp-1-old")).unwrap();
    fs::write(folder.join("best.json.tmp-77"), "{").unwrap();
    for name in ["notes.tmp-1", "step-5.tmp-1", "readme.txt"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let checkpoints = Checkpoints::open(&folder).unwrap();
    assert_eq!(checkpoints.swept().len(), 3);
    assert_eq!(names(&folder), ["lock", "notes.tmp-1", "readme.txt", "step-5.tmp-1"]);
    assert_eq!(checkpoints.folder(), folder);
    assert!(Checkpoints::open(&outer.path().join("new").join("one")).is_ok());
    assert!(newest_valid(&outer.path().join("nowhere")).is_err());
}

#[test]
fn threads_may_save_at_the_same_time() {
    let (_folder, checkpoints) = open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let checkpoints = &checkpoints;
            scope.spawn(move || {
                for step in 0..5 {
                    checkpoints.save(&checkpoint(step)).unwrap();
                    checkpoints.save(&checkpoint(100 * thread + step)).unwrap();
                }
            });
        }
    });
    assert_eq!(checkpoints.steps().unwrap().len(), 20);
    assert_eq!(checkpoints.newest_valid().unwrap().unwrap().step, 304);
}
