//! The part of `cargo metadata` that the checks read.

use std::collections::HashSet;
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

    /// The workspace's packages and all that is built with them, for every platform: not what only features that nobody asks
    /// for would add, which `cargo metadata` lists as well.
    pub(crate) fn of_graph() -> anyhow::Result<Self> {
        let all = Self::ask(&[])?;
        let built = built_packages()?;
        let is_built = |package: &Package| built.contains(&(package.name.clone(), package.version.clone()));
        Ok(Self { packages: all.packages.into_iter().filter(is_built).collect() })
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

/// The features that users may ask for, with all that they bring.
const EVERY_FEATURE: &str = "esrgan/vulkan";

/// Names and versions of what `cargo tree` shows.
fn built_packages() -> anyhow::Result<HashSet<(String, String)>> {
    let arguments = [
        "tree",
        "--workspace",
        "--features",
        EVERY_FEATURE,
        "--target",
        "all",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ];
    let output = Command::new("cargo").args(arguments).output().context("cannot start `cargo tree`")?;
    ensure!(output.status.success(), "`cargo tree`: {}", String::from_utf8_lossy(&output.stderr));
    // `name v1.2.3 (more)`.
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let version = words.next()?.strip_prefix('v')?;
        Some((name.to_owned(), version.to_owned()))
    };
    let packages: HashSet<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(package).collect();
    ensure!(!packages.is_empty(), "`cargo tree` named no package");
    Ok(packages)
}
