//! Products of matrices in `f32`, or of factors in half precision with sums in `f32`.

use burn::tensor::Tensor;

use crate::device::ComputeDevice;

/// A type of half precision, in which a device multiplies.
#[cfg_attr(not(feature = "vulkan"), expect(dead_code, reason = "the processor multiplies otherwise"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// bfloat16: all that `f32` reaches, in fewer digits.
    Bf16,
    /// IEEE half precision: three more digits than bfloat16, between 6e-8 and 65504.
    F16,
}

impl Half {
    /// What a device multiplies in, if it is to multiply in half precision and can.
    pub(crate) fn of(device: ComputeDevice) -> Option<Self> {
        match device {
            #[cfg(feature = "vulkan")]
            ComputeDevice::Vulkan(device) => device.half(),
            _ => None,
        }
    }

    /// As Burn calls it.
    #[cfg(feature = "vulkan")]
    pub(super) fn dtype(self) -> burn::tensor::DType {
        match self {
            Self::Bf16 => burn::tensor::DType::BF16,
            Self::F16 => burn::tensor::DType::F16,
        }
    }
}

/// What the largest gradient becomes before it is rounded to IEEE half precision: far from both ends of what that reaches, since
/// products with weights and sums are made in `f32`.
#[cfg(feature = "vulkan")]
const LARGEST_GRADIENT: f64 = 1024.0;
/// Below this, the largest gradient is taken for this.
#[cfg(feature = "vulkan")]
const SMALLEST_LARGEST: f64 = 1e-30;

/// Values as products read them.
#[cfg(feature = "vulkan")]
pub(super) fn narrowed<const D: usize>(values: Tensor<D>, half: Option<Half>) -> Tensor<D> {
    match half {
        Some(half) => values.cast(half.dtype()),
        None => values,
    }
}

/// Values as products read them: as they are.
#[cfg(not(feature = "vulkan"))]
pub(super) fn narrowed<const D: usize>(values: Tensor<D>, _: Option<Half>) -> Tensor<D> {
    values
}

/// A gradient whose [`super::columns::columns`] products read, and what a product with them is divided by, if by anything.
#[cfg(feature = "vulkan")]
pub(super) fn scaled(gradient: Tensor<2>, half: Option<Half>) -> (Tensor<2>, Option<Tensor<2>>) {
    if half != Some(Half::F16) {
        return (gradient, None);
    }
    // Gradients of a mean over a batch would vanish. The factor is found where they lie.
    let largest = gradient.clone().abs().max_dim(0).max_dim(1).clamp_min(SMALLEST_LARGEST);
    let factor = largest.recip().mul_scalar(LARGEST_GRADIENT);
    (gradient * factor.clone(), Some(factor))
}

/// A gradient whose columns products read: as it is.
#[cfg(not(feature = "vulkan"))]
pub(super) fn scaled(gradient: Tensor<2>, _: Option<Half>) -> (Tensor<2>, Option<Tensor<2>>) {
    (gradient, None)
}

/// A product in `f32`, of what [`narrowed`] or [`super::columns::columns`] gave.
#[cfg(feature = "vulkan")]
pub(super) fn multiply(left: Tensor<2>, right: Tensor<2>, half: Option<Half>) -> Tensor<2> {
    use burn::backend::Wgpu;
    use burn::tensor::DType;
    use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};

    if half.is_none() {
        return left.matmul(right);
    }
    let primitive = |tensor: Tensor<2>| {
        tensor.try_into_primitive::<Wgpu>().expect("half precision is multiplied on a GPU alone")
    };
    let product = matmul(primitive(left), primitive(right), None, MatmulStrategy::default(), DType::F32);
    Tensor::from_primitive::<Wgpu>(product.expect("a product that every device has a kernel for"))
}

/// A product.
#[cfg(not(feature = "vulkan"))]
pub(super) fn multiply(left: Tensor<2>, right: Tensor<2>, _: Option<Half>) -> Tensor<2> {
    left.matmul(right)
}

/// A product with a gradient, as it would be without its factor.
pub(super) fn unscaled<const D: usize>(product: Tensor<D>, factor: &Option<Tensor<2>>) -> Tensor<D> {
    match factor {
        Some(factor) => product / factor.clone().reshape([1; D]),
        None => product,
    }
}
