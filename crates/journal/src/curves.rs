//! Records as curves: small multiples in one SVG of 1200 px width.
//!
//! What lives here: where the panels lie and what is drawn into each. What does not: which scalars share one (`panels.rs`),
//! scales and their marks (`axis.rs`), the text of an SVG (`svg.rs`).
//! Theory: Tufte, "The Visual Display of Quantitative Information", 1983, chapter 8.

mod axis;
mod panels;
mod svg;

use std::path::Path;

use crate::atomic::write_atomically;
use crate::error::JournalError;
use crate::record::{Record, RecordKind};

use axis::Axis;
use panels::{Panel, Point, Series, panels, thinned};
use svg::{Anchor, Frame, Svg};

const WIDTH_PX: f64 = 1200.0;
const PANEL_HEIGHT_PX: f64 = 320.0;
const COLUMNS: usize = 2;
const GAP_PX: f64 = 16.0;
/// Beside the plot: marks and the axis' name at the left; marks and `step` below; nothing but room at the right.
const LEFT_PX: f64 = 72.0;
const BELOW_PX: f64 = 44.0;
const RIGHT_PX: f64 = 16.0;
const TITLE_PX: f64 = 24.0;
const LEGEND_ROW_PX: f64 = 18.0;
/// About a character of the legend; a guess that holds for common fonts.
const CHARACTER_PX: f64 = 7.2;
const LEGEND_LINE_PX: f64 = 22.0;
const LONGEST_NAME: usize = 48;
/// Points are shown by dots as well where there are no more than so many.
const MAX_DOTS: usize = 60;

/// Colours that the colour-blind can tell apart: Okabe and Ito, "Color Universal Design", 2008, without yellow.
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
/// What tells series apart once the colours begin again.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "9 3 2 3"];

/// Writes [`draw_curves`] into a file; the old one stays until the new one is whole.
///
/// # Errors
/// [`JournalError::Io`].
pub fn write_curves(records: &[Record], path: &Path) -> Result<(), JournalError> {
    write_atomically(path, draw_curves(records).as_bytes()).map_err(JournalError::io(path))
}

/// Draws records over their steps as an SVG: panels of training first, then of validation.
///
/// Training panels whose name begins with `loss` have a logarithmic axis where all values are positive. Where there are more
/// points than pixels, a line is the mean of the points of a pixel, in a band from the least to the greatest. Values that are
/// not finite are red marks at the upper edge.
#[must_use]
pub fn draw_curves(records: &[Record]) -> String {
    let panels = panels(records);
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let mut svg = Svg::new(WIDTH_PX, rows as f64 * (PANEL_HEIGHT_PX + GAP_PX) + GAP_PX);
    if panels.is_empty() {
        svg.text((WIDTH_PX / 2.0, PANEL_HEIGHT_PX / 2.0), Anchor::Middle, "title", "no records yet");
    }
    let steps = || records.iter().map(|record| record.step as f64);
    let step_axis = Axis::steps(steps().fold(f64::INFINITY, f64::min), steps().fold(0.0, f64::max));
    let width = (WIDTH_PX - GAP_PX * (COLUMNS + 1) as f64) / COLUMNS as f64;
    for (index, panel) in panels.iter().enumerate() {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        let place = Frame {
            left: GAP_PX + column as f64 * (width + GAP_PX),
            top: GAP_PX + row as f64 * (PANEL_HEIGHT_PX + GAP_PX),
            width,
            height: PANEL_HEIGHT_PX,
        };
        draw_panel(&mut svg, place, panel, &step_axis);
    }
    svg.finish()
}

fn draw_panel(svg: &mut Svg, place: Frame, panel: &Panel, step_axis: &Axis) {
    let side = match panel.kind {
        RecordKind::Train => "training",
        RecordKind::Validation => "validation",
    };
    let title = format!("{side}: {}", shortened(&panel.group));
    svg.text((place.left, place.top + TITLE_PX - 8.0), Anchor::Start, "title", &title);
    let legend_px = draw_legend(svg, place, panel);
    let above = TITLE_PX + legend_px;
    let plot = Frame {
        left: place.left + LEFT_PX,
        top: place.top + above,
        width: place.width - LEFT_PX - RIGHT_PX,
        height: place.height - above - BELOW_PX,
    };
    let axis = value_axis(panel);
    draw_axes(svg, plot, step_axis, &axis);
    let scale = if axis.is_log() { " (log)" } else { "" };
    let name = format!("{}{scale}", shortened(&panel.group));
    svg.text_upwards((place.left + 14.0, plot.top + plot.height / 2.0), "axis", &name);
    for (index, series) in panel.series.iter().enumerate() {
        draw_series(svg, plot, (step_axis, &axis), (index, series));
    }
}

fn value_axis(panel: &Panel) -> Axis {
    let values = || panel.series.iter().flat_map(|series| &series.points).map(|point| point.value);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let is_loss = panel.kind == RecordKind::Train && panel.group.starts_with("loss");
    match (low <= high, is_loss && low > 0.0) {
        // Nothing finite.
        (false, _) => Axis::values(0.0, 1.0),
        (true, true) => Axis::logarithmic(low, high),
        (true, false) => Axis::values(low, high),
    }
}

/// Names and last values, in as many rows as they need; returns their height.
fn draw_legend(svg: &mut Svg, place: Frame, panel: &Panel) -> f64 {
    let (mut x, mut row) = (0.0, 0);
    for (index, series) in panel.series.iter().enumerate() {
        let last =
            series.points.last().map_or(String::new(), |point| format!(" {}", significant(point.value)));
        let text = format!("{}{last}", shortened(&series.name));
        let width = LEGEND_LINE_PX + 6.0 + text.chars().count() as f64 * CHARACTER_PX + 14.0;
        if x > 0.0 && x + width > place.width {
            (x, row) = (0.0, row + 1);
        }
        let (left, y) = (place.left + x, place.top + TITLE_PX + LEGEND_ROW_PX * (f64::from(row) + 0.5));
        let (color, dash) = look(index);
        svg.line([(left, y - 4.0), (left + LEGEND_LINE_PX, y - 4.0)].into_iter(), color, dash);
        svg.text((left + LEGEND_LINE_PX + 6.0, y), Anchor::Start, "legend", &text);
        x += width;
    }
    LEGEND_ROW_PX * f64::from(row + 1)
}

fn draw_axes(svg: &mut Svg, plot: Frame, step_axis: &Axis, axis: &Axis) {
    for (at, label) in axis.marks() {
        let y = plot.y(*at);
        svg.rule((plot.left, y), (plot.left + plot.width, y), "grid");
        svg.text((plot.left - 6.0, y + 4.0), Anchor::End, "mark", label);
    }
    for (at, label) in step_axis.marks() {
        let x = plot.x(*at);
        svg.rule((x, plot.top), (x, plot.top + plot.height), "grid");
        svg.text((x, plot.top + plot.height + 16.0), Anchor::Middle, "mark", label);
    }
    svg.outline(plot);
    let below = plot.top + plot.height + BELOW_PX - 10.0;
    svg.text((plot.left + plot.width / 2.0, below), Anchor::Middle, "axis", "step");
}

fn draw_series(
    svg: &mut Svg,
    plot: Frame,
    (step_axis, axis): (&Axis, &Axis),
    (index, series): (usize, &Series),
) {
    let (color, dash) = look(index);
    let x_of = |step: f64| plot.x(step_axis.fraction(step));
    // The last step lies on the right edge itself, which must not be a column of its own.
    let column_of = |step: f64| x_of(step).min(plot.left + plot.width - 1.0) as usize;
    for stretch in series.stretches() {
        let points = thinned(stretch, column_of);
        let (x, y) = (|point: &Point| x_of(point.step), |value: f64| plot.y(axis.fraction(value)));
        if points.len() < stretch.len() {
            let upper = points.iter().map(|point| (x(point), y(point.high)));
            let lower = points.iter().rev().map(|point| (x(point), y(point.low)));
            svg.band(upper.chain(lower), color);
        }
        svg.line(points.iter().map(|point| (x(point), y(point.value))), color, dash);
        // A lone point is no line.
        if series.points.len() <= MAX_DOTS || points.len() == 1 {
            points.iter().for_each(|point| svg.dot((x(point), y(point.value)), color));
        }
    }
    for step in &series.broken_steps {
        let x = x_of(*step);
        svg.rule((x, plot.top), (x, plot.top + 10.0), "broken");
    }
}

fn look(index: usize) -> (&'static str, &'static str) {
    (COLORS[index % COLORS.len()], DASHES[index / COLORS.len() % DASHES.len()])
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let beginning: String = name.chars().take(LONGEST_NAME - 1).collect();
    format!("{beginning}…")
}

/// A value with four digits that count.
fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let digits_before = if magnitude < 1.0 { 0 } else { magnitude.log10() as usize + 1 };
    let leading_zeros = if magnitude < 1.0 && magnitude > 0.0 { -magnitude.log10() as usize } else { 0 };
    format!("{value:.0$}", 4_usize.saturating_sub(digits_before) + leading_zeros)
}

#[cfg(test)]
mod tests;
