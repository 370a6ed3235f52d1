//! `esrgan bench`.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use esrgan_core::{SampleDepth, peak_memory_bytes};
use esrgan_upscale::{
    AlphaMode, EncodeOptions, Job, ModelOptions, PictureFormat, PictureOptions, Upscaler, decode, encode,
    probe,
};
use serde_json::json;

use super::{isa_from_environment, suite};
use crate::Outcome;
use crate::flags::BenchFlags;
use crate::talk;

/// Runs the command.
pub(crate) fn run(flags: &BenchFlags) -> anyhow::Result<Outcome> {
    match (&flags.model[..], &flags.input) {
        _ if flags.suite => suite::run(flags),
        ([model], Some(input)) => time(flags, model, input),
        _ => anyhow::bail!("one model and one picture are timed at once; `--suite` takes several models"),
    }
}

/// Times one model on one picture.
fn time(flags: &BenchFlags, model: &Path, input: &Path) -> anyhow::Result<Outcome> {
    let model_options = ModelOptions {
        model_scale: flags.scale,
        precision: flags.precision.into(),
        threads: flags.threads,
        isa: isa_from_environment()?,
        ..ModelOptions::default()
    };
    let upscaler = Upscaler::load(model, &model_options)?;
    talk::notices(model, &upscaler.origin().notices);
    let options = PictureOptions { alpha: AlphaMode::Drop, ..PictureOptions::default() };
    let header = probe(input, &options.limits)?;
    let job = Job { input, output: flags.output.as_deref().unwrap_or(input), format: PictureFormat::Png };
    let plan = upscaler.plan(&job, &header, &options)?;
    let decoded = decode(input, &options.limits)?;
    upscaler.prepare(&plan);
    let mut seconds = Vec::new();
    let mut raster = None;
    for _ in 0..flags.repeat {
        let picture = decoded.picture.clone();
        let start = Instant::now();
        let result = upscaler
            .upscale_picture(picture, SampleDepth::U8, &plan, &options, &|_| ControlFlow::Continue(()))?;
        seconds.push(start.elapsed().as_secs_f64());
        raster = Some(result);
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let gflops = upscaler.network().nominal_flop(header.width, header.height) / median / 1e9;
    if let (Some(output), Some(raster)) = (&flags.output, &raster) {
        encode(raster, &decoded.metadata, PictureFormat::Png, &EncodeOptions::default(), output)?;
    }
    let report = json!({
        "seconds": median,
        "gflops": gflops,
        "peak_rss_bytes": peak_memory_bytes(),
        "peak_bytes_planned": plan.peak_bytes,
        "isa": upscaler.isa().name(),
        "precision": upscaler.network().precision().name(),
        "threads": upscaler.engine().threads(),
        "device": "cpu",
        "mode": plan.engine().mode(),
        "width": header.width,
        "height": header.height,
        "repeat": flags.repeat,
    });
    if flags.json {
        talk::data(report)?;
    } else {
        let (isa, threads) = (upscaler.isa(), upscaler.engine().threads());
        talk::data(plan.engine())?;
        talk::data(format_args!(
            "{median:.3} s, {gflops:.0} GFLOP/s, {isa} on {threads} threads, median of {}",
            flags.repeat
        ))?;
    }
    Ok(Outcome::Done)
}
