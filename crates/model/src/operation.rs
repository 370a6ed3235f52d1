//! How hand-written layers become operations of Burn's graph.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{AllocationProperty, Bytes, DType, Shape, Tensor, TensorData};
use esrgan_gradients::FeatureMap;

/// A layer with `N` inputs: its output, and the gradients of its inputs.
///
/// Tensors are flat; shapes are the layer's own.
pub(crate) trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs.
    type State: Clone + Debug + Send + 'static;

    /// The output, and what the backward pass needs. `is_tracked` tells through which inputs a gradient flows: what only the
    /// gradients of others need is not kept.
    fn forward(&self, inputs: [FlexTensor; N], is_tracked: [bool; N]) -> (FlexTensor, Self::State);

    /// The gradient of each input that wants one.
    fn backward(
        &self,
        state: &Self::State,
        gradient: &FlexTensor,
        wants: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// The backward step of an operation.
#[derive(Clone, Debug)]
struct Step<O>(O);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = O::State;

    fn backward(self, ops: Ops<O::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wants = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(&ops.state, &gradient, wants);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Applies an operation to flat tensors of the CPU with autodiff.
///
/// # Panics
/// Where a tensor lies on another device, or is without autodiff: the networks put them there.
pub(crate) fn apply<O: Operation<N>, const N: usize>(operation: O, inputs: [Tensor<1>; N]) -> Tensor<1> {
    let inputs = inputs.map(|tensor| {
        tensor.try_into_primitive::<Autodiff<Flex>>().expect("tensors of the CPU with autodiff")
    });
    let is_tracked = inputs.each_ref().map(|tensor| tensor.is_tracked());
    let mut primitives = Vec::with_capacity(N);
    let guards = inputs.map(|tensor| {
        let (primitive, guard) = tensor.into_parts();
        primitives.push(primitive);
        guard
    });
    let primitives: [FlexTensor; N] =
        primitives.try_into().unwrap_or_else(|_| unreachable!("as many primitives as inputs"));
    let step = Step(operation.clone()).prepare::<NoCheckpointing>(guards).compute_bound();
    let output = match step.stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, state) = operation.forward(primitives, is_tracked);
            prepared.finish(state, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(operation.forward(primitives, [false; N]).0),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// A flat tensor's values.
///
/// # Panics
/// Where they do not lie in a row: what the layers make does, and so do parameters.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    let values: &[f32] = tensor.storage();
    let (start, count) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    assert!(tensor.layout().is_contiguous(), "values in a row");
    &values[start..start + count]
}

/// A flat tensor.
pub(crate) fn flat(values: Vec<f32>) -> FlexTensor {
    let count = values.len();
    FlexTensor::from_data(TensorData::new(values, [count]))
}

/// A map's values as a flat tensor, in the map's layout and in the map's memory: blocks of channels begin on cache lines, which
/// Burn's own allocations would not.
pub(crate) fn of_map(map: FeatureMap<'static>) -> FlexTensor {
    let memory = bytes::Bytes::from_owner(map.into_memory());
    let count = memory.len() / size_of::<f32>();
    let bytes = Bytes::from_shared(memory, AllocationProperty::Native);
    FlexTensor::from_data(TensorData::from_bytes(bytes, Shape::from([count]), DType::F32))
}

/// Shared values as a flat tensor, without a copy.
pub(crate) fn of_shared(values: &Arc<Vec<f32>>) -> FlexTensor {
    let count = values.len();
    let bytes =
        Bytes::from_shared(bytes::Bytes::from_owner(Shared(Arc::clone(values))), AllocationProperty::Native);
    FlexTensor::from_data(TensorData::from_bytes(bytes, Shape::from([count]), DType::F32))
}

struct Shared(Arc<Vec<f32>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}
