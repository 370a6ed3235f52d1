//! Files of lines: reading them, and cutting them back to a step.

use std::fs;
use std::path::Path;

use crate::atomic::write_atomically;
use crate::error::JournalError;
use crate::line::Line;
use crate::record::{Record, RecordKind};

/// How much of a line that is none an error shows.
const SHOWN_CHARACTERS: usize = 80;

/// Reads all records of a `log.jsonl`. An incomplete last line, which a kill leaves behind, is passed over.
///
/// # Errors
/// [`JournalError::Io`], [`JournalError::Line`].
pub fn read_records(path: &Path) -> Result<Vec<Record>, JournalError> {
    let bytes = fs::read(path).map_err(JournalError::io(path))?;
    let complete = lines(&bytes).filter(|line| line.ends_with(b"\n")).enumerate();
    complete
        .map(|(index, line)| {
            let record = Line::parse(line).and_then(Line::into_record);
            record.map_err(|source| line_error(path, index, line, source))
        })
        .collect()
}

/// How far a file of lines has come. Lines follow each other by their steps, so that cutting back is cutting off the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// The last line's step.
    pub(crate) last_step: Option<u64>,
    /// The steps of the last lines of each kind.
    last_of_kind: [Option<u64>; RecordKind::ALL.len()],
}

impl Progress {
    /// Whether a line may come next; otherwise the step that it would have to be behind.
    pub(crate) fn admit(&self, step: u64, kind: Option<RecordKind>) -> Result<(), u64> {
        match (self.last_step, kind.and_then(|kind| self.last_of_kind[kind as usize])) {
            (Some(last), _) if step < last => Err(last),
            (_, Some(last)) if step <= last => Err(last),
            _ => Ok(()),
        }
    }

    pub(crate) fn advance(&mut self, step: u64, kind: Option<RecordKind>) {
        self.last_step = Some(step);
        if let Some(kind) = kind {
            self.last_of_kind[kind as usize] = Some(step);
        }
    }
}

/// Cuts off every line past a step, and what is behind the last whole line. The file changes at once or not at all.
///
/// What is no line is taken for the trace of a kill or a power loss where no line up to the step follows it: such lines were
/// on the disk before the step's checkpoint was.
pub(crate) fn cut_lines(path: &Path, step: u64) -> Result<Progress, JournalError> {
    let bytes = fs::read(path).map_err(JournalError::io(path))?;
    let mut kept = Progress::default();
    let (mut kept_bytes, mut is_behind_cut) = (0, false);
    let mut refused = None;
    for (index, line) in lines(&bytes).enumerate() {
        let parsed = if line.ends_with(b"\n") { Line::parse(line).map_err(Some) } else { Err(None) };
        match parsed {
            Ok(found) if found.step > step => is_behind_cut = true,
            Ok(_) if let Some(error) = refused.take() => return Err(error),
            Ok(found) if is_behind_cut => {
                let item = format!("line {}", index + 1);
                return Err(JournalError::Order {
                    path: path.to_owned(),
                    item,
                    step: found.step,
                    last: step,
                });
            }
            Ok(found) => {
                kept.advance(found.step, found.kind);
                kept_bytes += line.len();
            }
            Err(source) => {
                is_behind_cut = true;
                refused = refused.or(source.map(|source| line_error(path, index, line, source)));
            }
        }
    }
    if kept_bytes < bytes.len() {
        write_atomically(path, &bytes[..kept_bytes]).map_err(JournalError::io(path))?;
    }
    Ok(kept)
}

/// Lines with their ends; the last may lack it.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

fn line_error(path: &Path, index: usize, line: &[u8], source: serde_json::Error) -> JournalError {
    let found = String::from_utf8_lossy(line).trim_end().chars().take(SHOWN_CHARACTERS).collect();
    JournalError::Line { path: path.to_owned(), line: index + 1, found, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "{\"step\":1,\"kind\":\"train\",\"a\":0.5}\n{\"step\":2,\"kind\":\"train\",\"a\":\"NaN\"}\n\
                       {\"step\":2,\"kind\":\"validation\",\"b\":30.0}\n{\"step\":3,\"kind\":\"train\",\"a\":0.25}\n";

    fn cut(content: &[u8], step: u64) -> (Result<Progress, JournalError>, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.jsonl");
        fs::write(&path, content).expect("the log is written");
        (cut_lines(&path, step), fs::read(&path).expect("the log is still there"))
    }

    #[test]
    fn every_length_of_a_killed_log_is_cut_to_whole_lines_up_to_the_step() {
        let ends: Vec<usize> = LOG.match_indices('\n').map(|(at, _)| at + 1).collect();
        let steps = [1, 2, 2, 3];
        for length in 0..=LOG.len() {
            for step in 0..=4 {
                let is_kept = |(end, own): &(&usize, &u64)| **end <= length && **own <= step;
                let last = ends.iter().zip(&steps).rfind(is_kept);
                let (kept, left) = cut(&LOG.as_bytes()[..length], step);
                assert_eq!(kept.unwrap().last_step, last.map(|(_, step)| *step), "{length}, {step}");
                assert_eq!(left, &LOG.as_bytes()[..last.map_or(0, |(end, _)| *end)], "{length}, {step}");
            }
        }
    }

    #[test]
    fn rubbish_at_the_end_is_cut_off_and_before_a_record_it_is_named() {
        let (kept, left) = cut(&[LOG.as_bytes(), b"\0\0\0\0\n\0\0"].concat(), 3);
        assert_eq!(kept.unwrap().last_step, Some(3));
        assert_eq!(left, LOG.as_bytes());

        let broken = LOG.replacen("{\"step\":2", "{\"stop\":2", 1);
        let (kept, left) = cut(broken.as_bytes(), 3);
        let message = kept.unwrap_err().to_string();
        assert!(message.contains("log.jsonl`: line 2: expected a record, found `{\"stop\":2"), "{message}");
        assert_eq!(left, broken.as_bytes());
        // Cut before it, it is not worth a word.
        assert_eq!(cut(broken.as_bytes(), 1).0.unwrap().last_step, Some(1));
    }

    #[test]
    fn lines_follow_each_other() {
        let (train, validation) = (Some(RecordKind::Train), Some(RecordKind::Validation));
        let mut progress = Progress::default();
        assert_eq!(progress.admit(0, train), Ok(()));
        progress.advance(5, train);
        let cases = [
            (4, validation, Err(5)),
            (5, train, Err(5)),
            (5, validation, Ok(())),
            (5, None, Ok(())),
            (6, train, Ok(())),
        ];
        for (step, kind, expected) in cases {
            assert_eq!(progress.admit(step, kind), expected, "{step}, {kind:?}");
        }
    }

    #[test]
    fn a_log_out_of_order_is_refused() {
        let (kept, left) = cut(b"{\"step\":5,\"kind\":\"train\"}\n{\"step\":4,\"kind\":\"train\"}\n", 4);
        assert!(matches!(kept, Err(JournalError::Order { step: 4, .. })), "{kept:?}");
        assert_eq!(left.len(), 52);
    }

    #[test]
    fn records_come_back_without_an_incomplete_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, format!("{LOG}{{\"step\":4,\"ki")).unwrap();
        let records = read_records(&path).unwrap();
        assert_eq!(records.iter().map(|record| record.step).collect::<Vec<_>>(), [1, 2, 2, 3]);
        assert_eq!(records[2].get("b"), Some(30.0));

        fs::write(&path, format!("{LOG}{{\"step\":4,\"ki\n")).unwrap();
        let message = read_records(&path).unwrap_err().to_string();
        assert!(message.contains("line 5: expected a record, found `{\"step\":4,\"ki`"), "{message}");
    }
}
