//! Killed anywhere and resumed at a checkpoint, a run ends with the files of one that nobody disturbed.

use std::fs::{self, OpenOptions};
use std::path::Path;

use esrgan_core::{Classify, Kind};
use esrgan_journal::{Journal, JournalError, Record, RecordKind, read_records};
use tempfile::{TempDir, tempdir};

use crate::event_reader::{event_files, read_events, shown};
use crate::run::{open, png, train_record, write_steps};

const LAST: u64 = 20;

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).expect("the file is there")
}

fn undisturbed() -> TempDir {
    let folder = tempdir().expect("a folder");
    write_steps(&mut open(folder.path(), None), (1, LAST), 0.5);
    folder
}

/// Cuts some bytes off the end of a file, as a kill in the middle of a write would.
fn tear(path: &Path, torn_bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file opens");
    let length = file.metadata().expect("the file has a length").len();
    file.set_len(length.saturating_sub(torn_bytes)).expect("the file is cut");
}

#[test]
fn killed_and_resumed_it_ends_as_if_undisturbed() {
    let expected = undisturbed();
    for (resume, killed) in [(5, 5), (5, 6), (5, 9), (10, 14), (15, 20), (0, 3)] {
        for torn_bytes in [0, 1, 9, 40] {
            let case = format!("killed at {killed} less {torn_bytes} bytes, resumed at {resume}");
            let folder = tempdir().unwrap();
            write_steps(&mut open(folder.path(), None), (1, killed), 0.3);
            if killed > resume {
                let events = event_files(folder.path());
                ["log.jsonl", "timing.jsonl"]
                    .iter()
                    .for_each(|name| tear(&folder.path().join(name), torn_bytes));
                tear(&events[0], torn_bytes);
            }
            write_steps(&mut open(folder.path(), Some(resume)), (resume + 1, LAST), 0.7);
            for name in ["log.jsonl", "curves.svg"] {
                assert!(bytes(folder.path(), name) == bytes(expected.path(), name), "{case}: {name}");
            }
            assert_eq!(shown(folder.path()), shown(expected.path()), "{case}");
            let timing = String::from_utf8(bytes(folder.path(), "timing.jsonl")).unwrap();
            assert_eq!(timing.lines().count() as u64, LAST, "{case}");
        }
    }
}

#[test]
fn resumed_time_and_again_it_ends_as_if_undisturbed() {
    let expected = undisturbed();
    let folder = tempdir().unwrap();
    write_steps(&mut open(folder.path(), None), (1, 12), 0.1);
    write_steps(&mut open(folder.path(), Some(10)), (11, 17), 0.2);
    write_steps(&mut open(folder.path(), Some(15)), (16, 19), 0.3);
    // Back behind an earlier resume; and one that was killed before its first step.
    write_steps(&mut open(folder.path(), Some(5)), (6, 10), 0.4);
    drop(open(folder.path(), Some(10)));
    write_steps(&mut open(folder.path(), Some(10)), (11, LAST), 0.5);
    assert_eq!(bytes(folder.path(), "log.jsonl"), bytes(expected.path(), "log.jsonl"));
    assert_eq!(shown(folder.path()), shown(expected.path()));
    assert_eq!(event_files(folder.path()).len(), 6);
}

#[test]
fn resumed_at_its_end_it_is_not_touched() {
    let folder = undisturbed();
    let old = [bytes(folder.path(), "log.jsonl"), bytes(folder.path(), "timing.jsonl")];
    let events = event_files(folder.path());
    let old_events = fs::read(&events[0]).unwrap();
    drop(open(folder.path(), Some(LAST)));
    assert_eq!([bytes(folder.path(), "log.jsonl"), bytes(folder.path(), "timing.jsonl")], old);
    assert_eq!(fs::read(&events[0]).unwrap(), old_events);
}

#[test]
fn clocks_do_not_reach_the_log() {
    let log = String::from_utf8(bytes(undisturbed().path(), "log.jsonl")).unwrap();
    assert_eq!(log.lines().next(), Some(r#"{"step":1,"kind":"train","loss_l1":1.0,"loss_gan":0.1}"#));
    assert!(log.contains(r#""loss_gan":"NaN""#) && !log.contains("seconds"), "{log}");
}

#[test]
fn a_journal_is_not_written_over() {
    let folder = undisturbed();
    let names = |folder: &Path| -> Vec<_> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (old_names, old_log) = (names(folder.path()), bytes(folder.path(), "log.jsonl"));
    let error = Journal::open(folder.path(), None).err().unwrap();
    assert!(matches!(&error, JournalError::AlreadyExists { path } if path.ends_with("log.jsonl")), "{error}");
    assert_eq!(error.kind(), Kind::Argument);
    assert_eq!((names(folder.path()), bytes(folder.path(), "log.jsonl")), (old_names, old_log));

    // Event files alone are a journal as well.
    fs::remove_file(folder.path().join("log.jsonl")).unwrap();
    fs::remove_file(folder.path().join("timing.jsonl")).unwrap();
    assert!(matches!(Journal::open(folder.path(), None), Err(JournalError::AlreadyExists { .. })));
}

#[test]
fn a_journal_that_is_missing_is_named() {
    let folder = tempdir().unwrap();
    let error = Journal::open(folder.path(), Some(5)).err().unwrap();
    assert!(
        error.to_string().contains("log.jsonl`: expected the journal of a run that is resumed at step 5"),
        "{error}"
    );
    // Before its first step a run may have been killed with nothing written.
    assert!(Journal::open(folder.path(), Some(0)).is_ok());
}

#[test]
fn what_does_not_follow_is_refused_and_leaves_no_trace() {
    let folder = tempdir().unwrap();
    let mut journal = open(folder.path(), None);
    journal.write(&train_record(5)).unwrap();
    journal.write_picture(6, "sr", &png(1)).unwrap();
    journal.write_timing(5, &[("seconds", 1.0)]).unwrap();
    let (log, events) =
        (bytes(folder.path(), "log.jsonl"), fs::read(&event_files(folder.path())[0]).unwrap());

    let record = |step, name: &str| Record::new(step, RecordKind::Validation).with(name, 1.0);
    let order = |result: Result<(), JournalError>| match result {
        Err(JournalError::Order { step, last, .. }) => (step, last),
        other => panic!("{other:?}"),
    };
    // Steps that went by, in the log or in a picture.
    assert_eq!(order(journal.write(&train_record(4))), (4, 6));
    assert_eq!(order(journal.write(&train_record(5))), (5, 6));
    assert_eq!(order(journal.write(&record(5, "psnr"))), (5, 6));
    assert_eq!(order(journal.write_picture(5, "sr", &png(1))), (5, 6));
    assert_eq!(order(journal.write_timing(4, &[("seconds", 1.0)])), (4, 5));
    // Names that a line has taken.
    for name in ["step", "kind", ""] {
        let error = journal.write(&record(7, name)).err().unwrap();
        assert!(matches!(error, JournalError::ScalarName { step: 7, .. }), "{error}");
        assert!(journal.write_timing(7, &[(name, 1.0)]).is_err());
    }
    let error = journal.write_picture(7, "sr", b"\xff\xd8\xff").err().unwrap();
    assert_eq!(
        error.to_string(),
        "picture `sr` of step 7: expected a PNG, found 3 bytes that do not begin like one"
    );
    assert_eq!(bytes(folder.path(), "log.jsonl"), log);
    assert_eq!(fs::read(&event_files(folder.path())[0]).unwrap(), events);
    // The same step once for each kind.
    journal.write(&train_record(7)).unwrap();
    journal.write(&record(7, "psnr")).unwrap();
    assert_eq!(order(journal.write(&train_record(7))), (7, 7));
}

#[test]
fn damage_before_the_step_is_named_and_nothing_is_touched() {
    let folder = undisturbed();
    let path = folder.path().join("log.jsonl");
    let damaged = fs::read_to_string(&path).unwrap().replacen("{\"step\":3", "{\"step\":x", 1);
    fs::write(&path, &damaged).unwrap();
    let events = fs::read(&event_files(folder.path())[0]).unwrap();
    let error = Journal::open(folder.path(), Some(10)).err().unwrap();
    assert!(matches!(error, JournalError::Line { line: 3, .. }), "{error}");
    assert_eq!(error.kind(), Kind::Malformed);
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    assert_eq!(fs::read(&event_files(folder.path())[0]).unwrap(), events);
}

#[test]
fn records_read_back_are_those_written() {
    let folder = undisturbed();
    let records = read_records(&folder.path().join("log.jsonl")).unwrap();
    assert_eq!(records.len() as u64, LAST + LAST / 4);
    let train: Vec<_> = records.iter().filter(|record| record.kind == RecordKind::Train).collect();
    for (record, step) in train.iter().zip(1..) {
        assert_eq!(record.get("loss_l1"), train_record(step).get("loss_l1"));
    }
    assert!(train[6].get("loss_gan").is_some_and(f64::is_nan));
}

#[test]
fn old_event_files_end_at_the_step_and_new_ones_say_where_they_begin() {
    let folder = undisturbed();
    drop(open(folder.path(), Some(10)));
    let files = event_files(folder.path());
    let [old, new] = &files[..] else { panic!("{files:?}") };
    assert_eq!(read_events(old).last().map(|event| event.step), Some(10));
    let new = read_events(new);
    assert_eq!(new[0].file_version.as_deref(), Some("brain.Event:2"));
    assert!(new[1].is_session_start && new[1].step == 11 && new.len() == 2);
}
