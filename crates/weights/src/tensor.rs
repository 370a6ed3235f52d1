//! A tensor: shape, element type and bytes. Nothing here knows where they came from.

use std::ops::Range;
use std::sync::Arc;

use crate::WeightsError;
use crate::dtype::{DType, bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

/// Elements in C order, little-endian; a clone shares the bytes.
#[derive(Clone)]
pub struct Tensor {
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub dtype: DType,
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Tensor {
    /// Takes `bytes` as the elements of a tensor.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] where their number is not what shape and type ask for.
    pub fn new(shape: Vec<usize>, dtype: DType, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let range = 0..bytes.len();
        Self::from_shared(shape, dtype, Arc::new(bytes), range)
    }

    /// Takes a part of a larger buffer, such as a whole file, without copying it.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] where the part is not within the buffer, or not as long as shape and type ask for.
    pub(crate) fn from_shared(
        shape: Vec<usize>,
        dtype: DType,
        buffer: Arc<Vec<u8>>,
        range: Range<usize>,
    ) -> Result<Self, WeightsError> {
        let expected =
            shape.iter().try_fold(dtype.size_bytes(), |product: usize, &side| product.checked_mul(side));
        let found = buffer.get(range.clone()).map(<[u8]>::len);
        if expected.is_none() || expected != found {
            return Err(WeightsError::Malformed {
                item: format!("a tensor of shape {shape:?} and type {dtype}"),
                expected: expected
                    .map_or("a size that fits memory".to_owned(), |bytes| format!("{bytes} bytes")),
                found: found
                    .map_or("a range outside of the file".to_owned(), |bytes| format!("{bytes} bytes")),
            });
        }
        Ok(Self { shape, dtype, buffer, range })
    }

    /// A tensor of `f32` values.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] where their number is not the shape's.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self, WeightsError> {
        Self::new(shape, DType::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Its elements' bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }

    /// The number of its elements.
    pub fn num_elements(&self) -> usize {
        self.range.len() / self.dtype.size_bytes()
    }

    /// Its values; exact.
    pub fn to_f32(&self) -> Vec<f32> {
        self.range_to_f32(0..self.num_elements())
    }

    /// The values of some elements, counted in C order; exact.
    ///
    /// # Panics
    /// Where there are not as many.
    pub fn range_to_f32(&self, elements: Range<usize>) -> Vec<f32> {
        let size = self.dtype.size_bytes();
        let bytes = &self.bytes()[elements.start * size..elements.end * size];
        let halves = || bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair));
        match self.dtype {
            DType::F32 => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            DType::F16 => halves().map(f16_to_f32).collect(),
            DType::BF16 => halves().map(bf16_to_f32).collect(),
        }
    }

    /// The same values in another type, rounded to nearest; the same bits where the type is the same.
    ///
    /// # Errors
    /// [`WeightsError::Overflow`] where a finite value becomes infinite; `name` is what it calls the tensor.
    pub fn cast(&self, dtype: DType, name: &str) -> Result<Self, WeightsError> {
        if dtype == self.dtype {
            return Ok(self.clone());
        }
        let values = self.to_f32();
        let narrow = |value: f32| match dtype {
            DType::F16 => f32_to_f16(value),
            _ => f32_to_bf16(value),
        };
        let infinity = narrow(f32::INFINITY);
        let mut bytes = Vec::with_capacity(values.len() * dtype.size_bytes());
        for (index, &value) in values.iter().enumerate() {
            if dtype == DType::F32 {
                bytes.extend_from_slice(&value.to_le_bytes());
                continue;
            }
            let bits = narrow(value);
            if bits & 0x7fff == infinity && value.is_finite() {
                return Err(WeightsError::Overflow {
                    tensor: name.to_owned(),
                    index,
                    value: f64::from(value),
                    dtype,
                });
            }
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        Self::new(self.shape.clone(), dtype, bytes)
    }
}

/// Equal shapes, types and bits.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.dtype == other.dtype && self.bytes() == other.bytes()
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_bytes_is_checked() {
        assert!(Tensor::new(vec![2, 3], DType::F16, vec![0; 12]).is_ok());
        assert!(Tensor::new(vec![2, 3], DType::F32, vec![0; 12]).is_err());
        assert!(Tensor::new(vec![usize::MAX, 3], DType::F32, vec![0; 12]).is_err());
        let buffer = Arc::new(vec![0; 12]);
        for range in [8..16, 0..8, 13..17, usize::MAX - 4..usize::MAX] {
            assert!(Tensor::from_shared(vec![1], DType::F32, Arc::clone(&buffer), range).is_err());
        }
    }

    #[test]
    fn casts_keep_what_the_type_holds_and_name_what_it_does_not() {
        let tensor = Tensor::from_f32(vec![3], &[1.0, -0.5, 65504.0]).unwrap();
        let half = tensor.cast(DType::F16, "body.0.weight").unwrap();
        assert_eq!(half.cast(DType::F32, "").unwrap(), tensor);
        let large = Tensor::from_f32(vec![2], &[0.0, 1e6]).unwrap();
        let error = large.cast(DType::F16, "body.0.weight").unwrap_err();
        assert!(
            matches!(&error, WeightsError::Overflow { tensor, index: 1, .. } if tensor == "body.0.weight")
        );
        assert!(large.cast(DType::BF16, "").is_ok());
        assert!(Tensor::from_f32(vec![1], &[f32::INFINITY]).unwrap().cast(DType::F16, "").is_ok());
    }
}
