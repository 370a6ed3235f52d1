//! Gradients against finite differences of the layers' definitions in f64: nothing here knows how a gradient is derived.

use super::*;
use crate::tests::{EDGES, Plain, PlainBlock, PlainConv, available, enlarged, joined, values, with_edges};

/// Half the distance between the two values of a difference: so small that no kink of an activation lies between, and large
/// against the rounding of f64.
const STEP: f32 = 1.0 / 262_144.0;
/// Of the largest difference: the kernels' own rounding, and kinks.
const BOUND: f64 = 2e-3;

/// The loss of some vectors by a definition, with its gradient as a layer finds it.
fn assert_differences(
    what: &str,
    vectors: &[Vec<f32>],
    gradients: &[Vec<f32>],
    loss: impl Fn(&[Vec<f32>]) -> f64,
) {
    assert_eq!(vectors.len(), gradients.len(), "{what}");
    let mut vectors = vectors.to_vec();
    for (number, gradient) in gradients.iter().enumerate() {
        assert_eq!(vectors[number].len(), gradient.len(), "{what}, vector {number}");
        // Some forty places of each.
        let places: Vec<usize> = (0..gradient.len()).step_by(gradient.len().div_ceil(40)).collect();
        let mut difference = |place: usize| {
            let value = vectors[number][place];
            let mut at = |moved: f32| {
                vectors[number][place] = moved;
                loss(&vectors)
            };
            let (above, below) = (value + STEP, value - STEP);
            let found = (at(above) - at(below)) / (f64::from(above) - f64::from(below));
            at(value);
            found
        };
        let differences: Vec<f64> = places.iter().map(|place| difference(*place)).collect();
        let largest = differences.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest > 0.0, "{what}, vector {number}: a loss that does not depend on it");
        for (place, difference) in places.iter().zip(&differences) {
            let found = f64::from(gradient[*place]);
            assert!(
                (found - difference).abs() <= BOUND * largest,
                "{what}, vector {number}, place {place}: {found} where the difference is {difference}"
            );
        }
    }
}

fn leaky(map: &mut Plain, slope: f32) {
    map.values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value *= f64::from(slope));
}

fn weighted(values: &[f64], weights: &[f32]) -> f64 {
    values.iter().zip(weights).map(|(value, weight)| value * f64::from(*weight)).sum()
}

#[test]
fn gradients_of_convolutions_are_differences() {
    let cases = [([2, 5, 6, 7], 18, 1), ([1, 17, 4, 3], 5, 2)];
    for ((shape @ [n, channels, h, w], out, factor), edge) in with_edges(cases) {
        let what = format!("{shape:?} to {out}, enlarged {factor}, {edge:?}");
        let slope = 0.2;
        let vectors =
            [values(1, shape.iter().product()), values(2, out * channels * 9), values(3, out)].to_vec();
        let weighting = values(4, n * out * h * w * factor * factor);
        let loss = |vectors: &[Vec<f32>]| {
            let conv = PlainConv { weights: &vectors[1], biases: &vectors[2], side: 3, stride: 1, edge };
            let mut output = conv.forward(&enlarged(&Plain::new(shape, &vectors[0]), factor));
            leaky(&mut output, slope);
            weighted(&output.values, &weighting)
        };
        for isa in available() {
            let layer = Conv3x3 {
                weights: &vectors[1],
                biases: Some(&vectors[2]),
                channels: (channels, out),
                factor,
                slope: Some(slope),
                edge,
                precision: Precision::F32,
                kept: None,
            };
            let input = FeatureMap::from_planar(&vectors[0], shape);
            let output = layer.forward(isa, &input);
            let gradient = FeatureMap::from_planar(&weighting, output.shape());
            let found = layer.backward(isa, (Some(&input), Some(&output)), gradient, true);
            let (of_weights, of_biases) = found.parameters.expect("gradients of the parameters");
            let of_input = found.input.expect("the gradient of the input").to_planar();
            assert_differences(&what, &vectors, &[of_input, of_weights, of_biases], loss);
        }
    }
}

#[test]
fn gradients_of_strided_convolutions_are_differences() {
    let (shape @ [n, channels, h, w], out) = ([2, 18, 6, 8], 5);
    let vectors = [values(1, shape.iter().product()), values(2, out * channels * 16)].to_vec();
    let weighting = values(4, n * out * h / 2 * w / 2);
    let loss = |vectors: &[Vec<f32>]| {
        let conv =
            PlainConv { weights: &vectors[1], biases: &vec![0.0; out], side: 4, stride: 2, edge: Edge::Zero };
        weighted(&conv.forward(&Plain::new(shape, &vectors[0])).values, &weighting)
    };
    for isa in available() {
        let layer = Conv4x4 { weights: &vectors[1], channels: (channels, out), precision: Precision::F32 };
        let input = FeatureMap::from_planar(&vectors[0], shape);
        let gradient = FeatureMap::from_planar(&weighting, [n, out, h / 2, w / 2]);
        let of_input = layer.input_gradient(isa, &gradient).to_planar();
        let of_weights = layer.weight_gradient(isa, &input, &gradient);
        assert_differences("4x4", &vectors, &[of_input, of_weights], loss);
    }
}

#[test]
fn gradients_of_dense_blocks_are_differences() {
    let (shape, growth) = ([1, 18, 5, 6], 7);
    for edge in EDGES {
        let block = PlainBlock { edge, ..PlainBlock::new(shape[1], growth) };
        let mut vectors = vec![values(1, shape.iter().product())];
        vectors.extend(block.weights.iter().chain(&block.biases).cloned());
        let weighting = values(2, vectors[0].len());
        let loss = |vectors: &[Vec<f32>]| {
            let conv = |index: usize| PlainConv {
                weights: &vectors[1 + index],
                biases: &vectors[6 + index],
                side: 3,
                stride: 1,
                edge,
            };
            let mut maps = vec![Plain::new(shape, &vectors[0])];
            for index in 0..4 {
                let mut feature = conv(index).forward(&joined(&maps));
                leaky(&mut feature, 0.2);
                maps.push(feature);
            }
            let last = conv(4).forward(&joined(&maps)).values;
            let output: Vec<f64> =
                last.iter().zip(&maps[0].values).map(|(sum, x)| f64::from(0.2_f32) * sum + x).collect();
            weighted(&output, &weighting)
        };
        for isa in available() {
            let layer = block.layer();
            let input = FeatureMap::from_planar(&vectors[0], shape);
            let pass = layer.forward(isa, &input);
            let gradient = FeatureMap::from_planar(&weighting, shape);
            let found = layer.backward(isa, &input, &pass.features, &gradient);
            let mut gradients = vec![found.input.to_planar()];
            gradients.extend(found.weights.into_iter().chain(found.biases));
            assert_differences("dense block", &vectors, &gradients, loss);
        }
    }
}
