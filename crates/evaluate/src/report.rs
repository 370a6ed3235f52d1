//! One page with everything that was measured: table, published figures, and parts of the pictures side by side.
//!
//! The page needs nothing else: style, script and pictures are inside of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use esrgan_core::{Picture, Plane, SampleDepth, escape_markup, write_atomically};
use esrgan_image::{Raster, encode_png};

use crate::error::EvaluateError;
use crate::evaluation::{Evaluated, Evaluation, Views};
use crate::measures::Metric;
use crate::published::Published;

/// How much differences are enlarged to be seen.
const DIFFERENCE_GAIN: f32 = 4.0;

/// What a report says beside the measurements.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What was measured, such as a model's name.
    pub method: &'a str,
    /// The folder of true pictures.
    pub hr: &'a Path,
    /// Where the small pictures came from.
    pub lr: &'a str,
    /// What others have published for these pictures.
    pub published: &'a [Published],
}

/// Writes `index.html` into a folder, which is made if it is not there; the old page stays until the new one is whole.
///
/// # Errors
/// [`EvaluateError::Io`], [`EvaluateError::Image`].
pub fn write_report(
    folder: &Path,
    report: &Report<'_>,
    evaluation: &Evaluation,
) -> Result<PathBuf, EvaluateError> {
    std::fs::create_dir_all(folder).map_err(EvaluateError::io(folder))?;
    let path = folder.join("index.html");
    let page = page(report, evaluation)?;
    write_atomically(&path, page.as_bytes()).map_err(EvaluateError::io(&path))?;
    Ok(path)
}

fn page(report: &Report<'_>, evaluation: &Evaluation) -> Result<String, EvaluateError> {
    let mut sections = String::new();
    for picture in in_order(evaluation) {
        sections.push_str(&section(picture, &evaluation.metrics)?);
    }
    let page = include_str!("report/page.html");
    let page = page
        .replace("{{style}}", include_str!("report/page.css"))
        .replace("{{script}}", include_str!("report/page.js"))
        .replace("{{title}}", &escaped(report.method))
        .replace("{{facts}}", &facts(report, evaluation))
        .replace("{{table}}", &table(evaluation))
        .replace("{{published}}", &published_table(report.published))
        .replace("{{failures}}", &failures(evaluation));
    // Last: pictures hold no braces, but names may.
    Ok(page.replace("{{pictures}}", &sections))
}

/// The worst pictures first, by the first metric.
fn in_order(evaluation: &Evaluation) -> Vec<&Evaluated> {
    let mut pictures: Vec<&Evaluated> = evaluation.pictures.iter().collect();
    let sign = if evaluation.metrics.first().is_some_and(|metric| metric.is_better_when_larger()) {
        1.0
    } else {
        -1.0
    };
    let key = |picture: &Evaluated| picture.values.first().map_or(0.0, |value| sign * value);
    pictures.sort_by(|a, b| key(a).total_cmp(&key(b)));
    pictures
}

fn facts(report: &Report<'_>, evaluation: &Evaluation) -> String {
    format!(
        "{} pictures of <code>{}</code>, enlarged {} times from {}; {} pixels cut off at each side before measuring. Y is \
         luma of BT.601 (16 to 235).",
        evaluation.pictures.len(),
        escaped(&report.hr.display().to_string()),
        evaluation.scale,
        escaped(report.lr),
        evaluation.border_px
    )
}

fn table(evaluation: &Evaluation) -> String {
    let mut rows = String::new();
    let cells = |values: &[f64]| -> String {
        let pairs = values.iter().zip(&evaluation.metrics);
        pairs.map(|(value, metric)| format!("<td>{value:.0$}</td>", metric.decimals())).collect()
    };
    for (index, picture) in evaluation.pictures.iter().enumerate() {
        let name = escaped(&picture.name());
        let _ = writeln!(
            rows,
            "<tr><td data-order=\"{index}\"><a href=\"#{name}\">{name}</a></td>{}<td>{:.2}</td></tr>",
            cells(&picture.values),
            picture.seconds
        );
    }
    let heads: String = evaluation
        .metrics
        .iter()
        .map(|metric| {
            format!(
                "<th title=\"{} is better\">{metric}</th>",
                if metric.is_better_when_larger() { "more" } else { "less" }
            )
        })
        .collect();
    let mean = evaluation.mean().map_or(String::new(), |mean| {
        format!("<tfoot><tr><td>mean</td>{}<td></td></tr></tfoot>", cells(&mean))
    });
    format!(
        "<table id=\"figures\"><thead><tr><th>picture</th>{heads}<th>seconds</th></tr></thead><tbody>\n{rows}</tbody>{mean}</table>"
    )
}

fn published_table(figures: &[Published]) -> String {
    if figures.is_empty() {
        return "<p>None are known for this folder's name.</p>".to_owned();
    }
    let row = |figure: &Published| {
        format!(
            "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{:.2}</td><td>{:.4}</td><td class=\"text\">{}</td></tr>\n",
            figure.method, figure.trained_on, figure.channels, figure.psnr_db, figure.ssim, figure.source
        )
    };
    let rows: String = figures.iter().map(row).collect();
    format!(
        "<table><thead><tr><th>method</th><th class=\"text\">trained on</th><th>channels</th><th>PSNR</th><th>SSIM</th>\
         <th class=\"text\">source</th></tr>\
         </thead><tbody>\n{rows}</tbody></table>"
    )
}

fn failures(evaluation: &Evaluation) -> String {
    if evaluation.failures.is_empty() {
        return String::new();
    }
    let line = |(_, error): &(PathBuf, EvaluateError)| format!("<li>{}</li>\n", escaped(&error.to_string()));
    let lines: String = evaluation.failures.iter().map(line).collect();
    format!("<h2>Not measured</h2><ul class=\"failures\">\n{lines}</ul>")
}

/// One picture: its figures, and its part in all forms.
fn section(picture: &Evaluated, metrics: &[Metric]) -> Result<String, EvaluateError> {
    let Some(views) = &picture.views else { return Ok(String::new()) };
    let name = escaped(&picture.name());
    let figures: Vec<String> = metrics
        .iter()
        .zip(&picture.values)
        .map(|(metric, value)| format!("{metric} {value:.0$}", metric.decimals()))
        .collect();
    let image = |picture: &Picture| data_url(picture, &views.place());
    let (lr, bicubic, sr, hr) =
        (image(&views.lr)?, image(&views.bicubic)?, image(&views.sr)?, image(&views.hr)?);
    let difference = image(&difference(&views.sr, &views.hr))?;
    let figure = |image: &str, caption: &str| {
        format!(
            "<figure><img src=\"{image}\" alt=\"{caption} of {name}\"><figcaption>{caption}</figcaption></figure>"
        )
    };
    Ok(format!(
        "<section id=\"{name}\"><h3>{name}</h3><p>{} &middot; part at {}, {}</p>\n<div class=\"views\">\
         <div class=\"slider\" style=\"--at:50%\"><img src=\"{bicubic}\" alt=\"bicubic of {name}\">\
         <img class=\"over\" src=\"{sr}\" alt=\"result of {name}\">\
         <input type=\"range\" min=\"0\" max=\"100\" value=\"50\" aria-label=\"bicubic or result\">\
         <span>bicubic | result</span></div>\n{}{}{}{}{}</div></section>\n",
        figures.join(" &middot; "),
        views.left,
        views.top,
        figure(&lr, "LR"),
        figure(&bicubic, "bicubic"),
        figure(&sr, "result"),
        figure(&hr, "HR"),
        figure(&difference, "difference to HR, 4 times"),
    ))
}

impl Views {
    /// What errors call the part.
    fn place(&self) -> PathBuf {
        PathBuf::from(format!("the part at {}, {}", self.left, self.top))
    }
}

/// How far the result is from the true picture: gray where it is not.
fn difference(sr: &Picture, hr: &Picture) -> Picture {
    let plane = |(sr, hr): (&Plane, &Plane)| {
        let mut difference = sr.clone();
        for (sample, hr) in difference.samples_mut().iter_mut().zip(hr.samples()) {
            *sample = 0.5 + DIFFERENCE_GAIN * (*sample - hr);
        }
        difference
    };
    Picture { color: sr.color.iter().zip(&hr.color).map(plane).collect(), alpha: None }
}

fn data_url(picture: &Picture, name: &Path) -> Result<String, EvaluateError> {
    let png = encode_png(&Raster::from_picture(picture, SampleDepth::U8), name)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

/// Text for a page; names must not fill the page's own places.
fn escaped(text: &str) -> String {
    escape_markup(text).replace('{', "&#123;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_the_page() {
        assert_eq!(escaped("<b a=\"1\">&{{style}}"), "&lt;b a=&quot;1&quot;&gt;&amp;&#123;&#123;style}}");
    }

    #[test]
    fn equal_pictures_differ_by_gray() {
        let picture = Picture { color: vec![Plane::filled(2, 2, 0.3); 3], alpha: None };
        let other = Picture { color: vec![Plane::filled(2, 2, 0.4); 3], alpha: None };
        assert_eq!(difference(&picture, &picture).color[0].samples(), [0.5; 4]);
        assert!(difference(&other, &picture).color[2].samples().iter().all(|s| (s - 0.9).abs() < 1e-6));
    }
}
