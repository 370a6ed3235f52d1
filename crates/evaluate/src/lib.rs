//! Measures a model, a filter or a folder of results against the true pictures.
//!
//! What lives here: which pictures belong together, how the enlarged one is made, the table, the report. What does not: the
//! metrics themselves (`esrgan-metrics`), flags and printing.

mod error;
mod evaluation;
mod measures;
mod method;
mod pairs;
mod published;
mod report;
mod sheet;

pub use error::EvaluateError;
pub use evaluation::{Evaluated, Evaluation, EvaluationOptions, ViewPlace, Views, evaluate};
pub use measures::{LpipsFiles, Measures, Metric, UnknownMetricError};
pub use method::Method;
pub use published::{Published, published};
pub use report::{Report, write_report};
pub use sheet::write_sheet;
