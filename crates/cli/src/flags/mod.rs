//! Flags: one struct for each command, and the values that several of them take.

mod check;
mod degrade;
mod devices;
mod downscale;
mod eval;
mod models;
mod train;
mod upscale;
mod values;

use clap::{Parser, Subcommand};

pub(crate) use check::CheckFlags;
pub(crate) use degrade::DegradeFlags;
pub(crate) use devices::DevicesFlags;
pub(crate) use downscale::DownscaleFlags;
pub(crate) use eval::EvalFlags;
pub(crate) use models::{BenchFlags, ConvertFlags, InspectFlags, InterpolateFlags, ListFlags};
pub(crate) use train::TrainFlags;
pub(crate) use upscale::UpscaleFlags;
pub(crate) use values::{AlphaFlag, BoundaryFlag, EdgeFlag, FormatFlag, PrecisionFlag, TileFlag};

/// Enlarges pictures with any ESRGAN model, exactly and within bounded memory.
#[derive(Debug, Parser)]
#[command(name = "esrgan", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enlarge pictures or folders of pictures
    Upscale(Box<UpscaleFlags>),
    /// Make low-resolution pictures of good ones, as training needs them
    Degrade(DegradeFlags),
    /// Make pictures smaller as the papers do: MATLAB's bicubic, to the bit
    Downscale(DownscaleFlags),
    /// Measure a model, a filter or a folder of results against the true pictures
    Eval(Box<EvalFlags>),
    /// Say what can be known before a training starts: problems, time, memory
    Check(CheckFlags),
    /// Train a model by a recipe; goes on where it was stopped
    Train(TrainFlags),
    /// Say what a model file holds
    Inspect(InspectFlags),
    /// Turn a model into another format, key layout or number type
    Convert(ConvertFlags),
    /// Mix two models: (1 - alpha) * A + alpha * B
    Interpolate(InterpolateFlags),
    /// List the models: those that are built in, and those of a folder
    Models(ListFlags),
    /// Time the forward pass of a model on one picture
    Bench(BenchFlags),
    /// List where networks can run: the processor, and the GPUs that this build can use
    Devices(DevicesFlags),
    /// Print the documentation of all commands as Markdown
    #[command(hide = true)]
    DocsMarkdown,
}
