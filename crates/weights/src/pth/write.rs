//! Writes a checkpoint as `torch.save` of version 1.6 and later does: a zip archive of stored members, each aligned, with
//! a pickle of protocol 2 that `torch.load(weights_only=True)` accepts.

use std::collections::HashMap;

use crate::dtype::DType;
use crate::error::WeightsError;
use crate::tensor::Tensor;

/// Members begin at multiples of this, as PyTorch's do, so that they can be mapped into memory.
const ALIGNMENT: usize = 64;
/// The folder within the archive.
const ROOT: &str = "archive";
/// The identifier of the extra field that pads a header, as PyTorch calls it.
const PADDING_FIELD: [u8; 2] = *b"FB";

const LOCAL_BYTES: usize = 30;
/// The version of zip that readers need: 2.0, for folders in names.
const ZIP_VERSION: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 0x0800;

/// The bytes of a checkpoint: a dictionary of tensors, under the key `wrapper` of another one where that is given, which then
/// holds `extras` as well, each a key and a text.
///
/// # Errors
/// [`WeightsError::Limit`] where the archive would need 64-bit sizes.
pub(crate) fn write(
    tensors: &[(String, Tensor)],
    wrapper: Option<&str>,
    extras: &[(&str, &str)],
) -> Result<Vec<u8>, WeightsError> {
    let mut archive = Archive::default();
    archive.add("data.pkl", &pickle(tensors, wrapper, extras))?;
    archive.add("byteorder", b"little")?;
    for (index, (_, tensor)) in tensors.iter().enumerate() {
        archive.add(&format!("data/{index}"), tensor.bytes())?;
    }
    archive.add("version", b"3\n")?;
    archive.finish()
}

/// The pickle of the dictionary; tensor `i` has the storage `i`.
fn pickle(tensors: &[(String, Tensor)], wrapper: Option<&str>, extras: &[(&str, &str)]) -> Vec<u8> {
    let mut pickler = Pickler { bytes: vec![0x80, 2], memo: HashMap::new() };
    if let Some(wrapper) = wrapper {
        pickler.bytes.push(b'}');
        pickler.text(wrapper);
    }
    pickler.bytes.extend_from_slice(b"}(");
    for (index, (key, tensor)) in tensors.iter().enumerate() {
        pickler.text(key);
        pickler.tensor(index, tensor);
    }
    pickler.bytes.push(b'u');
    if wrapper.is_some() {
        pickler.bytes.push(b's');
        for (key, text) in extras {
            pickler.text(key);
            pickler.text(text);
            pickler.bytes.push(b's');
        }
    }
    pickler.bytes.push(b'.');
    pickler.bytes
}

struct Pickler {
    bytes: Vec<u8>,
    /// Places of names that were written before.
    memo: HashMap<&'static str, u8>,
}

impl Pickler {
    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        match value {
            0..=0xff => self.bytes.extend_from_slice(&[b'K', value as u8]),
            0x100..=0xffff => {
                self.bytes.push(b'M');
                self.bytes.extend_from_slice(&(value as u16).to_le_bytes());
            }
            0x1_0000..=0x7fff_ffff => {
                self.bytes.push(b'J');
                self.bytes.extend_from_slice(&(value as u32).to_le_bytes());
            }
            _ => {
                // Nine bytes hold every 64-bit length as a positive number.
                self.bytes.extend_from_slice(&[0x8a, 9]);
                self.bytes.extend_from_slice(&(value as u64).to_le_bytes());
                self.bytes.push(0);
            }
        }
    }

    fn ints(&mut self, values: impl Iterator<Item = usize>) {
        self.bytes.push(b'(');
        values.for_each(|value| self.int(value));
        self.bytes.push(b't');
    }

    /// A class or function by module and name, remembered at its first use.
    fn global(&mut self, global: &'static str) {
        if let Some(&place) = self.memo.get(global) {
            self.bytes.extend_from_slice(&[b'h', place]);
            return;
        }
        let place = self.memo.len() as u8;
        self.memo.insert(global, place);
        self.bytes.extend_from_slice(global.as_bytes());
        self.bytes.extend_from_slice(&[b'q', place]);
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    fn tensor(&mut self, index: usize, tensor: &Tensor) {
        self.global("ctorch._utils\n_rebuild_tensor_v2\n");
        self.bytes.extend_from_slice(b"((");
        self.text("storage");
        self.global(match tensor.dtype {
            DType::F32 => "ctorch\nFloatStorage\n",
            DType::F16 => "ctorch\nHalfStorage\n",
            DType::BF16 => "ctorch\nBFloat16Storage\n",
        });
        self.text(&index.to_string());
        self.text("cpu");
        self.int(tensor.num_elements());
        self.bytes.extend_from_slice(b"tQ");
        self.int(0);
        self.ints(tensor.shape.iter().copied());
        let strides = (0..tensor.shape.len()).map(|axis| tensor.shape[axis + 1..].iter().product());
        self.ints(strides);
        self.bytes.push(0x89);
        self.global("ccollections\nOrderedDict\n");
        self.bytes.extend_from_slice(b")RtR");
    }
}

/// An archive as it grows.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: usize,
}

impl Archive {
    fn add(&mut self, name: &str, content: &[u8]) -> Result<(), WeightsError> {
        let name = format!("{ROOT}/{name}");
        let header_at = narrow(self.bytes.len())?;
        let size = narrow(content.len())?;
        // A padding field takes four bytes itself.
        let unpadded = self.bytes.len() + LOCAL_BYTES + name.len() + 4;
        let padding = unpadded.next_multiple_of(ALIGNMENT) - unpadded;
        let mut common = Vec::new();
        for value in [ZIP_VERSION, FLAGS, 0, 0, 0] {
            common.extend_from_slice(&value.to_le_bytes());
        }
        for value in [crc32fast::hash(content), size, size] {
            common.extend_from_slice(&value.to_le_bytes());
        }
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());

        self.bytes.extend_from_slice(b"PK\x03\x04");
        self.bytes.extend_from_slice(&common);
        self.bytes.extend_from_slice(&(4 + padding as u16).to_le_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(&PADDING_FIELD);
        self.bytes.extend_from_slice(&(padding as u16).to_le_bytes());
        self.bytes.resize(self.bytes.len() + padding, b'Z');
        self.bytes.extend_from_slice(content);

        self.directory.extend_from_slice(b"PK\x01\x02");
        self.directory.extend_from_slice(&ZIP_VERSION.to_le_bytes());
        self.directory.extend_from_slice(&common);
        // No extra field, no comment, the first disk, no attributes.
        self.directory.extend_from_slice(&[0; 12]);
        self.directory.extend_from_slice(&header_at.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.entries += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, WeightsError> {
        let start = narrow(self.bytes.len())?;
        let length = narrow(self.directory.len())?;
        let entries = u16::try_from(self.entries).map_err(|_| too_large(self.entries))?;
        self.bytes.append(&mut self.directory);
        self.bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend_from_slice(&entries.to_le_bytes());
        self.bytes.extend_from_slice(&entries.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&start.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
        Ok(self.bytes)
    }
}

/// A size or place in 32 bits; the largest number means that there is a 64-bit one elsewhere.
fn narrow(value: usize) -> Result<u32, WeightsError> {
    u32::try_from(value).ok().filter(|&value| value < u32::MAX).ok_or_else(|| too_large(value))
}

fn too_large(found: usize) -> WeightsError {
    let item = "bytes of a .pth file that can be written".to_owned();
    WeightsError::Limit { item, limit: u64::from(u32::MAX) - 1, found: found as u64 }
}
