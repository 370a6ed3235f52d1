//! From a model to a file of any format.

use std::collections::BTreeMap;
use std::path::Path;

use esrgan_core::{Notice, PendingFile};

use crate::dtype::DType;
use crate::error::WeightsError;
use crate::keys::file_key;
use crate::map::WeightMap;
use crate::model::{Format, KeyLayout, Model};
use crate::spec::Family;
use crate::state::{EDGE, REPLICATE};
use crate::tensor::Tensor;
use crate::{ncnn, onnx, pth, safetensors};

/// How a model is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaveOptions {
    /// How tensors are named in `.pth` and `.safetensors`; `None` keeps the names of the file that the model came from,
    /// or takes BasicSR's where that had none.
    pub layout: Option<KeyLayout>,
    /// How elements are stored; `None` keeps every tensor's type.
    pub dtype: Option<DType>,
}

/// Writes a model, in the format of the path's extension: `.pth`, `.safetensors`, `.onnx`, `.param` (and `.bin` beside it).
///
/// Files appear complete or not at all; of ncnn's pair the `.bin` appears first. Returns what the file cannot say.
///
/// A network that was trained with its edge repeated says so in `.safetensors` and, in BasicSR's layout, in `.pth`, which this
/// program reads; in `.onnx` and `.param` every convolution has the edge repeated before it, in whichever engine.
///
/// # Errors
/// [`WeightsError::Argument`] where format, layout and type do not go together, [`WeightsError::Overflow`] where a weight
/// does not fit the type, [`WeightsError::Io`].
pub fn save(model: &Model, path: &Path, options: &SaveOptions) -> Result<Vec<Notice>, WeightsError> {
    let format = format_of(path)?;
    let weights = cast(&model.weights, options.dtype)?;
    let repeats_edge = model.origin.repeats_edge;
    let says_edge = match format {
        Format::Pth => {
            let layout = layout(model, options)?;
            // Real-ESRGAN and BasicSR look under this key; the older layouts' programs expect a bare dictionary.
            let wrapper = matches!(layout, KeyLayout::BasicSr | KeyLayout::Compact).then_some("params");
            let extras: &[_] = if repeats_edge { &[(EDGE, REPLICATE)] } else { &[] };
            write_file(path, &pth::write(&named(model, &weights, layout), wrapper, extras)?)?;
            wrapper.is_some()
        }
        Format::Safetensors => {
            let layout = layout(model, options)?;
            let metadata = metadata(model, layout);
            write_file(path, &safetensors::write(&named(model, &weights, layout), &metadata))?;
            true
        }
        Format::Onnx => {
            refuse_layout(options, format)?;
            write_file(path, &onnx::write(&model.spec, &weights, repeats_edge)?)?;
            true
        }
        Format::Ncnn => {
            refuse_layout(options, format)?;
            if options.dtype == Some(DType::BF16) {
                return Err(argument("dtype", "f32 or f16 for ncnn", "bf16"));
            }
            let files = ncnn::write(&model.spec, &weights, repeats_edge)?;
            let bin_path = path.with_extension("bin");
            let bin = pending(&bin_path, &files.bin)?;
            let param = pending(path, files.param.as_ref())?;
            publish(bin, &bin_path)?;
            publish(param, path)?;
            true
        }
    };
    Ok(if repeats_edge { edge_notices(format, says_edge) } else { Vec::new() })
}

/// What the user of a network that was trained with its edge repeated should know about its file.
fn edge_notices(format: Format, says_edge: bool) -> Vec<Notice> {
    let elsewhere = "trained with the edge repeated: other programs see zeros beyond it, and spoil the picture's border, unless \
                     they get the network as `.onnx` or `.param`";
    let here = "this layout has no place to say that the edge is repeated: enlarge with `--edge replicate`";
    let is_graph = matches!(format, Format::Onnx | Format::Ncnn);
    let told = [(!is_graph, elsewhere), (!says_edge, here)];
    told.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| Notice::new(text)).collect()
}

/// Writes a file that appears whole or not at all.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), WeightsError> {
    publish(pending(path, bytes)?, path)
}

fn pending(path: &Path, bytes: &[u8]) -> Result<PendingFile, WeightsError> {
    let failed = |source| WeightsError::Io { action: "write", path: path.to_owned(), source };
    PendingFile::write(path, bytes).map_err(failed)
}

fn publish(pending: PendingFile, path: &Path) -> Result<(), WeightsError> {
    let failed =
        |source| WeightsError::Io { action: "rename a temporary file to", path: path.to_owned(), source };
    pending.publish().map_err(failed)
}

fn format_of(path: &Path) -> Result<Format, WeightsError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "pth" => Ok(Format::Pth),
        "safetensors" => Ok(Format::Safetensors),
        "onnx" => Ok(Format::Onnx),
        "param" => Ok(Format::Ncnn),
        _ => Err(argument("output", "a name in .safetensors, .pth, .onnx or .param", path.display())),
    }
}

fn cast(weights: &WeightMap, dtype: Option<DType>) -> Result<WeightMap, WeightsError> {
    let Some(dtype) = dtype else { return Ok(weights.clone()) };
    weights.iter().map(|(name, tensor)| Ok((name.to_owned(), tensor.cast(dtype, name)?))).collect()
}

fn layout(model: &Model, options: &SaveOptions) -> Result<KeyLayout, WeightsError> {
    let is_compact = model.spec.family() == Family::Compact;
    let kept = match model.origin.key_layout {
        KeyLayout::Ncnn | KeyLayout::Onnx => KeyLayout::BasicSr,
        layout => layout,
    };
    match options.layout.unwrap_or(kept) {
        KeyLayout::BasicSr | KeyLayout::Compact if is_compact => Ok(KeyLayout::Compact),
        other if is_compact => Err(argument("layout", "basicsr for a compact network", other)),
        layout @ (KeyLayout::BasicSr | KeyLayout::RrdbTrunk | KeyLayout::Old) => Ok(layout),
        other => Err(argument("layout", "basicsr, trunk or old", other)),
    }
}

fn refuse_layout(options: &SaveOptions, format: Format) -> Result<(), WeightsError> {
    match options.layout {
        Some(layout) => {
            Err(argument("layout", format!("none for {format}, whose tensors are those of a graph"), layout))
        }
        None => Ok(()),
    }
}

/// The tensors under their names in a layout.
fn named(model: &Model, weights: &WeightMap, layout: KeyLayout) -> Vec<(String, Tensor)> {
    weights.iter().map(|(name, tensor)| (file_key(layout, &model.spec, name), tensor.clone())).collect()
}

/// What a safetensors file says beside its tensors. `format` is what other programs look for.
fn metadata(model: &Model, layout: KeyLayout) -> BTreeMap<&'static str, String> {
    let origin = &model.origin;
    let mut metadata = BTreeMap::from([
        ("format", "pt".to_owned()),
        ("program", format!("esrgan {}", env!("CARGO_PKG_VERSION"))),
        ("family", model.spec.family().to_string()),
        ("scale", model.spec.scale().to_string()),
        ("key_layout", layout.to_string()),
        ("origin_format", origin.format.to_string()),
        ("origin_key_layout", origin.key_layout.to_string()),
        ("origin_dtype", origin.dtype.to_string()),
    ]);
    // The name alone: where a file lay is the user's own affair.
    if let Some(name) = origin.path.as_deref().and_then(Path::file_name) {
        metadata.insert("origin", name.to_string_lossy().into_owned());
    }
    if !origin.sha256.is_empty() {
        metadata.insert("origin_sha256", origin.sha256.clone());
    }
    if origin.repeats_edge {
        metadata.insert(EDGE, REPLICATE.to_owned());
    }
    // A scale that was only assumed is not passed on as known.
    if origin.scale_is_ambiguous {
        metadata.remove("scale");
    }
    metadata
}

fn argument(argument: &'static str, expected: impl Into<String>, found: impl ToString) -> WeightsError {
    WeightsError::Argument { argument, expected: expected.into(), found: found.to_string() }
}
