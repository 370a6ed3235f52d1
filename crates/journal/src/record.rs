//! One record: what was measured at a step. How it becomes a line is in `line.rs`.

use std::fmt;

/// Which side of a run a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Measured while learning: losses, gradient norms, learning rates.
    Train,
    /// Measured on pictures that nothing is learned from.
    Validation,
}

impl RecordKind {
    /// Both kinds.
    pub(crate) const ALL: [Self; 2] = [Self::Train, Self::Validation];

    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What was measured at a step.
///
/// Values must follow from the run alone: seconds and speeds belong into [`crate::Journal::write_timing`].
///
/// Scalars whose names begin alike are drawn into one panel: up to the first `/`, or where there is none up to the first `_`.
/// So `psnr/set5` and `psnr/set14` share a panel, and `loss_l1` and `loss_gan` another.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The step after which this holds.
    pub step: u64,
    /// Learning or validation.
    pub kind: RecordKind,
    /// Names and values, in the order in which they are written. NaN and infinities are kept.
    pub scalars: Vec<(String, f64)>,
}

impl Record {
    /// A record without scalars.
    #[must_use]
    pub fn new(step: u64, kind: RecordKind) -> Self {
        Self { step, kind, scalars: Vec::new() }
    }

    /// The record with one more scalar behind the others.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.scalars.push((name.into(), value));
        self
    }

    /// The value of a scalar.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scalars.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }
}
