//! Licences of everything that is linked, built with or tested with, against the list in `deny.toml`.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::metadata::{Metadata, Package};

/// The part of `deny.toml` that is read; `cargo deny check licenses` reads the same.
#[derive(Deserialize)]
struct DenyFile {
    licenses: LicenceRules,
}

#[derive(Deserialize)]
struct LicenceRules {
    allow: Vec<String>,
}

/// Licences that the project accepts.
#[derive(Debug)]
pub(crate) struct AllowList(Vec<Licensee>);

impl AllowList {
    /// Reads the list of a `deny.toml`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("in `{}`", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: DenyFile = toml::from_str(text)?;
        let licensees = file.licenses.allow.iter().map(|name| {
            Licensee::parse(name).with_context(|| format!("`{name}` is no SPDX licence identifier"))
        });
        Ok(Self(licensees.collect::<anyhow::Result<_>>()?))
    }

    /// Why a package may not be used; `None` where it may.
    fn refusal(&self, package: &Package) -> Option<String> {
        let Package { name, version, license, .. } = package;
        let Some(license) = license else {
            return Some(format!("`{name}` {version} names no licence"));
        };
        // Old manifests write `MIT/Apache-2.0`.
        match Expression::parse_mode(license, ParseMode::LAX) {
            Err(error) => Some(format!("`{name}` {version}: `{license}`: {}", error.reason)),
            Ok(expression) => {
                let is_allowed = expression
                    .evaluate(|required| self.0.iter().any(|licensee| licensee.satisfies(required)));
                (!is_allowed).then(|| format!("`{name}` {version}: `{license}` is not on the list"))
            }
        }
    }
}

/// Every package whose licence is not on the list, in words.
pub(crate) fn violations(metadata: &Metadata, allowed: &AllowList) -> Vec<String> {
    metadata.packages.iter().filter_map(|package| allowed.refusal(package)).collect()
}

#[cfg(test)]
mod tests {
    use super::{AllowList, violations};
    use crate::metadata::{Metadata, Package};

    const RULES: &str =
        "[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Unicode-3.0\", \"Apache-2.0 WITH LLVM-exception\"]";

    fn package(license: Option<&str>) -> Metadata {
        let license = license.map(str::to_owned);
        let package =
            Package { name: "some".to_owned(), version: "1.2.3".to_owned(), license, dependencies: vec![] };
        Metadata { packages: vec![package] }
    }

    #[test]
    fn expressions_are_held_against_the_list() {
        let allowed = AllowList::parse(RULES).unwrap();
        let cases = [
            (Some("MIT"), true),
            (Some("MIT/Apache-2.0"), true),
            (Some("GPL-3.0-only"), false),
            (Some("MIT OR GPL-3.0-only"), true),
            (Some("MIT AND GPL-3.0-only"), false),
            (Some("(MIT OR Apache-2.0) AND Unicode-3.0"), true),
            (Some("Apache-2.0 WITH LLVM-exception"), true),
            (Some("MPL-2.0"), false),
            (Some("mine alone"), false),
            (None, false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(license, is_allowed)| {
                violations(&package(*license), &allowed).is_empty() != *is_allowed
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_refusal_names_package_version_and_licence() {
        let allowed = AllowList::parse(RULES).unwrap();
        let refusals = violations(&package(Some("GPL-3.0-only")), &allowed);
        assert_eq!(refusals, ["`some` 1.2.3: `GPL-3.0-only` is not on the list"]);
    }

    #[test]
    fn a_list_with_an_unknown_licence_is_refused() {
        let error = AllowList::parse("[licenses]\nallow = [\"Beer\"]").unwrap_err();
        assert!(error.to_string().contains("`Beer`"), "{error}");
    }
}
