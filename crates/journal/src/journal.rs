//! The files of a run's journal, opened together, cut back together and brought to the disk together.
//!
//! What lives here: which files there are and what goes into which. What does not: their formats.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use esrgan_core::sync_folder;

use crate::append::AppendFile;
use crate::curves::write_curves;
use crate::error::JournalError;
use crate::line::Line;
use crate::log::{Progress, cut_lines, read_records};
use crate::record::Record;
use crate::tensorboard::{EventFile, cut_events, event_files};

const LOG: &str = "log.jsonl";
const TIMING: &str = "timing.jsonl";
const CURVES: &str = "curves.svg";

/// What tells the time of TensorBoard's events.
pub type Clock = Box<dyn Fn() -> SystemTime + Send>;

/// The journal of one run, open for writing. A folder has one writer at a time.
pub struct Journal {
    folder: PathBuf,
    log: AppendFile,
    timing: AppendFile,
    events: EventFile,
    progress: Progress,
    timing_progress: Progress,
    /// The step of the last event, which may be a picture's.
    last_event_step: u64,
}

impl Journal {
    /// Opens a journal in a folder, which is made if it is not there.
    ///
    /// With `resume_step`, everything past this step is cut off first: a checkpoint of the step must come behind
    /// [`Journal::flush_and_sync`], and that behind everything that is written of the step.
    ///
    /// # Errors
    /// [`JournalError::AlreadyExists`] without `resume_step` where a journal is in the folder;
    /// [`JournalError::Missing`] where there is none and the step to resume at is not 0;
    /// [`JournalError::Line`] and [`JournalError::Order`] where the log is damaged before the step; [`JournalError::Io`].
    pub fn open(folder: &Path, resume_step: Option<u64>) -> Result<Self, JournalError> {
        Self::open_with_clock(folder, resume_step, Box::new(SystemTime::now))
    }

    /// As [`Journal::open`], with another clock than the system's.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with_clock(
        folder: &Path,
        resume_step: Option<u64>,
        clock: Clock,
    ) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(JournalError::io(folder))?;
        let (progress, timing_progress) = match resume_step {
            Some(step) => cut_back(folder, step)?,
            None => refuse_existing(folder)?,
        };
        let journal = Self {
            folder: folder.to_owned(),
            log: AppendFile::open(&folder.join(LOG))?,
            timing: AppendFile::open(&folder.join(TIMING))?,
            events: EventFile::create(folder, resume_step, clock)?,
            last_event_step: progress.last_step.unwrap_or(0),
            progress,
            timing_progress,
        };
        journal.flush_and_sync()?;
        Ok(journal)
    }

    /// Where the records are.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Where [`Journal::draw_curves`] draws.
    #[must_use]
    pub fn curves_path(&self) -> PathBuf {
        self.folder.join(CURVES)
    }

    /// Writes a record into the log and for TensorBoard, there as `train/NAME` or `validation/NAME`.
    ///
    /// # Errors
    /// [`JournalError::Order`] where a record of this kind and step, or anything of a later step, is there already;
    /// [`JournalError::ScalarName`], [`JournalError::Io`].
    pub fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        let line = Line::of_record(record);
        let item = || format!("{} record", record.kind);
        check_event_order(self.events.file(), self.last_event_step, record.step, item)?;
        check_line(&self.log, &self.progress, &line, item)?;
        self.log.append(&line.to_bytes())?;
        self.progress.advance(record.step, Some(record.kind));
        self.last_event_step = record.step;
        self.events.write_scalars(record)
    }

    /// Writes values of the clock, such as seconds and steps per second, into a file that no other run gives again.
    ///
    /// # Errors
    /// [`JournalError::Order`] where values of a later step are there already; [`JournalError::ScalarName`],
    /// [`JournalError::Io`].
    pub fn write_timing(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), JournalError> {
        let scalars: Vec<_> = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let line = Line { step, kind: None, scalars: scalars.into() };
        check_line(&self.timing, &self.timing_progress, &line, || "timing".to_owned())?;
        self.timing.append(&line.to_bytes())?;
        self.timing_progress.advance(step, None);
        Ok(())
    }

    /// Shows the PNG `png` in TensorBoard under a name; its size and channels are read from its header.
    ///
    /// # Errors
    /// [`JournalError::NotPng`]; [`JournalError::Order`] where anything of a later step is there already;
    /// [`JournalError::Io`].
    pub fn write_picture(&mut self, step: u64, name: &str, png: &[u8]) -> Result<(), JournalError> {
        check_event_order(self.events.file(), self.last_event_step, step, || format!("picture `{name}`"))?;
        self.events.write_picture(step, name, png)?;
        self.last_event_step = step;
        Ok(())
    }

    /// Draws all records into `curves.svg`; the old drawing stays until the new one is whole.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Line`].
    pub fn draw_curves(&self) -> Result<(), JournalError> {
        write_curves(&read_records(&self.log_path())?, &self.curves_path())
    }

    /// Waits until everything is on the disk. Before each checkpoint.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn flush_and_sync(&self) -> Result<(), JournalError> {
        self.log.sync()?;
        self.timing.sync()?;
        self.events.sync()?;
        sync_folder(&self.folder).map_err(JournalError::io(&self.folder))
    }
}

/// Whether a line can be written and read back, and cut off again by its step.
fn check_line(
    file: &AppendFile,
    progress: &Progress,
    line: &Line<'_>,
    item: impl Fn() -> String,
) -> Result<(), JournalError> {
    let (path, step) = (file.path().to_owned(), line.step);
    if let Some(name) = line.bad_name() {
        return Err(JournalError::ScalarName { path, item: item(), step, name: name.to_owned() });
    }
    progress.admit(step, line.kind).map_err(|last| JournalError::Order { path, item: item(), step, last })
}

/// TensorBoard's files too are cut back at their ends.
fn check_event_order(
    file: &AppendFile,
    last: u64,
    step: u64,
    item: impl Fn() -> String,
) -> Result<(), JournalError> {
    if step < last {
        return Err(JournalError::Order { path: file.path().to_owned(), item: item(), step, last });
    }
    Ok(())
}

/// A new run finds nothing of another one.
fn refuse_existing(folder: &Path) -> Result<(Progress, Progress), JournalError> {
    let mut ours = vec![folder.join(LOG), folder.join(TIMING)];
    ours.extend(event_files(folder)?);
    match ours.into_iter().find(|path| path.exists()) {
        Some(path) => Err(JournalError::AlreadyExists { path }),
        None => Ok(Default::default()),
    }
}

/// Cuts all files back to a step, and says how far the log and the timing have come.
///
/// The log is the first: where it is damaged, nothing has been touched. A kill in between is no harm, as the next resume
/// cuts again.
fn cut_back(folder: &Path, step: u64) -> Result<(Progress, Progress), JournalError> {
    let (log, timing) = (folder.join(LOG), folder.join(TIMING));
    let progress = if log.exists() {
        cut_lines(&log, step)?
    } else if step == 0 {
        // A run that was killed before it wrote anything.
        Progress::default()
    } else {
        return Err(JournalError::Missing { path: log, step });
    };
    let timing_progress = if timing.exists() { cut_lines(&timing, step)? } else { Progress::default() };
    for path in event_files(folder)? {
        cut_events(&path, step)?;
    }
    Ok((progress, timing_progress))
}
