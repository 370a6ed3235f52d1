//! The text of an SVG, element by element.
//!
//! No drawing library: `plotters` has linear and logarithmic axes as different types, measures text by guesses as well where it
//! brings no font, and its last release is of 2024; what is needed of an SVG is no more than this file.

use std::fmt::Write as _;

use esrgan_core::escape_markup;

const STYLE: &str = "text{font-family:sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}\
                     .legend{font-size:13px}.mark{font-size:12px;fill:#444}.axis{font-size:13px}\
                     .grid{stroke:#e2e2e2}.outline{fill:none;stroke:#777}.broken{stroke:#d00000;stroke-width:2}";

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    /// A fraction of the width, from the left.
    pub(super) fn x(&self, fraction: f64) -> f64 {
        self.left + fraction * self.width
    }

    /// A fraction of the height, from below.
    pub(super) fn y(&self, fraction: f64) -> f64 {
        self.top + (1.0 - fraction) * self.height
    }
}

/// Which part of a text lies at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// An SVG that is being written.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        ))
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let (anchor, text) = (anchor.name(), escape_markup(text));
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    /// A text that is read from below, its middle at a place.
    pub(super) fn text_upwards(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let text = escape_markup(text);
        self.element(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" class=\"{class}\">{text}</text>"
        ));
    }

    /// A straight line.
    pub(super) fn rule(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.element(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    pub(super) fn outline(&mut self, Frame { left, top, width, height }: Frame) {
        self.element(format_args!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"outline\"/>"
        ));
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, color: &str, dash: &str) {
        let points = listed(points);
        self.element(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\" \
             stroke-linejoin=\"round\" stroke-dasharray=\"{}\"/>",
            if dash.is_empty() { "none" } else { dash }
        ));
    }

    /// A light area within points.
    pub(super) fn band(&mut self, points: impl Iterator<Item = (f64, f64)>, color: &str) {
        let points = listed(points);
        self.element(format_args!("<polygon points=\"{points}\" fill=\"{color}\" fill-opacity=\"0.18\"/>"));
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), color: &str) {
        self.element(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{color}\"/>"));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes everything");
    }
}

fn listed(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut list = String::new();
    for (x, y) in points {
        write!(list, "{x:.1},{y:.1} ").expect("a string takes everything");
    }
    list.truncate(list.trim_end().len());
    list
}
