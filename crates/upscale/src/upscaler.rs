//! A model, ready to enlarge any number of pictures.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use esrgan_core::{Notice, Picture, Plane, SampleDepth};
use esrgan_engine::{Edge, Engine, EngineError, Isa, Network, Plan, Precision, Progress, TilePolicy};
use esrgan_image::{
    EncodeOptions, Filter, Header, Limits, PictureFormat, Raster, bleed_colors, check_writable, decode,
    encode, resample, resample_picture,
};
use esrgan_weights::{LoadOptions, Model, ModelSpec, Origin, load};

use crate::error::UpscaleError;
use crate::passes::{AlphaMode, Pass, Passes};
use crate::plan::PicturePlan;
use crate::sink::{PlaneSink, RasterSink, View, blank_raster, write_row};
use crate::size::OutputSize;

/// How a model is loaded and run.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// How much of the model's file is believed.
    pub limits: esrgan_weights::Limits,
    /// The model's scale, where its file does not say whether it is 2 or 3.
    pub model_scale: Option<usize>,
    /// In what products are computed; the fastest that the processor has of its own where `None`. A precision that it does not
    /// have is replaced, with a notice.
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
    /// What the network sees beyond the edge.
    pub edge: Edge,
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
            edge: Edge::Zero,
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

/// A model, ready to enlarge any number of pictures.
#[derive(Debug)]
pub struct Upscaler {
    engine: Engine,
    network: Network,
    origin: Origin,
}

impl Upscaler {
    /// Loads a model and starts the threads.
    ///
    /// # Errors
    /// [`UpscaleError::Weights`] for the model, [`UpscaleError::Start`] for threads and instruction sets,
    /// [`UpscaleError::Channels`] for a model that is not for pictures.
    pub fn load(path: &Path, options: &ModelOptions) -> Result<Self, UpscaleError> {
        let load_options =
            LoadOptions { limits: options.limits.clone(), scale: options.model_scale, hash: false };
        Self::new(load(path, &load_options)?, options)
    }

    /// Packs a model and starts the threads.
    ///
    /// # Errors
    /// As [`Upscaler::load`], but for the file.
    pub fn new(model: Model, options: &ModelOptions) -> Result<Self, UpscaleError> {
        let channels = (model.spec.in_channels(), model.spec.out_channels());
        if ![(1, 1), (1, 3), (3, 3), (4, 4)].contains(&channels) {
            return Err(UpscaleError::Channels { in_channels: channels.0, out_channels: channels.1 });
        }
        let engine = Engine::new(options.threads, options.isa).map_err(UpscaleError::Start)?;
        let precision = engine.precision_for(options.precision);
        let network = Network::new(&model, precision).map_err(UpscaleError::Start)?;
        let mut origin = model.origin;
        if options.precision.is_some_and(|wanted| wanted != precision) {
            origin.notices.push(Notice::new(format!(
                "this processor has no instructions for bf16 ({} is its best set): computed in f32, which is faster here",
                engine.isa()
            )));
        }
        Ok(Self { engine, network, origin })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        self.network.spec()
    }

    /// Where the model came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The instruction set that computes.
    pub fn isa(&self) -> Isa {
        self.engine.isa_for(self.network.precision())
    }

    /// The threads and the instruction set.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The packed model.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Plans the enlargement of a picture whose header is known.
    ///
    /// # Errors
    /// [`UpscaleError::OutputSize`]; [`UpscaleError::Image`] where the format does not hold such a size;
    /// [`UpscaleError::Memory`] and [`EngineError::Memory`] where it would take more than it may.
    pub fn plan(
        &self,
        job: &Job<'_>,
        header: &Header,
        options: &PictureOptions,
    ) -> Result<PicturePlan, UpscaleError> {
        PicturePlan::new((&self.network, self.engine.threads()), job, header, options)
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

    /// Packs the weights that a plan keeps, so that its first run need not.
    pub fn prepare(&self, plan: &PicturePlan) {
        self.engine.prepare(&self.network, plan.engine());
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
        notices.extend(self.plan_notices(&plan));
        let depth = job.format.encoded_depth(decoded.header.depth);
        let raster = self
            .upscale_picture(decoded.picture, depth, &plan, options, progress)
            .map_err(UpscaleError::engine(job.input))?;
        notices.extend(encode(&raster, &decoded.metadata, job.format, &options.encode, job.output)?);
        Ok(Report {
            input: job.input.to_owned(),
            output: job.output.to_owned(),
            lr_size: (header.width, header.height),
            size: plan.size,
            mode: plan.engine().mode(),
            peak_bytes_planned: plan.peak_bytes,
            seconds: start.elapsed().as_secs_f64(),
            notices,
        })
    }

    /// What a user should know of a plan.
    fn plan_notices(&self, plan: &PicturePlan) -> Option<Notice> {
        let (tile, halo) = plan.engine().tile_lr_px()?;
        Some(Notice::new(format!(
            "worked off in tiles of {tile} px with a halo of {halo} px instead of the whole picture: \
             such tiles have deviated from the exact result by up to {} of 255 levels",
            esrgan_engine::LARGEST_TILE_DEVIATION_LEVELS
        )))
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
    ) -> Result<Raster, EngineError> {
        if options.alpha != AlphaMode::Drop {
            bleed_colors(&mut picture);
        }
        let lr_size = (picture.width(), picture.height());
        let expected =
            EngineError::Channels { expected: self.spec().in_channels(), found: picture.color.len() };
        let passes = Passes::new(picture, self.spec(), options.alpha).map_err(|_| expected)?;
        let scale = self.spec().scale();
        let model_size = (lr_size.0 * scale, lr_size.1 * scale);
        let run = PictureRun { upscaler: self, plan, progress, model_size };
        if plan.keeps_planes {
            let planes = run.into_planes(passes, options.self_ensemble)?;
            Ok(finish_planes(planes, plan.size, depth))
        } else {
            run.into_raster(passes, depth)
        }
    }
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

/// A picture at the model's size: colour channels, then perhaps alpha.
struct EnlargedPlanes {
    planes: Vec<Plane>,
    color_channels: usize,
}

/// Brings planes to their final size, and rounds them once.
fn finish_planes(enlarged: EnlargedPlanes, (width, height): (usize, usize), depth: SampleDepth) -> Raster {
    let mut color = enlarged.planes;
    let alpha = color.split_off(enlarged.color_channels).pop();
    let mut picture = Picture { color, alpha };
    if (picture.width(), picture.height()) != (width, height) {
        picture = resample_picture(&picture, width, height, Filter::Bicubic);
    }
    Raster::from_picture(&picture, depth)
}

/// One picture under way.
struct PictureRun<'a> {
    upscaler: &'a Upscaler,
    plan: &'a PicturePlan,
    progress: Progress<'a>,
    model_size: (usize, usize),
}

impl PictureRun<'_> {
    /// Runs all passes, quantising rows as they come.
    fn into_raster(self, passes: Passes, depth: SampleDepth) -> Result<Raster, EngineError> {
        let (width, height) = self.model_size;
        let (channels, color_channels) = (passes.channels(), passes.color_channels);
        let mut raster = blank_raster(width, height, channels, depth);
        let count = passes.passes.len();
        for (index, pass) in passes.passes.into_iter().enumerate() {
            let mut sink = RasterSink { raster: &mut raster, gives: pass.gives, row: vec![0.0; width] };
            self.pass(&pass.planes, self.plan.engine(), &mut sink, (index, count))?;
        }
        if let Some(value) = passes.constant_alpha {
            (0..height).for_each(|y| write_row(&mut raster, y, color_channels, &vec![value; width]));
        }
        if let Some(alpha) = &passes.resampled_alpha {
            let alpha = resample(alpha, width, height, Filter::Lanczos3);
            (0..height).for_each(|y| write_row(&mut raster, y, color_channels, alpha.row(y)));
        }
        Ok(raster)
    }

    /// Runs all passes, in one view or averaged over all eight, keeping full precision.
    fn into_planes(self, passes: Passes, self_ensemble: bool) -> Result<EnlargedPlanes, EngineError> {
        let (width, height) = self.model_size;
        let (channels, color_channels) = (passes.channels(), passes.color_channels);
        let mut planes = vec![Plane::filled(width, height, 0.0); channels];
        let all = View::all();
        let views: &[View] = if self_ensemble { &all } else { &[View::PLAIN] };
        let count = passes.passes.len() * views.len();
        for (index, (Pass { planes: input, gives }, view)) in
            passes.passes.iter().flat_map(|pass| views.iter().map(move |view| (pass, *view))).enumerate()
        {
            let turned: Vec<Plane> = input.iter().map(|plane| view.apply(plane)).collect();
            let plan = if view.transposed {
                self.plan.engine().transposed(&self.upscaler.network)?
            } else {
                self.plan.engine().clone()
            };
            let row = vec![0.0; plan.hr_width()];
            let weight = 1.0 / views.len() as f32;
            let mut sink = PlaneSink { planes: &mut planes, gives: *gives, view, weight, row };
            self.pass(&turned, &plan, &mut sink, (index, count))?;
        }
        if let Some(value) = passes.constant_alpha {
            planes[color_channels].samples_mut().fill(value);
        }
        if let Some(alpha) = &passes.resampled_alpha {
            planes[color_channels] = resample(alpha, width, height, Filter::Lanczos3);
        }
        Ok(EnlargedPlanes { planes, color_channels })
    }

    /// Runs one pass of `count`.
    fn pass(
        &self,
        planes: &[Plane],
        plan: &Plan,
        sink: &mut dyn esrgan_engine::RowSink,
        (index, count): (usize, usize),
    ) -> Result<(), EngineError> {
        let progress =
            |fraction: f64| -> ControlFlow<()> { (self.progress)((index as f64 + fraction) / count as f64) };
        self.upscaler.engine.run(&self.upscaler.network, plan, planes, sink, &progress)
    }
}
