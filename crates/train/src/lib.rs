//! Training of ESRGAN.
//!
//! What lives here: losses, the optimiser, the steps of both stages, and the run that resumes to the bit. What does not: the
//! networks (`esrgan-model`), batches (`esrgan-dataset`), settings (`esrgan-recipe`), files of checkpoints
//! (`esrgan-checkpoint`), what a run writes down (`esrgan-journal`).

mod adam;
mod error;
mod losses;
mod networks;
mod run;
mod state;
mod step;

pub use adam::{Adam, AdamSettings};
pub use error::TrainError;
pub use losses::{AdversarialLoss, FeatureLoss, PerceptualLoss, PixelLoss};
pub use run::{Ended, Event, Resume, train};
pub use step::{Adversaries, Crops, Figures, Found, GanLosses, Trained, pixel_gradient};

pub use esrgan_model::Isa;
