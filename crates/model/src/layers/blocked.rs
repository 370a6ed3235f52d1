//! The layers on the processor: our own, as operations of Burn's graph, over flat tensors in the layout of [`FeatureMap`].

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use esrgan_gradients::{
    BatchNorm, BatchStatistics, Conv3x3, Conv4x4, Cosines, DenseBlock, Edge, Factors, FeatureMap,
    KeptFilters, enlarge_bilinear, enlarge_bilinear_gradient, max_pool, max_pool_gradient,
};

use super::{COSINE_EPSILON, EPSILON, Seen, Statistics, UNIT_EPSILON};
use crate::arithmetic::Arithmetic;
use crate::operation::{Operation, apply, flat, of_map, values};

/// Planes of an image batch, as a map holds them.
pub(super) fn of_images(images: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(ToMap { shape }, [images])
}

/// The planes of a map.
pub(super) fn into_images(map: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(FromMap { shape }, [map])
}

/// [`super::Map::conv3x3`].
pub(super) fn conv3x3(
    (map, shape): (Tensor<1>, [usize; 4]),
    (weights, biases): (Tensor<1>, Tensor<1>),
    (factor, slope, edge): (usize, Option<f32>, Edge),
    arithmetic: Arithmetic,
    kept: Option<&Arc<KeptFilters>>,
) -> Tensor<1> {
    let (outputs, kept) = (biases.dims()[0], kept.map(Arc::clone));
    let operation = Convolution3x3 { input: shape, outputs, factor, slope, edge, arithmetic, kept };
    apply(operation, [map, weights, biases])
}

/// [`super::Map::conv4x4`].
pub(super) fn conv4x4(
    (map, shape): (Tensor<1>, [usize; 4]),
    weights: Tensor<1>,
    outputs: usize,
    arithmetic: Arithmetic,
) -> Tensor<1> {
    apply(Convolution4x4 { input: shape, outputs, arithmetic }, [map, weights])
}

/// [`super::Map::dense_block`].
pub(super) fn dense_block(
    (map, shape): (Tensor<1>, [usize; 4]),
    (weights, biases): ([Tensor<1>; 5], [Tensor<1>; 5]),
    (scale, edge): (f32, Edge),
    arithmetic: Arithmetic,
) -> Tensor<1> {
    let growth = biases[0].dims()[0];
    let operation = Dense { input: shape, growth, scale, edge, arithmetic };
    let [w1, w2, w3, w4, w5] = weights;
    let [b1, b2, b3, b4, b5] = biases;
    apply(operation, [map, w1, w2, w3, w4, w5, b1, b2, b3, b4, b5])
}

/// [`super::Map::batch_norm`].
pub(super) fn batch_norm(
    (map, shape): (Tensor<1>, [usize; 4]),
    scales: Tensor<1>,
    shifts: Tensor<1>,
    slope: f32,
    seen: &Seen,
) -> Tensor<1> {
    apply(Normalisation { input: shape, slope, seen: seen.clone() }, [map, scales, shifts])
}

/// [`super::Map::enlarged_bilinear`].
pub(super) fn enlarged_bilinear(map: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(Bilinear { input: shape }, [map])
}

/// [`super::Map::max_pool`].
pub(super) fn pooled(map: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(Pool { input: shape }, [map])
}

/// [`super::Map::cosines`].
pub(super) fn cosines(found: Tensor<1>, other: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(CosineSum { shape }, [found, other])
}

/// [`super::Map::unit_vectors`].
pub(super) fn unit_vectors(map: Tensor<1>, shape: [usize; 4]) -> Tensor<1> {
    apply(Unit { shape }, [map])
}

fn map(tensor: &FlexTensor, shape: [usize; 4]) -> FeatureMap<'_> {
    FeatureMap::of_layout(values(tensor), shape)
}

#[derive(Clone, Debug)]
struct ToMap {
    shape: [usize; 4],
}

impl Operation<1> for ToMap {
    type State = ();

    fn forward(&self, [images]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, ()) {
        (of_map(FeatureMap::from_planar(values(&images), self.shape)), ())
    }

    fn backward(&self, (): &(), gradient: &FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(flat(map(gradient, self.shape).to_planar()))]
    }
}

#[derive(Clone, Debug)]
struct FromMap {
    shape: [usize; 4],
}

impl Operation<1> for FromMap {
    type State = ();

    fn forward(&self, [input]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, ()) {
        (flat(map(&input, self.shape).to_planar()), ())
    }

    fn backward(&self, (): &(), gradient: &FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(of_map(FeatureMap::from_planar(values(gradient), self.shape)))]
    }
}

#[derive(Clone, Debug)]
struct Convolution3x3 {
    input: [usize; 4],
    outputs: usize,
    factor: usize,
    slope: Option<f32>,
    edge: Edge,
    arithmetic: Arithmetic,
    kept: Option<Arc<KeptFilters>>,
}

impl Convolution3x3 {
    fn layer<'a>(&'a self, weights: &'a FlexTensor, biases: &'a FlexTensor) -> Conv3x3<'a> {
        Conv3x3 {
            weights: values(weights),
            biases: Some(values(biases)),
            channels: (self.input[1], self.outputs),
            factor: self.factor,
            slope: self.slope,
            edge: self.edge,
            precision: self.arithmetic.precision,
            kept: self.kept.as_deref(),
        }
    }

    fn output_shape(&self) -> [usize; 4] {
        let [samples, _, height, width] = self.input;
        [samples, self.outputs, height * self.factor, width * self.factor]
    }
}

/// What a convolution keeps: its parameters, its input where they are trained, its output where it has an activation.
#[derive(Clone, Debug)]
struct ConvolutionState {
    weights: FlexTensor,
    biases: FlexTensor,
    input: Option<FlexTensor>,
    output: Option<FlexTensor>,
}

impl Operation<3> for Convolution3x3 {
    type State = ConvolutionState;

    fn forward(
        &self,
        [input, weights, biases]: [FlexTensor; 3],
        is_tracked: [bool; 3],
    ) -> (FlexTensor, ConvolutionState) {
        let output =
            of_map(self.layer(&weights, &biases).forward(self.arithmetic.isa, &map(&input, self.input)));
        let kept = self.slope.map(|_| output.clone());
        let input = (is_tracked[1] || is_tracked[2]).then_some(input);
        (output, ConvolutionState { weights, biases, input, output: kept })
    }

    fn backward(
        &self,
        state: &ConvolutionState,
        gradient: &FlexTensor,
        wants: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let gradient = map(gradient, self.output_shape());
        let input = state.input.as_ref().map(|input| map(input, self.input));
        let output = state.output.as_ref().map(|output| map(output, self.output_shape()));
        let layer = self.layer(&state.weights, &state.biases);
        let found =
            layer.backward(self.arithmetic.isa, (input.as_ref(), output.as_ref()), gradient, wants[0]);
        let (weights, biases) = found.parameters.unzip();
        [
            found.input.map(of_map),
            weights.filter(|_| wants[1]).map(flat),
            biases.filter(|_| wants[2]).map(flat),
        ]
    }
}

#[derive(Clone, Debug)]
struct Convolution4x4 {
    input: [usize; 4],
    outputs: usize,
    arithmetic: Arithmetic,
}

impl Convolution4x4 {
    fn layer<'a>(&self, weights: &'a FlexTensor) -> Conv4x4<'a> {
        let channels = (self.input[1], self.outputs);
        Conv4x4 { weights: values(weights), channels, precision: self.arithmetic.precision }
    }
}

impl Operation<2> for Convolution4x4 {
    type State = [FlexTensor; 2];

    fn forward(&self, [input, weights]: [FlexTensor; 2], _: [bool; 2]) -> (FlexTensor, [FlexTensor; 2]) {
        let output = self.layer(&weights).forward(self.arithmetic.isa, &map(&input, self.input));
        (of_map(output), [input, weights])
    }

    fn backward(
        &self,
        [input, weights]: &[FlexTensor; 2],
        gradient: &FlexTensor,
        wants: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [samples, _, height, width] = self.input;
        let (isa, layer) = (self.arithmetic.isa, self.layer(weights));
        let gradient = map(gradient, [samples, self.outputs, height / 2, width / 2]);
        [
            wants[0].then(|| of_map(layer.input_gradient(isa, &gradient))),
            wants[1].then(|| flat(layer.weight_gradient(isa, &map(input, self.input), &gradient))),
        ]
    }
}

#[derive(Clone, Debug)]
struct Dense {
    input: [usize; 4],
    growth: usize,
    scale: f32,
    edge: Edge,
    arithmetic: Arithmetic,
}

/// The input, weights and biases, and the four features.
#[derive(Clone, Debug)]
struct DenseState {
    inputs: [FlexTensor; 11],
    features: [FlexTensor; 4],
}

impl Dense {
    fn layer<'a>(&self, inputs: &'a [FlexTensor; 11]) -> DenseBlock<'a> {
        DenseBlock {
            weights: std::array::from_fn(|index| values(&inputs[1 + index])),
            biases: std::array::from_fn(|index| values(&inputs[6 + index])),
            features: self.input[1],
            growth: self.growth,
            scale: self.scale,
            edge: self.edge,
            precision: self.arithmetic.precision,
        }
    }
}

impl Operation<11> for Dense {
    type State = DenseState;

    fn forward(&self, inputs: [FlexTensor; 11], _: [bool; 11]) -> (FlexTensor, DenseState) {
        let pass = self.layer(&inputs).forward(self.arithmetic.isa, &map(&inputs[0], self.input));
        (of_map(pass.output), DenseState { inputs, features: pass.features.map(of_map) })
    }

    fn backward(
        &self,
        state: &DenseState,
        gradient: &FlexTensor,
        wants: [bool; 11],
    ) -> [Option<FlexTensor>; 11] {
        let [samples, _, height, width] = self.input;
        let ring = 2 * self.edge.ring();
        let shape = [samples, self.growth, height + ring, width + ring];
        let features = state.features.each_ref().map(|feature| map(feature, shape));
        let input = map(&state.inputs[0], self.input);
        let found = self.layer(&state.inputs).backward(
            self.arithmetic.isa,
            &input,
            &features,
            &map(gradient, self.input),
        );
        let parameters = found.weights.into_iter().chain(found.biases).map(flat);
        let mut gradients = std::iter::once(of_map(found.input)).chain(parameters);
        wants.map(|is_wanted| gradients.next().filter(|_| is_wanted))
    }
}

#[derive(Clone, Debug)]
struct Normalisation {
    input: [usize; 4],
    slope: f32,
    seen: Seen,
}

#[derive(Clone, Debug)]
struct NormalisationState {
    input: FlexTensor,
    output: FlexTensor,
    scales: FlexTensor,
    shifts: FlexTensor,
    statistics: BatchStatistics,
}

impl Operation<3> for Normalisation {
    type State = NormalisationState;

    fn forward(
        &self,
        [input, scales, shifts]: [FlexTensor; 3],
        _: [bool; 3],
    ) -> (FlexTensor, NormalisationState) {
        let statistics = BatchStatistics::of(&map(&input, self.input));
        let layer = BatchNorm {
            scales: values(&scales),
            shifts: values(&shifts),
            epsilon: EPSILON,
            slope: self.slope,
        };
        let output = of_map(layer.forward(&map(&input, self.input), &statistics));
        self.seen.put(Statistics::Host(statistics.clone()));
        (output.clone(), NormalisationState { input, output, scales, shifts, statistics })
    }

    fn backward(
        &self,
        state: &NormalisationState,
        gradient: &FlexTensor,
        wants: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (scales, shifts) = (values(&state.scales), values(&state.shifts));
        let layer = BatchNorm { scales, shifts, epsilon: EPSILON, slope: self.slope };
        let maps = (&map(&state.input, self.input), &map(&state.output, self.input));
        let found = layer.backward(maps, &state.statistics, map(gradient, self.input));
        [
            wants[0].then(|| of_map(found.input)),
            wants[1].then(|| flat(found.scales)),
            wants[2].then(|| flat(found.shifts)),
        ]
    }
}

#[derive(Clone, Debug)]
struct Pool {
    input: [usize; 4],
}

impl Operation<1> for Pool {
    type State = FlexTensor;

    fn forward(&self, [input]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, FlexTensor) {
        (of_map(max_pool(&map(&input, self.input))), input)
    }

    fn backward(&self, input: &FlexTensor, gradient: &FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [samples, channels, height, width] = self.input;
        let gradient = map(gradient, [samples, channels, height / 2, width / 2]);
        [Some(of_map(max_pool_gradient(&map(input, self.input), &gradient)))]
    }
}

#[derive(Clone, Debug)]
struct Bilinear {
    input: [usize; 4],
}

impl Operation<1> for Bilinear {
    type State = ();

    fn forward(&self, [input]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, ()) {
        (of_map(enlarge_bilinear(&map(&input, self.input))), ())
    }

    fn backward(&self, (): &(), gradient: &FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [samples, channels, height, width] = self.input;
        [Some(of_map(enlarge_bilinear_gradient(&map(gradient, [samples, channels, 2 * height, 2 * width]))))]
    }
}

#[derive(Clone, Debug)]
struct CosineSum {
    shape: [usize; 4],
}

impl Operation<2> for CosineSum {
    type State = ([FlexTensor; 2], Cosines);

    fn forward(&self, maps: [FlexTensor; 2], _: [bool; 2]) -> (FlexTensor, Self::State) {
        let [found, other] = maps.each_ref().map(|tensor| map(tensor, self.shape));
        let cosines = Cosines::of(&found, &other, COSINE_EPSILON);
        (flat(vec![cosines.sum()]), (maps, cosines))
    }

    fn backward(
        &self,
        (maps, cosines): &Self::State,
        gradient: &FlexTensor,
        wants: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [found, other] = maps.each_ref().map(|tensor| map(tensor, self.shape));
        let of_sum = values(gradient)[0];
        [wants[0].then(|| of_map(cosines.gradient(&found, &other, of_sum))), None]
    }
}

#[derive(Clone, Debug)]
struct Unit {
    shape: [usize; 4],
}

impl Operation<1> for Unit {
    type State = (FlexTensor, Factors);

    fn forward(&self, [input]: [FlexTensor; 1], _: [bool; 1]) -> (FlexTensor, Self::State) {
        let (output, factors) = esrgan_gradients::unit_vectors(&map(&input, self.shape), UNIT_EPSILON);
        let output = of_map(output);
        (output.clone(), (output, factors))
    }

    fn backward(
        &self,
        (output, factors): &Self::State,
        gradient: &FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        [Some(of_map(factors.gradient(&map(output, self.shape), &map(gradient, self.shape))))]
    }
}
