//! Feature extractors for the perceptual loss: VGG16 and VGG19, features before activation or behind it.
//!
//! Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, table 1, columns D and E; why before activation: Wang et
//! al., "ESRGAN", 2018, section 3.3.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use esrgan_gradients::KeptFilters;
use esrgan_weights::WeightMap;

use crate::arithmetic::Arithmetic;
use crate::error::ModelError;
use crate::layers::Map;
use crate::parameters::{Leaves, Parameters};

/// Mean and deviation of ImageNet's channels, which torchvision's networks expect taken out.
const MEANS: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATIONS: [f32; 3] = [0.229, 0.224, 0.225];
/// Channels of each stage's convolutions.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// Which of the two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureNetwork {
    /// Sixteen layers with weights, thirteen of them convolutions.
    Vgg16,
    /// Nineteen layers with weights, sixteen of them convolutions: what the paper takes.
    Vgg19,
}

/// A convolution of a network, with its activation.
struct Convolution {
    /// As papers name it: `conv5_4`.
    name: String,
    /// Its activation's name: `relu5_4`.
    activation: String,
    /// As torchvision numbers it in `features`.
    number: usize,
    inputs: usize,
    outputs: usize,
    /// Whether the map is halved behind it.
    is_last_of_stage: bool,
}

impl FeatureNetwork {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16",
            Self::Vgg19 => "vgg19",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Vgg16 => Self::Vgg19,
            Self::Vgg19 => Self::Vgg16,
        }
    }

    /// Refuses all convolutions of the other network: up to the third stage, names and shapes of both are the same.
    fn refuse_other(self, weights: &WeightMap) -> Result<(), ModelError> {
        let names = |network: Self| {
            network.convolutions().into_iter().map(|known| format!("features.{}.weight", known.number))
        };
        let own: Vec<String> = names(self).collect();
        let is_other = names(self.other()).all(|name| weights.get(&name).is_some());
        match names(self.other()).find(|name| is_other && !own.contains(name)) {
            Some(name) => {
                Err(ModelError::OtherFeatures { name, expected: self.name(), found: self.other().name() })
            }
            None => Ok(()),
        }
    }

    fn convolutions(self) -> Vec<Convolution> {
        let depths = match self {
            Self::Vgg16 => [2, 2, 3, 3, 3],
            Self::Vgg19 => [2, 2, 4, 4, 4],
        };
        let (mut number, mut inputs, mut convolutions) = (0, 3, Vec::new());
        for (stage, depth) in depths.into_iter().enumerate() {
            for part in 1..=depth {
                let outputs = WIDTHS[stage];
                let is_last_of_stage = part == depth;
                convolutions.push(Convolution {
                    name: format!("conv{}_{part}", stage + 1),
                    activation: format!("relu{}_{part}", stage + 1),
                    number,
                    inputs,
                    outputs,
                    is_last_of_stage,
                });
                // An activation behind each convolution, a pooling behind each stage.
                number += if is_last_of_stage { 3 } else { 2 };
                inputs = outputs;
            }
        }
        convolutions
    }
}

/// A network with its weights, up to the last layer that is asked for.
#[derive(Clone, Debug)]
pub struct Features {
    network: FeatureNetwork,
    layers: Vec<String>,
    parameters: Parameters,
    arithmetic: Arithmetic,
    /// For each convolution.
    kept: Vec<Arc<KeptFilters>>,
}

impl Features {
    /// A network that gives features of these layers, before (`conv5_4`) or behind their activation (`relu5_4`), with
    /// torchvision's weights (`features.34.weight`).
    ///
    /// # Errors
    /// [`ModelError::Layer`] for a layer that it does not have, [`ModelError::OtherFeatures`], [`ModelError::Missing`] and
    /// [`ModelError::Shape`] for weights of another network.
    pub fn new(network: FeatureNetwork, layers: &[String], weights: &WeightMap) -> Result<Self, ModelError> {
        let convolutions = network.convolutions();
        let place = |layer: &String| {
            let names = |known: &Convolution| [known.name.clone(), known.activation.clone()];
            let found = convolutions.iter().position(|known| names(known).contains(layer));
            found.ok_or_else(|| ModelError::Layer {
                name: layer.clone(),
                network: network.name(),
                known: convolutions.iter().flat_map(names).collect::<Vec<_>>().join(", "),
            })
        };
        let places = layers.iter().map(place).collect::<Result<Vec<usize>, ModelError>>()?;
        network.refuse_other(weights)?;
        let last = places.into_iter().max().map_or(0, |last| last + 1);
        let mut tensors = Vec::new();
        for Convolution { number, inputs, outputs, .. } in &convolutions[..last] {
            tensors.push((format!("features.{number}.weight"), vec![*outputs, *inputs, 3, 3]));
            tensors.push((format!("features.{number}.bias"), vec![*outputs]));
        }
        let parameters = Parameters::from_weights(&tensors, weights)?;
        let arithmetic = Arithmetic::default();
        let kept = std::iter::repeat_with(Arc::default).take(last).collect();
        Ok(Self { network, layers: layers.to_vec(), parameters, arithmetic, kept })
    }

    /// The same network, computed in another way: by default in `f32` on the fastest instruction set. The convolution of the
    /// picture always multiplies in `f32`.
    #[must_use]
    pub fn computed_with(mut self, arithmetic: Arithmetic) -> Self {
        self.parameters.move_to(arithmetic.device);
        Self { arithmetic, ..self }
    }

    /// The layers, in the order in which [`Features::forward`] gives them.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The name and the channels of each layer.
    pub fn channels(&self) -> Vec<(String, usize)> {
        let convolutions = self.network.convolutions();
        let channels = |layer: &String| {
            let known = convolutions.iter().find(|known| [&known.name, &known.activation].contains(&layer));
            known.map(|known| (layer.clone(), known.outputs))
        };
        self.layers.iter().filter_map(channels).collect()
    }

    /// The weights, which no graph trains.
    pub fn leaves(&self) -> Leaves<'_> {
        self.parameters.frozen(self.arithmetic.device)
    }

    /// The features of each layer.
    ///
    /// # Shapes
    /// `[sample][3][row][column]`, RGB in 0..1.
    pub fn forward(&self, leaves: &Leaves<'_>, images: Tensor<4>) -> Vec<Map> {
        let mut map = Map::of_images(normalised(images), self.arithmetic);
        let mut found: Vec<Option<Map>> = vec![None; self.layers.len()];
        let mut keep = |name: &String, map: &Map| {
            for (layer, found) in self.layers.iter().zip(&mut found) {
                if layer == name {
                    *found = Some(map.clone());
                }
            }
        };
        for (convolution, kept) in self.network.convolutions().into_iter().zip(&self.kept) {
            let parameters = leaves.convolution(&format!("features.{}", convolution.number));
            let is_wanted = self.layers.contains(&convolution.name);
            let slope = (!is_wanted).then_some(0.0);
            map = map.conv3x3_frozen(parameters, slope, kept).computed_with(self.arithmetic);
            if is_wanted {
                keep(&convolution.name, &map);
                map = map.relu();
            }
            keep(&convolution.activation, &map);
            if convolution.is_last_of_stage {
                map = map.max_pool();
            }
        }
        found.into_iter().flatten().collect()
    }
}

fn normalised(images: Tensor<4>) -> Tensor<4> {
    let device = images.device();
    let of_channels =
        |values: [f32; 3]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &device);
    (images - of_channels(MEANS)) / of_channels(DEVIATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ComputeDevice;
    use crate::reduction::to_host;

    #[test]
    fn layers_are_numbered_as_torchvision_numbers_them() {
        let number = |network: FeatureNetwork, name: &str| {
            network.convolutions().into_iter().find(|known| known.name == name).map(|known| known.number)
        };
        for (name, expected) in [
            ("conv1_1", 0),
            ("conv1_2", 2),
            ("conv2_2", 7),
            ("conv3_4", 16),
            ("conv4_4", 25),
            ("conv5_4", 34),
        ] {
            assert_eq!(number(FeatureNetwork::Vgg19, name), Some(expected), "{name}");
        }
        for (name, expected) in [("conv3_3", 14), ("conv4_3", 21), ("conv5_3", 28)] {
            assert_eq!(number(FeatureNetwork::Vgg16, name), Some(expected), "{name}");
        }
        assert_eq!(number(FeatureNetwork::Vgg16, "conv5_4"), None);
    }

    #[test]
    fn other_layers_and_weights_are_refused_by_name() {
        let layer = |name: &str| vec![name.to_owned()];
        let error = Features::new(FeatureNetwork::Vgg16, &layer("conv5_4"), &WeightMap::new()).unwrap_err();
        assert!(error.to_string().contains("conv5_4") && error.to_string().contains("conv5_3"), "{error}");
        let error = Features::new(FeatureNetwork::Vgg19, &layer("conv1_2"), &WeightMap::new()).unwrap_err();
        assert!(matches!(error, ModelError::Missing { .. }), "{error}");
    }

    #[test]
    fn features_behind_an_activation_are_those_before_it_without_what_is_negative() {
        let mut weights = WeightMap::new();
        let values = |count: usize, scale: f32| -> Vec<f32> {
            (0..count).map(|index| ((index * 37 % 101) as f32 / 50.0 - 1.0) * scale).collect()
        };
        let known = FeatureNetwork::Vgg16.convolutions();
        for Convolution { number, inputs, outputs, .. } in &known[..2] {
            for (name, shape) in [("weight", vec![*outputs, *inputs, 3, 3]), ("bias", vec![*outputs])] {
                let values = values(shape.iter().product(), 0.1);
                let tensor = esrgan_weights::Tensor::from_f32(shape, &values).unwrap();
                weights.insert(format!("features.{number}.{name}"), tensor);
            }
        }
        for device in [ComputeDevice::Processor, ComputeDevice::Reference] {
            let features = |layers: &[&str]| -> Vec<Vec<f32>> {
                let layers: Vec<String> = layers.iter().map(|layer| (*layer).to_owned()).collect();
                let features = Features::new(FeatureNetwork::Vgg16, &layers, &weights).unwrap();
                let features = features.computed_with(Arithmetic::on(device));
                let images = TensorData::new(values(2 * 3 * 6 * 5, 1.0), [2, 3, 6, 5]);
                let images = Tensor::from_data(images, &device.tensors());
                let found = features.forward(&features.leaves(), images);
                found.into_iter().map(|map| to_host(map.into_images())).collect()
            };
            let both = features(&["relu1_2", "conv1_2"]);
            let behind: Vec<f32> = both[1].iter().map(|value| value.max(0.0)).collect();
            assert!(both[1].iter().any(|value| *value < 0.0) && behind.iter().any(|value| *value > 0.0));
            assert_eq!(both[0], behind, "{device:?}: beside each other, in the order of the layers");
            assert_eq!(features(&["relu1_2"]), [behind], "{device:?}: alone");
            assert_eq!(features(&["conv1_2"])[0], both[1], "{device:?}: alone");
        }
    }

    #[test]
    fn weights_of_the_other_network_are_refused_where_they_would_fit() {
        for (network, name) in
            [(FeatureNetwork::Vgg19, "features.17.weight"), (FeatureNetwork::Vgg16, "features.16.weight")]
        {
            let other = network.other();
            let mut weights = WeightMap::new();
            for Convolution { number, inputs, outputs, .. } in other.convolutions() {
                for (name, shape) in [("weight", vec![outputs, inputs, 3, 3]), ("bias", vec![outputs])] {
                    // What tells both networks apart are names: behind the first layer, one value stands for all.
                    let shape = if number == 0 { shape } else { vec![1] };
                    let values = vec![0.5; shape.iter().product()];
                    let tensor = esrgan_weights::Tensor::from_f32(shape, &values).unwrap();
                    weights.insert(format!("features.{number}.{name}"), tensor);
                }
            }
            let layers = ["conv1_1".to_owned()];
            let error = Features::new(network, &layers, &weights).unwrap_err();
            assert!(matches!(error, ModelError::OtherFeatures { .. }), "{error}");
            for word in [name, network.name(), other.name()] {
                assert!(error.to_string().contains(word), "{error}: expected {word}");
            }
            assert!(Features::new(other, &layers, &weights).is_ok());
        }
    }
}
