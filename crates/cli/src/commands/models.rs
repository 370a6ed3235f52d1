//! `esrgan inspect`, `convert`, `interpolate` and `models`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use esrgan_core::Notice;
use esrgan_upscale::{LoadOptions, Model, SaveOptions, interpolate as mix, load, save};
use serde_json::{Value, json};

use crate::Outcome;
use crate::flags::{ConvertFlags, InspectFlags, InterpolateFlags, ListFlags};
use crate::talk;

/// Extensions of files that `models` looks into; ncnn's `.bin` comes with its `.param`.
const MODEL_EXTENSIONS: [&str; 5] = ["pth", "pt", "safetensors", "param", "onnx"];

fn read(path: &Path, scale: Option<usize>) -> anyhow::Result<Model> {
    Ok(load(path, &LoadOptions { scale, ..LoadOptions::default() })?)
}

/// The file of a model: the path itself, or a file of that name in the folder of models.
pub(crate) fn find_model(model: &Path, folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(folder) = folder.filter(|_| !model.exists()) else { return Ok(model.to_owned()) };
    let files = model_files(folder)?;
    let is_named = |file: &&PathBuf| {
        file.file_name() == Some(model.as_os_str()) || file.file_stem() == Some(model.as_os_str())
    };
    match files.iter().filter(is_named).collect::<Vec<_>>()[..] {
        [file] => Ok(file.clone()),
        [] => anyhow::bail!(
            "{}: no such file, and no model of that name in {}",
            model.display(),
            folder.display()
        ),
        [first, second, ..] => anyhow::bail!(
            "`{}` could be {} or {}: name it with its extension",
            model.display(),
            first.display(),
            second.display()
        ),
    }
}

fn model_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if extension.is_some_and(|extension| MODEL_EXTENSIONS.contains(&extension.as_str())) && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn describe(model: &Model, path: &Path) -> Value {
    let (spec, origin) = (&model.spec, &model.origin);
    json!({
        "file": path.to_string_lossy(),
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
        "sha256": origin.sha256,
        "format": origin.format.name(),
        "scale_is_ambiguous": origin.scale_is_ambiguous,
        "notices": origin.notices.iter().map(Notice::as_str).collect::<Vec<_>>(),
    })
}

/// Runs `inspect`.
pub(crate) fn inspect(flags: &InspectFlags) -> anyhow::Result<Outcome> {
    let model = read(&flags.model, flags.scale)?;
    talk::notices(&flags.model, &model.origin.notices);
    if flags.json {
        talk::data(describe(&model, &flags.model))?;
    } else {
        talk::data(description(&model, &flags.model))?;
    }
    Ok(Outcome::Done)
}

/// What a model is, for people.
fn description(model: &Model, path: &Path) -> String {
    let (spec, origin) = (&model.spec, &model.origin);
    let unshuffled = match spec.unshuffle() {
        1 => String::new(),
        factor => format!(", pixel-unshuffled by {factor}"),
    };
    [
        path.display().to_string(),
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
        format!("  sha256      {}", origin.sha256),
    ]
    .join("\n")
}

/// Runs `convert`.
pub(crate) fn convert(flags: &ConvertFlags) -> anyhow::Result<Outcome> {
    let model = read(&flags.input, flags.scale)?;
    talk::notices(&flags.input, &model.origin.notices);
    let options = SaveOptions { layout: flags.layout.map(Into::into), dtype: flags.dtype.map(Into::into) };
    save(&model, &flags.output, &options)?;
    Ok(Outcome::Done)
}

/// Runs `interpolate`.
pub(crate) fn interpolate(flags: &InterpolateFlags) -> anyhow::Result<Outcome> {
    let (a, b) = (read(&flags.a, flags.scale)?, read(&flags.b, flags.scale)?);
    talk::notices(&flags.a, &a.origin.notices);
    talk::notices(&flags.b, &b.origin.notices);
    save(&mix(&a, &b, flags.alpha)?, &flags.output, &SaveOptions::default())?;
    Ok(Outcome::Done)
}

/// Runs `models`.
pub(crate) fn list(flags: &ListFlags) -> anyhow::Result<Outcome> {
    let folder = flags
        .models_dir
        .as_deref()
        .context("no folder of models was named\nhint: `--models-dir DIR`, or the variable ESRGAN_MODELS")?;
    let files = model_files(folder)?;
    if files.is_empty() {
        eprintln!("note: {}: no model files here", folder.display());
    }
    let mut outcome = Outcome::Done;
    for file in files {
        match read(&file, None) {
            Ok(model) if flags.json => talk::data(describe(&model, &file))?,
            Ok(model) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let spec = &model.spec;
                let (family, scale, parameters) = (spec.family(), spec.scale(), model.origin.parameters);
                talk::data(format_args!("{name}  {family} x{scale}, {parameters} parameters"))?;
            }
            Err(error) => {
                talk::error(&error);
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}
