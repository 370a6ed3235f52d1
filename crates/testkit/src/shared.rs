//! The folder of evaluation sets, real weights and goldens beside the checkout. Users do not have it; CI does.

use std::path::PathBuf;

/// A path below `shared/data`, or `None` (with a line on stderr) where the folder is absent.
///
/// The folder is looked for beside the repository, or where `ESRGAN_SHARED` says.
///
/// # Panics
/// Under CI (the variable `CI` is set) when the folder or the path is absent: a test may not skip there.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ESRGAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let full = root.join("data").join(path);
    if full.exists() {
        return Some(full);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is absent, and CI may not skip: set ESRGAN_SHARED",
        full.display()
    );
    eprintln!("SKIPPED: {} is absent (set ESRGAN_SHARED to the shared folder)", full.display());
    None
}
