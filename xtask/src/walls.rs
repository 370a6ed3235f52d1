//! Walls between the rooms: which package may depend on which.
//!
//! `docs/architecture.md` draws the same table. A new edge is a decision: it comes with a line here and the reason there.

use crate::metadata::{Dependency, Metadata, Package};

/// What one package of the workspace may depend on.
struct Room {
    package: &'static str,
    /// Packages of the workspace that it may link.
    links: &'static [&'static str],
    /// Packages of the workspace that only its tests may use, beside the testkit.
    tests: &'static [&'static str],
}

const TESTKIT: &str = "esrgan-testkit";

const ROOMS: &[Room] = &[
    Room { package: "esrgan-core", links: &[], tests: &[] },
    Room { package: "esrgan-kernels", links: &[], tests: &[] },
    Room { package: "esrgan-weights", links: &["esrgan-core"], tests: &[] },
    Room { package: "esrgan-image", links: &["esrgan-core"], tests: &[] },
    Room {
        package: "esrgan-engine",
        links: &["esrgan-core", "esrgan-kernels", "esrgan-weights"],
        tests: &[],
    },
    Room { package: "esrgan-gpu", links: &["esrgan-core", "esrgan-engine", "esrgan-weights"], tests: &[] },
    Room { package: "esrgan-builtin", links: &["esrgan-weights"], tests: &[] },
    Room {
        package: "esrgan-upscale",
        links: &[
            "esrgan-builtin",
            "esrgan-core",
            "esrgan-image",
            "esrgan-weights",
            "esrgan-engine",
            "esrgan-gpu",
        ],
        tests: &[],
    },
    Room {
        package: "esrgan-metrics",
        links: &["esrgan-core", "esrgan-kernels", "esrgan-weights"],
        tests: &["esrgan-image"],
    },
    Room {
        package: "esrgan-evaluate",
        links: &["esrgan-core", "esrgan-image", "esrgan-weights", "esrgan-metrics", "esrgan-upscale"],
        tests: &[],
    },
    Room { package: "esrgan-random", links: &[], tests: &[] },
    Room { package: "esrgan-degrade", links: &["esrgan-core", "esrgan-image", "esrgan-random"], tests: &[] },
    Room { package: "esrgan-gradients", links: &["esrgan-kernels"], tests: &[] },
    Room {
        package: "esrgan-model",
        links: &["esrgan-core", "esrgan-gpu", "esrgan-gradients", "esrgan-random", "esrgan-weights"],
        tests: &[],
    },
    Room { package: "esrgan-dataset", links: &["esrgan-core", "esrgan-image", "esrgan-degrade"], tests: &[] },
    Room {
        package: "esrgan-train",
        links: &[
            "esrgan-checkpoint",
            "esrgan-core",
            "esrgan-dataset",
            "esrgan-degrade",
            "esrgan-evaluate",
            "esrgan-journal",
            "esrgan-model",
            "esrgan-recipe",
            "esrgan-upscale",
            "esrgan-weights",
        ],
        tests: &[],
    },
    Room { package: "esrgan-journal", links: &["esrgan-core"], tests: &[] },
    Room { package: "esrgan-recipe", links: &["esrgan-core", "esrgan-degrade"], tests: &[] },
    Room { package: "esrgan-checkpoint", links: &["esrgan-core", "esrgan-weights"], tests: &[] },
    Room {
        package: "esrgan",
        links: &[
            "esrgan-core",
            "esrgan-upscale",
            "esrgan-evaluate",
            "esrgan-degrade",
            "esrgan-recipe",
            "esrgan-train",
        ],
        tests: &[],
    },
    Room { package: TESTKIT, links: &["esrgan-core"], tests: &[] },
    Room { package: "xtask", links: &[], tests: &[] },
];

/// A crate from outside that only some rooms may name.
struct Wall {
    /// Its name, or the beginning of the names of its family where it ends in `*`.
    outside: &'static str,
    rooms: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    Wall { outside: "burn*", rooms: &["esrgan-model", "esrgan-train", "esrgan-metrics"] },
    Wall { outside: "cubecl*", rooms: &["esrgan-gpu", "esrgan-model"] },
    Wall { outside: "wgpu*", rooms: &["esrgan-gpu", "esrgan-model"] },
    Wall { outside: "clap*", rooms: &["esrgan"] },
    Wall { outside: "tokio", rooms: &["esrgan-serve"] },
    Wall { outside: "axum", rooms: &["esrgan-serve"] },
    Wall { outside: "image", rooms: &["esrgan-image"] },
    Wall {
        outside: "rayon",
        rooms: &["esrgan-engine", "esrgan-metrics", "esrgan-gradients", "esrgan-train"],
    },
    Wall { outside: "anyhow", rooms: &["esrgan", "xtask"] },
];

/// Every edge of the workspace that the tables do not allow, in words.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    metadata.packages.iter().flat_map(violations_of).collect()
}

fn violations_of(package: &Package) -> Vec<String> {
    let Some(room) = ROOMS.iter().find(|room| room.package == package.name) else {
        return vec![format!("`{}` has no line in the table of rooms (xtask/src/walls.rs)", package.name)];
    };
    package
        .dependencies
        .iter()
        .filter_map(|dependency| {
            if dependency.path.is_some() {
                inside_violation(room, dependency)
            } else {
                outside_violation(room, dependency)
            }
        })
        .collect()
}

fn inside_violation(room: &Room, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let is_test = dependency.kind.as_deref() == Some("dev");
    let is_allowed =
        room.links.contains(&name) || (is_test && (name == TESTKIT || room.tests.contains(&name)));
    let purpose = if is_test { "for tests " } else { "" };
    (!is_allowed).then(|| format!("`{}` may not depend {purpose}on `{name}`", room.package))
}

fn outside_violation(room: &Room, dependency: &Dependency) -> Option<String> {
    let wall = WALLS.iter().find(|wall| wall.encloses(&dependency.name))?;
    let rooms = wall.rooms.join("`, `");
    (!wall.rooms.contains(&room.package))
        .then(|| format!("`{}` may not use `{}`: only `{rooms}` may", room.package, dependency.name))
}

impl Wall {
    fn encloses(&self, name: &str) -> bool {
        match self.outside.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::violations;
    use crate::metadata::Metadata;

    /// A workspace of one package with one dependency.
    fn workspace(package: &str, dependency: &str, kind: Option<&str>, is_inside: bool) -> Metadata {
        let kind = kind.map_or("null".to_owned(), |kind| format!("\"{kind}\""));
        let path = if is_inside { "\"somewhere\"" } else { "null" };
        let json = format!(
            r#"{{"packages": [{{"name": "{package}", "version": "0.1.0", "license": null, "dependencies": [
                {{"name": "{dependency}", "kind": {kind}, "path": {path}}}]}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn edges_of_the_table_pass_and_others_are_refused() {
        let cases = [
            ("esrgan-engine", "esrgan-kernels", None, true, true),
            ("esrgan-weights", "esrgan-kernels", None, true, false),
            ("esrgan-core", "esrgan-engine", Some("build"), true, false),
            ("esrgan-weights", "esrgan-testkit", Some("dev"), true, true),
            ("esrgan-weights", "esrgan-testkit", None, true, false),
            ("esrgan-weights", "esrgan-engine", Some("dev"), true, false),
            ("esrgan", "esrgan-engine", None, true, false),
            ("esrgan", "clap", None, false, true),
            ("esrgan-upscale", "clap_complete", None, false, false),
            ("esrgan-engine", "rayon", None, false, true),
            ("esrgan-image", "rayon", None, false, false),
            ("esrgan-upscale", "image", Some("dev"), false, false),
            ("esrgan-image", "image-webp", None, false, true),
            ("esrgan-engine", "burn-ndarray", None, false, false),
            ("esrgan-upscale", "esrgan-gpu", None, true, true),
            ("esrgan-model", "esrgan-gpu", None, true, true),
            ("esrgan-gpu", "esrgan-engine", None, true, true),
            ("esrgan-gpu", "esrgan-kernels", None, true, false),
            ("esrgan-engine", "esrgan-gpu", None, true, false),
            ("esrgan", "esrgan-gpu", None, true, false),
            ("esrgan-gpu", "cubecl", None, false, true),
            ("esrgan-model", "cubecl-wgpu", None, false, true),
            ("esrgan-upscale", "cubecl", None, false, false),
            ("esrgan-train", "wgpu", None, false, false),
            ("esrgan-gpu", "wgpu-hal", None, false, true),
            ("esrgan-gpu", "burn", None, false, false),
            ("esrgan-weights", "anyhow", None, false, false),
            ("esrgan-weights", "crc32fast", None, false, true),
            ("esrgan-unheard-of", "crc32fast", None, false, false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(package, dependency, kind, is_inside, is_allowed)| {
                violations(&workspace(package, dependency, *kind, *is_inside)).is_empty() != *is_allowed
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_refusal_names_both_ends() {
        let refusals = violations(&workspace("esrgan-core", "esrgan-image", None, true));
        assert_eq!(refusals, ["`esrgan-core` may not depend on `esrgan-image`"]);
    }
}
