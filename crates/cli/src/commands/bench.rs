//! `esrgan bench`.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use esrgan_core::{SampleDepth, peak_memory_bytes};
use esrgan_upscale::{
    AlphaMode, EncodeOptions, Job, ModelOptions, ModelSource, PictureFormat, PictureOptions, Upscaler,
    decode, encode, probe,
};
use serde_json::json;

use super::{isa_from_environment, say_start, suite};
use crate::Outcome;
use crate::flags::BenchFlags;
use crate::talk;

/// Runs the command.
pub(crate) fn run(flags: &BenchFlags) -> anyhow::Result<Outcome> {
    match (&flags.model[..], &flags.input) {
        _ if flags.suite => suite::run(flags),
        ([], Some(input)) => time(flags, None, input),
        ([model], Some(input)) => time(flags, Some(model), input),
        _ => anyhow::bail!("one model and one picture are timed at once; `--suite` takes several models"),
    }
}

/// Times one model on one picture.
fn time(flags: &BenchFlags, model: Option<&Path>, input: &Path) -> anyhow::Result<Outcome> {
    let model_options = ModelOptions {
        model_scale: flags.scale,
        device: flags.device,
        precision: flags.precision.into(),
        threads: flags.threads,
        isa: isa_from_environment()?,
        ..ModelOptions::default()
    };
    let model = ModelSource::find(model, None, flags.strength)?;
    let upscaler = Upscaler::load(&model, &model_options)?;
    say_start(&model, &upscaler.origin().notices, &upscaler);
    let options = PictureOptions { alpha: AlphaMode::Drop, ..PictureOptions::default() };
    let header = probe(input, &options.limits)?;
    let job = Job { input, output: flags.output.as_deref().unwrap_or(input), format: PictureFormat::Png };
    let plan = upscaler.plan(&job, &header, &options)?;
    let decoded = decode(input, &options.limits)?;
    upscaler.prepare(&plan);
    let mut seconds = Vec::new();
    let mut enlarged = None;
    for _ in 0..flags.repeat {
        let picture = decoded.picture.clone();
        let start = Instant::now();
        let result = upscaler
            .upscale_picture(picture, SampleDepth::U8, &plan, &options, &|_| ControlFlow::Continue(()))?;
        seconds.push(start.elapsed().as_secs_f64());
        enlarged = Some(result);
    }
    let median = median(&mut seconds);
    // A picture that is worked off in tiles has no pass as a whole.
    let forward = match plan.tile_lr_px() {
        None => upscaler.forward_seconds(decoded.picture.clone(), flags.repeat as usize)?,
        Some(_) => None,
    };
    let forward = forward.map(|mut seconds| self::median(&mut seconds));
    let gflops = upscaler.nominal_flop(header.width, header.height) / median / 1e9;
    let notices = enlarged.as_ref().map_or(&[][..], |enlarged| &enlarged.notices);
    talk::notices(input.display(), notices);
    if let (Some(output), Some(enlarged)) = (&flags.output, &enlarged) {
        encode(&enlarged.raster, &decoded.metadata, PictureFormat::Png, &EncodeOptions::default(), output)?;
    }
    let computation = upscaler.computation();
    let report = json!({
        "seconds": median,
        "forward_seconds": forward,
        "gflops": gflops,
        "peak_rss_bytes": peak_memory_bytes(),
        "peak_bytes_planned": plan.peak_bytes,
        "isa": computation.isa,
        "precision": computation.precision.name(),
        "threads": computation.threads,
        "device": computation.device,
        "mode": enlarged.map_or(plan.mode(), |enlarged| enlarged.mode),
        "width": header.width,
        "height": header.height,
        "repeat": flags.repeat,
    });
    if flags.json {
        talk::data(report)?;
    } else {
        talk::data(&plan)?;
        let repeat = flags.repeat;
        if let Some(forward) = forward {
            talk::data(format_args!("{forward:.4} s of them on the device"))?;
        }
        talk::data(format_args!("{median:.3} s, {gflops:.0} GFLOP/s, {computation}, median of {repeat}"))?;
    }
    Ok(Outcome::Done)
}

/// The middle one of some seconds.
fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
