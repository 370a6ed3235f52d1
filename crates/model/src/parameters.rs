//! Parameters of a network: a list of named vectors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::{Gradients, Tensor};
use esrgan_weights::{Tensor as StoredTensor, WeightMap};

use crate::device::ComputeDevice;
use crate::error::ModelError;
use crate::gradient::NetworkGradient;
use crate::operation::of_shared;
use crate::resident::{Layout, Resident};

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in files.
    pub name: String,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Its values in C order; none where the network's lie on a device ([`Parameters::on_host`]).
    pub values: Arc<Vec<f32>>,
}

/// All tensors of a network, in a fixed order: on the host, or moved to the device that computes with them.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    list: Vec<Parameter>,
    places: HashMap<String, usize>,
    resident: Option<Resident>,
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.on_host().list == other.on_host().list
    }
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
        for parameter in &self.on_host().list {
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

    /// The same tensors on the host.
    pub fn on_host(&self) -> Cow<'_, Self> {
        let Some(resident) = &self.resident else { return Cow::Borrowed(self) };
        let values = self.list.iter().zip(resident.to_host());
        let parameter = |(known, values): (&Parameter, Vec<f32>)| Parameter {
            name: known.name.clone(),
            shape: known.shape.clone(),
            values: Arc::new(values),
        };
        Cow::Owned(Self {
            list: values.map(parameter).collect(),
            places: self.places.clone(),
            resident: None,
        })
    }

    /// Moves the tensors to where a device's layers read them: on the processor they stay on the host.
    pub fn move_to(&mut self, device: ComputeDevice) {
        let is_there = match &self.resident {
            None => device.is_blocked(),
            Some(resident) => !device.is_blocked() && resident.is_on(&device.tensors()),
        };
        if is_there {
            return;
        }
        if self.resident.is_some() {
            *self = self.on_host().into_owned();
        }
        if !device.is_blocked() {
            let values = self.list.iter().map(|parameter| parameter.values.as_slice());
            self.put(Resident::of_host(self.layout(), values, &device.tensors()));
        }
    }

    /// The tensors, where they lie on a device.
    pub fn resident(&self) -> Option<&Resident> {
        self.resident.as_ref()
    }

    /// Takes tensors of a device in place of its own.
    pub fn put(&mut self, resident: Resident) {
        self.list.iter_mut().for_each(|parameter| parameter.values = Arc::default());
        self.resident = Some(resident);
    }

    /// Takes flat tensors of a device, one for each of its own, in place of those.
    pub(crate) fn put_tensors(&mut self, tensors: Vec<Tensor<1>>, device: ComputeDevice) {
        let tensors = tensors.into_iter().map(Some);
        self.put(Resident::of_tensors(self.layout(), tensors, &device.tensors()));
    }

    fn layout(&self) -> Arc<Layout> {
        let counts = self.list.iter().map(|parameter| parameter.shape.iter().product());
        Arc::new(Layout::of(counts))
    }

    /// The values of each tensor, brought to the host, to be changed; copied first where a graph still holds them.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Vec<f32>> {
        self.move_to(ComputeDevice::Processor);
        self.list.iter_mut().map(|parameter| Arc::make_mut(&mut parameter.values))
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.list.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
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
        let parameters = if device.is_blocked() { self.on_host() } else { Cow::Borrowed(self) };
        let tensors =
            parameters.tensors(device).into_iter().map(|tensor| finish(tensor.autodiff())).collect();
        Leaves { parameters, tensors, device }
    }

    /// The tensors on a device, flat and without autodiff; on the processor without a copy.
    pub(crate) fn tensors(&self, device: ComputeDevice) -> Vec<Tensor<1>> {
        if let Some(resident) = &self.resident {
            return resident.tensors().collect();
        }
        if device.is_blocked() {
            let flat = |known: &Parameter| Tensor::from_primitive::<Flex>(of_shared(&known.values));
            return self.list.iter().map(flat).collect();
        }
        let values = self.list.iter().map(|parameter| parameter.values.as_slice());
        Resident::of_host(self.layout(), values, &device.tensors()).tensors().collect()
    }
}

/// A network's tensors in a graph.
#[derive(Debug)]
pub struct Leaves<'a> {
    parameters: Cow<'a, Parameters>,
    tensors: Vec<Tensor<1>>,
    device: ComputeDevice,
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

    /// The values of a tensor by its name, where the network computes on the processor.
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

    /// The gradient of each tensor, in the parameters' order.
    pub fn gradients(&self, gradients: &Gradients) -> NetworkGradient {
        let found = self.tensors.iter().map(|tensor| tensor.grad(gradients));
        if !self.device.is_blocked() {
            let layout = self.parameters.layout();
            return NetworkGradient::Device(Resident::of_tensors(layout, found, &self.device.tensors()));
        }
        let host = |gradient: Tensor<1>| gradient.into_data().try_into_vec::<f32>().ok();
        NetworkGradient::Host(found.map(|gradient| gradient.and_then(host).unwrap_or_default()).collect())
    }
}
