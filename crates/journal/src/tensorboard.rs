//! TensorBoard's event files of a journal: their names, what goes into them, and cutting them back.
//!
//! What lives here: whole files. What does not: the frames around events (`frame.rs`), the events themselves (`event.rs`).
//! Each time a run is started or resumed it begins a new file. TensorBoard reads the files of a folder in the order of their
//! names, which hold the time and a serial number; neither goes back when the clock does.

mod event;
mod frame;

use std::fs::{self, File, OpenOptions};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::append::AppendFile;
use crate::error::JournalError;
use crate::journal::Clock;
use crate::record::Record;

use event::{Content, Event, PngHeader};

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".esrgan";

/// The event file of one start of a run.
pub(crate) struct EventFile {
    file: AppendFile,
    clock: Clock,
}

impl EventFile {
    /// Begins a new file behind those that are there. A viewer that is open while a run is resumed learns that what it has
    /// seen past the step no longer holds.
    pub(crate) fn create(
        folder: &Path,
        resume_step: Option<u64>,
        clock: Clock,
    ) -> Result<Self, JournalError> {
        let last = event_files(folder)?.iter().filter_map(|path| Serial::of(path)).max();
        let path = folder.join(Serial::behind(last, seconds(clock())).name());
        let mut events = Self { file: AppendFile::open(&path)?, clock };
        events.append(0, &Content::FileVersion)?;
        if let Some(step) = resume_step {
            events.append(step.saturating_add(1), &Content::SessionStart)?;
        }
        Ok(events)
    }

    pub(crate) fn write_scalars(&mut self, record: &Record) -> Result<(), JournalError> {
        self.append(record.step, &Content::Scalars(record))
    }

    pub(crate) fn write_picture(&mut self, step: u64, name: &str, png: &[u8]) -> Result<(), JournalError> {
        let header = PngHeader::read(png).ok_or_else(|| JournalError::NotPng {
            name: name.to_owned(),
            step,
            found: png.len(),
        })?;
        self.append(step, &Content::Picture { name, header, png })
    }

    pub(crate) fn file(&self) -> &AppendFile {
        &self.file
    }

    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync()
    }

    fn append(&mut self, step: u64, content: &Content<'_>) -> Result<(), JournalError> {
        let event = Event { wall_seconds: seconds((self.clock)()), step, content };
        self.file.append(&frame::framed(&event.encode()))
    }
}

/// The journal's event files in a folder. Those of other programs are not ours to cut.
pub(crate) fn event_files(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = list().map_err(JournalError::io(folder))?;
    paths.retain(|path| Serial::of(path).is_some());
    paths.sort();
    Ok(paths)
}

/// Cuts a file behind the last event that is whole and not past a step; TensorBoard reads no further than to a broken one
/// either. A file of which nothing is left goes away.
pub(crate) fn cut_events(path: &Path, step: u64) -> Result<(), JournalError> {
    let cut = || {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let kept = kept_length(&file, length, step)?;
        if kept == 0 {
            drop(file);
            return fs::remove_file(path);
        }
        if kept < length {
            file.set_len(kept)?;
            file.sync_all()?;
        }
        Ok(())
    };
    cut().map_err(JournalError::io(path))
}

fn kept_length(file: &File, length: u64, step: u64) -> std::io::Result<u64> {
    let mut reader = BufReader::new(file);
    let mut kept = 0;
    while let Some(event) = frame::read(&mut reader, length - kept)? {
        if event::step_of(&event).is_none_or(|own| own > step) {
            break;
        }
        kept += frame::framed_length(event.len());
    }
    Ok(kept)
}

/// What orders the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Serial {
    seconds: u64,
    number: u64,
}

impl Serial {
    fn behind(last: Option<Self>, now_seconds: f64) -> Self {
        let (seconds, number) = last.map_or((0, 0), |last| (last.seconds, last.number + 1));
        Self { seconds: seconds.max(now_seconds as u64), number }
    }

    fn of(path: &Path) -> Option<Self> {
        let middle = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (seconds, number) = middle.split_once('.')?;
        Some(Self { seconds: seconds.parse().ok()?, number: number.parse().ok()? })
    }

    fn name(self) -> String {
        format!("{PREFIX}{:010}.{:06}{SUFFIX}", self.seconds, self.number)
    }
}

/// Seconds since 1970; a clock before that says 0.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_each_other_whatever_the_clock_says() {
        let mut last = None;
        let mut names = Vec::new();
        for now in [1_700_000_000.9, 1_700_000_000.9, 5.0, 1_800_000_000.0] {
            let serial = Serial::behind(last, now);
            assert_eq!(Serial::of(Path::new(&serial.name())), Some(serial));
            names.push(serial.name());
            last = Some(serial);
        }
        assert_eq!(names[2], "events.out.tfevents.1700000000.000002.esrgan");
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["events.out.tfevents.1700000000.host", "log.jsonl", "events.out.tfevents.1.x.esrgan"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(event_files(folder.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
