//! Sums over whole tensors, and the way of values to the host.

use burn::tensor::{Device, Tensor};

/// The sum of all values.
///
/// # Numerics
/// On the processor Burn's own. Elsewhere sums of rows, then their sum: Burn's way to sum a whole tensor adds atomically there, in
/// whatever order threads come, and would give other bits each time.
pub fn sum<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    if is_on_processor(&tensor) {
        return tensor.sum();
    }
    let count = tensor.shape().num_elements();
    let columns = columns(count);
    let rows = tensor.reshape([count / columns, columns]).sum_dim(1);
    rows.reshape([1, count / columns]).sum_dim(1).reshape([1])
}

/// The mean of all values; see [`sum`].
pub fn mean<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    if is_on_processor(&tensor) {
        return tensor.mean();
    }
    let count = tensor.shape().num_elements();
    sum(tensor).div_scalar(count as f64)
}

/// The values, on the host.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Whether a tensor lies on the processor.
pub(crate) fn is_on_processor<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() == Device::flex()
}

/// The largest divisor that is no larger than the root: the length of rows.
fn columns(count: usize) -> usize {
    let root = count.isqrt().max(1);
    (1..=root).rev().find(|columns| count.is_multiple_of(*columns)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_all_values() {
        for (count, expected) in [(1, 1), (2, 1), (12, 3), (49, 7), (97, 1), (4 * 3 * 128 * 128, 384)] {
            assert_eq!(columns(count), expected, "{count}");
        }
    }
}
