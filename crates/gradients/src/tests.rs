//! Layers and their gradients against plain f64 loops, on odd shapes.

use super::*;

/// Values in -1..1 by a formula.
pub(crate) fn values(seed: u64, count: usize) -> Vec<f32> {
    let value = |index: usize| {
        let mixed = (seed * 1_000_003 + index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed >> 40) as f32 / (1 << 24) as f32) * 2.0 - 1.0
    };
    (0..count).map(value).collect()
}

pub(crate) fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// A map in f64, `[sample][channel][row][column]`.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) shape: [usize; 4],
    pub(crate) values: Vec<f64>,
}

impl Plain {
    pub(crate) fn new(shape: [usize; 4], values: &[f32]) -> Self {
        Self { shape, values: values.iter().map(|value| f64::from(*value)).collect() }
    }

    pub(crate) fn zeros(shape: [usize; 4]) -> Self {
        Self { shape, values: vec![0.0; shape.iter().product()] }
    }

    fn index(&self, [n, c, y, x]: [usize; 4]) -> usize {
        ((n * self.shape[1] + c) * self.shape[2] + y) * self.shape[3] + x
    }

    /// Zero beyond the edges.
    pub(crate) fn at(&self, n: usize, c: usize, y: isize, x: isize) -> f64 {
        self.seen([n, c], (y, x), Edge::Zero)
    }

    /// What a convolution sees.
    fn seen(&self, channel: [usize; 2], place: (isize, isize), edge: Edge) -> f64 {
        self.place(channel, place, edge).map_or(0.0, |index| self.values[index])
    }

    /// Where the value lies that a convolution sees, unless it is zero beyond the edge.
    fn place(&self, [n, c]: [usize; 2], (y, x): (isize, isize), edge: Edge) -> Option<usize> {
        let [height, width] = [self.shape[2], self.shape[3]].map(|side| side as isize - 1);
        let nearest = (y.clamp(0, height), x.clamp(0, width));
        let is_seen = edge == Edge::Replicate || nearest == (y, x);
        is_seen.then(|| self.index([n, c, nearest.0 as usize, nearest.1 as usize]))
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = [usize; 4]> + use<> {
        let [n, c, h, w] = self.shape;
        (0..n * c * h * w).map(move |i| [i / w / h / c, i / w / h % c, i / w % h, i % w])
    }
}

/// A convolution of any square kernel, stride and padding, in f64, and its gradients.
pub(crate) struct PlainConv<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) biases: &'a [f32],
    pub(crate) side: usize,
    pub(crate) stride: usize,
    pub(crate) edge: Edge,
}

impl PlainConv<'_> {
    fn taps(&self) -> impl Iterator<Item = (usize, isize, isize)> + use<> {
        let side = self.side;
        (0..side * side).map(move |tap| (tap, (tap / side) as isize - 1, (tap % side) as isize - 1))
    }

    pub(crate) fn forward(&self, input: &Plain) -> Plain {
        let [n, channels, h, w] = input.shape;
        let size = |side: usize| (side + 2 - self.side) / self.stride + 1;
        let mut output = Plain::zeros([n, self.biases.len(), size(h), size(w)]);
        for place @ [n, o, y, x] in output.places() {
            let mut sum = f64::from(self.biases[o]);
            for c in 0..channels {
                for (tap, dy, dx) in self.taps() {
                    let weight = self.weights[(o * channels + c) * self.side * self.side + tap];
                    let (y, x) = ((y * self.stride) as isize + dy, (x * self.stride) as isize + dx);
                    sum += f64::from(weight) * input.seen([n, c], (y, x), self.edge);
                }
            }
            let index = output.index(place);
            output.values[index] = sum;
        }
        output
    }

    /// Gradients of input, weights and biases.
    pub(crate) fn backward(&self, input: &Plain, gradient: &Plain) -> (Plain, Vec<f64>, Vec<f64>) {
        let channels = input.shape[1];
        let mut of_input = Plain::zeros(input.shape);
        let mut of_weights = vec![0.0; self.weights.len()];
        let mut of_biases = vec![0.0; self.biases.len()];
        for place @ [n, o, y, x] in gradient.places() {
            let value = gradient.values[gradient.index(place)];
            of_biases[o] += value;
            for c in 0..channels {
                for (tap, dy, dx) in self.taps() {
                    let (y, x) = ((y * self.stride) as isize + dy, (x * self.stride) as isize + dx);
                    let weight = (o * channels + c) * self.side * self.side + tap;
                    if let Some(seen) = input.place([n, c], (y, x), self.edge) {
                        of_weights[weight] += value * input.values[seen];
                        of_input.values[seen] += value * f64::from(self.weights[weight]);
                    }
                }
            }
        }
        (of_input, of_weights, of_biases)
    }
}

/// The largest difference, as a part of the largest magnitude.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30_f64, |largest, value| largest.max(value.abs()));
    let pairs = found.iter().zip(expected);
    let off = pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, |a: f64, b| if b >= a { b } else { a.max(b) });
    assert!(found.iter().all(|value| value.is_finite()), "{what}: not finite");
    assert!(off <= bound * largest, "{what}: off by {off:e} of {largest:e}");
}

pub(crate) fn enlarged(input: &Plain, factor: usize) -> Plain {
    let [n, c, h, w] = input.shape;
    let mut output = Plain::zeros([n, c, h * factor, w * factor]);
    for place @ [n, c, y, x] in output.places() {
        let index = output.index(place);
        output.values[index] = input.at(n, c, (y / factor) as isize, (x / factor) as isize);
    }
    output
}

pub(crate) fn shrunk(gradient: &Plain, factor: usize) -> Plain {
    let [n, c, h, w] = gradient.shape;
    let mut output = Plain::zeros([n, c, h / factor, w / factor]);
    for place @ [n, c, y, x] in gradient.places() {
        let index = output.index([n, c, y / factor, x / factor]);
        output.values[index] += gradient.values[gradient.index(place)];
    }
    output
}

pub(crate) const EDGES: [Edge; 2] = [Edge::Zero, Edge::Replicate];

/// Each case with each edge.
pub(crate) fn with_edges<C: Copy>(cases: impl IntoIterator<Item = C>) -> impl Iterator<Item = (C, Edge)> {
    cases.into_iter().flat_map(|case| EDGES.map(|edge| (case, edge)))
}

/// Relative to the largest value: some ten roundings, four times as large as those of the direct sum.
const BOUND: f64 = 2e-5;

#[test]
fn convolutions_and_their_gradients_are_those_of_plain_sums() {
    let cases = [
        ([1, 16, 4, 4], 16, 1, None),
        ([2, 3, 5, 7], 17, 1, Some(0.2)),
        ([1, 33, 9, 6], 3, 1, None),
        ([3, 20, 8, 8], 48, 1, Some(0.0)),
        ([2, 5, 3, 4], 18, 2, Some(0.2)),
        ([1, 2, 2, 150], 1, 1, Some(0.2)),
        ([1, 1, 1, 1], 1, 1, None),
    ];
    for ((shape, out, factor, slope), edge) in with_edges(cases) {
        let [n, channels, h, w] = shape;
        let what = format!("{shape:?} to {out}, enlarged {factor}, slope {slope:?}, {edge:?}");
        let (input, weights) = (values(1, n * channels * h * w), values(2, out * channels * 9));
        let biases = values(3, out);
        let plain = PlainConv { weights: &weights, biases: &biases, side: 3, stride: 1, edge };
        let plain_input = enlarged(&Plain::new(shape, &input), factor);
        let mut plain_output = plain.forward(&plain_input);
        let is_negative: Vec<bool> = plain_output.values.iter().map(|value| *value <= 0.0).collect();
        let masked = |values: &mut [f64]| {
            let slope = f64::from(slope.unwrap_or(1.0));
            values.iter_mut().zip(&is_negative).filter(|(_, is)| **is).for_each(|(value, _)| *value *= slope);
        };
        masked(&mut plain_output.values);
        let gradient = values(4, plain_output.values.len());
        let mut plain_gradient = Plain::new(plain_output.shape, &gradient);
        masked(&mut plain_gradient.values);
        let (of_input, of_weights, of_biases) = plain.backward(&plain_input, &plain_gradient);
        for isa in available() {
            let layer = Conv3x3 {
                weights: &weights,
                biases: Some(&biases),
                channels: (channels, out),
                factor,
                slope,
                edge,
                precision: Precision::F32,
                kept: None,
            };
            let input = FeatureMap::from_planar(&input, shape);
            let output = layer.forward(isa, &input);
            assert_close(&what, &output.to_planar(), &plain_output.values, BOUND);
            let gradient = FeatureMap::from_planar(&gradient, plain_output.shape);
            let found = layer.backward(isa, (Some(&input), Some(&output)), gradient, true);
            let expected = shrunk(&of_input, factor);
            assert_close(&what, &found.input.unwrap().to_planar(), &expected.values, BOUND);
            let (found_weights, found_biases) = found.parameters.unwrap();
            assert_close(&what, &found_weights, &of_weights, BOUND);
            assert_close(&what, &found_biases, &of_biases, BOUND);
        }
    }
}

#[test]
fn kept_filters_give_the_same_bits_and_stay_what_they_were() {
    let shape = [2, 5, 7, 9];
    let (weights, biases) = (values(2, 19 * 5 * 9), values(3, 19));
    let (other_weights, other_biases) = (values(4, 19 * 5 * 9), values(5, 19));
    let input = FeatureMap::from_planar(&values(1, shape.iter().product()), shape);
    let gradient = values(6, 2 * 19 * 7 * 9);
    for precision in [Precision::F32, Precision::Bf16] {
        let kept = KeptFilters::default();
        let found = |weights: &[f32], biases: &[f32], kept: Option<&KeptFilters>| {
            let (channels, slope) = ((5, 19), Some(0.0));
            let (biases, edge) = (Some(biases), Edge::Zero);
            let layer = Conv3x3 { weights, biases, channels, factor: 1, slope, edge, precision, kept };
            let isa = Isa::detect();
            let output = layer.forward(isa, &input);
            let gradient = FeatureMap::from_planar(&gradient, [2, 19, 7, 9]);
            let gradients = layer.backward(isa, (None, Some(&output)), gradient, true);
            (output.to_planar(), gradients.input.unwrap().to_planar())
        };
        let expected = found(&weights, &biases, None);
        assert_eq!(found(&weights, &biases, Some(&kept)), expected, "{precision:?}: packed");
        assert_eq!(found(&weights, &biases, Some(&kept)), expected, "{precision:?}: read again");
        assert_ne!(found(&other_weights, &other_biases, None), expected, "{precision:?}: other weights");
        assert_eq!(found(&other_weights, &other_biases, Some(&kept)).0, expected.0, "{precision:?}: kept");
    }
}

pub(crate) struct PlainBlock {
    pub(crate) weights: Vec<Vec<f32>>,
    pub(crate) biases: Vec<Vec<f32>>,
    pub(crate) features: usize,
    pub(crate) growth: usize,
    pub(crate) edge: Edge,
    pub(crate) precision: Precision,
}

impl PlainBlock {
    pub(crate) fn new(features: usize, growth: usize) -> Self {
        let channels = |index: usize| (features + index * growth, if index == 4 { features } else { growth });
        let weights = (0..5).map(|index| {
            let (inputs, outputs) = channels(index);
            let scale = 1.0 / (inputs as f32 * 3.0).sqrt();
            values(10 + index as u64, inputs * outputs * 9).into_iter().map(|value| value * scale).collect()
        });
        let biases = (0..5).map(|index| values(20 + index as u64, channels(index).1));
        Self {
            weights: weights.collect(),
            biases: biases.collect(),
            features,
            growth,
            edge: Edge::Zero,
            precision: Precision::F32,
        }
    }

    fn conv(&self, index: usize) -> PlainConv<'_> {
        let (weights, biases) = (&self.weights[index], &self.biases[index]);
        PlainConv { weights, biases, side: 3, stride: 1, edge: self.edge }
    }

    pub(crate) fn layer(&self) -> DenseBlock<'_> {
        DenseBlock {
            weights: std::array::from_fn(|index| self.weights[index].as_slice()),
            biases: std::array::from_fn(|index| self.biases[index].as_slice()),
            features: self.features,
            growth: self.growth,
            scale: 0.2,
            edge: self.edge,
            precision: self.precision,
        }
    }
}

/// Channels of maps behind each other.
pub(crate) fn joined(maps: &[Plain]) -> Plain {
    let [n, _, h, w] = maps[0].shape;
    let mut output = Plain::zeros([n, maps.iter().map(|map| map.shape[1]).sum(), h, w]);
    for n in 0..n {
        let mut first = output.index([n, 0, 0, 0]);
        for map in maps {
            let length = map.shape[1] * h * w;
            output.values[first..first + length].copy_from_slice(&map.values[n * length..][..length]);
            first += length;
        }
    }
    output
}

#[test]
fn dense_blocks_and_their_gradients_are_those_of_plain_sums() {
    let cases = [([2, 16, 8, 8], 16), ([1, 7, 5, 6], 3), ([3, 20, 4, 9], 17)];
    for ((shape, growth), edge) in with_edges(cases) {
        let block = PlainBlock { edge, ..PlainBlock::new(shape[1], growth) };
        let input = values(1, shape.iter().product());
        let mut maps = vec![Plain::new(shape, &input)];
        for index in 0..4 {
            let mut feature = block.conv(index).forward(&joined(&maps));
            feature
                .values
                .iter_mut()
                .for_each(|value| *value = if *value > 0.0 { *value } else { 0.2 * *value });
            maps.push(feature);
        }
        let last = block.conv(4).forward(&joined(&maps));
        let output: Vec<f64> =
            last.values.iter().zip(&maps[0].values).map(|(sum, x)| 0.2 * sum + x).collect();

        let gradient = values(2, output.len());
        let mut of_maps: Vec<Plain> = maps.iter().map(|map| Plain::zeros(map.shape)).collect();
        let mut of_weights = vec![Vec::new(); 5];
        let mut of_biases = vec![Vec::new(); 5];
        of_maps[0].values = gradient.iter().map(|value| f64::from(*value)).collect();
        let mut of_sum = Plain::new(shape, &gradient);
        of_sum.values.iter_mut().for_each(|value| *value *= 0.2);
        for index in (0..5).rev() {
            let (of_input, weights, biases) = block.conv(index).backward(&joined(&maps[..=index]), &of_sum);
            (of_weights[index], of_biases[index]) = (weights, biases);
            for place @ [n, c, y, x] in of_input.places() {
                let value = of_input.values[of_input.index(place)];
                let (map, c) = if c < shape[1] {
                    (0, c)
                } else {
                    (1 + (c - shape[1]) / growth, (c - shape[1]) % growth)
                };
                let at = of_maps[map].index([n, c, y, x]);
                of_maps[map].values[at] += value;
            }
            if index > 0 {
                of_sum = of_maps[index].clone();
                let features = maps[index].values.iter();
                of_sum
                    .values
                    .iter_mut()
                    .zip(features)
                    .for_each(|(value, f)| *value *= if *f > 0.0 { 1.0 } else { 0.2 });
            }
        }
        for isa in available() {
            let layer = block.layer();
            let input = FeatureMap::from_planar(&input, shape);
            let pass = layer.forward(isa, &input);
            assert_close("output", &pass.output.to_planar(), &output, BOUND);
            let gradient = FeatureMap::from_planar(&gradient, shape);
            let found = layer.backward(isa, &input, &pass.features, &gradient);
            assert_close("input", &found.input.to_planar(), &of_maps[0].values, BOUND);
            for index in 0..5 {
                assert_close("weights", &found.weights[index], &of_weights[index], BOUND);
                assert_close("biases", &found.biases[index], &of_biases[index], BOUND);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let shape = [3, 20, 11, 9];
    let block = PlainBlock::new(20, 8);
    let (input, gradient) = (values(1, shape.iter().product()), values(2, shape.iter().product()));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let layer = block.layer();
            let input = FeatureMap::from_planar(&input, shape);
            let pass = layer.forward(Isa::detect(), &input);
            let gradient = FeatureMap::from_planar(&gradient, shape);
            let gradients = layer.backward(Isa::detect(), &input, &pass.features, &gradient);
            (pass.output, gradients.input, gradients.weights, gradients.biases)
        })
    };
    let alone = run(1);
    assert!([2, 3, 7].into_iter().all(|threads| run(threads) == alone));
}

#[test]
fn strided_convolutions_and_their_gradients_are_those_of_plain_sums() {
    for (shape, out) in [
        ([2, 3, 4, 6], 17),
        ([1, 20, 16, 10], 5),
        ([3, 33, 8, 8], 32),
        ([1, 16, 2, 2], 16),
        ([1, 160, 2, 40], 3),
    ] {
        let what = format!("{shape:?} to {out}");
        let (input, weights) = (values(1, shape.iter().product()), values(2, out * shape[1] * 16));
        let biases = vec![0.0; out];
        let plain = PlainConv { weights: &weights, biases: &biases, side: 4, stride: 2, edge: Edge::Zero };
        let plain_input = Plain::new(shape, &input);
        let plain_output = plain.forward(&plain_input);
        let gradient = values(4, plain_output.values.len());
        let (of_input, of_weights, _) =
            plain.backward(&plain_input, &Plain::new(plain_output.shape, &gradient));
        for isa in available() {
            let layer = Conv4x4 { weights: &weights, channels: (shape[1], out), precision: Precision::F32 };
            let input = FeatureMap::from_planar(&input, shape);
            assert_close(&what, &layer.forward(isa, &input).to_planar(), &plain_output.values, BOUND);
            let gradient = FeatureMap::from_planar(&gradient, plain_output.shape);
            assert_close(&what, &layer.input_gradient(isa, &gradient).to_planar(), &of_input.values, BOUND);
            assert_close(&what, &layer.weight_gradient(isa, &input, &gradient), &of_weights, BOUND);
        }
    }
}

#[test]
fn pooling_takes_the_largest_and_its_gradient_goes_there() {
    let shape = [2, 17, 5, 6];
    let mut input = values(1, shape.iter().product());
    // Equal values: the first counts.
    (input[0], input[1]) = (3.0, 3.0);
    let plain = Plain::new(shape, &input);
    let gradient = values(2, 2 * 17 * 2 * 3);
    let plain_gradient = Plain::new([2, 17, 2, 3], &gradient);
    let mut expected = Plain::zeros(shape);
    let mut largest = Plain::zeros(plain_gradient.shape);
    for place @ [n, c, y, x] in largest.places() {
        let square = [[2 * y, 2 * x], [2 * y, 2 * x + 1], [2 * y + 1, 2 * x], [2 * y + 1, 2 * x + 1]];
        let value = |[y, x]: [usize; 2]| plain.at(n, c, y as isize, x as isize);
        let best = square.into_iter().reduce(|a, b| if value(b) > value(a) { b } else { a }).unwrap();
        let (index, target) = (largest.index(place), expected.index([n, c, best[0], best[1]]));
        largest.values[index] = value(best);
        expected.values[target] += plain_gradient.values[index];
    }
    let map = FeatureMap::from_planar(&input, shape);
    assert_close("largest", &max_pool(&map).to_planar(), &largest.values, 0.0);
    let gradient = FeatureMap::from_planar(&gradient, [2, 17, 2, 3]);
    assert_close("gradient", &max_pool_gradient(&map, &gradient).to_planar(), &expected.values, 0.0);
}

/// Against finite differences of a scalar loss in f64.
#[test]
fn batch_norm_and_its_gradients_are_those_of_the_definition() {
    let shape @ [n, channels, h, w] = [3, 18, 4, 5];
    let input = values(1, shape.iter().product());
    let (scales, shifts, weights) = (values(2, channels), values(3, channels), values(4, input.len()));
    let norm = |input: &[f64], scales: &[f64], shifts: &[f64]| -> Vec<f64> {
        let mut output = vec![0.0; input.len()];
        for c in 0..channels {
            let places: Vec<usize> =
                (0..n * h * w).map(|i| (i / (h * w) * channels + c) * h * w + i % (h * w)).collect();
            let count = places.len() as f64;
            let mean = places.iter().map(|at| input[*at]).sum::<f64>() / count;
            let variance = places.iter().map(|at| (input[*at] - mean).powi(2)).sum::<f64>() / count;
            for at in places {
                let value =
                    (input[at] - mean) / (variance + f64::from(1e-5_f32)).sqrt() * scales[c] + shifts[c];
                output[at] = if value > 0.0 { value } else { f64::from(0.2_f32) * value };
            }
        }
        output
    };
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let (x, gamma, beta, loss_weights) = (wide(&input), wide(&scales), wide(&shifts), wide(&weights));
    let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
        norm(x, gamma, beta).iter().zip(&loss_weights).map(|(value, weight)| value * weight).sum()
    };
    let difference = |of: &[f64], index: usize, loss: &dyn Fn(&[f64]) -> f64| {
        let mut moved = of.to_vec();
        moved[index] += 1e-6;
        let above = loss(&moved);
        moved[index] -= 2e-6;
        (above - loss(&moved)) / 2e-6
    };
    let map = FeatureMap::from_planar(&input, shape);
    let layer = BatchNorm { scales: &scales, shifts: &shifts, epsilon: 1e-5, slope: 0.2 };
    let statistics = BatchStatistics::of(&map);
    let output = layer.forward(&map, &statistics);
    assert_close("output", &output.to_planar(), &norm(&x, &gamma, &beta), 1e-5);
    let found = layer.backward((&map, &output), &statistics, FeatureMap::from_planar(&weights, shape));
    let of_input: Vec<f64> =
        (0..x.len()).map(|index| difference(&x, index, &|x| loss(x, &gamma, &beta))).collect();
    assert_close("input", &found.input.to_planar(), &of_input, 1e-4);
    let of_scales: Vec<f64> =
        (0..channels).map(|index| difference(&gamma, index, &|gamma| loss(&x, gamma, &beta))).collect();
    assert_close("scales", &found.scales, &of_scales, 1e-4);
    let of_shifts: Vec<f64> =
        (0..channels).map(|index| difference(&beta, index, &|beta| loss(&x, &gamma, beta))).collect();
    assert_close("shifts", &found.shifts, &of_shifts, 1e-4);
}
