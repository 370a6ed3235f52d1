//! Which files a data set has, and which belong together.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use esrgan_image::PictureFormat;

use crate::error::DatasetError;
use crate::options::{DatasetOptions, LrSource};

/// A picture, and its low-resolution partner where there are files of them and one belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub hr: PathBuf,
    pub lr: Option<PathBuf>,
}

/// All pictures below a folder, by their extensions, sorted by path.
///
/// Folders are searched as deep as they go, but not those that are symbolic links; names that begin with a dot are passed
/// over.
///
/// # Errors
/// [`DatasetError::Folder`], [`DatasetError::NoPictures`].
pub fn list_pictures(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut pictures = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(DatasetError::folder(&folder))? {
            let entry = entry.map_err(DatasetError::folder(&folder))?;
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type().map_err(DatasetError::folder(&path))?.is_dir() {
                folders.push(path);
            } else if PictureFormat::from_path(&path).is_some() && path.is_file() {
                pictures.push(path);
            }
        }
    }
    if pictures.is_empty() {
        return Err(DatasetError::NoPictures { path: folder.to_owned() });
    }
    pictures.sort();
    Ok(pictures)
}

/// The pictures of all folders, in the folders' order, with their partners, and what is wrong with partners.
///
/// # Errors
/// As [`list_pictures`].
pub(crate) fn list_pairs(options: &DatasetOptions) -> Result<(Vec<Pair>, Vec<DatasetError>), DatasetError> {
    let mut pairs = Vec::new();
    let mut problems = Vec::new();
    let mut partners = match &options.lr {
        LrSource::Paired(folder) => Some(Partners::list(folder, options.scale)?),
        LrSource::Bicubic | LrSource::Degraded(_) => None,
    };
    for folder in &options.hr_folders {
        for hr in list_pictures(folder)? {
            let lr = partners.as_mut().map(|partners| partners.take(&hr, folder)).transpose();
            let lr = lr.unwrap_or_else(|problem| {
                problems.push(problem);
                None
            });
            pairs.push(Pair { hr, lr });
        }
    }
    Ok((pairs, problems))
}

/// Low-resolution pictures that wait for their partners.
struct Partners {
    folder: PathBuf,
    scale: usize,
    /// By their path below the folder, without extension; several where only the extension differs, in their order.
    by_name: HashMap<PathBuf, Vec<PathBuf>>,
    /// Whose partner a picture is already.
    taken: BTreeMap<PathBuf, PathBuf>,
}

impl Partners {
    fn list(folder: &Path, scale: usize) -> Result<Self, DatasetError> {
        let mut by_name: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
        for picture in list_pictures(folder)? {
            by_name.entry(name_below(&picture, folder)).or_default().push(picture);
        }
        Ok(Self { folder: folder.to_owned(), scale, by_name, taken: BTreeMap::new() })
    }

    fn take(&mut self, hr: &Path, hr_folder: &Path) -> Result<PathBuf, DatasetError> {
        let name = name_below(hr, hr_folder);
        let lr = self.find(&name, hr.extension()).ok_or_else(|| DatasetError::NoPartner {
            hr: hr.to_owned(),
            partner: self.folder.join(&name),
            scale: self.scale,
        })?;
        match self.taken.insert(lr.clone(), hr.to_owned()) {
            None => Ok(lr),
            Some(first) => Err(DatasetError::SharedPartner { lr, first, second: hr.to_owned() }),
        }
    }

    /// The same name first, and among those the same extension.
    fn find(&self, name: &Path, extension: Option<&OsStr>) -> Option<PathBuf> {
        let suffixes = [String::new(), format!("x{}", self.scale), format!("_x{}", self.scale)];
        suffixes.iter().find_map(|suffix| {
            let mut name = name.as_os_str().to_owned();
            name.push(suffix);
            let candidates = self.by_name.get(Path::new(&name))?;
            let same = candidates.iter().find(|candidate| candidate.extension() == extension);
            same.or(candidates.first()).cloned()
        })
    }
}

/// A path below a folder, without extension.
fn name_below(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).with_extension("")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of empty files.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder around it")).expect("a folder");
            std::fs::write(path, b"").expect("a file");
        }
        folder
    }

    fn pairs_of(hr: &[&str], lr: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
        let (hr, lr) = (folder(hr), folder(lr));
        let options = DatasetOptions {
            hr_folders: vec![hr.path().to_owned()],
            lr: LrSource::Paired(lr.path().to_owned()),
            ..DatasetOptions::default()
        };
        let (pairs, problems) = list_pairs(&options).expect("both folders have pictures");
        let below = |path: &Path, folder: &tempfile::TempDir| {
            path.strip_prefix(folder.path()).expect("below its folder").to_string_lossy().into_owned()
        };
        let name = |pair: &Pair| Some((below(&pair.hr, &hr), below(pair.lr.as_deref()?, &lr)));
        (pairs.iter().filter_map(name).collect(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn pictures_are_found_at_any_depth_and_sorted() {
        let folder =
            folder(&["b.png", "a/z.JPG", "a/deep/er/1.webp", "note.txt", ".hidden.png", ".git/x.png"]);
        let found = list_pictures(folder.path()).unwrap();
        let expected = ["a/deep/er/1.webp", "a/z.JPG", "b.png"].map(|name| folder.path().join(name));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_without_pictures_and_no_folder_are_refused() {
        let folder = folder(&["note.txt", "a/b.md"]);
        let error = list_pictures(folder.path()).unwrap_err();
        assert!(matches!(&error, DatasetError::NoPictures { path } if path == folder.path()), "{error}");
        let absent = folder.path().join("absent");
        let error = list_pictures(&absent).unwrap_err();
        assert!(matches!(&error, DatasetError::Folder { path, .. } if *path == absent), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn linked_pictures_are_taken_and_linked_folders_are_not() {
        use std::os::unix::fs::symlink;
        let elsewhere = folder(&["far.png"]);
        let folder = folder(&["a.png"]);
        symlink(elsewhere.path(), folder.path().join("folder")).unwrap();
        symlink(folder.path(), folder.path().join("itself")).unwrap();
        symlink(elsewhere.path().join("far.png"), folder.path().join("link.png")).unwrap();
        symlink(elsewhere.path().join("absent.png"), folder.path().join("broken.png")).unwrap();
        let found = list_pictures(folder.path()).unwrap();
        assert_eq!(found, ["a.png", "link.png"].map(|name| folder.path().join(name)));
    }

    #[test]
    fn partners_are_found_by_path_and_name() {
        let (pairs, problems) = pairs_of(
            &["1.png", "2.png", "in/1.png", "3.webp", "4.v2.png", "5.png", "5.jpg"],
            &["1x4.png", "2_x4.jpg", "in/1.png", "3.png", "3.webp", "4.v2.bmp", "5.jpg", "5.png", "more.png"],
        );
        let expected = [
            ("1.png", "1x4.png"),
            ("2.png", "2_x4.jpg"),
            ("3.webp", "3.webp"),
            ("4.v2.png", "4.v2.bmp"),
            ("5.jpg", "5.jpg"),
            ("5.png", "5.png"),
            ("in/1.png", "in/1.png"),
        ];
        assert_eq!(pairs, expected.map(|(hr, lr)| (hr.to_owned(), lr.to_owned())));
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn every_missing_and_every_shared_partner_is_named() {
        let (pairs, problems) = pairs_of(&["1.jpg", "1.png", "2.png", "3.png"], &["1.png", "2x2.png"]);
        assert_eq!(pairs, [("1.jpg".to_owned(), "1.png".to_owned())]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        let shared = ["partner of both", "1.jpg", "1.png"];
        assert!(shared.iter().all(|word| problems[0].contains(word)), "{problems:?}");
        assert!(problems[1].contains("2.png` has no low-resolution partner"), "{problems:?}");
        assert!(problems[2].contains("or that with x4 or _x4 behind it"), "{problems:?}");
    }
}
