//! The layers, as operations over maps.
//!
//! What lives here: a map, and what can be made of one. How it is made: on the processor by `blocked`, on other devices by
//! `tensors`.

mod blocked;
mod columns;
mod convolution;
mod dense;
mod product;
mod tensors;

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Tensor, activation};
use esrgan_gradients::{BatchStatistics, Edge, KeptFilters};

use crate::arithmetic::Arithmetic;

pub(crate) use product::Half;

/// What is added to a batch's variance: BasicSR's and PyTorch's default.
const EPSILON: f32 = 1e-5;

/// What is added to the product of two vectors' squared lengths: far below what features come to.
const COSINE_EPSILON: f32 = 1e-12;

/// What is added to a vector's mean square: far below what features come to.
const UNIT_EPSILON: f32 = 1e-12;

/// A batch of feature maps in the graph: a flat tensor, and its shape.
///
/// The processor's own layers hold a map in the layout of [`esrgan_gradients::FeatureMap`], whose padding and whose lanes beyond
/// the last channel are zero; other devices hold `[sample][row][column][channel]`, without padding.
#[derive(Clone, Debug)]
pub struct Map {
    /// The values.
    pub values: Tensor<1>,
    /// Samples, channels, height, width.
    pub shape: [usize; 4],
    /// With what the layers that read it compute.
    pub arithmetic: Arithmetic,
    /// What 3x3 convolutions that read it see beyond its edge.
    pub edge: Edge,
}

impl Map {
    /// Of an image batch, `[sample][channel][row][column]`, which lies on the arithmetic's device; to be computed with in `f32`.
    pub fn of_images(images: Tensor<4>, arithmetic: Arithmetic) -> Self {
        let shape = images.dims();
        let values = if arithmetic.device.is_blocked() {
            let count = shape.iter().product::<usize>();
            blocked::of_images(images.reshape([count]), shape)
        } else {
            tensors::of_images(images)
        };
        Self { values, shape, arithmetic: arithmetic.of_pictures(), edge: Edge::Zero }
    }

    /// The same map, to be computed with in another way, on the same device.
    #[must_use]
    pub fn computed_with(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// The same map, with another edge.
    #[must_use]
    pub fn with_edge(self, edge: Edge) -> Self {
        Self { edge, ..self }
    }

    /// As an image batch, `[sample][channel][row][column]`.
    pub fn into_images(self) -> Tensor<4> {
        if self.is_blocked() {
            blocked::into_images(self.values, self.shape).reshape(self.shape)
        } else {
            tensors::into_images(self.values, self.shape)
        }
    }

    /// Whether the processor's own layers compute.
    fn is_blocked(&self) -> bool {
        self.arithmetic.device.is_blocked()
    }

    /// The same values, through which no gradient flows.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { values: self.values.detach(), ..self }
    }

    /// Values without padding.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The sum over all pixels of the cosine between both maps' vectors of channels; it is 0 where one of them is zero.
    ///
    /// Gradients flow into this map alone.
    pub fn cosines(self, other: Self) -> Tensor<1> {
        let other = other.values.detach();
        if self.is_blocked() {
            blocked::cosines(self.values, other, self.shape)
        } else {
            tensors::cosines(self.values, other, self.shape)
        }
    }

    /// Each pixel's vector of channels, brought to a mean square of one; zeros stay zeros.
    #[must_use]
    pub fn unit_vectors(self) -> Self {
        let unit = if self.is_blocked() { blocked::unit_vectors } else { tensors::unit_vectors };
        Self { values: unit(self.values, self.shape), ..self }
    }

    /// Two maps of one shape, pixel by pixel.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { values: self.values + other.values, ..self }
    }

    /// The 3x3 convolution, of the map enlarged `factor` times by repetition, with a leaky ReLU behind it where there is a
    /// slope.
    #[must_use]
    pub fn conv3x3(self, weights: Tensor<1>, biases: Tensor<1>, factor: usize, slope: Option<f32>) -> Self {
        self.convolved((weights, biases), (factor, slope), None)
    }

    /// The 3x3 convolution with weights and biases that never change: what the processor makes of them is kept.
    #[must_use]
    pub(crate) fn conv3x3_frozen(
        self,
        parameters: (Tensor<1>, Tensor<1>),
        slope: Option<f32>,
        kept: &Arc<KeptFilters>,
    ) -> Self {
        self.convolved(parameters, (1, slope), Some(kept))
    }

    fn convolved(
        self,
        (weights, biases): (Tensor<1>, Tensor<1>),
        (factor, slope): (usize, Option<f32>),
        kept: Option<&Arc<KeptFilters>>,
    ) -> Self {
        let [samples, _, height, width] = self.shape;
        let shape = [samples, biases.dims()[0], height * factor, width * factor];
        let is_blocked = self.is_blocked();
        let (map, settings) = ((self.values, self.shape), (factor, slope, self.edge));
        let values = if is_blocked {
            blocked::conv3x3(map, (weights, biases), settings, self.arithmetic, kept)
        } else {
            tensors::conv3x3(map, (weights, biases), settings, self.arithmetic)
        };
        Self { values, shape, ..self }
    }

    /// The 3x3 convolution without biases.
    #[must_use]
    pub fn conv3x3_without_biases(self, weights: Tensor<1>, outputs: usize, slope: Option<f32>) -> Self {
        let none = Tensor::zeros([outputs], &weights.device());
        self.conv3x3(weights, none, 1, slope)
    }

    /// The 4x4 convolution of stride two, without biases.
    #[must_use]
    pub fn conv4x4(self, weights: Tensor<1>, outputs: usize) -> Self {
        let [samples, _, height, width] = self.shape;
        let is_blocked = self.is_blocked();
        let map = (self.values, self.shape);
        let values = if is_blocked {
            blocked::conv4x4(map, weights, outputs, self.arithmetic)
        } else {
            tensors::conv4x4(map, weights, outputs)
        };
        Self { values, shape: [samples, outputs, height / 2, width / 2], ..self }
    }

    /// A residual dense block of five convolutions' weights and biases.
    #[must_use]
    pub fn dense_block(self, weights: [Tensor<1>; 5], biases: [Tensor<1>; 5], scale: f32) -> Self {
        let is_blocked = self.is_blocked();
        let (map, settings) = ((self.values, self.shape), (scale, self.edge));
        let values = if is_blocked {
            blocked::dense_block(map, (weights, biases), settings, self.arithmetic)
        } else {
            tensors::dense_block(map, (weights, biases), settings, self.arithmetic)
        };
        Self { values, ..self }
    }

    /// Batch normalisation with the batch's own statistics, and a leaky ReLU behind it. `seen` is told the statistics.
    #[must_use]
    pub fn batch_norm(self, scales: Tensor<1>, shifts: Tensor<1>, slope: f32, seen: &Seen) -> Self {
        let is_blocked = self.is_blocked();
        let map = (self.values, self.shape);
        let values = if is_blocked {
            blocked::batch_norm(map, scales, shifts, slope, seen)
        } else {
            tensors::batch_norm(map, scales, shifts, slope, seen)
        };
        Self { values, ..self }
    }

    /// Values below zero become zero.
    #[must_use]
    pub fn relu(self) -> Self {
        Self { values: activation::relu(self.values), ..self }
    }

    /// Values below zero are multiplied by the slope.
    #[must_use]
    pub fn leaky_relu(self, slope: f32) -> Self {
        Self { values: activation::leaky_relu(self.values, f64::from(slope)), ..self }
    }

    /// A map of twice the height and width by linear interpolation.
    #[must_use]
    pub fn enlarged_bilinear(self) -> Self {
        let [samples, channels, height, width] = self.shape;
        let enlarged =
            if self.is_blocked() { blocked::enlarged_bilinear } else { tensors::enlarged_bilinear };
        let values = enlarged(self.values, self.shape);
        Self { values, shape: [samples, channels, 2 * height, 2 * width], ..self }
    }

    /// The largest of each square of 2x2 pixels.
    #[must_use]
    pub fn max_pool(self) -> Self {
        let [samples, channels, height, width] = self.shape;
        let pooled = if self.is_blocked() { blocked::pooled } else { tensors::pooled };
        let values = pooled(self.values, self.shape);
        Self { values, shape: [samples, channels, height / 2, width / 2], ..self }
    }
}

/// Mean and variance of each channel of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Statistics {
    /// On the host.
    Host(BatchStatistics),
    /// On a device.
    Device(Box<DeviceStatistics>),
}

/// Mean and variance of each channel of a batch, on a device and without autodiff.
#[derive(Clone, Debug)]
pub(crate) struct DeviceStatistics {
    /// Means.
    pub(crate) means: Tensor<1>,
    /// Variances, divided by the number of values.
    pub(crate) variances: Tensor<1>,
    /// Values of each channel.
    pub(crate) count: usize,
}

/// The statistics of the last batch that a normalisation saw.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Option<Statistics>>>);

impl Seen {
    /// Takes them.
    pub(crate) fn take(&self) -> Option<Statistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, statistics: Statistics) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(statistics);
    }
}

#[cfg(test)]
mod tests;
