//! Names within the folder, and which names the files of a checkpoint may have.

/// The file of a checkpoint that describes the others.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The file that names the best checkpoint.
pub(crate) const BEST: &str = "best.json";
/// The file that keeps other runs out.
pub(crate) const LOCK: &str = "lock";

/// What the names of checkpoints begin with.
const STEP_PREFIX: &str = "step-";
/// What stands between a final name and the number of the process in a temporary one.
const TEMPORARY: &str = ".tmp-";
/// Characters of a file's name at most.
const MAX_NAME_CHARACTERS: usize = 100;

/// What [`is_file_name`] asks for, in words.
pub(crate) const FILE_NAME_RULE: &str = "up to 100 letters a-z or A-Z, digits, `.`, `_` and `-`, no `.` at either end, and \
                                         another name than `manifest.json`";

/// The name of a step's checkpoint.
pub(crate) fn step_name(step: u64) -> String {
    format!("{STEP_PREFIX}{step:010}")
}

/// The step of a checkpoint's name; `None` for any other name.
pub(crate) fn parse_step_name(name: &str) -> Option<u64> {
    let step = name.strip_prefix(STEP_PREFIX)?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

/// The name under which `name` is written. The lock sees to it that no other process uses the same folder.
pub(crate) fn temporary_name(name: &str) -> String {
    format!("{name}{TEMPORARY}{}", std::process::id())
}

/// The name under which `name` is removed.
pub(crate) fn doomed_name(name: &str) -> String {
    format!("{}-old", temporary_name(name))
}

/// Whether [`temporary_name`] or [`doomed_name`] made this name, in whichever process.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.split_once(TEMPORARY).is_some_and(|(name, _)| name == BEST || parse_step_name(name).is_some())
}

/// Whether a file of a checkpoint may be called this: no path, nothing hidden, nothing that a file system folds or forbids.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_CHARACTERS).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.eq_ignore_ascii_case(MANIFEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_names_go_both_ways() {
        for (step, name) in
            [(0, "step-0000000000"), (12345, "step-0000012345"), (u64::MAX, "step-18446744073709551615")]
        {
            assert_eq!(step_name(step), name);
            assert_eq!(parse_step_name(name), Some(step));
        }
        for name in [
            "step-1",
            "step-",
            "step-+000000001",
            "step-00000000001",
            "step-0000000001.tmp-7",
            "steps",
            "step-99999999999999999999",
        ] {
            assert_eq!(parse_step_name(name), None, "{name}");
        }
    }

    #[test]
    fn only_our_own_leftovers_are_swept() {
        for name in [
            temporary_name("step-0000000001"),
            doomed_name("step-0000000001"),
            temporary_name(BEST),
            "step-0000000009.tmp-1".to_owned(),
        ] {
            assert!(is_temporary(&name), "{name}");
        }
        for name in ["step-0000000001", BEST, LOCK, "notes.tmp-1", "step-1.tmp-1", "step-0000000001.tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }

    #[test]
    fn file_names_are_no_paths() {
        for name in ["a", "generator.safetensors", "adam_g-2", &"a".repeat(100)] {
            assert!(is_file_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/passwd",
            "a\\b",
            "C:x",
            ".hidden",
            "end.",
            "nul\0",
            "ä",
            "a b",
            MANIFEST,
            "Manifest.JSON",
            &"a".repeat(101),
        ] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }
}
