//! Checkpoints that somebody or something has changed.

use std::fs;
use std::path::{Path, PathBuf};

use esrgan_checkpoint::{Checkpoint, CheckpointError, Checkpoints, Contents, load};
use esrgan_core::{Classify, Kind};

use crate::samples::{checkpoint, tensors, tree};

/// A folder with steps 10 and 20.
fn two() -> (tempfile::TempDir, Checkpoints, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    for step in [10, 20] {
        checkpoints.save(&checkpoint(step)).unwrap();
    }
    let newest = folder.path().join("step-0000000020");
    (folder, checkpoints, newest)
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

type Damage = (&'static str, fn(&Path), fn(&CheckpointError) -> bool);

const DAMAGES: [Damage; 13] = [
    (
        "a truncated file",
        |folder| edit(&folder.join("generator.safetensors"), |bytes| bytes.truncate(100)),
        |error| matches!(error, CheckpointError::Size { found: 100, .. }),
    ),
    (
        "a file that has grown",
        |folder| edit(&folder.join("schedule.json"), |bytes| bytes.push(b' ')),
        |error| matches!(error, CheckpointError::Size { .. }),
    ),
    (
        "an empty file",
        |folder| fs::write(folder.join("schedule.json"), "").unwrap(),
        |error| matches!(error, CheckpointError::Size { found: 0, .. }),
    ),
    (
        "a flipped bit",
        |folder| edit(&folder.join("generator.safetensors"), |bytes| bytes[300] ^= 1),
        |error| matches!(error, CheckpointError::Hash { .. }),
    ),
    (
        "a file of zeros",
        |folder| edit(&folder.join("generator.safetensors"), |bytes| bytes.fill(0)),
        |error| matches!(error, CheckpointError::Hash { .. }),
    ),
    (
        "a missing file",
        |folder| fs::remove_file(folder.join("schedule.json")).unwrap(),
        |error| matches!(error, CheckpointError::Missing { path } if path.ends_with("schedule.json")),
    ),
    (
        "a folder in place of a file",
        |folder| {
            fs::remove_file(folder.join("schedule.json")).unwrap();
            fs::create_dir(folder.join("schedule.json")).unwrap();
        },
        |error| matches!(error, CheckpointError::Malformed { .. }),
    ),
    (
        "a missing manifest",
        |folder| fs::remove_file(folder.join("manifest.json")).unwrap(),
        |error| matches!(error, CheckpointError::Missing { path } if path.ends_with("manifest.json")),
    ),
    (
        "a truncated manifest",
        |folder| edit(&folder.join("manifest.json"), |bytes| bytes.truncate(bytes.len() / 2)),
        |error| matches!(error, CheckpointError::Malformed { .. }),
    ),
    (
        "a manifest that is no JSON",
        |folder| fs::write(folder.join("manifest.json"), [0; 500]).unwrap(),
        |error| matches!(error, CheckpointError::Malformed { .. }),
    ),
    (
        "a changed note",
        |folder| replace(&folder.join("manifest.json"), "27.20", "37.20"),
        |error| matches!(error, CheckpointError::Malformed { item, .. } if item.contains("seal")),
    ),
    (
        "a future version",
        |folder| replace(&folder.join("manifest.json"), "\"format_version\": 1", "\"format_version\": 9"),
        |error| matches!(error, CheckpointError::Version { expected: 1, found: 9, .. }),
    ),
    (
        "an endless manifest",
        |folder| fs::File::create(folder.join("manifest.json")).unwrap().set_len(1 << 40).unwrap(),
        |error| matches!(error, CheckpointError::Limit { .. }),
    ),
];

#[test]
fn damage_is_named_and_the_one_before_is_taken() {
    for (words, damage, is_expected) in DAMAGES {
        let (folder, checkpoints, newest) = two();
        damage(&newest);
        let error = load(&newest).unwrap_err();
        assert!(is_expected(&error), "{words}: {error}");
        assert!(error.to_string().contains("step-0000000020"), "{words}: {error}");

        let found = checkpoints.newest_valid().unwrap().unwrap();
        assert_eq!((found.step, found.passed_over.len()), (10, 1), "{words}");
        assert_eq!(found.passed_over[0].path, newest, "{words}");
        assert!(is_expected(&found.passed_over[0].reason), "{words}");

        damage_of_all(&checkpoints, folder.path(), damage, words);
    }
}

/// The step 10 goes the same way, but for the notes, which differ.
fn damage_of_all(checkpoints: &Checkpoints, folder: &Path, damage: fn(&Path), words: &str) {
    if words == "a changed note" {
        return;
    }
    damage(&folder.join("step-0000000010"));
    let error = checkpoints.newest_valid().unwrap_err();
    let CheckpointError::NoneValid { passed_over, .. } = &error else { panic!("{words}: {error}") };
    assert_eq!(passed_over.len(), 2, "{words}");
    // What might be salvaged is not thrown away.
    assert!(checkpoints.prune(0, &[]).unwrap().is_empty(), "{words}");
}

#[test]
fn a_damaged_checkpoint_makes_room_for_the_same_step() {
    for (words, damage, is_expected) in DAMAGES {
        let (folder, checkpoints, newest) = two();
        let before = tree(folder.path());
        damage(&newest);
        let saved = checkpoints.save(&checkpoint(20));
        if words == "a future version" {
            // That may be whole, for a newer program.
            let error = saved.unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported, "{error}");
            continue;
        }
        let saved = saved.unwrap();
        assert!(saved.replaced.as_ref().is_some_and(is_expected), "{words}: {saved:?}");
        assert_eq!(tree(folder.path()), before, "{words}");
    }
}

#[test]
fn a_checkpoint_under_another_steps_name_is_refused() {
    let (folder, checkpoints, newest) = two();
    let (false_name, free_name) = (folder.path().join("step-0000000030"), folder.path().join("a copy"));
    fs::rename(&newest, &false_name).unwrap();
    let error = load(&false_name).unwrap_err().to_string();
    assert!(error.contains("the step: expected 30, found 20"), "{error}");
    assert_eq!(checkpoints.newest_valid().unwrap().unwrap().step, 10);
    fs::rename(&false_name, &free_name).unwrap();
    assert_eq!(load(&free_name).unwrap().step, 20);
}

#[test]
fn what_is_not_there_or_no_checkpoint_is_said() {
    let (folder, checkpoints, newest) = two();
    assert_eq!(load(&folder.path().join("step-0000000021")).unwrap_err().kind(), Kind::Io);
    assert_eq!(load(&newest.join("schedule.json")).unwrap_err().kind(), Kind::Malformed);
    // A plain file under a checkpoint's name.
    fs::write(folder.path().join("step-0000000099"), "x").unwrap();
    let found = checkpoints.newest_valid().unwrap().unwrap();
    assert_eq!((found.step, found.passed_over.len()), (20, 1));
}

#[cfg(unix)]
#[test]
fn links_out_of_a_checkpoint_are_not_followed() {
    let (folder, _checkpoints, newest) = two();
    let outside = folder.path().join("outside.json");
    fs::rename(newest.join("schedule.json"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, newest.join("schedule.json")).unwrap();
    let error = load(&newest).unwrap_err();
    assert!(error.to_string().contains("expected a regular file"), "{error}");
}

#[test]
fn a_file_that_changes_after_the_check_is_noticed() {
    let (_folder, checkpoints, newest) = two();
    let found = checkpoints.newest_valid().unwrap().unwrap();
    edit(&newest.join("generator.safetensors"), |bytes| bytes[300] ^= 1);
    assert!(matches!(found.tensors("generator.safetensors"), Err(CheckpointError::Hash { .. })));
    edit(&newest.join("schedule.json"), Vec::clear);
    assert!(matches!(found.text("schedule.json"), Err(CheckpointError::Size { .. })));
}

#[test]
fn files_of_another_kind_or_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(folder.path()).unwrap();
    let files = vec![
        ("bytes.bin".to_owned(), Contents::Bytes(vec![0xff; 9])),
        ("tensors".to_owned(), Contents::Tensors(tensors(0))),
    ];
    checkpoints.save(&Checkpoint { files, ..Checkpoint::default() }).unwrap();
    let found = checkpoints.newest_valid().unwrap().unwrap();
    let error = found.text("bytes.bin").unwrap_err().to_string();
    assert!(error.contains("bytes.bin`: the text: expected UTF-8"), "{error}");
    let error = found.tensors("bytes.bin").unwrap_err();
    assert!(matches!(error, CheckpointError::Tensors { .. }), "{error}");
    for name in ["schedule.json", "manifest.json", "../lock"] {
        let error = found.bytes(name).unwrap_err().to_string();
        assert!(error.contains("found `bytes.bin`, `tensors`"), "{error}");
    }
}
