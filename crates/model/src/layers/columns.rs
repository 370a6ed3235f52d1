//! Maps as matrices, so that 3x3 convolutions become products of matrices.
//!
//! A pixel's row has a column for each of the nine pixels that a convolution sees from it and each of their channels.

use burn::tensor::Tensor;

use super::product::{Half, multiply, narrowed};
#[cfg(feature = "vulkan")]
use crate::reduction::is_on_processor;

/// Pixels that a convolution sees.
pub(super) const TAPS: usize = 9;

/// Samples, channels, height, width.
pub(super) type Shape = [usize; 4];

/// The order of the nine pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taps {
    /// As filters have them: for what a convolution gives.
    Straight,
    /// The opposite pixel in each place: for the gradients of what it saw.
    Turned,
}

/// What each pixel of a map of `[sample][row][column][channel]` sees: `[pixel][tap * channels + channel]`, as products read it; zeros
/// beyond the edge.
pub(super) fn columns(map: Tensor<4>, taps: Taps, half: Option<Half>) -> Tensor<2> {
    #[cfg(feature = "vulkan")]
    if !is_on_processor(&map) {
        return written(map, taps, half);
    }
    gathered(narrowed(map, half), taps)
}

/// Columns by one launch.
#[cfg(feature = "vulkan")]
fn written(map: Tensor<4>, taps: Taps, half: Option<Half>) -> Tensor<2> {
    use burn::backend::Wgpu;
    use burn::backend::cubecl::dtype_to_elem_type;
    use burn_cubecl::kernel::into_contiguous;
    use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
    use esrgan_gpu::{MapBuffer, write_columns};

    let [samples, height, width, channels] = map.dims();
    let map = into_contiguous(map.try_into_primitive::<Wgpu>().expect("a map of a GPU without autodiff"));
    let dtype = half.map_or(map.dtype, Half::dtype);
    let shape = [samples * height * width, TAPS * channels];
    let found = empty_device_contiguous_dtype(map.client.clone(), map.device.clone(), shape.into(), dtype);
    let shape = [samples, height, width, channels];
    let buffer = MapBuffer { handle: map.handle.clone(), element: dtype_to_elem_type(map.dtype), shape };
    let target = (&found.handle, dtype_to_elem_type(dtype));
    write_columns(&map.client, &buffer, taps == Taps::Turned, target);
    Tensor::from_primitive::<Wgpu>(found)
}

/// Columns by ordinary operations.
fn gathered(map: Tensor<4>, taps: Taps) -> Tensor<2> {
    let [samples, height, width, channels] = map.dims();
    let padded = Tensor::<4>::zeros([samples, height + 2, width + 2, channels], &map.device());
    let inner = [0..samples, 1..height + 1, 1..width + 1, 0..channels];
    let padded = padded.slice_assign(inner, map);
    let tap = |tap: usize| {
        let tap = if taps == Taps::Turned { TAPS - 1 - tap } else { tap };
        let (y, x) = (tap / 3, tap % 3);
        padded.clone().slice([0..samples, y..y + height, x..x + width, 0..channels])
    };
    Tensor::cat((0..TAPS).map(tap).collect(), 3).reshape([samples * height * width, TAPS * channels])
}

/// Filters `[output][input][tap]` as the columns of a map are multiplied with.
pub(super) fn straight_filters(filters: Tensor<3>) -> Tensor<2> {
    let [outputs, inputs, taps] = filters.dims();
    filters.permute([2, 1, 0]).reshape([taps * inputs, outputs])
}

/// Filters as the turned columns of a gradient are multiplied with, for the input's gradient.
pub(super) fn turned_filters(filters: Tensor<3>) -> Tensor<2> {
    let [outputs, inputs, taps] = filters.dims();
    filters.permute([2, 0, 1]).reshape([taps * outputs, inputs])
}

/// The gradient of filters, flat: from the turned columns of the output's gradient, and the pixels that the convolution saw.
pub(super) fn filter_gradient(columns: Tensor<2>, seen: Tensor<2>, half: Option<Half>) -> Tensor<1> {
    let (outputs, inputs) = (columns.dims()[1] / TAPS, seen.dims()[1]);
    let found = multiply(columns.transpose(), seen, half).reshape([TAPS, outputs, inputs]);
    found.permute([1, 2, 0]).reshape([outputs * inputs * TAPS])
}

/// What the gradient of a leaky ReLU is multiplied with, whose output has the sign of its input.
pub(super) fn slopes(activated: Tensor<2>, slope: f32) -> Tensor<2> {
    activated.greater_elem(0.0).float().mul_scalar(1.0 - slope) + slope
}
