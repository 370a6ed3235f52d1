//! The part of `cargo metadata` that the checks read.

use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// What `cargo metadata` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace or of the graph below it.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for what is linked.
    pub(crate) kind: Option<String>,
    /// The folder, for packages of the workspace.
    pub(crate) path: Option<String>,
}

impl Metadata {
    /// The workspace's packages alone.
    pub(crate) fn of_workspace() -> anyhow::Result<Self> {
        Self::ask(&["--no-deps"])
    }

    /// The workspace's packages and all that they depend on, for every platform.
    pub(crate) fn of_graph() -> anyhow::Result<Self> {
        Self::ask(&[])
    }

    fn ask(more: &[&str]) -> anyhow::Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--format-version", "1"])
            .args(more)
            .output()
            .context("cannot start `cargo metadata`")?;
        ensure!(output.status.success(), "`cargo metadata`: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("`cargo metadata` printed unexpected JSON")
    }
}
