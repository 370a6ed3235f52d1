//! `esrgan inspect`, `convert`, `interpolate` and `models`.

use std::path::Path;

use esrgan_core::Notice;
use esrgan_upscale::{
    BUILT_IN_MODELS, LoadOptions, Model, ModelSource, SaveOptions, interpolate as mix, model_files, save,
};
use serde_json::{Value, json};

use crate::Outcome;
use crate::flags::{ConvertFlags, InspectFlags, InterpolateFlags, ListFlags};
use crate::talk;

fn read(name: &Path, strength: Option<f64>, scale: Option<usize>) -> anyhow::Result<(ModelSource, Model)> {
    let source = ModelSource::find(Some(name), None, strength)?;
    let model = source.load(&LoadOptions { scale, ..LoadOptions::default() })?;
    talk::notices(&source, &model.origin.notices);
    Ok((source, model))
}

fn describe(model: &Model, source: &ModelSource) -> Value {
    let (spec, origin) = (&model.spec, &model.origin);
    json!({
        "file": source.to_string(),
        "built_in": matches!(source, ModelSource::BuiltIn { .. }),
        "family": spec.family().name(),
        "scale": spec.scale(),
        "in_channels": spec.in_channels(),
        "out_channels": spec.out_channels(),
        "num_features": spec.num_features(),
        "num_blocks": spec.num_blocks(),
        "growth_channels": spec.growth_channels(),
        "unshuffle": spec.unshuffle(),
        "dtype": origin.dtype.name(),
        "key_layout": origin.key_layout.name(),
        "parameters": origin.parameters,
        "sha256": Some(&origin.sha256).filter(|hash| !hash.is_empty()),
        "format": origin.format.name(),
        "edge": if origin.repeats_edge { "replicate" } else { "zero" },
        "scale_is_ambiguous": origin.scale_is_ambiguous,
        "notices": origin.notices.iter().map(Notice::as_str).collect::<Vec<_>>(),
    })
}

/// Runs `inspect`.
pub(crate) fn inspect(flags: &InspectFlags) -> anyhow::Result<Outcome> {
    let (source, model) = read(&flags.model, None, flags.scale)?;
    if flags.json {
        talk::data(describe(&model, &source))?;
    } else {
        talk::data(description(&model, &source))?;
    }
    Ok(Outcome::Done)
}

/// What a model is, for people.
fn description(model: &Model, source: &ModelSource) -> String {
    let (spec, origin) = (&model.spec, &model.origin);
    let unshuffled = match spec.unshuffle() {
        1 => String::new(),
        factor => format!(", pixel-unshuffled by {factor}"),
    };
    let mut lines = vec![
        source.to_string(),
        format!("  family      {}, x{}", spec.family(), spec.scale()),
        format!("  channels    {} in{unshuffled}, {} out", spec.in_channels(), spec.out_channels()),
        format!(
            "  size        {} features, {} blocks, {} growth channels, {} parameters",
            spec.num_features(),
            spec.num_blocks(),
            spec.growth_channels(),
            origin.parameters
        ),
        format!("  file        {}, keys `{}`, {}", origin.format, origin.key_layout, origin.dtype.name()),
    ];
    if origin.repeats_edge {
        lines.push("  edge        repeated, as in training".to_owned());
    }
    // A mean of two files has none.
    if !origin.sha256.is_empty() {
        lines.push(format!("  sha256      {}", origin.sha256));
    }
    lines.join("\n")
}

/// Runs `convert`.
pub(crate) fn convert(flags: &ConvertFlags) -> anyhow::Result<Outcome> {
    let (_, model) = read(&flags.input, flags.strength, flags.scale)?;
    let options = SaveOptions { layout: flags.layout.map(Into::into), dtype: flags.dtype.map(Into::into) };
    write(&model, &flags.output, &options)
}

/// Saves a model, and says what its file cannot.
fn write(model: &Model, output: &Path, options: &SaveOptions) -> anyhow::Result<Outcome> {
    talk::notices(output.display(), &save(model, output, options)?);
    Ok(Outcome::Done)
}

/// Runs `interpolate`.
pub(crate) fn interpolate(flags: &InterpolateFlags) -> anyhow::Result<Outcome> {
    let ((_, a), (_, b)) = (read(&flags.a, None, flags.scale)?, read(&flags.b, None, flags.scale)?);
    write(&mix(&a, &b, flags.alpha)?, &flags.output, &SaveOptions::default())
}

/// Runs `models`.
pub(crate) fn list(flags: &ListFlags) -> anyhow::Result<Outcome> {
    // Looked at first: where there is no such folder, nothing is listed.
    let files = flags.models_dir.as_deref().map(model_files).transpose()?;
    for model in &BUILT_IN_MODELS {
        let source = ModelSource::BuiltIn { model, strength: None };
        let loaded = source.load(&LoadOptions::default())?;
        match flags.json {
            true => talk::data(describe(&loaded, &source))?,
            false => talk::data(format_args!("{}  {}; {}", model.name, kind(&loaded), model.summary))?,
        }
    }
    if let (Some(folder), Some([])) = (&flags.models_dir, files.as_deref()) {
        eprintln!("note: {}: no model files here", folder.display());
    }
    let mut outcome = Outcome::Done;
    for file in files.unwrap_or_default() {
        let source = ModelSource::File(file.clone());
        match source.load(&LoadOptions::default()) {
            Ok(model) if flags.json => talk::data(describe(&model, &source))?,
            Ok(model) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                talk::data(format_args!("{name}  {}", kind(&model)))?;
            }
            Err(error) => {
                talk::error(&error.into());
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}

/// What a model is, in a few words.
fn kind(model: &Model) -> String {
    let spec = &model.spec;
    format!("{} x{}, {} parameters", spec.family(), spec.scale(), model.origin.parameters)
}
