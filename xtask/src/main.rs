//! The repository's own checks and generators: `cargo xtask check` and `cargo xtask docs`.

mod docs;
mod licences;
mod metadata;
mod rules;
mod steps;
mod walls;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no folder")?;
    match arguments {
        [command, steps @ ..] if command == "check" => steps::check(root, steps),
        [command] if command == "docs" => docs::write(root),
        _ => bail!(
            "usage: cargo xtask check [{}]... | cargo xtask docs",
            steps::names().collect::<Vec<_>>().join("|")
        ),
    }
}
