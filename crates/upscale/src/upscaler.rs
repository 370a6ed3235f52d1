//! A model, ready to enlarge any number of pictures.

use std::path::{Path, PathBuf};
use std::time::Instant;

use esrgan_core::{Notice, Picture, SampleDepth};
use esrgan_engine::{Edge, EngineError, Isa, Precision, Progress, TilePolicy};
use esrgan_image::{
    EncodeOptions, Header, Limits, PictureFormat, Raster, bleed_colors, check_writable, decode, encode,
};
use esrgan_weights::{LoadOptions, Model, ModelSpec, Origin};

use crate::device::{self, Chosen, DeviceChoice};
use crate::error::UpscaleError;
use crate::passes::{AlphaMode, Passes};
use crate::picture_run::PictureRun;
use crate::plan::PicturePlan;
use crate::runner::{Computation, CpuRunner, Runner, tile_warning};
use crate::size::OutputSize;
use crate::source::ModelSource;

/// How a model is loaded and run.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// How much of the model's file is believed.
    pub limits: esrgan_weights::Limits,
    /// The model's scale, where its file does not say whether it is 2 or 3.
    pub model_scale: Option<usize>,
    /// Where the network runs.
    pub device: DeviceChoice,
    /// In what products are computed; the fastest that the processor or device has of its own where `None`. A precision that it
    /// does not have is replaced, with a notice.
    pub precision: Option<Precision>,
    /// Threads; all processors where `None`.
    pub threads: Option<usize>,
    /// The instruction set; the fastest there is where `None`.
    pub isa: Option<Isa>,
}

/// How pictures are enlarged.
#[derive(Clone, Debug)]
pub struct PictureOptions {
    /// How large inputs may be.
    pub limits: Limits,
    /// How large the output shall be.
    pub size: OutputSize,
    /// What becomes of transparency.
    pub alpha: AlphaMode,
    /// What the network sees beyond the edge; `None` for [`Upscaler::usual_edge`].
    pub edge: Option<Edge>,
    /// Whether pictures may be cut into tiles.
    pub tile: TilePolicy,
    /// Memory that the whole program may take.
    pub memory_budget_bytes: u64,
    /// Whether packed weights may stay in memory for the next picture: see [`RunOptions::keep_weights`](esrgan_engine::RunOptions::keep_weights).
    pub keep_weights: bool,
    /// Whether all eight turned and mirrored views are enlarged and averaged.
    pub self_ensemble: bool,
    /// How the output is written.
    pub encode: EncodeOptions,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            size: OutputSize::Model,
            alpha: AlphaMode::Model,
            edge: None,
            tile: TilePolicy::Auto,
            memory_budget_bytes: crate::memory::default_budget_bytes(),
            keep_weights: true,
            self_ensemble: false,
            encode: EncodeOptions::default(),
        }
    }
}

/// What was done to one picture.
#[derive(Clone, Debug)]
pub struct Report {
    /// The picture.
    pub input: PathBuf,
    /// What was made of it.
    pub output: PathBuf,
    /// Its width and height.
    pub lr_size: (usize, usize),
    /// The output's width and height.
    pub size: (usize, usize),
    /// How it was worked off: `whole`, `streamed` or `tiled`.
    pub mode: &'static str,
    /// Most memory that was planned for the whole program.
    pub peak_bytes_planned: u64,
    /// Seconds from opening the input to the finished output.
    pub seconds: f64,
    /// What the user should know.
    pub notices: Vec<Notice>,
}

/// A picture enlarged in memory.
#[derive(Debug)]
pub struct Enlarged {
    /// The picture.
    pub raster: Raster,
    /// What the user should know of how it was made.
    pub notices: Vec<Notice>,
    /// How it was worked off: `whole`, `streamed` or `tiled`.
    pub mode: &'static str,
}

/// A model, ready to enlarge any number of pictures.
#[derive(Debug)]
pub struct Upscaler {
    runner: Box<dyn Runner>,
    origin: Origin,
}

impl Upscaler {
    /// Loads a model and starts the threads.
    ///
    /// # Errors
    /// [`UpscaleError::Weights`] for the model, [`UpscaleError::Start`] for threads and instruction sets,
    /// [`UpscaleError::Channels`] for a model that is not for pictures; [`UpscaleError::NoGpuSupport`],
    /// [`UpscaleError::NoDevice`] and the device's own for one that was asked for by its number.
    pub fn load(source: &ModelSource, options: &ModelOptions) -> Result<Self, UpscaleError> {
        // Asked first: a build that knows no device need not read anything.
        let chosen = chosen_device(options)?;
        let load_options =
            LoadOptions { limits: options.limits.clone(), scale: options.model_scale, hash: false };
        Self::on(chosen, source.load(&load_options)?, options)
    }

    /// Takes a model and starts the threads, or brings it to its device.
    ///
    /// # Errors
    /// As [`Upscaler::load`], but for the file.
    pub fn new(model: Model, options: &ModelOptions) -> Result<Self, UpscaleError> {
        Self::on(chosen_device(options)?, model, options)
    }

    fn on(chosen: Chosen, model: Model, options: &ModelOptions) -> Result<Self, UpscaleError> {
        let channels = (model.spec.in_channels(), model.spec.out_channels());
        if ![(1, 1), (1, 3), (3, 3), (4, 4)].contains(&channels) {
            return Err(UpscaleError::Channels { in_channels: channels.0, out_channels: channels.1 });
        }
        let (runner, notices) = runner(&chosen, &model, options)?;
        let mut origin = model.origin;
        origin.notices.extend(chosen.notice);
        origin.notices.extend(notices);
        Ok(Self { runner, origin })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        self.runner.spec()
    }

    /// Where the model came from, and what the user should know of how it runs.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the network should see beyond the edge where nobody says: what it is known to have been trained with, else zeros.
    pub fn usual_edge(&self) -> Edge {
        if self.origin.repeats_edge { Edge::Replicate } else { Edge::Zero }
    }

    /// By what it is computed.
    pub fn computation(&self) -> Computation {
        self.runner.computation()
    }

    /// Floating-point operations for a picture, as the network is published: see
    /// [`Network::nominal_flop`](esrgan_engine::Network::nominal_flop).
    pub fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        self.runner.nominal_flop(lr_width, lr_height)
    }

    /// Plans the enlargement of a picture whose header is known.
    ///
    /// # Errors
    /// [`UpscaleError::OutputSize`]; [`UpscaleError::Image`] where the format does not hold such a size;
    /// [`UpscaleError::Memory`], [`EngineError::Memory`] and [`EngineError::DeviceMemory`] where it would take more than it may.
    pub fn plan(
        &self,
        job: &Job<'_>,
        header: &Header,
        options: &PictureOptions,
    ) -> Result<PicturePlan, UpscaleError> {
        let edge = options.edge.unwrap_or(self.usual_edge());
        PicturePlan::new(&*self.runner, job, header, (options, edge))
    }

    /// Plans the enlargement of a picture in memory, which errors call `name`.
    ///
    /// # Errors
    /// As [`Upscaler::plan`].
    pub fn plan_picture(
        &self,
        name: &Path,
        picture: &Picture,
        depth: SampleDepth,
        options: &PictureOptions,
    ) -> Result<PicturePlan, UpscaleError> {
        let job = Job { input: name, output: name, format: PictureFormat::Png };
        self.plan(&job, &Header::of_picture(picture, depth), options)
    }

    /// Packs the weights that a plan keeps, or has a device's driver translate its kernels, so that the first run need not.
    pub fn prepare(&self, plan: &PicturePlan) {
        self.runner.prepare(plan.pass());
    }

    /// Enlarges one picture file into another.
    ///
    /// `announce` hears of the plan before the work starts; `progress` of how far it is.
    ///
    /// # Errors
    /// [`UpscaleError`]; the output file is then as it was before.
    pub fn upscale_file(
        &self,
        job: &Job<'_>,
        options: &PictureOptions,
        announce: &dyn Fn(&PicturePlan),
        progress: Progress<'_>,
    ) -> Result<Report, UpscaleError> {
        let start = Instant::now();
        let header = esrgan_image::probe(job.input, &options.limits)?;
        let plan = self.plan(job, &header, options)?;
        check_writable(job.output)?;
        announce(&plan);
        let decoded = decode(job.input, &options.limits)?;
        let mut notices = decoded.notices;
        let depth = job.format.encoded_depth(decoded.header.depth);
        let Enlarged { raster, notices: of_passes, mode } = self
            .upscale_picture(decoded.picture, depth, &plan, options, progress)
            .map_err(UpscaleError::engine(job.input))?;
        notices.extend(of_passes);
        notices.extend(encode(&raster, &decoded.metadata, job.format, &options.encode, job.output)?);
        Ok(Report {
            input: job.input.to_owned(),
            output: job.output.to_owned(),
            lr_size: (header.width, header.height),
            size: plan.size,
            mode,
            peak_bytes_planned: plan.peak_bytes,
            seconds: start.elapsed().as_secs_f64(),
            notices,
        })
    }

    /// Seconds of so many forward passes over a picture's colours as a whole on a device, without the ways between it and the
    /// processor; nothing where the processor computes.
    ///
    /// # Errors
    /// [`EngineError`] of the passes.
    pub fn forward_seconds(&self, picture: Picture, passes: usize) -> Result<Option<Vec<f64>>, EngineError> {
        let expected =
            EngineError::Channels { expected: self.spec().in_channels(), found: picture.color.len() };
        let all = Passes::new(picture, self.spec(), AlphaMode::Drop).map_err(|_| expected)?;
        all.passes.first().map_or(Ok(None), |pass| self.runner.forward_seconds(&pass.planes, passes))
    }

    /// Enlarges a picture in memory.
    ///
    /// # Errors
    /// [`EngineError`] of the run.
    pub fn upscale_picture(
        &self,
        mut picture: Picture,
        depth: SampleDepth,
        plan: &PicturePlan,
        options: &PictureOptions,
        progress: Progress<'_>,
    ) -> Result<Enlarged, EngineError> {
        if options.alpha != AlphaMode::Drop {
            bleed_colors(&mut picture);
        }
        let lr_size = (picture.width(), picture.height());
        let expected =
            EngineError::Channels { expected: self.spec().in_channels(), found: picture.color.len() };
        let passes = Passes::new(picture, self.spec(), options.alpha).map_err(|_| expected)?;
        let scale = self.spec().scale();
        let model_size = (lr_size.0 * scale, lr_size.1 * scale);
        let mut run = PictureRun::new(&*self.runner, plan, progress, model_size);
        let raster = if plan.keeps_planes {
            run.planes(passes, options.self_ensemble)?.finished(plan.size, depth)
        } else {
            run.raster(passes, depth)?
        };
        let notices = plan_notice(plan).into_iter().chain(run.notices).collect();
        Ok(Enlarged { raster, notices, mode: run.mode })
    }
}

/// What a user should know of a plan.
fn plan_notice(plan: &PicturePlan) -> Option<Notice> {
    let (tile, halo) = plan.tile_lr_px()?;
    Some(Notice::new(format!(
        "worked off in tiles of {tile} px with a halo of {halo} px instead of the whole picture: {}",
        tile_warning()
    )))
}

/// The device that a model's options ask for.
fn chosen_device(options: &ModelOptions) -> Result<Chosen, UpscaleError> {
    let found = cfg!(feature = "vulkan").then_some(|| device::devices().unwrap_or_default());
    device::choose(options.device, found)
}

/// What runs a model on the device that was chosen.
///
/// A device that was named by its number is taken or nothing starts; for another wish the processor stands in.
fn runner(
    chosen: &Chosen,
    model: &Model,
    options: &ModelOptions,
) -> Result<(Box<dyn Runner>, Vec<Notice>), UpscaleError> {
    let mut notices = Vec::new();
    #[cfg(feature = "vulkan")]
    if let Some(number) = chosen.number {
        match device::runner_on(number, model, options.precision) {
            Ok((runner, notice)) => return Ok((runner, Vec::from_iter(notice))),
            Err(error) if options.device == DeviceChoice::Vulkan(Some(number)) => return Err(error),
            Err(error) => notices.push(Notice::new(format!("{error}: computed on the processor"))),
        }
    }
    #[cfg(not(feature = "vulkan"))]
    debug_assert!(chosen.number.is_none(), "a build without devices finds none");
    let (runner, notice) = CpuRunner::new(model, options).map_err(UpscaleError::Start)?;
    notices.extend(notice);
    Ok((Box::new(runner), notices))
}

/// One file to be made of another.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The picture.
    pub input: &'a Path,
    /// What is made of it.
    pub output: &'a Path,
    /// The output's format.
    pub format: PictureFormat,
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use esrgan_core::Plane;
    use esrgan_image::Samples;

    use super::*;

    /// As a program that embeds the library would, which says nothing of edges.
    #[test]
    fn the_built_in_model_sees_its_edge_repeated_where_nobody_says() {
        let upscaler = Upscaler::load(&ModelSource::default(), &ModelOptions::default()).unwrap();
        assert_eq!(upscaler.usual_edge(), Edge::Replicate);
        let plane = Plane::new(9, 7, vec![1.0; 63]).unwrap();
        let white = Picture { color: vec![plane; 3], alpha: None };
        let lowest = |edge: Option<Edge>| {
            let options = PictureOptions { edge, ..PictureOptions::default() };
            let plan = upscaler.plan_picture(Path::new("white"), &white, SampleDepth::U8, &options).unwrap();
            let go_on: Progress<'_> = &|_| ControlFlow::Continue(());
            let found = upscaler.upscale_picture(white.clone(), SampleDepth::U8, &plan, &options, go_on);
            let Samples::U8(samples) = found.unwrap().raster.samples else { panic!("8 bits") };
            samples.into_iter().min()
        };
        assert!(lowest(None) >= Some(254));
        assert!(lowest(Some(Edge::Zero)) < Some(254), "zeros are another edge");
    }
}
