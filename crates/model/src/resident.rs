//! The tensors of a network in one vector on a device.
//!
//! So the optimiser, the average and the norm of a gradient take a handful of operations instead of a handful for each of hundreds
//! of tensors. Between two tensors lie zeros, so that each begins where a device's buffers may, and is read without a copy.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

/// Values from one tensor's beginning to where the next may begin: 256 bytes, the most that Vulkan lets a device ask for.
const TENSOR_VALUES: usize = 64;
/// The vector's length is a multiple of this, so that it can be summed up in rows.
const VECTOR_VALUES: usize = 4096;

/// Where each tensor lies in the vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    ranges: Vec<Range<usize>>,
    length: usize,
}

impl Layout {
    /// That of tensors of so many values each.
    pub(crate) fn of(counts: impl Iterator<Item = usize>) -> Self {
        let mut end = 0;
        let ranges = counts.map(|count| {
            let start = end;
            end = (start + count).next_multiple_of(TENSOR_VALUES);
            start..start + count
        });
        let ranges = ranges.collect();
        Self { ranges, length: end.next_multiple_of(VECTOR_VALUES).max(VECTOR_VALUES) }
    }
}

/// All tensors of a network in one vector on a device, without autodiff.
#[derive(Clone, Debug)]
pub struct Resident {
    layout: Arc<Layout>,
    values: Box<Tensor<1>>,
}

impl Resident {
    /// Values of the host, brought to a device.
    pub(crate) fn of_host<'v>(
        layout: Arc<Layout>,
        values: impl Iterator<Item = &'v [f32]>,
        device: &Device,
    ) -> Self {
        let mut vector = vec![0.0; layout.length];
        for (range, values) in layout.ranges.iter().zip(values) {
            vector[range.clone()].copy_from_slice(values);
        }
        let values = Tensor::from_data(TensorData::new(vector, [layout.length]), device);
        Self { layout, values: Box::new(values.without_autodiff()) }
    }

    /// Flat tensors of a device, put behind each other; those that are missing are zero.
    pub(crate) fn of_tensors(
        layout: Arc<Layout>,
        tensors: impl Iterator<Item = Option<Tensor<1>>>,
        device: &Device,
    ) -> Self {
        let mut values = Tensor::zeros([layout.length], &device.clone().without_autodiff());
        for (range, tensor) in layout.ranges.iter().zip(tensors) {
            if let Some(tensor) = tensor {
                values = values.slice_assign([range.clone()], tensor.without_autodiff());
            }
        }
        Self { layout, values: Box::new(values) }
    }

    /// Each tensor by itself.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = Tensor<1>> {
        self.layout.ranges.iter().map(|range| self.values().slice([range.clone()]))
    }

    /// Each tensor's values, brought to the host at once.
    pub fn to_host(&self) -> Vec<Vec<f32>> {
        let values = crate::reduction::to_host(self.values());
        self.layout.ranges.iter().map(|range| values[range.clone()].to_vec()).collect()
    }

    /// Whether it lies on a device.
    pub(crate) fn is_on(&self, device: &Device) -> bool {
        self.values.device() == *device
    }

    /// The vector, zeros between tensors included.
    pub fn values(&self) -> Tensor<1> {
        Tensor::clone(&self.values)
    }

    /// The same tensors with other values, made of those of [`Resident::values`].
    ///
    /// # Panics
    /// Where the vector has another length.
    #[must_use]
    pub fn with_values(&self, values: Tensor<1>) -> Self {
        assert_eq!(values.dims(), [self.layout.length], "a vector of the network's length");
        Self { layout: Arc::clone(&self.layout), values: Box::new(values) }
    }

    /// The same vector of zeros.
    #[must_use]
    pub fn zeros(&self) -> Self {
        self.with_values(self.values.zeros_like())
    }

    /// Other values of tensors like these, brought to the device; nothing where they are not as many.
    pub fn of_host_like(&self, values: &[Vec<f32>]) -> Option<Self> {
        let counts = self.layout.ranges.iter().map(Range::len);
        if !counts.eq(values.iter().map(Vec::len)) {
            return None;
        }
        let values = values.iter().map(Vec::as_slice);
        Some(Self::of_host(Arc::clone(&self.layout), values, &self.values.device()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ComputeDevice;

    #[test]
    fn tensors_come_back_as_they_went() {
        let layout = Arc::new(Layout::of([3, 64, 1, 4096].into_iter()));
        assert_eq!(layout.ranges, [0..3, 64..128, 128..129, 192..4288]);
        assert_eq!(layout.length, 8192);
        let host: Vec<Vec<f32>> =
            layout.ranges.iter().map(|range| range.clone().map(|value| value as f32).collect()).collect();
        let device = ComputeDevice::Reference.tensors();
        let resident = Resident::of_host(Arc::clone(&layout), host.iter().map(Vec::as_slice), &device);
        assert_eq!(resident.to_host(), host);
        let again = Resident::of_tensors(layout, resident.tensors().map(Some), &device);
        assert_eq!(again.to_host(), host);
        let with_a_gap = resident.tensors().enumerate().map(|(place, tensor)| (place != 1).then_some(tensor));
        let with_a_gap = Resident::of_tensors(Arc::clone(&resident.layout), with_a_gap, &device).to_host();
        assert_eq!(with_a_gap[1], vec![0.0; 64]);
        assert_eq!(with_a_gap[3], host[3]);
        assert!(resident.of_host_like(&host).is_some() && resident.of_host_like(&host[1..]).is_none());
    }
}
