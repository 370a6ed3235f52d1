//! From the paths that a user names to the files that will be read and written.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use esrgan_image::PictureFormat;

use crate::error::UpscaleError;
use crate::size::OutputSize;

/// Where outputs go and what they are called.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// A file or a folder; beside the inputs where `None`.
    pub output: Option<PathBuf>,
    /// The outputs' format; the input's where `None`, or PNG where that is only read.
    pub format: Option<PictureFormat>,
    /// Whether folders below the named ones are looked into.
    pub recursive: bool,
}

/// One file to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchJob {
    /// The picture.
    pub input: PathBuf,
    /// What is made of it.
    pub output: PathBuf,
    /// The output's format.
    pub format: PictureFormat,
}

/// Everything that will be done, and what will be left alone.
#[derive(Debug, Default)]
pub struct Batch {
    /// What will be done, in order.
    pub jobs: Vec<BatchJob>,
    /// Files in folders that are no pictures by their name, and links to nothing.
    pub passed_over: Vec<PathBuf>,
    /// Folders below the named ones that could not be looked into.
    pub unreadable: Vec<UpscaleError>,
}

/// Lists what will be done, without touching anything.
///
/// A named file is always taken; of a folder's files those whose name ends like a picture's, sorted by name. Outputs beside
/// their input get the size's name (`photo_x4.png`); in an output folder they keep the input's name, and folders their tree.
/// Symbolic links to folders are not followed.
///
/// # Errors
/// [`UpscaleError::Io`] for a path that cannot be looked at, [`UpscaleError::NoPictures`], [`UpscaleError::Collision`],
/// [`UpscaleError::Overwrite`], [`UpscaleError::Format`].
pub fn list_batch(
    inputs: &[PathBuf],
    size: OutputSize,
    model_scale: usize,
    options: &BatchOptions,
) -> Result<Batch, UpscaleError> {
    let mut found = Found {
        recursive: options.recursive,
        output: options.output.as_ref().and_then(|output| output.canonicalize().ok()),
        ..Found::default()
    };
    let mut has_folder = false;
    for input in inputs {
        if input.is_dir() {
            has_folder = true;
            found.folder(input, input)?;
        } else {
            std::fs::metadata(input).map_err(UpscaleError::io(input))?;
            found.pictures.push((input.clone(), None));
        }
    }
    let into_folder = has_folder || inputs.len() > 1;
    let namer = Namer { options, suffix: suffix(size, model_scale), into_folder };
    let mut jobs = Vec::with_capacity(found.pictures.len());
    for (input, below) in found.pictures {
        jobs.push(namer.job(input, below)?);
    }
    check_collisions(&jobs)?;
    Ok(Batch { jobs, passed_over: found.passed_over, unreadable: found.unreadable })
}

/// What an output is called beside its input.
fn suffix(size: OutputSize, model_scale: usize) -> String {
    match size {
        OutputSize::Model => format!("x{model_scale}"),
        OutputSize::Scale(factor) => format!("x{factor}"),
        OutputSize::Width(width) => format!("{width}w"),
        OutputSize::Height(height) => format!("{height}h"),
        OutputSize::Exact(width, height) => format!("{width}x{height}"),
    }
}

/// Pictures, each with its path below the folder that was named; and other files.
#[derive(Default)]
struct Found {
    recursive: bool,
    /// Where outputs go: what is in there is no input.
    output: Option<PathBuf>,
    pictures: Vec<(PathBuf, Option<PathBuf>)>,
    passed_over: Vec<PathBuf>,
    unreadable: Vec<UpscaleError>,
}

impl Found {
    /// Takes what is in a folder that was named, which must be readable and hold a picture.
    fn folder(&mut self, root: &Path, folder: &Path) -> Result<(), UpscaleError> {
        let before = self.pictures.len();
        let has_folders = self.entries(root, folder)?;
        if self.pictures.len() == before && self.unreadable.is_empty() {
            let has_folders = has_folders && !self.recursive;
            return Err(UpscaleError::NoPictures { path: root.to_owned(), has_folders });
        }
        Ok(())
    }

    /// Takes what is in a folder; says whether there are folders in it.
    fn entries(&mut self, root: &Path, folder: &Path) -> Result<bool, UpscaleError> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(UpscaleError::io(folder))? {
            entries.push(entry.map_err(UpscaleError::io(folder))?);
        }
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut has_folders = false;
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(UpscaleError::io(&path))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                has_folders = true;
                let is_output = self.output.is_some() && path.canonicalize().ok() == self.output;
                if self.recursive && !is_output {
                    // A folder that cannot be read is a failure to be named; the others are done all the same.
                    self.entries(root, &path).map_or_else(|error| self.unreadable.push(error), drop);
                }
            } else if PictureFormat::from_path(&path).is_some() && path.is_file() {
                let below = path.strip_prefix(root).ok().map(Path::to_owned);
                self.pictures.push((path, below));
            } else {
                self.passed_over.push(path);
            }
        }
        Ok(has_folders)
    }
}

/// Makes outputs' names.
struct Namer<'a> {
    options: &'a BatchOptions,
    suffix: String,
    into_folder: bool,
}

impl Namer<'_> {
    fn job(&self, input: PathBuf, below: Option<PathBuf>) -> Result<BatchJob, UpscaleError> {
        let named = self.options.output.as_deref().filter(|output| !self.is_folder(output));
        let of_input = PictureFormat::from_path(&input).filter(|format| format.can_encode());
        let of_name = named.and_then(PictureFormat::from_path);
        if let (Some(asked), Some(said), Some(path)) = (self.options.format, of_name, named)
            && asked != said
        {
            return Err(UpscaleError::Contradiction {
                path: path.to_owned(),
                format: asked.extension().to_owned(),
            });
        }
        let format = self.options.format.or(of_name).or(of_input).unwrap_or(PictureFormat::Png);
        if !format.can_encode() {
            let path = named.unwrap_or(&input).to_owned();
            return Err(UpscaleError::Format { path, format: format.extension().to_owned() });
        }
        let keeps_extension = of_input == Some(format);
        let extension = input.extension().filter(|_| keeps_extension).map(std::ffi::OsStr::to_owned);
        let extension = extension.unwrap_or_else(|| format.extension().into());
        let output = match (&self.options.output, named) {
            (_, Some(file)) => file.to_owned(),
            (Some(folder), None) => {
                let name = below.unwrap_or_else(|| input.file_name().map(PathBuf::from).unwrap_or_default());
                with_extension(&folder.join(name), &extension)
            }
            (None, None) => {
                let mut name = input.file_stem().unwrap_or_default().to_owned();
                name.push(format!("_{}", self.suffix));
                with_added_extension(&input.with_file_name(name), &extension)
            }
        };
        Ok(BatchJob { input, output, format })
    }

    /// Whether an output path means a folder: there is one, it ends like one, or several files go there.
    fn is_folder(&self, output: &Path) -> bool {
        let ends_like_one = output.as_os_str().to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]);
        self.into_folder || output.is_dir() || ends_like_one
    }
}

/// The path with its last extension replaced.
fn with_extension(path: &Path, extension: &std::ffi::OsStr) -> PathBuf {
    match path.file_stem() {
        Some(stem) => with_added_extension(&path.with_file_name(stem), extension),
        None => path.to_owned(),
    }
}

/// The path with an extension after its whole name, dots in it included.
fn with_added_extension(path: &Path, extension: &std::ffi::OsStr) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

/// Refuses two jobs with one output, and outputs that are inputs.
fn check_collisions(jobs: &[BatchJob]) -> Result<(), UpscaleError> {
    let mut outputs: HashMap<&Path, &Path> = HashMap::new();
    for job in jobs {
        if let Some(first) = outputs.insert(&job.output, &job.input) {
            return Err(UpscaleError::Collision {
                first: first.to_owned(),
                second: job.input.clone(),
                output: job.output.clone(),
            });
        }
    }
    let inputs: HashSet<PathBuf> = jobs.iter().filter_map(|job| job.input.canonicalize().ok()).collect();
    let is_input = |output: &Path| output.canonicalize().is_ok_and(|output| inputs.contains(&output));
    match jobs.iter().find(|job| is_input(&job.output)) {
        Some(job) => Err(UpscaleError::Overwrite { path: job.output.clone() }),
        None => Ok(()),
    }
}
