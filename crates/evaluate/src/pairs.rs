//! Which pictures belong together.

use std::path::{Path, PathBuf};

use esrgan_image::PictureFormat;

use crate::error::EvaluateError;

/// The pictures of a folder by their extensions, sorted by name.
///
/// # Errors
/// [`EvaluateError::Io`], [`EvaluateError::NoPictures`].
pub(crate) fn pictures(folder: &Path) -> Result<Vec<PathBuf>, EvaluateError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(EvaluateError::io(folder))? {
        let path = entry.map_err(EvaluateError::io(folder))?.path();
        if PictureFormat::from_path(&path).is_some() && path.is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(EvaluateError::NoPictures { path: folder.to_owned() });
    }
    found.sort_by_key(|path| in_order(&path.to_string_lossy()));
    Ok(found)
}

/// A key by which `2.png` comes before `10.png`.
fn in_order(name: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = Vec::new();
    for part in name.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits: String = part.chars().filter(char::is_ascii_digit).collect();
        let rest: String = part.chars().filter(|c| !c.is_ascii_digit()).collect();
        // Longer than any number that counts pictures: all the same then, and told apart by the name.
        parts.push((digits.parse().unwrap_or(u64::from(digits.is_empty()) * u64::MAX), rest));
    }
    parts.push((0, name.to_owned()));
    parts
}

/// The picture of `candidates` that belongs to a true picture: of the same name but for the extension, or with the scale
/// behind it, as `0801x4.png` belongs to `0801.png`.
///
/// # Errors
/// [`EvaluateError::Partner`].
pub(crate) fn partner<'c>(
    hr: &Path,
    folder: &Path,
    candidates: &'c [PathBuf],
    scale: usize,
) -> Result<&'c Path, EvaluateError> {
    let stem = hr.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |name: &str| candidates.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
    let found = candidates.iter().find(|path| path.file_name() == hr.file_name());
    let found = found
        .or_else(|| named(&stem))
        .or_else(|| named(&format!("{stem}x{scale}")))
        .or_else(|| named(&format!("{stem}_x{scale}")));
    found.map(PathBuf::as_path).ok_or_else(|| EvaluateError::Partner {
        hr: hr.to_owned(),
        folder: folder.to_owned(),
        stem,
        scale,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_order() {
        let mut names = ["img_10.png", "img_9.png", "b.png", "img_010.png", "a2.png", "a.png"];
        names.sort_by_key(|name| in_order(name));
        assert_eq!(names, ["a2.png", "a.png", "b.png", "img_9.png", "img_010.png", "img_10.png"]);
    }

    #[test]
    fn partners_are_found_by_name() {
        let candidates = ["0801x4.png", "0802.webp", "0802.png", "0803_x4.png"].map(PathBuf::from);
        let of = |hr: &str| partner(Path::new(hr), Path::new("lr"), &candidates, 4);
        assert_eq!(of("hr/0801.png").unwrap(), Path::new("0801x4.png"));
        assert_eq!(of("hr/0802.png").unwrap(), Path::new("0802.png"), "the same extension first");
        assert_eq!(of("hr/0803.tif").unwrap(), Path::new("0803_x4.png"));
        let error = of("hr/0804.png").unwrap_err();
        assert!(error.to_string().contains("0804") && error.to_string().contains("lr"), "{error}");
    }
}
