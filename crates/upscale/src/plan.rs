//! What enlarging one picture will do and take, before it starts.

use std::fmt;

use esrgan_core::SampleDepth;
use esrgan_engine::{Edge, RunOptions};
use esrgan_image::{Header, check_size, encoding_bytes};
use esrgan_weights::ModelSpec;

use crate::error::UpscaleError;
use crate::memory::PROCESS_BYTES;
use crate::passes::{AlphaMode, color_channels};
use crate::runner::{PassPlan, Runner};
use crate::upscaler::{Job, PictureOptions};

/// What enlarging one picture will do and take.
#[derive(Clone, Debug)]
pub struct PicturePlan {
    pass: PassPlan,
    /// The output's width and height.
    pub size: (usize, usize),
    /// Most memory that the whole program will take.
    pub peak_bytes: u64,
    /// Whether the result is kept as planes before it is rounded: for another size, or for an average.
    pub(crate) keeps_planes: bool,
}

impl PicturePlan {
    /// How the network goes over the picture, once for each pass.
    pub fn pass(&self) -> &PassPlan {
        &self.pass
    }

    /// Width and height of the picture.
    pub fn lr_size(&self) -> (usize, usize) {
        self.pass.lr_size()
    }

    /// One word for machines: `whole`, `streamed`, `tiled`.
    pub fn mode(&self) -> &'static str {
        self.pass.mode()
    }

    /// The tiles' side in input pixels and the halo around them, if there are tiles.
    pub fn tile_lr_px(&self) -> Option<(usize, usize)> {
        self.pass.tile_lr_px()
    }

    pub(crate) fn new(
        runner: &dyn Runner,
        job: &Job<'_>,
        header: &Header,
        (options, edge): (&PictureOptions, Edge),
    ) -> Result<Self, UpscaleError> {
        let lr_size = (header.width, header.height);
        let scale = runner.spec().scale();
        let size = options.size.of(job.input, lr_size, scale)?;
        check_size(job.format, size, job.output)?;
        let keeps_planes = options.self_ensemble || size != (lr_size.0 * scale, lr_size.1 * scale);
        let parts = Parts::new(runner.spec(), job, header, options, (size, keeps_planes));
        let around = parts.around_pass();
        let budget = options.memory_budget_bytes;
        if around >= budget {
            return Err(UpscaleError::Memory {
                path: job.input.to_owned(),
                needed_bytes: around,
                budget_bytes: budget,
            });
        }
        let run = RunOptions {
            edge,
            tile: options.tile,
            memory_budget_bytes: budget - around,
            keep_weights: options.keep_weights || options.self_ensemble,
            ..RunOptions::default()
        };
        let failed = UpscaleError::engine(job.input);
        let pass = runner.plan(lr_size, &run).map_err(&failed)?;
        let mut pass_bytes = pass.peak_bytes();
        if options.self_ensemble && lr_size.0 != lr_size.1 {
            pass_bytes = pass_bytes.max(runner.transposed(&pass).map_err(&failed)?.peak_bytes());
        }
        let decoding = pass.weights_bytes().saturating_add(header.peak_decode_bytes());
        let peak_bytes = around.saturating_add(pass_bytes).max(decoding.saturating_add(PROCESS_BYTES));
        Ok(Self { pass, size, peak_bytes, keeps_planes })
    }
}

impl fmt::Display for PicturePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pass.fmt(f)
    }
}

/// Memory beside weights and feature maps, in bytes.
struct Parts {
    /// The decoded picture, and what is made of it for other passes and views.
    input: u64,
    /// Planes at the model's size.
    enlarged: u64,
    /// Planes at the final size, and what resampling holds meanwhile.
    resampled: u64,
    /// Samples as they will be written.
    raster: u64,
    /// What the encoder holds beside them.
    encoding: u64,
}

impl Parts {
    fn new(
        spec: &ModelSpec,
        job: &Job<'_>,
        header: &Header,
        options: &PictureOptions,
        (size, keeps_planes): ((usize, usize), bool),
    ) -> Self {
        let has_alpha = header.has_alpha && options.alpha != AlphaMode::Drop;
        let colors = color_channels(if header.is_gray { 1 } else { 3 }, spec) as u64;
        let channels = colors + u64::from(has_alpha);
        let plane_bytes = |(width, height): (usize, usize)| {
            (width as u64).saturating_mul(height as u64).saturating_mul(size_of::<f32>() as u64)
        };
        let lr_plane = plane_bytes((header.width, header.height));
        let model_plane = plane_bytes((header.width * spec.scale(), header.height * spec.scale()));
        let final_plane = plane_bytes(size);
        // A gray plane or an alpha plane goes in three times.
        let copies = if header.has_alpha || header.is_gray { 3 } else { 0 };
        let input = header.decoded_bytes().saturating_add(lr_plane.saturating_mul(copies));
        let depth = job.format.encoded_depth(header.depth);
        let sample_bytes: u64 = match depth {
            SampleDepth::U8 => 1,
            SampleDepth::U16 => 2,
            SampleDepth::F32 => 4,
        };
        let is_model_size = size == (header.width * spec.scale(), header.height * spec.scale());
        // The filter runs over one dimension, then over the other, each time with a copy that is turned.
        let (model_width, model_height) = (header.width * spec.scale(), header.height * spec.scale());
        let half_way = plane_bytes((size.0, model_height)).max(plane_bytes((model_width, size.1)));
        let between_passes = half_way.saturating_mul(2).saturating_add(final_plane);
        let filtered_alpha = if has_alpha && options.alpha == AlphaMode::Resample { model_plane } else { 0 };
        // Colours are weighted by alpha, and resampled both with and without the weights.
        let weighting = if has_alpha { model_plane.saturating_add(final_plane.saturating_mul(2)) } else { 0 };
        Self {
            input: if options.self_ensemble { input.saturating_mul(2) } else { input },
            enlarged: filtered_alpha.saturating_add(if keeps_planes {
                model_plane.saturating_mul(channels)
            } else {
                0
            }),
            resampled: if is_model_size {
                0
            } else {
                final_plane.saturating_mul(channels).saturating_add(weighting).saturating_add(between_passes)
            },
            raster: (final_plane / size_of::<f32>() as u64).saturating_mul(channels * sample_bytes),
            encoding: encoding_bytes(job.format, size.0, size.1, channels as usize, depth),
        }
    }

    /// The most that is held at one time.
    fn around_pass(&self) -> u64 {
        let sum = |parts: &[u64]| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
        let rounded_at_once = if self.enlarged > 0 { 0 } else { self.raster };
        let phases = [
            sum(&[self.input, self.enlarged, rounded_at_once]),
            sum(&[self.enlarged, self.resampled]),
            sum(&[self.enlarged.max(self.resampled), self.raster]),
            sum(&[self.raster, self.encoding]),
        ];
        phases.into_iter().max().unwrap_or(0).saturating_add(PROCESS_BYTES)
    }
}
