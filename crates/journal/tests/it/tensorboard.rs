//! Event files read by our own second reader, and by TensorBoard itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::tempdir;

use crate::event_reader::{event_files, read_events};
use crate::run::{START_SECONDS, open, png, train_record, validation_record, write_steps};

#[test]
fn a_second_reader_finds_what_was_written() {
    let folder = tempdir().unwrap();
    write_steps(&mut open(folder.path(), None), (1, 4), 1.0);
    let files = event_files(folder.path());
    let name = files[0].file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(name, format!("events.out.tfevents.{START_SECONDS}.000000.esrgan"));
    let events = read_events(&files[0]);
    // The version, four records of training, one of validation, one picture.
    assert_eq!(events.iter().map(|event| event.step).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 4, 4]);
    assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
    // The clock was asked once for the name.
    for (event, seconds) in events.iter().zip(START_SECONDS + 1..) {
        assert_eq!(event.wall_seconds, seconds as f64);
    }
    let (train, validation) = (train_record(3), validation_record(4));
    let scalar = |name: &str, value: Option<f64>| (name.to_owned(), value.unwrap() as f32);
    let expected =
        [scalar("train/loss_l1", train.get("loss_l1")), scalar("train/loss_gan", train.get("loss_gan"))];
    assert_eq!(events[3].scalars, expected);
    assert_eq!(events[5].scalars, [scalar("validation/psnr/set5", validation.get("psnr/set5"))]);
    assert_eq!(events[6].pictures, [("sr/baby".to_owned(), 1, 1, 1, png(4))]);
}

/// Runs the script; `None`, with a line on stderr, where no Python is named.
fn python(folder: &Path) -> Option<String> {
    let Some(interpreter) = std::env::var_os("ESRGAN_TEST_PYTHON") else {
        eprintln!("SKIPPED: set ESRGAN_TEST_PYTHON to a Python with tensorboard and Pillow");
        return None;
    };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/check_events.py");
    let output = Command::new(interpreter).arg(script).arg(folder).output();
    let output = output.expect("ESRGAN_TEST_PYTHON can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("the script prints UTF-8"))
}

/// The lines that `check_events.py` prints for what [`write_steps`] writes of these steps.
fn expected_lines(last: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for step in 1..=last {
        let mut records = vec![train_record(step)];
        if step % 4 == 0 {
            records.push(validation_record(step));
            lines.push(format!("picture sr/baby {step} 1x1 {step}"));
        }
        for record in &records {
            for (name, value) in &record.scalars {
                let bits = (*value as f32).to_bits();
                lines.push(format!("scalar {}/{name} {step} {bits:08x}", record.kind));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn tensorboard_reads_a_run_that_was_killed_and_resumed() {
    let folder = tempdir().unwrap();
    write_steps(&mut open(folder.path(), None), (1, 14), 1.0);
    write_steps(&mut open(folder.path(), Some(10)), (11, 17), 1.0);
    write_steps(&mut open(folder.path(), Some(15)), (16, 20), 1.0);
    let Some(output) = python(folder.path()) else { return };
    let mut lines: Vec<_> = output.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected_lines(20));
}
