//! Where models come from: the program itself, or files.

use std::fmt;
use std::path::{Path, PathBuf};

use esrgan_builtin::{BuiltInModel, DEFAULT_MODEL, DEFAULT_STRENGTH};
use esrgan_weights::{LoadOptions, Model, WeightsError, load};

use crate::error::UpscaleError;

/// Extensions of files that are listed as models; ncnn's `.bin` comes with its `.param`.
const MODEL_EXTENSIONS: [&str; 5] = ["pth", "pt", "safetensors", "param", "onnx"];

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSource {
    /// The program.
    BuiltIn {
        /// Which of its models.
        model: &'static BuiltInModel,
        /// Between faithful (0) and textured (1), for a model that takes it; [`DEFAULT_STRENGTH`] where `None`.
        strength: Option<f64>,
    },
    /// A file.
    File(PathBuf),
}

impl ModelSource {
    /// The model of a name: a file's path; the name of a model that is built in; the name of a file in the folder of models, with or
    /// without its extension. The default model where there is no name.
    ///
    /// # Errors
    /// [`UpscaleError::UnknownModel`], [`UpscaleError::AmbiguousModel`]; [`UpscaleError::Strength`] for a strength where the model takes none;
    /// [`UpscaleError::Io`] for the folder.
    pub fn find(
        name: Option<&Path>,
        folder: Option<&Path>,
        strength: Option<f64>,
    ) -> Result<Self, UpscaleError> {
        let built_in = |name: &Path| name.to_str().filter(|_| !name.is_file()).and_then(BuiltInModel::find);
        let source = match name.map(|name| (name, built_in(name))) {
            None => Self::BuiltIn { model: DEFAULT_MODEL, strength },
            Some((_, Some(model))) => Self::BuiltIn { model, strength },
            Some((name, None)) => Self::File(find_file(name, folder)?),
        };
        match (&source, strength) {
            (Self::BuiltIn { model, .. }, Some(_)) if model.takes_strength() => Ok(source),
            (_, Some(_)) => Err(UpscaleError::Strength { model: source.to_string() }),
            (_, None) => Ok(source),
        }
    }

    /// Reads the model.
    ///
    /// # Errors
    /// As [`load`] and [`BuiltInModel::load`].
    pub fn load(&self, options: &LoadOptions) -> Result<Model, WeightsError> {
        match self {
            Self::BuiltIn { model, strength } => model.load(*strength, options),
            Self::File(path) => load(path, options),
        }
    }
}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl Default for ModelSource {
    fn default() -> Self {
        Self::BuiltIn { model: DEFAULT_MODEL, strength: None }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn { model, strength } if model.takes_strength() => {
                write!(f, "{} at strength {}", model.name, strength.unwrap_or(DEFAULT_STRENGTH))
            }
            Self::BuiltIn { model, .. } => f.write_str(model.name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The file of a model: the path itself, or a file of that name in the folder of models.
fn find_file(name: &Path, folder: Option<&Path>) -> Result<PathBuf, UpscaleError> {
    let unknown = || UpscaleError::UnknownModel { name: name.to_owned(), folder: folder.map(Path::to_owned) };
    if name.exists() {
        return Ok(name.to_owned());
    }
    let Some(folder) = folder else {
        // What has an extension or a folder is meant as a path: what reads it says what is wrong with it.
        let is_path = name.extension().is_some() || name.components().count() > 1;
        return if is_path { Ok(name.to_owned()) } else { Err(unknown()) };
    };
    let files = model_files(folder)?;
    let is_named = |file: &&PathBuf| {
        file.file_name() == Some(name.as_os_str()) || file.file_stem() == Some(name.as_os_str())
    };
    match files.iter().filter(is_named).collect::<Vec<_>>()[..] {
        [file] => Ok(file.clone()),
        [] => Err(unknown()),
        [first, second, ..] => Err(UpscaleError::AmbiguousModel {
            name: name.to_owned(),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

/// The model files in a folder, in the order of their names.
///
/// # Errors
/// [`UpscaleError::Io`].
pub fn model_files(folder: &Path) -> Result<Vec<PathBuf>, UpscaleError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(UpscaleError::io(folder))? {
        let path = entry.map_err(UpscaleError::io(folder))?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if extension.is_some_and(|extension| MODEL_EXTENSIONS.contains(&extension.as_str())) && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, strength: Option<f64>) -> Result<ModelSource, UpscaleError> {
        ModelSource::find(Some(Path::new(name)), None, strength)
    }

    #[test]
    fn without_a_name_it_is_the_built_in_model() {
        let source = ModelSource::find(None, None, Some(0.25)).unwrap();
        assert_eq!(source, ModelSource::BuiltIn { model: DEFAULT_MODEL, strength: Some(0.25) });
        assert_eq!(source.to_string(), "photo-x4 at strength 0.25");
        assert_eq!(ModelSource::find(None, None, None).unwrap(), ModelSource::default());
        assert_eq!(find("photo-x4-gan", None).unwrap().to_string(), "photo-x4-gan");
    }

    #[test]
    fn paths_are_left_to_what_reads_them_and_other_names_are_refused() {
        let path = ModelSource::File(PathBuf::from("absent.pth"));
        assert_eq!(find("absent.pth", None).unwrap(), path);
        assert!(matches!(find("absent/model", None).unwrap(), ModelSource::File(_)));
        let error = find("photo-x5", None).unwrap_err().to_string();
        assert!(error.contains("photo-x5") && error.contains("photo-x4, photo-x4-psnr"), "{error}");
    }

    #[test]
    fn a_strength_is_for_the_model_that_takes_one() {
        for name in ["absent.pth", "photo-x4-psnr"] {
            let error = find(name, Some(0.5)).unwrap_err();
            assert!(matches!(&error, UpscaleError::Strength { model } if model == name), "{error}");
        }
    }
}
