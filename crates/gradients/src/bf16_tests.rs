//! The layers in bf16 against plain f64 loops over the values rounded to bf16, by plain Rust on any machine.
//!
//! Products of bf16 are exact in both, so what is allowed is the rounding of `f32` sums alone: a layer that did not round, or
//! rounded twice, would be off a thousand times as much.

use super::*;
use crate::edge::ringed;
use crate::method::Winograd;
use crate::paired::Bf16;
use crate::tests::{EDGES, Plain, PlainBlock, PlainConv, enlarged, joined, shrunk, values, with_edges};

const ISA: Isa = Isa::Portable;

/// To the nearest bf16, ties to even. No value of these tests is near the ends of the range.
fn rounded_f64(value: f64) -> f64 {
    let bits = value.to_bits() + (1 << 44) - 1 + (value.to_bits() >> 45 & 1);
    f64::from_bits(bits >> 45 << 45)
}

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| rounded_f64(f64::from(*value)) as f32).collect()
}

fn magnitudes(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| value.abs()).collect()
}

/// A map, its rounded values, and their magnitudes.
type Operand = (FeatureMap<'static>, Plain, Plain);

fn map(shape: [usize; 4], values: &[f32]) -> Operand {
    let rounded = rounded(values);
    (
        FeatureMap::from_planar(values, shape),
        Plain::new(shape, &rounded),
        Plain::new(shape, &magnitudes(&rounded)),
    )
}

/// Each value within the rounding of so many additions of terms whose magnitudes have this sum (Higham, "Accuracy and
/// Stability of Numerical Algorithms", section 3.1), and of four more operations behind them.
#[track_caller]
fn assert_within(what: &str, found: &[f32], expected: &[f64], magnitudes: &[f64], terms: usize) {
    assert_eq!((found.len(), found.len()), (expected.len(), magnitudes.len()), "{what}");
    for (index, ((found, expected), magnitude)) in found.iter().zip(expected).zip(magnitudes).enumerate() {
        let bound = f64::from(f32::EPSILON) * (terms + 4) as f64 * magnitude;
        let off = (f64::from(*found) - expected).abs();
        assert!(
            off <= bound,
            "{what}, value {index}: {found} for {expected}, off by {off:e}, more than {bound:e}"
        );
    }
}

/// A convolution's weights rounded, and their magnitudes.
struct Rounded {
    weights: Vec<f32>,
    magnitudes: Vec<f32>,
    biases: Vec<f32>,
    side: usize,
    stride: usize,
    edge: Edge,
}

impl Rounded {
    fn new(weights: &[f32], biases: &[f32], side: usize, stride: usize) -> Self {
        let weights = rounded(weights);
        let (magnitudes, biases) = (magnitudes(&weights), biases.to_vec());
        Self { magnitudes, weights, biases, side, stride, edge: Edge::Zero }
    }

    fn plain(&self) -> PlainConv<'_> {
        let Self { weights, biases, side, stride, edge, .. } = self;
        PlainConv { weights, biases, side: *side, stride: *stride, edge: *edge }
    }

    /// Of magnitudes, to be called with magnitudes. Biases are below one.
    fn of_magnitudes<'a>(&'a self, ones: &'a [f32]) -> PlainConv<'a> {
        PlainConv { weights: &self.magnitudes, biases: ones, ..self.plain() }
    }
}

/// What [`Conv3x3`] with enlargement computes: taps that fall on the same small pixel are added before they are rounded.
fn folded_forward(weights: &[f32], biases: &[f32], input: &Plain, factor: usize) -> Plain {
    let [n, channels, h, w] = input.shape;
    let mut output = Plain::zeros([n, biases.len(), h * factor, w * factor]);
    for (index, [n, o, y, x]) in output.places().enumerate() {
        let mut sum = f64::from(biases[o]);
        for c in 0..channels {
            let mut taps = std::collections::BTreeMap::new();
            for tap in 0..9 {
                let along =
                    |at: usize, tap: usize| (at as isize + tap as isize - 1).div_euclid(factor as isize);
                let weight = f64::from(weights[(o * channels + c) * 9 + tap]);
                *taps.entry((along(y, tap / 3), along(x, tap % 3))).or_insert(0.0) += weight;
            }
            sum += taps
                .into_iter()
                .map(|((y, x), weight)| rounded_f64(weight) * input.at(n, c, y, x))
                .sum::<f64>();
        }
        output.values[index] = sum;
    }
    output
}

#[test]
fn convolutions_and_their_gradients_are_those_of_rounded_values() {
    let cases = [
        ([1, 16, 4, 4], 16, 1, None),
        ([2, 5, 5, 7], 17, 1, Some(0.2)),
        ([1, 33, 9, 6], 3, 1, None),
        ([3, 20, 8, 8], 48, 1, Some(0.0)),
        ([2, 5, 3, 4], 18, 2, Some(0.2)),
        ([1, 4, 2, 5], 33, 3, None),
        ([1, 2, 2, 150], 1, 1, Some(0.2)),
        ([1, 1, 1, 1], 1, 1, None),
        // Some samples after others.
        ([3, 33, 130, 131], 2, 1, None),
    ];
    // Around an enlarged map sums of weights would see what they do not see here.
    let has_plain_sums = |factor: usize, edge: Edge| factor == 1 || edge == Edge::Zero;
    for ((shape, out, factor, slope), edge) in
        with_edges(cases).filter(|(case, edge)| has_plain_sums(case.2, *edge))
    {
        let [n, channels, h, w] = shape;
        let what = format!("{shape:?} to {out}, enlarged {factor}, slope {slope:?}, {edge:?}");
        let (weights, biases) = (values(2, out * channels * 9), values(3, out));
        let layer = Conv3x3 {
            weights: &weights,
            biases: Some(&biases),
            channels: (channels, out),
            factor,
            slope,
            edge,
            precision: Precision::Bf16,
            kept: None,
        };
        let (conv, ones) = (Rounded { edge, ..Rounded::new(&weights, &biases, 3, 1) }, vec![1.0; out]);
        let (input, plain_input, input_magnitudes) = map(shape, &values(1, shape.iter().product()));
        let output = layer.forward(ISA, &input);
        let mut expected = match factor {
            1 => conv.plain().forward(&plain_input),
            _ => folded_forward(&weights, &biases, &plain_input, factor),
        };
        let slope = f64::from(slope.unwrap_or(1.0));
        expected.values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value *= slope);
        let bounds = conv.of_magnitudes(&ones).forward(&enlarged(&input_magnitudes, factor));
        // Sums of weights may be rounded up by a part in 256.
        let bounds: Vec<f64> = bounds.values.iter().map(|bound| bound * 1.01).collect();
        assert_within(&what, &output.to_planar(), &expected.values, &bounds, channels * 9);

        // The gradient behind the activation, whose signs are the output's.
        let mut gradient = values(4, n * out * h * w * factor * factor);
        let shape_out = [n, out, h * factor, w * factor];
        let given = FeatureMap::from_planar(&gradient, shape_out);
        let found = layer.backward(ISA, (Some(&input), Some(&output)), given, true);
        let negative = output.to_planar().into_iter().map(|value| value <= 0.0);
        gradient.iter_mut().zip(negative).filter(|(_, is)| *is).for_each(|(value, _)| *value *= slope as f32);
        let (_, plain_gradient, gradient_magnitudes) = map(shape_out, &gradient);
        let (of_input, of_weights, _) =
            conv.plain().backward(&enlarged(&plain_input, factor), &plain_gradient);
        let (input_bounds, weight_bounds, _) =
            conv.of_magnitudes(&ones).backward(&enlarged(&input_magnitudes, factor), &gradient_magnitudes);
        let (expected, bounds) = (shrunk(&of_input, factor), shrunk(&input_bounds, factor));
        let found_input = found.input.expect("the gradient of the input").to_planar();
        assert_within(&what, &found_input, &expected.values, &bounds.values, out * 9 + factor * factor);
        let (found_weights, found_biases) = found.parameters.expect("gradients of the parameters");
        let pixels = n * h * w * factor * factor;
        assert_within(&what, &found_weights, &of_weights, &weight_bounds, pixels);
        // Biases see the gradient as it is.
        let per_channel = |values: &[f32], index: usize| -> Vec<f64> {
            let area = h * w * factor * factor;
            let planes = values.chunks_exact(area).skip(index).step_by(out);
            planes.flatten().map(|value| f64::from(*value)).collect()
        };
        let sums: Vec<f64> = (0..out).map(|o| per_channel(&gradient, o).iter().sum()).collect();
        let bounds: Vec<f64> =
            (0..out).map(|o| per_channel(&gradient, o).iter().map(|value| value.abs()).sum()).collect();
        assert_within(&what, &found_biases, &sums, &bounds, pixels);
    }
}

#[test]
fn strided_convolutions_and_their_gradients_are_those_of_rounded_values() {
    for (shape, out) in [
        ([2, 3, 4, 6], 17),
        ([1, 40, 16, 10], 5),
        ([3, 33, 8, 8], 32),
        ([1, 16, 2, 2], 16),
        ([1, 320, 2, 40], 3),
        ([2, 3, 80, 62], 2),
    ] {
        let what = format!("{shape:?} to {out}");
        let (weights, zeros) = (values(2, out * shape[1] * 16), vec![0.0; out]);
        let conv = Rounded::new(&weights, &zeros, 4, 2);
        let layer = Conv4x4 { weights: &weights, channels: (shape[1], out), precision: Precision::Bf16 };
        let (input, plain_input, input_magnitudes) = map(shape, &values(1, shape.iter().product()));
        let (expected, bounds) =
            (conv.plain().forward(&plain_input), conv.of_magnitudes(&zeros).forward(&input_magnitudes));
        let found = layer.forward(ISA, &input).to_planar();
        assert_within(&what, &found, &expected.values, &bounds.values, shape[1] * 16);
        let (gradient, plain_gradient, gradient_magnitudes) =
            map(expected.shape, &values(4, expected.values.len()));
        let (of_input, of_weights, _) = conv.plain().backward(&plain_input, &plain_gradient);
        let (input_bounds, weight_bounds, _) =
            conv.of_magnitudes(&zeros).backward(&input_magnitudes, &gradient_magnitudes);
        let found = layer.input_gradient(ISA, &gradient).to_planar();
        assert_within(&what, &found, &of_input.values, &input_bounds.values, out * 4);
        let found = layer.weight_gradient(ISA, &input, &gradient);
        let pixels = expected.values.len() / out;
        assert_within(&what, &found, &of_weights, &weight_bounds, pixels);
    }
}

/// Rounded values and magnitudes of maps behind each other.
fn both_joined(maps: &[Operand]) -> (Plain, Plain) {
    let values: Vec<Plain> = maps.iter().map(|map| map.1.clone()).collect();
    let magnitudes: Vec<Plain> = maps.iter().map(|map| map.2.clone()).collect();
    (joined(&values), joined(&magnitudes))
}

fn block(features: usize, growth: usize) -> PlainBlock {
    PlainBlock { precision: Precision::Bf16, ..PlainBlock::new(features, growth) }
}

/// Each convolution from what the layer itself gave before it: so a value that lies next to a tie, and is rounded to the other
/// side, counts for nothing.
#[test]
fn dense_blocks_are_those_of_rounded_values() {
    for (shape, growth) in [([2, 16, 8, 8], 16), ([1, 7, 5, 6], 3), ([3, 40, 4, 9], 33)] {
        let block = block(shape[1], growth);
        let input = values(1, shape.iter().product());
        let pass = block.layer().forward(ISA, &FeatureMap::from_planar(&input, shape));
        let mut seen = vec![map(shape, &input)];
        seen.extend(pass.features.iter().map(|feature| map(feature.shape(), &feature.to_planar())));
        for index in 0..5 {
            let conv = Rounded::new(&block.weights[index], &block.biases[index], 3, 1);
            let ones = vec![1.0; block.biases[index].len()];
            let (maps, magnitudes) = both_joined(&seen[..=index]);
            let mut expected = conv.plain().forward(&maps).values;
            let mut bounds = conv.of_magnitudes(&ones).forward(&magnitudes).values;
            let found = pass.features.get(index).unwrap_or(&pass.output).to_planar();
            let terms = maps.shape[1] * 9;
            if index < 4 {
                let slope = f64::from(0.2_f32);
                expected.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value *= slope);
            } else {
                let scale = f64::from(0.2_f32);
                for ((expected, bound), x) in expected.iter_mut().zip(&mut bounds).zip(&input) {
                    (*expected, *bound) =
                        (scale * *expected + f64::from(*x), scale * *bound + f64::from(x.abs()));
                }
            }
            assert_within(&format!("{shape:?}, convolution {index}"), &found, &expected, &bounds, terms);
        }
    }
}

/// As above: each from the gradients of later sums that the layer itself found.
#[test]
fn gradients_of_dense_blocks_are_those_of_rounded_values() {
    for (shape, growth) in [([2, 16, 8, 8], 16), ([1, 7, 5, 6], 3), ([3, 40, 4, 9], 33)] {
        let block = block(shape[1], growth);
        let layer = block.layer();
        let planar = values(1, shape.iter().product());
        let input = FeatureMap::from_planar(&planar, shape);
        let pass = layer.forward(ISA, &input);
        let gradient = values(2, planar.len());
        let given = FeatureMap::from_planar(&gradient, shape);
        let (of_input, sums) = layer.sum_gradients::<Bf16>(ISA, &pass.features, &given);
        let found = layer.backward(ISA, &input, &pass.features, &given);
        assert_eq!(found.input, of_input);

        let scaled: Vec<f32> = gradient.iter().map(|value| 0.2 * value).collect();
        assert_eq!(sums[4].to_planar(), scaled);
        let mut maps = vec![map(shape, &planar)];
        maps.extend(pass.features.iter().map(|feature| map(feature.shape(), &feature.to_planar())));
        let sums: Vec<_> = sums.iter().map(|sum| map(sum.shape(), &sum.to_planar())).collect();
        // What each map gets from each later convolution: values and magnitudes.
        let mut of_maps: Vec<(Plain, Plain)> =
            maps.iter().map(|map| (Plain::zeros(map.1.shape), Plain::zeros(map.1.shape))).collect();
        for index in 0..5 {
            let conv = Rounded::new(&block.weights[index], &block.biases[index], 3, 1);
            let (inputs, magnitudes) = both_joined(&maps[..=index]);
            let plain = conv.plain().backward(&inputs, &sums[index].1);
            let bounds = conv.of_magnitudes(&conv.biases).backward(&magnitudes, &sums[index].2);
            let pixels = shape[0] * shape[2] * shape[3];
            let what = format!("{shape:?}, weights {index}");
            assert_within(&what, &found.weights[index], &plain.1, &bounds.1, pixels);
            for (which, part) in [(0, &plain.0), (1, &bounds.0)] {
                let mut first = 0;
                for of_map in &mut of_maps[..=index] {
                    let of_map = if which == 0 { &mut of_map.0 } else { &mut of_map.1 };
                    let channels = of_map.shape[1];
                    for (at, [n, c, y, x]) in of_map.places().enumerate() {
                        of_map.values[at] += part.at(n, first + c, y as isize, x as isize);
                    }
                    first += channels;
                }
            }
        }
        for (index, (values, bounds)) in of_maps.iter().enumerate() {
            let what = format!("{shape:?}, gradient of map {index}");
            let terms = (shape[1] + 4 * growth) * 9;
            if index == 0 {
                let whole = |sum: &Plain, part: fn(f32) -> f32| -> Vec<f64> {
                    sum.values
                        .iter()
                        .zip(&gradient)
                        .map(|(sum, value)| sum + f64::from(part(*value)))
                        .collect()
                };
                let (expected, bounds) = (whole(values, |value| value), whole(bounds, f32::abs));
                assert_within(&what, &found.input.to_planar(), &expected, &bounds, terms);
            } else {
                let slope = |value: &f32| if *value > 0.0 { 1.0 } else { f64::from(0.2_f32) };
                let slopes: Vec<f64> = maps[index].0.to_planar().iter().map(slope).collect();
                let masked = |values: &Plain| -> Vec<f64> {
                    values.values.iter().zip(&slopes).map(|(value, slope)| value * slope).collect()
                };
                let sum = sums[index - 1].0.to_planar();
                assert_within(&what, &sum, &masked(values), &masked(bounds), terms);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let shape = [3, 20, 12, 10];
    let (input, weights) = (values(1, shape.iter().product()), values(2, 40 * 20 * 16));
    let block = block(20, 8);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let input = FeatureMap::from_planar(&input, shape);
            let layer = block.layer();
            let pass = layer.forward(ISA, &input);
            let gradients = layer.backward(ISA, &input, &pass.features, &input);
            let layer = Conv3x3 {
                weights: &weights[..40 * 20 * 9],
                biases: None,
                channels: (20, 40),
                factor: 2,
                slope: Some(0.2),
                edge: Edge::Replicate,
                precision: Precision::Bf16,
                kept: None,
            };
            let output = layer.forward(ISA, &input);
            let of_all = layer.backward(ISA, (Some(&input), Some(&output)), output.clone(), true);
            let layer = Conv4x4 { weights: &weights, channels: (20, 40), precision: Precision::Bf16 };
            let halved = layer.forward(ISA, &input);
            let strided = (layer.input_gradient(ISA, &halved), layer.weight_gradient(ISA, &input, &halved));
            (
                (pass.output, gradients.input, gradients.weights, gradients.biases),
                (output, of_all.input, of_all.parameters, halved, strided),
            )
        })
    };
    let alone = run(1);
    assert!([2, 3].into_iter().all(|threads| run(threads) == alone));
}

/// Both ways compute the same, but for the rounding: half a part in 256 for each side of a product.
#[test]
fn bf16_is_near_f32() {
    let shape = [1, 16, 8, 8];
    for edge in EDGES {
        let block = PlainBlock { edge, ..block(16, 16) };
        let input = FeatureMap::from_planar(&values(1, shape.iter().product()), shape);
        let layer = block.layer();
        let pass = layer.forward(ISA, &input);
        let gradient = ringed(&input, edge.ring());
        let bf16 = layer.sum_gradients::<Bf16>(ISA, &pass.features, &gradient).0.to_planar();
        let f32 = layer.sum_gradients::<Winograd>(ISA, &pass.features, &gradient).0.to_planar();
        let squares =
            |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
        let off = squares(&mut bf16.iter().zip(&f32).map(|(a, b)| a - b));
        let part = (off / squares(&mut f32.iter().copied())).sqrt();
        assert!(part > 1e-5 && part < 2.0 / 256.0, "{edge:?}: {part}");
    }
}
