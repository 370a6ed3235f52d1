//! Parameters of a network: a list of named vectors.

use std::collections::HashMap;
use std::sync::Arc;

use burn::backend::Flex;
#[cfg(feature = "vulkan")]
use burn::tensor::TensorData;
use burn::tensor::{Gradients, Tensor};
use esrgan_weights::{Tensor as StoredTensor, WeightMap};

use crate::device::ComputeDevice;
use crate::error::ModelError;
use crate::operation::of_shared;

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in files.
    pub name: String,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Its values in C order.
    pub values: Arc<Vec<f32>>,
}

/// All tensors of a network, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    list: Vec<Parameter>,
    places: HashMap<String, usize>,
}

impl Parameters {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    ///
    /// # Panics
    /// Where there are not as many values as the shape says, and where the name is taken.
    pub fn push(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "values of {name}");
        assert!(self.places.insert(name.clone(), self.list.len()).is_none(), "{name} twice");
        self.list.push(Parameter { name, shape, values: Arc::new(values) });
    }

    /// Takes the tensors of these names and shapes from a file's.
    ///
    /// # Errors
    /// [`ModelError::Missing`], [`ModelError::Shape`].
    pub fn from_weights(expected: &[(String, Vec<usize>)], weights: &WeightMap) -> Result<Self, ModelError> {
        let mut parameters = Self::new();
        for (name, shape) in expected {
            let Some(tensor) = weights.get(name) else {
                return Err(ModelError::Missing { name: name.clone(), shape: shape.clone() });
            };
            if tensor.shape != *shape {
                let (expected, found) = (shape.clone(), tensor.shape.clone());
                return Err(ModelError::Shape { name: name.clone(), expected, found });
            }
            parameters.push(name.clone(), shape.clone(), tensor.to_f32());
        }
        Ok(parameters)
    }

    /// Takes the values of those tensors that a file has in the same shape.
    pub fn take_from(&mut self, weights: &WeightMap) {
        for parameter in &mut self.list {
            let stored = weights.get(&parameter.name).filter(|tensor| tensor.shape == parameter.shape);
            if let Some(tensor) = stored {
                parameter.values = Arc::new(tensor.to_f32());
            }
        }
    }

    /// The tensors as a file holds them.
    ///
    /// # Errors
    /// [`ModelError::Weights`] where a tensor is too large for a file.
    pub fn to_weights(&self) -> Result<WeightMap, ModelError> {
        let mut weights = WeightMap::new();
        for parameter in &self.list {
            let tensor = StoredTensor::from_f32(parameter.shape.clone(), &parameter.values)?;
            weights.insert(parameter.name.clone(), tensor);
        }
        Ok(weights)
    }

    /// All tensors.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.list.iter()
    }

    /// A tensor by its name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.places.get(name).map(|place| &self.list[*place])
    }

    /// The values of each tensor, to be changed; copied first where a graph still holds them.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Vec<f32>> {
        self.list.iter_mut().map(|parameter| Arc::make_mut(&mut parameter.values))
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.values.len()).sum()
    }

    /// The tensors at the beginning of a graph on a device that finds their gradients.
    pub fn tracked(&self, device: ComputeDevice) -> Leaves<'_> {
        self.leaves(device, Tensor::require_grad)
    }

    /// The tensors at the beginning of a graph on a device that leaves them as they are.
    pub fn frozen(&self, device: ComputeDevice) -> Leaves<'_> {
        self.leaves(device, |tensor| tensor)
    }

    fn leaves(&self, device: ComputeDevice, finish: impl Fn(Tensor<1>) -> Tensor<1>) -> Leaves<'_> {
        let tensor = |parameter: &Parameter| finish(leaf(&parameter.values, device));
        Leaves { parameters: self, tensors: self.list.iter().map(tensor).collect() }
    }
}

/// A flat tensor of a device with autodiff; on the processor without a copy.
fn leaf(values: &Arc<Vec<f32>>, device: ComputeDevice) -> Tensor<1> {
    match device {
        ComputeDevice::Processor | ComputeDevice::Reference => {
            Tensor::<1>::from_primitive::<Flex>(of_shared(values)).autodiff()
        }
        #[cfg(feature = "vulkan")]
        ComputeDevice::Vulkan(_) => {
            Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &device.tensors())
        }
    }
}

/// A network's tensors in a graph.
#[derive(Debug)]
pub struct Leaves<'a> {
    parameters: &'a Parameters,
    tensors: Vec<Tensor<1>>,
}

impl Leaves<'_> {
    /// A tensor by its name.
    ///
    /// # Panics
    /// Where there is none: a network names what it was made with.
    pub fn get(&self, name: &str) -> Tensor<1> {
        let place = self.parameters.places.get(name);
        self.tensors[*place.unwrap_or_else(|| unreachable!("`{name}` is no parameter"))].clone()
    }

    /// The values of a tensor by its name.
    ///
    /// # Panics
    /// As [`Leaves::get`].
    pub(crate) fn values(&self, name: &str) -> &[f32] {
        let parameter = self.parameters.get(name);
        &parameter.unwrap_or_else(|| unreachable!("`{name}` is no parameter")).values
    }

    /// Weights and biases of a convolution by its name.
    pub(crate) fn convolution(&self, name: &str) -> (Tensor<1>, Tensor<1>) {
        (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")))
    }

    /// The gradient of each tensor, in the parameters' order; empty where it had none.
    ///
    /// # Panics
    /// Where a gradient is no vector of `f32`.
    pub fn gradients(&self, gradients: &Gradients) -> Vec<Vec<f32>> {
        let gradient = |tensor: &Tensor<1>| {
            let gradient = tensor.grad(gradients)?;
            gradient.into_data().try_into_vec::<f32>().ok()
        };
        self.tensors.iter().map(|tensor| gradient(tensor).unwrap_or_default()).collect()
    }
}
