//! Runs that are killed, or told that the disk is full, at every passage of every point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use esrgan_checkpoint::{CheckpointError, Checkpoints, load, newest_valid};

use crate::run::{LAST_STEP, STOPPED, run, started};
use crate::samples::{names, tree};

const POINTS: [&str; 6] =
    ["before-write", "mid-write", "before-sync", "before-rename", "after-rename", "while-pruning"];
/// Fewer passages than any point has.
const LEAST_PASSAGES: usize = 5;

fn undisturbed() -> BTreeMap<String, Vec<u8>> {
    let folder = started();
    let output = run(folder.path(), None);
    assert!(output.status.success(), "{output:?}");
    let expected = ["best.json", "lock", "step-0000000002", "step-0000000004"];
    assert_eq!(names(folder.path()), expected);
    tree(folder.path())
}

/// Breaks a run at each passage of a point until there is none left, and returns how many there were.
fn break_everywhere(variable: &str, point: &str, check: impl Fn(&Path, &Output, usize)) -> usize {
    let expected = undisturbed();
    for passage in 1.. {
        let folder = started();
        let output = run(folder.path(), Some((variable, &format!("{point}:{passage}"))));
        if output.status.success() {
            assert_eq!(tree(folder.path()), expected, "{point}");
            return passage - 1;
        }
        check(folder.path(), &output, passage);
        let output = run(folder.path(), None);
        assert!(output.status.success(), "{point}:{passage}: {output:?}");
        assert_eq!(tree(folder.path()), expected, "{point}:{passage}: after the resumed run");
    }
    unreachable!("a run has an end")
}

/// What has a final name is whole, and the newest of it is found. Returns the names of leftovers.
fn check_folder(folder: &Path, context: &str) -> Vec<String> {
    let (leftovers, rest): (Vec<_>, Vec<_>) =
        names(folder).into_iter().partition(|name| name.contains(".tmp-"));
    let steps: Vec<&String> = rest.iter().filter(|name| name.starts_with("step-")).collect();
    for name in &steps {
        load(&folder.join(name)).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    let found = newest_valid(folder).unwrap().unwrap_or_else(|| panic!("{context}: none is left"));
    assert!(found.path.ends_with(steps.last().unwrap()), "{context}: {steps:?}");
    assert!(found.passed_over.is_empty(), "{context}");
    leftovers
}

fn assert_killed(output: &Output) {
    // A process that was ended by a signal has no exit code.
    let is_killed = if cfg!(unix) { output.status.code().is_none() } else { !output.status.success() };
    assert!(is_killed, "{output:?}");
}

fn kill_everywhere(point: &str) {
    let passages = break_everywhere("ESRGAN_FAIL_SAVE", point, |folder, output, passage| {
        assert_killed(output);
        let context = format!("{point}:{passage}");
        let leftovers = check_folder(folder, &context);
        // Behind a rename nothing has a temporary name.
        assert!(point != "after-rename" || leftovers.is_empty(), "{context}: {leftovers:?}");
        let checkpoints = Checkpoints::open(folder).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut swept: Vec<String> = checkpoints.swept().iter().map(name).collect();
        swept.sort();
        assert_eq!(swept, leftovers, "{context}");
        assert!(names(folder).iter().all(|name| !name.contains(".tmp-")), "{context}");
    });
    assert!(passages >= LEAST_PASSAGES, "{point}: {passages}");
}

#[test]
fn killed_before_a_write() {
    kill_everywhere(POINTS[0]);
}

#[test]
fn killed_within_a_write() {
    kill_everywhere(POINTS[1]);
}

#[test]
fn killed_before_a_sync() {
    kill_everywhere(POINTS[2]);
}

#[test]
fn killed_before_a_rename() {
    kill_everywhere(POINTS[3]);
}

#[test]
fn killed_after_a_rename() {
    kill_everywhere(POINTS[4]);
}

#[test]
fn killed_while_pruning() {
    kill_everywhere(POINTS[5]);
}

#[test]
fn errors_stop_the_run_and_name_path_and_cause() {
    for point in POINTS {
        let passages = break_everywhere("ESRGAN_FAIL_SAVE_ERROR", point, |folder, output, passage| {
            let context = format!("{point}:{passage}");
            assert_eq!(output.status.code(), Some(STOPPED), "{context}: {output:?}");
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains(&format!("`{}", folder.display())), "{context}: {message}");
            assert!(message.contains("no storage space"), "{context}: {message}");
            let leftovers = check_folder(folder, &context);
            // What pruning could not remove is not this attempt's to restore; it has lost its name.
            assert!(leftovers.is_empty() || point == "while-pruning", "{context}: {leftovers:?}");
            let newest = newest_valid(folder).unwrap().unwrap().step;
            assert!(newest < LAST_STEP || ["after-rename", "while-pruning"].contains(&point), "{context}");
        });
        assert!(passages >= LEAST_PASSAGES, "{point}: {passages}");
    }
}

#[test]
fn a_kill_within_a_save_leaves_what_it_had_written() {
    let folder = started();
    assert_killed(&run(folder.path(), Some(("ESRGAN_FAIL_SAVE", "mid-write:2"))));
    let leftovers = check_folder(folder.path(), "mid-write:2");
    assert_eq!(leftovers.len(), 1, "{leftovers:?}");
    let written = tree(&folder.path().join(&leftovers[0]));
    let whole = tree(&folder.path().join("step-0000000000"));
    assert_eq!(written.keys().collect::<Vec<_>>(), ["generator.safetensors", "schedule.json"]);
    assert_eq!(written["schedule.json"].len(), whole["schedule.json"].len() / 2);
}

#[test]
fn a_misspelt_point_is_an_error() {
    let folder = started();
    let output = run(folder.path(), Some(("ESRGAN_FAIL_SAVE", "midwrite")));
    assert_eq!(output.status.code(), Some(STOPPED));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("ESRGAN_FAIL_SAVE: expected one of `before-write`"), "{message}");
}

#[test]
fn a_second_run_is_refused_and_told_of_the_first() {
    let folder = started();
    let first = Checkpoints::open(folder.path()).unwrap();
    let second = Checkpoints::open(folder.path()).unwrap_err();
    let pid = Some(std::process::id());
    if cfg!(unix) {
        assert!(matches!(second, CheckpointError::Locked { pid: found, .. } if found == pid), "{second}");
    }
    let output = run(folder.path(), None);
    assert_eq!(output.status.code(), Some(STOPPED));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("is in use by"), "{message}");
    // Reading needs no lock, and the folder is free as soon as its owner is gone.
    assert_eq!(newest_valid(folder.path()).unwrap().unwrap().step, 0);
    drop(first);
    assert!(run(folder.path(), None).status.success());
}
