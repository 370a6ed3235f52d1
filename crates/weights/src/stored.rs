//! A tensor as a file stores it: any element type, any strides, not yet copied.
//!
//! What lives here: the bounds of such a tensor, checked before anything is allocated, and its materialisation. What
//! does not: how a file describes it.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::WeightsError;
use crate::tensor::Tensor;
use crate::text::shown;

/// Dimensions of a tensor at most; convolutions have four.
const MAX_DIMENSIONS: usize = 8;

/// An element type that files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// One that weights are kept in.
    Weight(DType),
    /// Double precision, which is narrowed.
    F64,
    /// One that weights are not made of: its name and bytes.
    Other(&'static str, usize),
}

impl Element {
    /// Bytes of one element.
    pub(crate) fn size_bytes(self) -> usize {
        match self {
            Self::Weight(dtype) => dtype.size_bytes(),
            Self::F64 => 8,
            Self::Other(_, bytes) => bytes,
        }
    }
}

/// A tensor within a file's bytes. Every element that its shape and strides reach lies within the bytes.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    shape: Vec<usize>,
    element: Element,
    /// In elements; `None` for C order without gaps.
    strides: Option<Vec<usize>>,
    buffer: Arc<Vec<u8>>,
    start: usize,
}

/// Where a tensor lies within its storage, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) offset: usize,
}

impl View {
    /// Checks the view against the number of elements in its storage; returns the number of elements that it has.
    ///
    /// # Errors
    /// Where it reaches outside of the storage, or has more elements than can be counted.
    pub(crate) fn check(
        &self,
        storage_elements: usize,
        item: impl Fn() -> String,
    ) -> Result<usize, WeightsError> {
        let malformed =
            |expected: String, found: String| WeightsError::Malformed { item: item(), expected, found };
        if self.shape.len() > MAX_DIMENSIONS || self.shape.len() != self.strides.len() {
            let expected = format!("up to {MAX_DIMENSIONS} dimensions, and as many strides");
            let found = format!("{} dimensions and {} strides", self.shape.len(), self.strides.len());
            return Err(malformed(expected, found));
        }
        let elements = self.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let elements = elements.ok_or_else(|| {
            malformed(
                "a number of elements that can be counted".to_owned(),
                format!("the shape {:?}", self.shape),
            )
        })?;
        if elements == 0 {
            return Ok(0);
        }
        let reach = self.shape.iter().zip(&self.strides).try_fold(self.offset, |reach, (&side, &stride)| {
            (side - 1).checked_mul(stride).and_then(|far| reach.checked_add(far))
        });
        match reach {
            Some(last) if last < storage_elements => Ok(elements),
            _ => Err(malformed(
                format!("elements within a storage of {storage_elements}"),
                format!("shape {:?}, strides {:?}, offset {}", self.shape, self.strides, self.offset),
            )),
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == expected;
            expected = expected.saturating_mul(side);
            fits
        })
    }
}

impl StoredTensor {
    /// A view of a storage: `range` of `buffer`.
    ///
    /// # Errors
    /// [`WeightsError::Malformed`] where the view reaches outside of the storage, or the storage outside of the buffer.
    pub(crate) fn new(
        key: &str,
        element: Element,
        view: View,
        buffer: &Arc<Vec<u8>>,
        range: std::ops::Range<usize>,
    ) -> Result<Self, WeightsError> {
        let item = || format!("the tensor `{}`", shown(key));
        let storage = buffer.get(range.clone()).map_or(0, <[u8]>::len) / element.size_bytes();
        let elements = view.check(storage, item)?;
        if elements.checked_mul(element.size_bytes()).is_none() {
            let (expected, found) =
                ("a size that fits memory".to_owned(), format!("the shape {:?}", view.shape));
            return Err(WeightsError::Malformed { item: item(), expected, found });
        }
        let start =
            if elements == 0 { range.start } else { range.start + view.offset * element.size_bytes() };
        let strides = if elements == 0 || view.is_contiguous() { None } else { Some(view.strides) };
        Ok(Self { shape: view.shape, element, strides, buffer: Arc::clone(buffer), start })
    }

    /// A tensor whose elements fill `range` of `buffer` in C order; the caller has checked the length.
    pub(crate) fn contiguous(
        shape: Vec<usize>,
        element: Element,
        buffer: &Arc<Vec<u8>>,
        start: usize,
    ) -> Self {
        Self { shape, element, strides: None, buffer: Arc::clone(buffer), start }
    }

    /// Its dimensions, slowest first.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether it is narrowed when it is read.
    pub(crate) fn is_f64(&self) -> bool {
        self.element == Element::F64
    }

    /// Its elements in C order and in a type that weights are kept in; shares the file's bytes where it can.
    ///
    /// # Errors
    /// [`WeightsError::ElementType`] for integers and the like, [`WeightsError::Overflow`] for doubles beyond the range
    /// of a single, [`WeightsError::OutOfMemory`].
    pub(crate) fn materialise(&self, key: &str) -> Result<Tensor, WeightsError> {
        let length = self.shape.iter().product::<usize>() * self.element.size_bytes();
        match (self.element, &self.strides) {
            (Element::Other(name, _), _) => {
                Err(WeightsError::ElementType { tensor: shown(key), found: name.to_owned() })
            }
            (Element::Weight(dtype), None) => {
                let range = self.start..self.start + length;
                Tensor::from_shared(self.shape.clone(), dtype, Arc::clone(&self.buffer), range)
            }
            (Element::Weight(dtype), Some(strides)) => {
                Tensor::new(self.shape.clone(), dtype, self.gather(strides, length, key)?)
            }
            (Element::F64, None) => self.narrow(&self.buffer[self.start..self.start + length], key),
            (Element::F64, Some(strides)) => self.narrow(&self.gather(strides, length, key)?, key),
        }
    }

    fn narrow(&self, bytes: &[u8], key: &str) -> Result<Tensor, WeightsError> {
        let mut narrowed = reserve(bytes.len() / 2, key)?;
        for (index, eight) in bytes.as_chunks().0.iter().enumerate() {
            let double = f64::from_le_bytes(*eight);
            let single = double as f32;
            if single.is_infinite() && double.is_finite() {
                let (tensor, dtype) = (shown(key), DType::F32);
                return Err(WeightsError::Overflow { tensor, index, value: double, dtype });
            }
            narrowed.extend_from_slice(&single.to_le_bytes());
        }
        Tensor::new(self.shape.clone(), DType::F32, narrowed)
    }

    /// Copies elements in C order.
    fn gather(&self, strides: &[usize], length: usize, key: &str) -> Result<Vec<u8>, WeightsError> {
        let size = self.element.size_bytes();
        let mut gathered = reserve(length, key)?;
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        while gathered.len() < length {
            let start = self.start + at * size;
            gathered.extend_from_slice(&self.buffer[start..start + size]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        Ok(gathered)
    }
}

fn reserve(bytes: usize, key: &str) -> Result<Vec<u8>, WeightsError> {
    let mut buffer = Vec::new();
    let out_of_memory =
        |_| WeightsError::OutOfMemory { item: format!("the tensor `{}`", shown(key)), bytes: bytes as u64 };
    buffer.try_reserve_exact(bytes).map_err(out_of_memory)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> Arc<Vec<u8>> {
        Arc::new((0..24).flat_map(|value| (value as f32).to_le_bytes()).collect())
    }

    fn read(shape: &[usize], strides: &[usize], offset: usize) -> Result<Vec<f32>, WeightsError> {
        let view = View { shape: shape.to_vec(), strides: strides.to_vec(), offset };
        let stored = StoredTensor::new("a", Element::Weight(DType::F32), view, &storage(), 0..96)?;
        Ok(stored.materialise("a")?.to_f32())
    }

    #[test]
    fn views_are_gathered_in_c_order() {
        assert_eq!(read(&[2, 3], &[3, 1], 4).unwrap(), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(read(&[3, 2], &[1, 3], 0).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "transposed");
        assert_eq!(read(&[2, 2, 2], &[12, 0, 1], 1).unwrap(), [1.0, 2.0, 1.0, 2.0, 13.0, 14.0, 13.0, 14.0]);
        assert_eq!(read(&[1, 4], &[999, 1], 20).unwrap(), [20.0, 21.0, 22.0, 23.0]);
        assert_eq!(read(&[], &[], 23).unwrap(), [23.0]);
        assert_eq!(read(&[0, 7], &[usize::MAX, 1], usize::MAX).unwrap(), [0.0; 0]);
    }

    #[test]
    fn views_outside_of_the_storage_are_refused() {
        for (shape, strides, offset) in [
            (&[25][..], &[1][..], 0),
            (&[2], &[24], 0),
            (&[1], &[1], 24),
            (&[2], &[usize::MAX], 1),
            (&[usize::MAX, 2], &[0, 0], 0),
            (&[1], &[1, 1], 0),
            (&[1; 9], &[1; 9], 0),
        ] {
            assert!(read(shape, strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
        }
    }

    #[test]
    fn doubles_are_narrowed_unless_they_overflow() {
        for (value, fits) in [(1.5f64, true), (1e300, false), (f64::INFINITY, true)] {
            let buffer = Arc::new(value.to_le_bytes().to_vec());
            let narrowed = StoredTensor::contiguous(vec![1], Element::F64, &buffer, 0).materialise("a");
            assert_eq!(narrowed.ok().map(|tensor| tensor.to_f32()), fits.then(|| vec![value as f32]));
        }
    }

    #[test]
    fn integers_are_refused_by_name() {
        let stored = StoredTensor::contiguous(vec![1], Element::Other("int64", 8), &Arc::new(vec![0; 8]), 0);
        let error = stored.materialise("steps").unwrap_err();
        assert!(
            matches!(&error, WeightsError::ElementType { tensor, found } if tensor == "steps" && found == "int64")
        );
    }
}
