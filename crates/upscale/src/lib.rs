//! The facade: a model and pictures in, larger pictures out. Command line and server call this and nothing below it.
//!
//! What lives here: the way of a picture through decoding, the network's passes, alpha, the final size and encoding, within a
//! budget of memory; and the list of files that a batch will make. What does not: flags, printing, kernels.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use esrgan_upscale::{Job, ModelOptions, ModelSource, PictureFormat, PictureOptions, Upscaler};
//!
//! # fn main() -> Result<(), esrgan_upscale::UpscaleError> {
//! // The built-in model; `ModelSource::from(Path::new("4x-model.pth"))` is one of a file.
//! let upscaler = Upscaler::load(&ModelSource::default(), &ModelOptions::default())?;
//! let job = Job { input: Path::new("photo.jpg"), output: Path::new("photo_x4.png"), format: PictureFormat::Png };
//! let report = upscaler.upscale_file(&job, &PictureOptions::default(), &|_| {}, &|_| ControlFlow::Continue(()))?;
//! println!("{}x{} in {:.1} s", report.size.0, report.size.1, report.seconds);
//! # Ok(())
//! # }
//! ```

mod batch;
mod device;
mod downscale;
mod error;
mod memory;
mod passes;
mod picture_run;
mod plan;
mod runner;
mod sink;
mod size;
mod source;
mod upscaler;

pub use batch::{Batch, BatchJob, BatchOptions, list_batch};
pub use device::{
    DeviceChoice, DeviceFacts, DeviceKind, DeviceMeans, DevicePlan, UnknownDeviceError, devices,
    refused_devices,
};
pub use downscale::{DownscaleOptions, DownscaleReport, downscale_file, downscale_picture};
pub use error::UpscaleError;
pub use memory::default_budget_bytes;
pub use passes::AlphaMode;
pub use plan::PicturePlan;
pub use runner::{Computation, PassPlan};
pub use size::OutputSize;
pub use source::{ModelSource, model_files};
pub use upscaler::{Enlarged, Job, ModelOptions, PictureOptions, Report, Upscaler};

pub use esrgan_builtin::{BUILT_IN_MODELS, BuiltInModel, DEFAULT_MODEL, DEFAULT_STRENGTH};
pub use esrgan_core::in_parallel;
pub use esrgan_engine::{Edge, Engine, EngineError, Isa, Network, Plan, Precision, RunOptions, TilePolicy};
pub use esrgan_image::{
    Boundary, Decoded, EncodeOptions, Filter, ImageError, Limits, Metadata, PictureFormat, Raster, Samples,
    decode, encode, probe,
};
pub use esrgan_weights::{
    Activation, DType, Family, Format, KeyLayout, LoadOptions, Model, ModelSpec, Origin, SaveOptions,
    SpecParts, Tensor, WeightMap, WeightsError, interpolate, load, save,
};
