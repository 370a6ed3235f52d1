//! What goes to stderr: errors, notices, progress.

use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use esrgan_core::Notice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Says an error and what caused it, on one line.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {}", chain(error));
}

/// An error with those of its causes that say something new, on one line.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    causes(error.as_ref())
}

/// As [`chain`].
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Prints a line of data on stdout.
///
/// # Errors
/// Where stdout takes no more, such as a closed pipe or a full disk.
pub(crate) fn data(line: impl std::fmt::Display) -> anyhow::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| anyhow::anyhow!("stdout: {error}"))
}

/// Says which of several steps begins.
pub(crate) fn step(number: usize, of: usize, what: &str) {
    eprintln!("{number} of {of}: {what}");
}

/// Says what a user should know of a picture or a model.
pub(crate) fn notices(about: impl std::fmt::Display, notices: &[Notice]) {
    for notice in notices {
        eprintln!("note: {about}: {notice}");
    }
}

/// Says how a batch went: what failed, and what was left alone.
pub(crate) fn summary(done: usize, skipped: usize, failed: &[PathBuf], passed_over: &[PathBuf]) {
    if done + skipped + failed.len() > 1 || !failed.is_empty() {
        eprintln!("{done} done, {skipped} skipped, {} failed", failed.len());
    }
    for path in failed {
        eprintln!("failed: {}", path.display());
    }
    for path in passed_over {
        eprintln!("note: {}: left alone: no picture by its name, or a link to nothing", path.display());
    }
}

/// A bar for pictures and megapixels; nothing at all where stderr is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    pictures: usize,
}

/// Steps of the bar for each input pixel: fractions of a picture move it.
const STEPS_PER_PIXEL: f64 = 16.0;

impl Progress {
    /// A bar for `pictures` pictures with `pixels` input pixels in all.
    pub(crate) fn new(pictures: usize, pixels: impl FnOnce() -> u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), pictures };
        }
        let bar = ProgressBar::with_draw_target(
            Some((pixels() as f64 * STEPS_PER_PIXEL) as u64),
            ProgressDrawTarget::stderr(),
        );
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg} ETA {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(250));
        let progress = Self { bar, pictures };
        progress.finish_picture(0, 0);
        progress
    }

    /// Moves the bar: `done_pixels` of finished pictures, and a fraction of the one under way.
    pub(crate) fn advance(&self, done_pixels: u64, pixels: u64, fraction: f64) {
        self.bar.set_position(((done_pixels as f64 + pixels as f64 * fraction) * STEPS_PER_PIXEL) as u64);
    }

    /// Says how many pictures and pixels are done.
    pub(crate) fn finish_picture(&self, pictures: usize, pixels: u64) {
        self.bar.set_prefix(format!("{pictures}/{} pictures", self.pictures));
        self.bar.set_message(format!("{:.1} MP", pixels as f64 / 1e6));
    }

    /// Prints through the bar.
    pub(crate) fn say(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for things that are counted; nothing at all where stderr is no terminal.
pub(crate) struct Count(ProgressBar);

impl Count {
    /// A bar that does not know yet how many there will be.
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// Says what is counted, and how far it is.
    pub(crate) fn set(&self, what: &'static str, done: u64, total: u64) {
        self.0.set_message(what);
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
