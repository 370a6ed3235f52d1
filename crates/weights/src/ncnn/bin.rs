//! The `.bin` file beside a `.param` file: weights in graph order, nothing between them but their tags.

use std::sync::Arc;

use crate::graph::{Site, foreign, malformed};
use crate::{DType, Tensor, WeightsError};

/// Marks half-precision weights, padded to four bytes.
const TAG_F16: u32 = 0x0130_6B47;
/// Marks plain single precision.
const TAG_F32: u32 = 0;

/// Reads tensors one after the other.
pub(super) struct BinReader<'a> {
    bytes: &'a Arc<Vec<u8>>,
    offset: usize,
}

impl<'a> BinReader<'a> {
    pub fn new(bytes: &'a Arc<Vec<u8>>) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Weights with a tag before them.
    pub fn tagged(&mut self, site: &Site, shape: &[usize]) -> Result<Tensor, WeightsError> {
        let tag = self.take(site, 4)?;
        match u32::from_le_bytes([tag[0], tag[1], tag[2], tag[3]]) {
            TAG_F16 => {
                let tensor = self.tensor(site, shape, DType::F16)?;
                self.take(site, self.offset.wrapping_neg() % 4)?;
                Ok(tensor)
            }
            TAG_F32 => self.tensor(site, shape, DType::F32),
            0x000D_4B38 => Err(foreign(site, "f16 or f32 weights, not int8 (tag 0x000D4B38)")),
            other => Err(foreign(site, &format!("f16 or f32 weights, not those of tag 0x{other:08X}"))),
        }
    }

    /// Single-precision values without a tag.
    pub fn plain(&mut self, site: &Site, shape: &[usize]) -> Result<Tensor, WeightsError> {
        self.tensor(site, shape, DType::F32)
    }

    /// Refuses bytes after the last weight.
    pub fn finish(&self) -> Result<(), WeightsError> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            left => Err(malformed(
                "the .bin file",
                format!("its end at byte {} after the last layer's weights", self.offset),
                format!("{left} bytes more"),
            )),
        }
    }

    fn tensor(&mut self, site: &Site, shape: &[usize], dtype: DType) -> Result<Tensor, WeightsError> {
        let element_bytes = if dtype == DType::F16 { 2 } else { 4 };
        let length = shape
            .iter()
            .try_fold(element_bytes, |product: usize, &side| product.checked_mul(side))
            .unwrap_or(usize::MAX);
        let start = self.offset;
        self.take(site, length)?;
        Tensor::from_shared(shape.to_vec(), dtype, Arc::clone(self.bytes), start..self.offset)
    }

    fn take(&mut self, site: &Site, length: usize) -> Result<&'a [u8], WeightsError> {
        let left = &self.bytes[self.offset..];
        let Some(taken) = left.get(..length) else {
            return Err(malformed(
                &format!("the .bin file's weights of {site}"),
                format!("{length} bytes from byte {}", self.offset),
                format!("{} bytes", left.len()),
            ));
        };
        self.offset += length;
        Ok(taken)
    }
}

/// Appends weights with the tag of their type; bf16, which ncnn's files do not have, is widened to f32.
pub(super) fn write_tagged(bin: &mut Vec<u8>, tensor: &Tensor) {
    if tensor.dtype == DType::F16 {
        bin.extend_from_slice(&TAG_F16.to_le_bytes());
        bin.extend_from_slice(tensor.bytes());
        bin.resize(bin.len().next_multiple_of(4), 0);
    } else {
        bin.extend_from_slice(&TAG_F32.to_le_bytes());
        write_plain(bin, tensor);
    }
}

/// Appends values as single precision, without a tag.
pub(super) fn write_plain(bin: &mut Vec<u8>, tensor: &Tensor) {
    if tensor.dtype == DType::F32 {
        bin.extend_from_slice(tensor.bytes());
    } else {
        bin.extend(tensor.to_f32().iter().flat_map(|value| value.to_le_bytes()));
    }
}
