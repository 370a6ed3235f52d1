//! `best.json`: which checkpoint was the best.

use serde::{Deserialize, Serialize};

use crate::disk::{Temporary, read_file, write_file};
use crate::error::{CheckpointError, shown};
use crate::folder::Checkpoints;
use crate::name::{BEST, temporary_name};

/// Bytes of the file at most.
const MAX_BYTES: u64 = 64 << 10;
/// Bytes of a metric's name at most.
const MAX_METRIC_BYTES: usize = 200;

/// The best checkpoint so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// What was measured, such as `psnr_y_db`.
    pub metric: String,
    /// Its value; a finite one.
    pub value: f64,
    /// The step of the checkpoint.
    pub step: u64,
}

impl Checkpoints {
    /// Remembers the best checkpoint, which [`Checkpoints::prune`] keeps from then on. It must have been saved.
    ///
    /// # Errors
    /// [`CheckpointError::Argument`], [`CheckpointError::Io`]; the former best is still remembered.
    pub fn set_best(&self, best: &Best) -> Result<(), CheckpointError> {
        let _turn = self.turn();
        if !best.value.is_finite() {
            let found = best.value.to_string();
            return Err(CheckpointError::argument("the best value", "a finite number", found));
        }
        if best.metric.len() > MAX_METRIC_BYTES {
            let expected = format!("a metric's name of up to {MAX_METRIC_BYTES} bytes");
            return Err(CheckpointError::argument("the best metric", expected, shown(&best.metric)));
        }
        if !self.path_of(best.step).is_dir() {
            let (expected, found) = ("the step of a saved checkpoint", best.step.to_string());
            return Err(CheckpointError::argument("the best step", expected, found));
        }
        let mut bytes = serde_json::to_vec_pretty(best).expect("texts and finite numbers are JSON");
        bytes.push(b'\n');
        let temporary = Temporary::claim(self.folder.join(temporary_name(BEST)))?;
        write_file(temporary.path(), &bytes, &self.failpoints)?;
        temporary.publish(&self.folder.join(BEST), &self.failpoints)
    }

    /// The best checkpoint so far; `None` where none was ever named.
    ///
    /// # Errors
    /// [`CheckpointError`] where `best.json` cannot be read.
    pub fn best(&self) -> Result<Option<Best>, CheckpointError> {
        let path = self.folder.join(BEST);
        let bytes = match read_file(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(CheckpointError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let expected = "JSON with `metric`, `value` and `step`";
            CheckpointError::malformed(&path, "the best checkpoint", expected, shown(&error.to_string()))
        })
    }
}
