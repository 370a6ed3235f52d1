//! From a path to a checked model, by what the file holds rather than by what it is called.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use esrgan_core::Notice;
use sha2::{Digest, Sha256};

use crate::error::WeightsError;
use crate::graph::Recognised;
use crate::keys::{self, Shapes};
use crate::limits::Limits;
use crate::map::WeightMap;
use crate::model::{Format, KeyLayout, Model, Origin};
use crate::spec::{Activation, Family, ModelSpec};
use crate::state::StateDict;
use crate::text::shown_bytes;
use crate::{ncnn, onnx, pth, safetensors};

/// Files that are read on several threads.
#[cfg(unix)]
const LARGE_FILE_BYTES: u64 = 8 << 20;

/// The first word of ncnn's `.param` files.
const NCNN_MAGIC: &[u8] = b"7767517";

/// How a file is read.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How much of it is believed.
    pub limits: Limits,
    /// The scale, where the file does not say whether it is 2 or 3.
    pub scale: Option<usize>,
    /// Whether the file's hash is wanted in [`Origin::sha256`]: it takes as long as reading a file that is in memory.
    pub hash: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), scale: None, hash: true }
    }
}

/// Reads a model: `.pth` (either container), `.safetensors`, ncnn (either of its two files), ONNX.
///
/// The content decides, not the name; only the other file of ncnn's pair is looked for by name. Nothing in a file is run.
///
/// # Errors
/// [`WeightsError`], which says which file, which part of it, what was expected and what was found.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Model, WeightsError> {
    load_any(path, options).map_err(|error| error.in_file(path))
}

/// Reads a model from the contents of a file: every format of [`load`] but ncnn's pair.
///
/// # Errors
/// As [`load`], without a file to name.
pub fn load_bytes(bytes: Vec<u8>, options: &LoadOptions) -> Result<Model, WeightsError> {
    let bytes = Arc::new(bytes);
    while_hashing(None, (&bytes, options), || contents(&bytes, options))
}

/// Reads the named tensors of a `.pth` or `.safetensors` file, whichever network they are, without the prefixes that
/// frameworks put before them.
///
/// # Errors
/// As [`load`].
pub fn load_tensors(path: &Path, limits: &Limits) -> Result<WeightMap, WeightsError> {
    let tensors = || {
        let bytes = Arc::new(read_file(path, limits.max_file_bytes)?);
        let state = if pth::is_archive(&bytes) || pth::is_pickle(&bytes) {
            pth::read(&bytes, limits)?
        } else if safetensors::is_safetensors(&bytes) {
            safetensors::read(&bytes, limits)?
        } else {
            return Err(WeightsError::UnknownFormat { found: beginning(&bytes) });
        };
        let tensors = state.without_prefixes().tensors.into_iter();
        tensors.map(|(key, tensor)| Ok((key.clone(), tensor.materialise(&key)?))).collect()
    };
    tensors().map_err(|error: WeightsError| error.in_file(path))
}

/// What a file turned out to hold.
struct Contents {
    spec: ModelSpec,
    weights: WeightMap,
    format: Format,
    layout: KeyLayout,
    notices: Vec<Notice>,
    scale_is_ambiguous: bool,
    repeats_edge: bool,
}

fn load_any(path: &Path, options: &LoadOptions) -> Result<Model, WeightsError> {
    let limits = &options.limits;
    if let Some((param, bin)) = ncnn_pair(path)? {
        let text = read_file(&param, limits.max_header_bytes)?;
        // Nothing in a graph's files repeats elements, so their size bounds that of the tensors.
        let weights = Arc::new(read_file(&bin, limits.max_file_bytes.min(limits.max_total_bytes))?);
        return while_hashing(Some(path), (&weights, options), || {
            graph_contents(ncnn::read(&text, &weights)?, Format::Ncnn, options)
        });
    }
    let bytes = Arc::new(read_file(path, limits.max_file_bytes)?);
    while_hashing(Some(path), (&bytes, options), || contents(&bytes, options))
}

/// What a file of any format but ncnn's holds.
fn contents(bytes: &Arc<Vec<u8>>, options: &LoadOptions) -> Result<Contents, WeightsError> {
    let limits = &options.limits;
    if pth::is_archive(bytes) || pth::is_pickle(bytes) {
        named_contents(pth::read(bytes, limits)?, Format::Pth, options)
    } else if safetensors::is_safetensors(bytes) {
        named_contents(safetensors::read(bytes, limits)?, Format::Safetensors, options)
    } else if is_onnx(bytes) {
        if bytes.len() as u64 > limits.max_total_bytes {
            let (limit, found) = (limits.max_total_bytes, bytes.len() as u64);
            return Err(WeightsError::Limit { item: "bytes of all tensors".to_owned(), limit, found });
        }
        graph_contents(onnx::read(bytes)?, Format::Onnx, options)
    } else {
        Err(WeightsError::UnknownFormat { found: beginning(bytes) })
    }
}

/// Reads the contents, and hashes the file meanwhile, if that is wanted.
fn while_hashing(
    path: Option<&Path>,
    (bytes, options): (&[u8], &LoadOptions),
    contents: impl FnOnce() -> Result<Contents, WeightsError>,
) -> Result<Model, WeightsError> {
    let (contents, sha256) = std::thread::scope(|scope| {
        let hashing = options.hash.then(|| scope.spawn(|| hexadecimal(&Sha256::digest(bytes))));
        let contents = contents();
        (contents, hashing.map(|hashing| hashing.join().expect("hashing does not fail")).unwrap_or_default())
    });
    model(path, sha256, contents?)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An ONNX file begins with its format's version, field 1 as a small number.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=31, ..])
}

fn beginning(bytes: &[u8]) -> String {
    match bytes {
        [] => "an empty file".to_owned(),
        _ => format!("a file that begins with `{}`", shown_bytes(&bytes[..bytes.len().min(16)])),
    }
}

/// Both files of ncnn's pair, where `path` is one of them.
fn ncnn_pair(path: &Path) -> Result<Option<(PathBuf, PathBuf)>, WeightsError> {
    if begins_as_param(path)? {
        return Ok(Some((path.to_owned(), path.with_extension("bin"))));
    }
    let param = path.with_extension("param");
    let is_pair = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin")) && param.exists();
    Ok(if is_pair && begins_as_param(&param)? { Some((param, path.to_owned())) } else { None })
}

fn begins_as_param(path: &Path) -> Result<bool, WeightsError> {
    let mut beginning = Vec::new();
    open(path)?.take(16).read_to_end(&mut beginning).map_err(|source| io_error("read", path, source))?;
    Ok(beginning.trim_ascii_start().starts_with(NCNN_MAGIC))
}

fn open(path: &Path) -> Result<File, WeightsError> {
    File::open(path).map_err(|source| io_error("open", path, source))
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> WeightsError {
    WeightsError::Io { action, path: path.to_owned(), source }
}

/// The whole of a regular file of up to `max_bytes`.
fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, WeightsError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(|source| io_error("read", path, source))?;
    if !metadata.is_file() {
        return Err(WeightsError::UnknownFormat { found: "no regular file".to_owned() }.in_file(path));
    }
    let length = metadata.len();
    if length > max_bytes {
        let item = "bytes of the file".to_owned();
        return Err(WeightsError::Limit { item, limit: max_bytes, found: length }.in_file(path));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| {
        let item = "the file".to_owned();
        WeightsError::OutOfMemory { item, bytes: length }.in_file(path)
    })?;
    #[cfg(unix)]
    if length >= LARGE_FILE_BYTES {
        drop(bytes);
        // Fresh memory from the system, which holds zeros without being written.
        let mut bytes = vec![0; length as usize];
        read_in_parts(&file, &mut bytes).map_err(|source| io_error("read", path, source))?;
        return Ok(bytes);
    }
    file.take(length).read_to_end(&mut bytes).map_err(|source| io_error("read", path, source))?;
    Ok(bytes)
}

/// Reads a file of the buffer's length, a part on each of a few threads: what takes the time is the system handing out memory.
#[cfg(unix)]
fn read_in_parts(file: &File, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(4));
    let length = bytes.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts = bytes.chunks_mut(length).enumerate();
        let readers =
            parts.map(|(part, bytes)| scope.spawn(move || file.read_exact_at(bytes, (part * length) as u64)));
        let readers: Vec<_> = readers.collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("reading does not panic"))
    })
}

/// The network that named tensors are.
fn named_contents(state: StateDict, format: Format, options: &LoadOptions) -> Result<Contents, WeightsError> {
    let mut state = state.without_prefixes();
    let shapes: Shapes<'_> =
        state.tensors.iter().map(|(key, tensor)| (key.as_str(), tensor.shape())).collect();
    let keys::Recognised { mut spec, layout, mut scale_is_ambiguous } = keys::recognise(&shapes)?;
    if scale_is_ambiguous {
        let declared = state.declared_scale.filter(|scale| [2, 3].contains(scale));
        match options.scale.filter(|scale| [2, 3].contains(scale)).or(declared) {
            Some(scale) => {
                spec = with_only_upsampling(&spec, scale)?;
                scale_is_ambiguous = false;
            }
            None => state.notices.push(Notice::new(
                "the file would be the same for x2 and x3: taken as x2; name the scale if it is 3",
            )),
        }
    }
    check_scale(&spec, options)?;
    let stored: std::collections::HashMap<&str, _> =
        state.tensors.iter().map(|(key, tensor)| (key.as_str(), tensor)).collect();
    let mut weights = WeightMap::new();
    let mut narrowed = 0;
    for (name, _) in spec.tensors() {
        let key = keys::file_key(layout, &spec, &name);
        // Recognition has found every one of them.
        if let Some(tensor) = stored.get(key.as_str()) {
            narrowed += usize::from(tensor.is_f64());
            weights.insert(name, tensor.materialise(&key)?);
        }
    }
    if narrowed > 0 {
        state.notices.push(Notice::new(format!("tensors narrowed from f64 to f32: {narrowed}")));
    }
    if spec.family() == Family::Compact && spec.activation() == Activation::LeakyRelu {
        state.notices.push(Notice::new("the activations have no weights: LeakyReLU of slope 0.1 is assumed"));
    }
    Ok(Contents {
        spec,
        weights,
        format,
        layout,
        notices: state.notices,
        scale_is_ambiguous,
        repeats_edge: state.repeats_edge,
    })
}

/// A graph says itself what it is; a scale that the user names must agree.
fn graph_contents(
    network: Recognised,
    format: Format,
    options: &LoadOptions,
) -> Result<Contents, WeightsError> {
    let Recognised { spec, weights, repeats_edge } = network;
    check_scale(&spec, options)?;
    let layout = if format == Format::Ncnn { KeyLayout::Ncnn } else { KeyLayout::Onnx };
    Ok(Contents {
        spec,
        weights,
        format,
        layout,
        notices: Vec::new(),
        scale_is_ambiguous: false,
        repeats_edge,
    })
}

fn check_scale(spec: &ModelSpec, options: &LoadOptions) -> Result<(), WeightsError> {
    match options.scale {
        Some(requested) if requested != spec.scale() => {
            Err(WeightsError::Scale { requested, found: spec.scale() })
        }
        _ => Ok(()),
    }
}

/// The same network with one upsampling convolution of another factor.
fn with_only_upsampling(spec: &ModelSpec, factor: usize) -> Result<ModelSpec, WeightsError> {
    let mut parts = spec.to_parts();
    parts.scale = factor;
    parts.upsampling = vec![factor];
    ModelSpec::new(parts)
}

fn model(path: Option<&Path>, sha256: String, contents: Contents) -> Result<Model, WeightsError> {
    let first = contents.weights.iter().next().map(|(_, tensor)| tensor.dtype);
    let origin = Origin {
        path: path.map(Path::to_owned),
        format: contents.format,
        key_layout: contents.layout,
        dtype: first.unwrap_or(crate::DType::F32),
        // Model::new counts them.
        parameters: 0,
        sha256,
        notices: contents.notices,
        scale_is_ambiguous: contents.scale_is_ambiguous,
        repeats_edge: contents.repeats_edge,
    };
    Model::new(contents.spec, contents.weights, origin)
}
