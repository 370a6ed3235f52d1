//! One picture under way: its passes, one after the other, into samples or planes.

use std::ops::ControlFlow;

use esrgan_core::{Notice, Picture, Plane, SampleDepth};
use esrgan_engine::{EngineError, Progress, RowSink};
use esrgan_image::{Filter, Raster, resample, resample_picture};

use crate::passes::{Pass, Passes};
use crate::plan::PicturePlan;
use crate::runner::{PassPlan, Runner};
use crate::sink::{PlaneSink, RasterSink, View, blank_raster, write_row};

/// A picture at the model's size: colour channels, then perhaps alpha.
pub(crate) struct EnlargedPlanes {
    planes: Vec<Plane>,
    color_channels: usize,
}

impl EnlargedPlanes {
    /// Brings planes to their final size, and rounds them once.
    pub(crate) fn finished(self, (width, height): (usize, usize), depth: SampleDepth) -> Raster {
        let mut color = self.planes;
        let alpha = color.split_off(self.color_channels).pop();
        let mut picture = Picture { color, alpha };
        if (picture.width(), picture.height()) != (width, height) {
            picture = resample_picture(&picture, width, height, Filter::Bicubic);
        }
        Raster::from_picture(&picture, depth)
    }
}

/// One picture under way.
pub(crate) struct PictureRun<'a> {
    runner: &'a dyn Runner,
    plan: &'a PicturePlan,
    progress: Progress<'a>,
    model_size: (usize, usize),
    /// What the user should know, so far.
    pub(crate) notices: Vec<Notice>,
    /// How the last pass was worked off.
    pub(crate) mode: &'static str,
}

impl<'a> PictureRun<'a> {
    /// A run that has done nothing yet.
    pub(crate) fn new(
        runner: &'a dyn Runner,
        plan: &'a PicturePlan,
        progress: Progress<'a>,
        model_size: (usize, usize),
    ) -> Self {
        Self { runner, plan, progress, model_size, notices: Vec::new(), mode: plan.mode() }
    }

    /// Runs all passes, quantising rows as they come.
    pub(crate) fn raster(&mut self, passes: Passes, depth: SampleDepth) -> Result<Raster, EngineError> {
        let (width, height) = self.model_size;
        let (channels, color_channels) = (passes.channels(), passes.color_channels);
        let mut raster = blank_raster(width, height, channels, depth);
        let count = passes.passes.len();
        for (index, pass) in passes.passes.into_iter().enumerate() {
            let mut sink = RasterSink { raster: &mut raster, gives: pass.gives, row: vec![0.0; width] };
            self.pass(&pass.planes, self.plan.pass(), &mut sink, (index, count))?;
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
    pub(crate) fn planes(
        &mut self,
        passes: Passes,
        self_ensemble: bool,
    ) -> Result<EnlargedPlanes, EngineError> {
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
                self.runner.transposed(self.plan.pass())?
            } else {
                self.plan.pass().clone()
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
        &mut self,
        planes: &[Plane],
        plan: &PassPlan,
        sink: &mut dyn RowSink,
        (index, count): (usize, usize),
    ) -> Result<(), EngineError> {
        let whole = self.progress;
        let progress = |fraction: f64| -> ControlFlow<()> { whole((index as f64 + fraction) / count as f64) };
        let report = self.runner.run(plan, planes, sink, &progress)?;
        for notice in report.notices {
            // Views of one picture have the same to say.
            if !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        self.mode = report.mode;
        Ok(())
    }
}
