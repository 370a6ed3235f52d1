//! Rules that every file of the repository keeps.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Longest Rust file, tests not counted.
const MAX_RUST_LINES: usize = 800;

// Put together here so that this file keeps its own rules.
const IGNORED_TEST: &str = concat!("#[", "ignore");
const WIDE_WAIVER: &str = concat!("#![", "allow");
const OPEN_ENDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const PRIVATE_FOLDERS: [&str; 5] = [
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/", "Users/"),
    concat!("\\", "Users\\"),
];

/// Every breach in the files that git tracks, in words, with file and line.
pub(crate) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("cannot start `git ls-files`")?;
    ensure!(output.status.success(), "`git ls-files`: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("`git ls-files` printed a name that is no UTF-8")?;
    let mut found = Vec::new();
    for name in names.split_terminator('\0') {
        let bytes = match std::fs::read(root.join(name)) {
            // Deleted, but not committed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.with_context(|| format!("cannot read `{name}`"))?,
        };
        // Pictures and models are no text.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            found.extend(violations_in(name, text));
        }
    }
    Ok(found)
}

fn violations_in(name: &str, text: &str) -> Vec<String> {
    let is_rust = name.ends_with(".rs");
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let rules = [
            (has_private_path(line), "an absolute path of somebody's machine"),
            (has_open_end(line), "an open end without an issue number"),
            (has_unchecked_fence(line), "an example that is not compiled"),
            (is_rust && line.contains(IGNORED_TEST), "a test that does not run"),
            (is_rust && line.contains(WIDE_WAIVER), "a lint waived for a whole file"),
        ];
        let broken = rules.iter().filter(|(is_broken, _)| *is_broken);
        found.extend(broken.map(|(_, words)| format!("{name}:{}: {words}", index + 1)));
    }
    let lines = lines_without_tests(text);
    if is_rust && !is_test_file(name) && lines > MAX_RUST_LINES {
        found.push(format!("{name}: {lines} lines without tests, {MAX_RUST_LINES} allowed"));
    }
    found
}

fn has_private_path(line: &str) -> bool {
    PRIVATE_FOLDERS.iter().any(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            // A folder's name behind other letters, as in an address or a relative path, is part of a longer name.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|character| character.is_alphanumeric() || "._-)}".contains(character))
        })
    })
}

fn has_open_end(line: &str) -> bool {
    let mut words = line.split(|character: char| !character.is_alphanumeric());
    let has_number =
        || line.split('#').skip(1).any(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    words.any(|word| OPEN_ENDS.contains(&word)) && !has_number()
}

fn has_unchecked_fence(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("///").or(line.strip_prefix("//!")).unwrap_or(line).trim_start();
    line.strip_prefix("```").is_some_and(|information| {
        information.split([',', ' ']).any(|word| word == "ignore" || word.starts_with("ignore-"))
    })
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.split('/').any(|folder| folder == "tests")
}

/// Lines above the test module, which is the last item of its file.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_module =
        |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(is_module).unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::{IGNORED_TEST, MAX_RUST_LINES, OPEN_ENDS, PRIVATE_FOLDERS, WIDE_WAIVER, violations_in};

    fn assert_all(name: &str, cases: &[(String, bool)]) {
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(text, is_clean)| violations_in(name, text).is_empty() != *is_clean)
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }

    #[test]
    fn lines_of_any_file() {
        let [home, root, work, mac, windows] = PRIVATE_FOLDERS;
        let [first, second] = OPEN_ENDS;
        assert_all(
            "docs/some.md",
            &[
                ("a plain line".to_owned(), true),
                (format!("see {home}me/file"), false),
                (format!("\"{root}.cargo\""), false),
                (format!("{work}main"), false),
                (format!("{mac}me"), false),
                (format!("C:{windows}me"), false),
                (format!("https://example.org{home}page and frame{work}more"), true),
                (format!("// {first}: later"), false),
                (format!("// {second} later"), false),
                (format!("// {first}(#12): later"), true),
                (format!("{first}S is another word"), true),
                ("```ignore".to_owned(), false),
                ("/// ```rust,ignore".to_owned(), false),
                ("//! ```ignore-x86_64".to_owned(), false),
                ("/// ```no_run".to_owned(), true),
                (format!("how {IGNORED_TEST}] is spelt"), true),
            ],
        );
    }

    #[test]
    fn lines_of_rust_files() {
        assert_all(
            "crates/some/src/lib.rs",
            &[
                (format!("    {IGNORED_TEST}]"), false),
                (format!("{IGNORED_TEST} = \"slow\"]"), false),
                (format!("{WIDE_WAIVER}(dead_code)]"), false),
                ("#[expect(dead_code, reason = \"read by the debugger\")]".to_owned(), true),
            ],
        );
    }

    #[test]
    fn length_counts_no_tests() {
        let body = "fn some() {}\n".repeat(MAX_RUST_LINES);
        let tests = "#[cfg(test)]\nmod tests {\n    fn more() {}\n}\n";
        let longer = format!("{body}fn one_more() {{}}\n");
        assert_all(
            "crates/some/src/lib.rs",
            &[(body.clone(), true), (format!("{body}{tests}"), true), (longer.clone(), false)],
        );
        assert_all("crates/some/src/some/tests.rs", &[(longer.clone(), true)]);
        assert_all("crates/some/tests/it/main.rs", &[(longer.clone(), true)]);
        assert_all("docs/long.md", &[(longer, true)]);
    }
}
