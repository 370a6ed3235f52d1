//! How far an enlarged picture is from the true one, measured as the papers do.
//!
//! What lives here: the metrics, each by its exact definition, so that figures can be held against published ones. What does
//! not: files, tables, reports (`esrgan-evaluate`).
//!
//! Pictures are planes of samples in 0..1, in three colours: red, green, blue. Where a metric is defined on 8-bit levels, it
//! sees `255 * sample`. All metrics use all processors, and give the same bits for any number of them.

mod error;
mod lpips;
mod luma;
mod niqe;
mod psnr;
mod ssim;
mod window;

pub use error::MetricError;
pub use lpips::{Lpips, LpipsNetwork};
pub use niqe::niqe;
pub use psnr::{psnr_rgb_db, psnr_y_db};
pub use ssim::{ms_ssim_y, ssim_rgb, ssim_y};
