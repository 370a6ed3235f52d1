//! Documentation that is generated: `docs/cli.md`, from the flags.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

const COMMAND_LINE_PAGE: &str = "docs/cli.md";

/// Writes the generated pages.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let path = root.join(COMMAND_LINE_PAGE);
    std::fs::write(&path, command_line_page(root)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Every generated page that is not what the code generates now, in words.
pub(crate) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let written = match std::fs::read_to_string(root.join(COMMAND_LINE_PAGE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("cannot read `{COMMAND_LINE_PAGE}`"))?,
    };
    let differs = first_difference(&written, &command_line_page(root)?);
    let message =
        |line| format!("{COMMAND_LINE_PAGE}:{line}: not what the flags say; run `cargo xtask docs`");
    Ok(differs.map(message).into_iter().collect())
}

fn command_line_page(root: &Path) -> anyhow::Result<String> {
    let program = build_program(root)?;
    let output = Command::new(&program)
        .arg("docs-markdown")
        .output()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    ensure!(output.status.success(), "`esrgan docs-markdown`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("`esrgan docs-markdown` printed no UTF-8")
}

/// Builds the program the way the tests build it: alone, its dependencies would have other features and be built once more.
fn build_program(root: &Path) -> anyhow::Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--workspace", "--tests"])
        .current_dir(root)
        .status()
        .context("cannot start `cargo build`")?;
    ensure!(status.success(), "`cargo build --workspace --tests` failed");
    let here = std::env::current_exe().context("cannot find the folder of built programs")?;
    Ok(here.with_file_name(format!("esrgan{EXE_SUFFIX}")))
}

/// The number of the first line in which two texts differ.
fn first_difference(written: &str, generated: &str) -> Option<usize> {
    if written == generated {
        return None;
    }
    let same = written.lines().zip(generated.lines()).take_while(|(left, right)| left == right).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn differences_are_found_at_their_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
        assert_eq!(first_difference("a\nb\n", "a\n"), Some(2));
        assert_eq!(first_difference("a", "a\n"), Some(2));
    }
}
