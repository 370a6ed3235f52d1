//! Training of ESRGAN.
//!
//! What lives here: losses, the optimiser, the steps of both stages, the run that resumes to the bit, and what can be known
//! before it starts. What does not: the
//! networks (`esrgan-model`), batches (`esrgan-dataset`), settings (`esrgan-recipe`), files of checkpoints
//! (`esrgan-checkpoint`), what a run writes down (`esrgan-journal`).

mod adam;
mod check;
mod device;
mod error;
mod figures;
mod losses;
mod networks;
mod run;
mod state;
mod step;
mod stepping;
mod validate;

pub use adam::{Adam, AdamSettings};
pub use check::{CheckEvent, Checked, Trial, check};
pub use device::InsteadOfBf16;
pub use error::TrainError;
pub use figures::{Figure, Figures, Unread};
pub use losses::{AdversarialLoss, FeatureLoss, PerceptualLoss, PixelLoss, autocorrelation, checkerboard};
pub use run::{Ended, Event, Resume, TrainOptions, train};
pub use step::{Adversaries, Crops, Found, GanLosses, Judged, Trained, pixel_gradient};

pub use esrgan_dataset::{Duplicate, Inspection};
pub use esrgan_model::Isa;
pub use esrgan_upscale::DeviceChoice;
