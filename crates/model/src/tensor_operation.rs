//! How layers that are made of Burn's operations, and whose gradients are written by hand, become operations of Burn's graph.
//!
//! Burn's own graph would keep what each of its operations has seen; by hand, what is cheap to make again is made again.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::Tensor;

use crate::device::ComputeDevice;

/// A layer with `N` inputs, over flat tensors of any device, without autodiff.
pub(crate) trait TensorOperation<const N: usize>: Clone + Debug + Send + 'static {
    /// The output, and what the backward pass needs.
    fn forward(&self, inputs: [Tensor<1>; N]) -> (Tensor<1>, Vec<Tensor<1>>);

    /// The gradient of each input that wants one, from what forward left and the output's gradient.
    fn backward(&self, kept: Vec<Tensor<1>>, gradient: Tensor<1>, wants: [bool; N])
    -> [Option<Tensor<1>>; N];
}

/// The backward step of an operation.
#[derive(Clone, Debug)]
struct Step<O>(O);

impl<B: Backend, O: TensorOperation<N>, const N: usize> Backward<B, N> for Step<O>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = Vec<Tensor<1>>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let wants = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(ops.state, Tensor::from_primitive::<B>(gradient), wants);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, primitive::<B>(gradient));
            }
        }
    }
}

/// A tensor without autodiff as its backend holds it.
fn primitive<B: Backend>(tensor: Tensor<1>) -> B::FloatTensorPrimitive
where
    DispatchTensor: DispatchKindConversion<B>,
{
    tensor.try_into_primitive::<B>().expect("a tensor of the operation's device")
}

/// Applies an operation to flat tensors of a device with autodiff.
///
/// # Panics
/// Where a tensor lies on another device, or is without autodiff: the networks put them there.
pub(crate) fn apply<O: TensorOperation<N>, const N: usize>(
    operation: O,
    inputs: [Tensor<1>; N],
    device: ComputeDevice,
) -> Tensor<1> {
    match device {
        ComputeDevice::Processor | ComputeDevice::Reference => apply_on::<Flex, O, N>(operation, inputs),
        #[cfg(feature = "vulkan")]
        ComputeDevice::Vulkan(_) => apply_on::<burn::backend::Wgpu, O, N>(operation, inputs),
    }
}

fn apply_on<B: Backend, O: TensorOperation<N>, const N: usize>(
    operation: O,
    inputs: [Tensor<1>; N],
) -> Tensor<1>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    let mut plain = Vec::with_capacity(N);
    let guards = inputs.map(|tensor| {
        plain.push(tensor.clone().without_autodiff());
        let tensor = tensor.try_into_primitive::<Autodiff<B>>().expect("tensors of one device with autodiff");
        tensor.into_parts().1
    });
    let plain: [Tensor<1>; N] =
        plain.try_into().unwrap_or_else(|_| unreachable!("as many tensors as inputs"));
    let (output, kept) = operation.forward(plain);
    let output = primitive::<B>(output);
    let step = Step(operation).prepare::<NoCheckpointing>(guards).compute_bound();
    let output = match step.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(kept, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<B>>(output)
}
