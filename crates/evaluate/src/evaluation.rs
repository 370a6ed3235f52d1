//! A method over a folder of pictures.

use std::path::{Path, PathBuf};
use std::time::Instant;

use esrgan_core::{Notice, Picture, Plane, SampleDepth, write_atomically};
use esrgan_image::{Boundary, Decoded, Filter, Limits, Raster, decode, encode_png};
use esrgan_upscale::downscale_picture;

use crate::error::EvaluateError;
use crate::measures::{Measures, Metric};
use crate::method::{Method, Task, by_filter};
use crate::pairs::{partner, pictures};

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct EvaluationOptions {
    /// The folder of true pictures.
    pub hr: PathBuf,
    /// The folder of small ones; made of the true ones as [`downscale_picture`] does where `None`.
    pub lr: Option<PathBuf>,
    /// How much larger the true pictures are. A model's own scale, where a model is measured.
    pub scale: usize,
    /// Pixels cut off at each side before measuring; the scale where `None`.
    pub border_px: Option<usize>,
    /// Which part of each picture is kept to look at, if any.
    pub views: Option<ViewPlace>,
    /// A folder for the results as PNG, named as the true pictures; it is made if it is not there.
    pub results: Option<PathBuf>,
}

/// Where a part to look at lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewPlace {
    /// Where the result is furthest from the true picture.
    FurthestResult,
    /// Where the bicubic enlargement is furthest from it: the same place for every method.
    FurthestBicubic,
}

/// A part of a picture in all its forms, each of one size.
#[derive(Clone, Debug)]
pub struct Views {
    /// Where it begins in the true picture.
    pub left: usize,
    /// Where it begins in the true picture.
    pub top: usize,
    /// The small picture, its pixels repeated.
    pub lr: Picture,
    /// Enlarged by MATLAB's cubic.
    pub bicubic: Picture,
    /// The result.
    pub sr: Picture,
    /// The true picture.
    pub hr: Picture,
}

/// One picture, measured.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The true picture.
    pub hr: PathBuf,
    /// A value for each metric.
    pub values: Vec<f64>,
    /// Seconds that making the result took.
    pub seconds: f64,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// A part to look at, if that was wanted.
    pub views: Option<Views>,
}

impl Evaluated {
    /// The picture's name.
    pub fn name(&self) -> String {
        self.hr.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A folder, measured.
#[derive(Debug)]
pub struct Evaluation {
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// Pixels that were cut off at each side.
    pub border_px: usize,
    /// How much larger the results are.
    pub scale: usize,
    /// The pictures, in the order of their names.
    pub pictures: Vec<Evaluated>,
    /// Pictures that could not be measured, and why.
    pub failures: Vec<(PathBuf, EvaluateError)>,
}

impl Evaluation {
    /// The mean of each metric over the pictures; nothing where there is none.
    pub fn mean(&self) -> Option<Vec<f64>> {
        let count = self.pictures.len();
        let sum = |metric: usize| self.pictures.iter().map(|picture| picture.values[metric]).sum::<f64>();
        (count > 0).then(|| (0..self.metrics.len()).map(|metric| sum(metric) / count as f64).collect())
    }
}

/// Measures a method on every picture of a folder. `each` hears of every picture as soon as it is done.
///
/// Results are compared as files of them would be: rounded to the true picture's levels. A true picture that is no multiple of
/// the scale loses its last columns and rows; one without colours counts as red, green and blue alike.
///
/// # Errors
/// [`EvaluateError`] of the folders; what goes wrong with one picture is in [`Evaluation::failures`].
pub fn evaluate(
    method: &Method<'_>,
    measures: &Measures,
    options: &EvaluationOptions,
    each: &mut dyn FnMut(&Path, &Result<Evaluated, EvaluateError>),
) -> Result<Evaluation, EvaluateError> {
    let hr_paths = pictures(&options.hr)?;
    let lr_paths = options.lr.as_deref().map(pictures).transpose()?;
    let results = match method {
        Method::Results(folder) => pictures(folder)?,
        _ => Vec::new(),
    };
    let border_px = options.border_px.unwrap_or(options.scale);
    let run = Run { method, measures, options, border_px, lr_paths, results };
    let mut evaluation = Evaluation {
        metrics: measures.metrics().to_vec(),
        border_px,
        scale: options.scale,
        pictures: Vec::new(),
        failures: Vec::new(),
    };
    for hr in hr_paths {
        let result = run.one(&hr);
        each(&hr, &result);
        match result {
            Ok(evaluated) => evaluation.pictures.push(evaluated),
            Err(error) => evaluation.failures.push((hr, error)),
        }
    }
    Ok(evaluation)
}

/// An evaluation under way.
struct Run<'a> {
    method: &'a Method<'a>,
    measures: &'a Measures,
    options: &'a EvaluationOptions,
    border_px: usize,
    lr_paths: Option<Vec<PathBuf>>,
    results: Vec<PathBuf>,
}

impl Run<'_> {
    fn one(&self, hr_path: &Path) -> Result<Evaluated, EvaluateError> {
        let scale = self.options.scale;
        let decoded = decode(hr_path, &Limits::default())?;
        let depth = decoded.header.depth;
        let mut notices = Vec::new();
        let hr = opaque(hr_path, decoded, &mut notices)?;
        let lr = self.small(hr_path, &hr, depth, &mut notices)?;
        let start = Instant::now();
        let (sr, sr_path) =
            self.method.enlarge(&Task { hr_path, depth, lr: &lr, scale }, &self.results, &mut notices)?;
        let seconds = start.elapsed().as_secs_f64();
        let sr = in_color(opaque_picture(sr_path, sr)?);
        let size = (sr.width(), sr.height());
        check_size((hr_path, (hr.width(), hr.height())), (sr_path, size), scale)?;
        let hr = in_color(part(&hr, (0, 0), size));
        let failed = |source| EvaluateError::Metric { path: hr_path.to_owned(), source };
        let values = self.measures.of(&hr, &sr, self.border_px).map_err(failed)?;
        if let Some(folder) = &self.options.results {
            write_result(folder, hr_path, &sr, depth)?;
        }
        let enlarged = Enlarged { lr: &in_color(lr), sr: &sr, hr: &hr, scale, depth };
        let views = self.options.views.map(|place| enlarged.views(place));
        Ok(Evaluated { hr: hr_path.to_owned(), values, seconds, notices, views })
    }

    /// The small picture: the partner in the folder, or made of the true one.
    fn small(
        &self,
        hr_path: &Path,
        hr: &Picture,
        depth: SampleDepth,
        notices: &mut Vec<Notice>,
    ) -> Result<Picture, EvaluateError> {
        let scale = self.options.scale;
        let (Some(folder), Some(candidates)) = (&self.options.lr, &self.lr_paths) else {
            if hr.width() < scale || hr.height() < scale {
                let (hr_size, sr_size) = ((hr.width(), hr.height()), (scale, scale));
                return Err(EvaluateError::Size { hr: hr_path.into(), hr_size, sr: hr_path.into(), sr_size });
            }
            return Ok(downscale_picture(hr, scale, depth, Boundary::Replicate));
        };
        let path = partner(hr_path, folder, candidates, scale)?;
        let decoded = decode(path, &Limits::default())?;
        let size = (scale * decoded.header.width, scale * decoded.header.height);
        check_size((hr_path, (hr.width(), hr.height())), (path, size), scale)?;
        opaque(path, decoded, notices)
    }
}

/// A decoded picture without its alpha, which must hide nothing.
fn opaque(path: &Path, decoded: Decoded, notices: &mut Vec<Notice>) -> Result<Picture, EvaluateError> {
    if decoded.picture.alpha.is_some() {
        notices.push(Notice::new("an alpha channel that hides nothing: left out"));
    }
    notices.extend(decoded.notices);
    opaque_picture(path, decoded.picture)
}

fn opaque_picture(path: &Path, picture: Picture) -> Result<Picture, EvaluateError> {
    let hides = |alpha: &Plane| alpha.samples().iter().any(|sample| *sample < 1.0);
    if picture.alpha.as_ref().is_some_and(hides) {
        return Err(EvaluateError::Transparent { path: path.to_owned() });
    }
    Ok(Picture { color: picture.color, alpha: None })
}

/// The picture in three planes.
fn in_color(mut picture: Picture) -> Picture {
    if picture.is_gray() {
        picture.color = vec![picture.color[0].clone(); 3];
    }
    picture
}

/// Refuses sizes that do not belong together: the true picture may be larger by less than the scale.
fn check_size(
    (hr, hr_size): (&Path, (usize, usize)),
    (sr, sr_size): (&Path, (usize, usize)),
    scale: usize,
) -> Result<(), EvaluateError> {
    let fits = |hr: usize, sr: usize| (sr..sr + scale).contains(&hr);
    if fits(hr_size.0, sr_size.0) && fits(hr_size.1, sr_size.1) {
        return Ok(());
    }
    Err(EvaluateError::Size { hr: hr.to_owned(), hr_size, sr: sr.to_owned(), sr_size })
}

/// A part of a picture.
fn part(picture: &Picture, (left, top): (usize, usize), (width, height): (usize, usize)) -> Picture {
    let part = |plane: &Plane| {
        let rows = (top..top + height).flat_map(|y| &plane.row(y)[left..left + width]);
        Plane::new(width, height, rows.copied().collect()).expect("as many samples as the part has")
    };
    Picture { color: picture.color.iter().map(part).collect(), alpha: None }
}

/// Writes a result as a file of the true picture's name.
fn write_result(folder: &Path, hr: &Path, sr: &Picture, depth: SampleDepth) -> Result<(), EvaluateError> {
    let path = folder.join(hr.file_stem().unwrap_or_default()).with_extension("png");
    let png = encode_png(&Raster::from_picture(sr, depth), &path)?;
    std::fs::create_dir_all(folder).map_err(EvaluateError::io(folder))?;
    write_atomically(&path, &png).map_err(EvaluateError::io(&path))
}

/// A side of the part that is kept to look at, in pixels of the true picture.
const VIEW_PX: usize = 192;

/// A picture in all its forms.
struct Enlarged<'a> {
    lr: &'a Picture,
    sr: &'a Picture,
    hr: &'a Picture,
    scale: usize,
    depth: SampleDepth,
}

impl Enlarged<'_> {
    /// Keeps a part of them.
    fn views(&self, place: ViewPlace) -> Views {
        let bicubic = by_filter(self.lr, self.scale, Filter::Bicubic, self.depth);
        let repeated = by_filter(self.lr, self.scale, Filter::Nearest, self.depth);
        let side = |length: usize| VIEW_PX.min(length) / self.scale * self.scale;
        let size = (side(self.sr.width()), side(self.sr.height()));
        let (left, top) =
            self.furthest(size, if place == ViewPlace::FurthestResult { self.sr } else { &bicubic });
        let cut = |picture: &Picture| part(picture, (left, top), size);
        Views { left, top, lr: cut(&repeated), bicubic: cut(&bicubic), sr: cut(self.sr), hr: cut(self.hr) }
    }

    /// Where a part of this size is furthest from the true picture, in green.
    fn furthest(&self, (width, height): (usize, usize), candidate: &Picture) -> (usize, usize) {
        let step = (VIEW_PX / 3).next_multiple_of(self.scale);
        let places = |length: usize, side: usize| (0..=length - side).step_by(step);
        let error = |left: usize, top: usize| -> f64 {
            let row = |picture: &'_ Picture, y: usize| picture.color[1].row(y)[left..left + width].to_vec();
            let pairs = (top..top + height).flat_map(|y| row(candidate, y).into_iter().zip(row(self.hr, y)));
            pairs.map(|(candidate, hr)| f64::from((candidate - hr).powi(2))).sum()
        };
        let all = places(candidate.width(), width)
            .flat_map(|left| places(candidate.height(), height).map(move |top| (left, top)))
            .map(|(left, top)| (error(left, top), left, top));
        all.max_by(|a, b| a.0.total_cmp(&b.0)).map_or((0, 0), |(_, left, top)| (left, top))
    }
}
