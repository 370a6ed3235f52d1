//! The steps of `cargo xtask check`, cheapest first.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::licences::{self, AllowList};
use crate::metadata::Metadata;
use crate::{docs, rules, walls};

/// One check of the repository.
struct Step {
    name: &'static str,
    run: fn(&Path) -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: |root| cargo(root, &["fmt", "--all", "--check"], &[]) },
    Step { name: "rules", run: |root| none_of(rules::violations(root)?) },
    Step { name: "walls", run: |_| none_of(walls::violations(&Metadata::of_workspace()?)) },
    Step {
        name: "licences",
        run: |root| {
            let allowed = AllowList::read(&root.join("deny.toml"))?;
            none_of(licences::violations(&Metadata::of_graph()?, &allowed))
        },
    },
    Step {
        name: "clippy",
        run: |root| {
            cargo(root, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
        },
    },
    Step {
        name: "rustdoc",
        run: |root| {
            cargo(root, &["doc", "--quiet", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])
        },
    },
    Step { name: "docs", run: |root| none_of(docs::violations(root)?) },
];

/// Names of all steps, in their order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Runs the named steps, or all where none is named, and stops at the first that fails.
pub(crate) fn check(root: &Path, chosen: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = chosen.iter().find(|name| !names().any(|step| step == name.as_str())) {
        bail!("no step is called `{unknown}`: {}", names().collect::<Vec<_>>().join(", "));
    }
    for step in STEPS.iter().filter(|step| chosen.is_empty() || chosen.iter().any(|name| name == step.name)) {
        let start = Instant::now();
        let result = (step.run)(root);
        let verdict = if result.is_ok() { "ok" } else { "failed" };
        println!("{:<10} {verdict:<6} {:6.1} s", step.name, start.elapsed().as_secs_f64());
        result.with_context(|| format!("step `{}`", step.name))?;
    }
    Ok(())
}

fn none_of(violations: Vec<String>) -> anyhow::Result<()> {
    ensure!(violations.is_empty(), "{} found:\n  {}", violations.len(), violations.join("\n  "));
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}`: {status}", arguments.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, none_of};

    #[test]
    fn violations_fail_a_step() {
        assert!(none_of(vec![]).is_ok());
        assert!(none_of(vec!["some".to_owned()]).unwrap_err().to_string().contains("some"));
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let error = check(Path::new("."), &["speling".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`speling`") && error.contains("walls"), "{error}");
    }
}
