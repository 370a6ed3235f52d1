//! Points at which tests make the writing of checkpoints break.
//!
//! Compiled in always, so that what is tested is what is shipped; a passage costs two comparisons where nothing is set.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{CheckpointError, shown};

/// The variable that names where the process ends.
const ABORT_VARIABLE: &str = "ESRGAN_FAIL_SAVE";
/// The variable that names where the disk is full.
const ERROR_VARIABLE: &str = "ESRGAN_FAIL_SAVE_ERROR";

/// Where the writing may be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeWrite,
    MidWrite,
    BeforeSync,
    BeforeRename,
    AfterRename,
    WhilePruning,
}

impl Point {
    const ALL: [Self; 6] = [
        Self::BeforeWrite,
        Self::MidWrite,
        Self::BeforeSync,
        Self::BeforeRename,
        Self::AfterRename,
        Self::WhilePruning,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::BeforeWrite => "before-write",
            Self::MidWrite => "mid-write",
            Self::BeforeSync => "before-sync",
            Self::BeforeRename => "before-rename",
            Self::AfterRename => "after-rename",
            Self::WhilePruning => "while-pruning",
        }
    }
}

/// One passage of one point.
#[derive(Debug)]
struct Trap {
    point: Point,
    /// Counted from one.
    passage: u64,
    passed: AtomicU64,
}

impl Trap {
    fn from_environment(variable: &'static str) -> Result<Option<Self>, CheckpointError> {
        let Some(value) = std::env::var_os(variable) else { return Ok(None) };
        let value = value.to_string_lossy();
        Self::parse(&value).map(Some).ok_or_else(|| {
            let points = Point::ALL.map(Point::name).join("`, `");
            let expected =
                format!("one of `{points}`, and a `:` with a number from 1 on behind it or nothing");
            CheckpointError::argument(variable, expected, format!("`{}`", shown(&value)))
        })
    }

    fn parse(value: &str) -> Option<Self> {
        let (name, passage) = match value.split_once(':') {
            Some((name, passage)) => (name, passage.parse().ok()?),
            None => (value, 1),
        };
        let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
        (passage > 0).then_some(Self { point, passage, passed: AtomicU64::new(0) })
    }

    fn springs(&self, point: Point) -> bool {
        self.point == point && self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.passage
    }
}

/// What is to break, if anything.
#[derive(Debug, Default)]
pub(crate) struct Failpoints {
    abort: Option<Trap>,
    error: Option<Trap>,
}

impl Failpoints {
    /// What the two variables ask for.
    ///
    /// # Errors
    /// [`CheckpointError::Argument`]: a misspelt point would be a test that cannot fail.
    pub(crate) fn from_environment() -> Result<Self, CheckpointError> {
        Ok(Self {
            abort: Trap::from_environment(ABORT_VARIABLE)?,
            error: Trap::from_environment(ERROR_VARIABLE)?,
        })
    }

    /// Passes a point: ends the process, or says that the disk is full, if that is what a test asked for.
    pub(crate) fn pass(&self, point: Point) -> io::Result<()> {
        let springs = |trap: &Option<Trap>| trap.as_ref().is_some_and(|trap| trap.springs(point));
        if springs(&self.abort) {
            std::process::abort();
        }
        if springs(&self.error) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_springs_once() {
        let failpoints = Failpoints { abort: None, error: Trap::parse("mid-write:2") };
        let points = [Point::MidWrite, Point::BeforeSync, Point::MidWrite, Point::MidWrite];
        let failed: Vec<_> = points.into_iter().map(|point| failpoints.pass(point).is_err()).collect();
        assert_eq!(failed, [false, false, true, false]);
    }

    #[test]
    fn every_point_has_a_name_and_other_names_have_none() {
        for point in Point::ALL {
            assert_eq!(Trap::parse(point.name()).map(|trap| (trap.point, trap.passage)), Some((point, 1)));
        }
        for value in ["", "midwrite", "mid-write:", "mid-write:0", "mid-write:-1", "mid-write:1:1"] {
            assert!(Trap::parse(value).is_none(), "{value}");
        }
    }
}
