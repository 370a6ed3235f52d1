//! Training data: batches of crops out of folders of pictures, each with its low-resolution picture.
//!
//! What lives here: listing and pairing files, what is drawn for each sample, decoded pictures kept in memory, threads that
//! prepare batches ahead, and the inspection of a data set before a training. What does not: how pictures are degraded
//! (`esrgan-degrade`), networks, losses, flags.
//!
//! Everything random is drawn by counter: [`Dataset::batch`] is a pure function of files, options and step. A run that goes on
//! from a step needs nothing but its number, and the number of threads changes nothing.
//!
//! ```no_run
//! use std::sync::Arc;
//! use esrgan_dataset::{Dataset, DatasetOptions, LrSource};
//!
//! # fn main() -> Result<(), esrgan_dataset::DatasetError> {
//! let hr_folders = vec!["pictures".into()];
//! let options = DatasetOptions { hr_folders, lr: LrSource::Bicubic, batch: 8, ..DatasetOptions::default() };
//! let dataset = Arc::new(Dataset::open(&options)?);
//! let mut batches = dataset.batches(0)?;
//! let first = batches.next()?;
//! assert_eq!(first.hr.len(), 8 * first.hr_px * first.hr_px * 3);
//! # Ok(())
//! # }
//! ```

mod batches;
mod cache;
mod dataset;
mod draw;
mod error;
#[cfg(test)]
mod fixture;
mod inspect;
mod listing;
mod options;
mod orientation;
mod parallel;
mod stored;

pub use batches::Batches;
pub use dataset::{Batch, Dataset};
pub use error::DatasetError;
pub use inspect::{Duplicate, Inspection, ValidationFolders, inspect};
pub use listing::list_pictures;
pub use options::{DatasetOptions, LrSource};
