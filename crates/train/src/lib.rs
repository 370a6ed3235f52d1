//! Training of ESRGAN.
//!
//! What lives here: losses, the optimiser, the steps of both stages. What does not: the networks (`esrgan-model`), batches
//! (`esrgan-dataset`), what a run writes down (`esrgan-journal`).

mod adam;
mod losses;
mod step;

pub use adam::{Adam, AdamSettings};
pub use losses::{AdversarialLoss, FeatureLoss, PerceptualLoss, PixelLoss};
pub use step::{Adversaries, Crops, Figures, Found, GanLosses, Trained, pixel_gradient};
