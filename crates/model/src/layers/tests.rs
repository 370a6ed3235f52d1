//! Layers and their gradients on each device beside the processor's own.

use burn::tensor::{Tensor, TensorData};

use super::*;
use crate::device::ComputeDevice;
use crate::reduction::{sum, to_host};

/// How far a value may lie from the processor's, as a part of the largest in magnitude of its tensor.
///
/// Sums have up to 512 terms, of which about as many in magnitude as their root add up, and the processor's own by
/// Winograd's transforms lose up to five bits: together fewer than 32 + sqrt(512) roundings for one sum, and five follow each other
/// in a dense block.
const PART: f64 = 5.0 * 55.0 * f32::EPSILON as f64;

/// Values in -1..1 by a formula.
fn values(seed: u64, count: usize) -> Vec<f32> {
    let value = |index: usize| {
        let mixed = (seed * 1_000_003 + index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed >> 40) as f32 / (1 << 24) as f32) * 2.0 - 1.0
    };
    (0..count).map(value).collect()
}

/// Devices that are compared with the processor's own layers.
pub(crate) fn devices() -> Vec<ComputeDevice> {
    #[cfg(not(feature = "vulkan"))]
    return vec![ComputeDevice::Reference];
    #[cfg(feature = "vulkan")]
    {
        let shown: Vec<_> =
            crate::vulkan::VulkanDevice::all().into_iter().map(ComputeDevice::Vulkan).collect();
        if shown.is_empty() {
            eprintln!("SKIPPED: Vulkan shows no device that can be opened");
        }
        std::iter::once(ComputeDevice::Reference).chain(shown).collect()
    }
}

/// A layer over a map with parameters.
struct Case {
    name: &'static str,
    shape: [usize; 4],
    parameters: Vec<usize>,
    layer: fn(Map, Vec<Tensor<1>>) -> Map,
}

/// The output, and the gradients of the input and of the parameters of a sum of products of the output.
fn computed(case: &Case, device: ComputeDevice) -> Vec<Vec<f32>> {
    computed_with(case, Arithmetic::on(device), 1.0)
}

/// As [`computed`]; the gradients of the sum times a number, and divided by it.
fn computed_with(case: &Case, arithmetic: Arithmetic, scale: f32) -> Vec<Vec<f32>> {
    let tensors = arithmetic.device.tensors();
    let leaf = |seed: usize, count: usize| {
        Tensor::<1>::from_data(TensorData::new(values(seed as u64, count), [count]), &tensors).require_grad()
    };
    let input = leaf(1, case.shape.iter().product());
    let parameters: Vec<_> =
        case.parameters.iter().enumerate().map(|(place, count)| leaf(place + 2, *count)).collect();
    let map = Map::of_images(input.clone().reshape(case.shape), arithmetic).computed_with(arithmetic);
    let output = (case.layer)(map, parameters.clone()).into_images();
    let factors = values(99, output.shape().num_elements());
    let factors = Tensor::<4>::from_data(TensorData::new(factors, output.shape()), &tensors);
    let gradients = sum(output.clone() * factors).mul_scalar(scale).backward();
    let leaves = std::iter::once(&input).chain(&parameters);
    let gradient = |leaf: &Tensor<1>| leaf.grad(&gradients).map(|found| to_host(found.div_scalar(scale)));
    let of_leaves = leaves.map(|leaf| gradient(leaf).unwrap_or_default());
    std::iter::once(to_host(output)).chain(of_leaves).collect()
}

fn dense_block(map: Map, p: Vec<Tensor<1>>) -> Map {
    let part = |first: usize| std::array::from_fn(|place| p[first + place].clone());
    map.dense_block(part(0), part(5), 0.2)
}

fn cases() -> Vec<Case> {
    let case = |name, shape, parameters: &[usize], layer| Case {
        name,
        shape,
        parameters: parameters.to_vec(),
        layer,
    };
    vec![
        case("conv3x3", [2, 5, 6, 9], &[19 * 5 * 9, 19], |map, mut p| {
            let biases = p.remove(1);
            map.conv3x3(p.remove(0), biases, 1, None)
        }),
        case("conv3x3, enlarged, with a slope", [1, 8, 8, 5], &[16 * 8 * 9, 16], |map, mut p| {
            let biases = p.remove(1);
            map.conv3x3(p.remove(0), biases, 2, Some(0.2))
        }),
        case("conv3x3 without biases", [1, 4, 5, 5], &[4 * 4 * 9], |map, mut p| {
            map.conv3x3_without_biases(p.remove(0), 4, Some(0.0))
        }),
        case("conv4x4", [2, 6, 8, 12], &[10 * 6 * 16], |map, mut p| map.conv4x4(p.remove(0), 10)),
        case(
            "dense block",
            [2, 8, 7, 6],
            &[4 * 8 * 9, 4 * 12 * 9, 4 * 16 * 9, 4 * 20 * 9, 8 * 24 * 9, 4, 4, 4, 4, 8],
            dense_block,
        ),
        case("conv3x3, the edge repeated", [2, 5, 6, 9], &[7 * 5 * 9, 7], |map, mut p| {
            let biases = p.remove(1);
            map.with_edge(Edge::Replicate).conv3x3(p.remove(0), biases, 1, Some(0.2))
        }),
        case("conv3x3, enlarged, the edge repeated", [1, 4, 1, 5], &[3 * 4 * 9, 3], |map, mut p| {
            let biases = p.remove(1);
            map.with_edge(Edge::Replicate).conv3x3(p.remove(0), biases, 2, None)
        }),
        case(
            "dense block, the edge repeated",
            [2, 8, 4, 6],
            &[4 * 8 * 9, 4 * 12 * 9, 4 * 16 * 9, 4 * 20 * 9, 8 * 24 * 9, 4, 4, 4, 4, 8],
            |map, p| dense_block(map.with_edge(Edge::Replicate), p),
        ),
        case("batch norm", [3, 5, 4, 6], &[5, 5], |map, mut p| {
            let shifts = p.remove(1);
            map.batch_norm(p.remove(0), shifts, 0.2, &Seen::default())
        }),
        case("relu", [1, 3, 4, 4], &[], |map, _| map.relu()),
        case("leaky relu", [1, 3, 4, 4], &[], |map, _| map.leaky_relu(0.2)),
        case("bilinear", [2, 3, 5, 4], &[], |map, _| map.enlarged_bilinear()),
        case("bilinear of a pixel", [1, 2, 1, 3], &[], |map, _| map.enlarged_bilinear()),
        case("max pool", [2, 3, 7, 6], &[], |map, _| map.max_pool()),
        case("plus", [2, 3, 3, 4], &[], |map, _| map.clone().plus(map.detached())),
    ]
}

#[test]
fn every_layer_and_its_gradients_are_the_processors() {
    let expected: Vec<_> = cases().iter().map(|case| computed(case, ComputeDevice::Processor)).collect();
    let mut wrong = Vec::new();
    for device in devices() {
        for (case, expected) in cases().iter().zip(&expected) {
            let found = computed(case, device);
            assert_eq!(found.len(), 2 + case.parameters.len());
            for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_eq!(found.len(), expected.len(), "{}, tensor {place}", case.name);
                let largest = expected.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
                let off = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
                let off = off.fold(0.0, f64::max);
                if off > PART * largest || largest == 0.0 || found.iter().any(|value| !value.is_finite()) {
                    wrong.push(format!(
                        "{device:?}: {}, tensor {place}: off by {off:e} of {largest:e}",
                        case.name
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_device_gives_the_same_bits_twice() {
    for device in devices() {
        for case in cases() {
            assert_eq!(computed(&case, device), computed(&case, device), "{device:?}: {}", case.name);
        }
    }
}

#[test]
fn statistics_are_those_of_the_processor() {
    let statistics = |device: ComputeDevice| {
        let images = Tensor::<4>::from_data(TensorData::new(values(3, 240), [2, 5, 4, 6]), &device.tensors());
        let constant = |value: f32| Tensor::<1>::full([5], value, &device.tensors());
        let seen = Seen::default();
        let map = Map::of_images(images, Arithmetic::on(device));
        let _ = map.batch_norm(constant(1.0), constant(0.0), 0.2, &seen);
        match seen.take().expect("statistics of a batch") {
            Statistics::Host(statistics) => statistics,
            Statistics::Device(found) => BatchStatistics {
                means: to_host(found.means),
                variances: to_host(found.variances),
                count: found.count,
            },
        }
    };
    let expected = statistics(ComputeDevice::Processor);
    for device in devices() {
        let found = statistics(device);
        assert_eq!(found.count, expected.count);
        let pairs =
            found.means.iter().chain(&found.variances).zip(expected.means.iter().chain(&expected.variances));
        for (found, expected) in pairs {
            // A sum of 48 values in -1..1, divided by their number.
            assert!((found - expected).abs() <= 48.0 * f32::EPSILON, "{device:?}: {found} for {expected}");
        }
    }
}

/// Products of half precision with sums in `f32`: near those of `f32`, however small the gradients are; other numbers.
#[cfg(feature = "vulkan")]
#[test]
fn half_precision_stays_with_f32() {
    use esrgan_gradients::Precision;

    let mut wrong = Vec::new();
    for device in devices() {
        let arithmetic = Arithmetic { precision: Precision::Bf16, ..Arithmetic::on(device) };
        let Some(half) = arithmetic.half() else {
            if device != ComputeDevice::Reference {
                eprintln!("SKIPPED: {device:?} has no half precision");
            }
            continue;
        };
        // Both factors are rounded by up to half a unit of their last place; up to five sums follow each other, whose errors a few
        // hundred products average out. A leaky ReLU may change sides where its input is next to nothing, by as much.
        let part = 5.0 * if half == Half::Bf16 { 1.0 / 256.0 } else { 1.0 / 2048.0 };
        for case in cases().iter().filter(|case| case.name.contains("conv3x3") || case.name.contains("dense"))
        {
            let expected = computed(case, ComputeDevice::Processor);
            for scale in [1.0, 2.0_f32.powi(-30)] {
                let found = computed_with(case, arithmetic, scale);
                assert_ne!(found, expected, "{device:?}: {}", case.name);
                for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let largest =
                        expected.iter().fold(0.0_f64, |most, value| most.max(f64::from(value.abs())));
                    let off =
                        found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
                    if off > part * largest || found.iter().any(|value| !value.is_finite()) {
                        let name = case.name;
                        wrong.push(format!(
                            "{device:?}: {name}, x{scale:e}, tensor {place}: off by {off:e} of {largest:e}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Channels of a pixel of an image batch.
fn vector(values: &[f32], [_, channels, height, width]: [usize; 4], pixel: usize) -> Vec<f64> {
    let (sample, place) = (pixel / (height * width), pixel % (height * width));
    let index = |channel| (sample * channels + channel) * height * width + place;
    (0..channels).map(|channel| f64::from(values[index(channel)])).collect()
}

#[test]
fn cosines_and_their_gradients_are_those_of_the_formula() {
    let shape = [2, 19, 3, 5];
    let (channels, pixels) = (shape[1], shape[0] * shape[2] * shape[3]);
    let count = channels * pixels;
    let (mut found, other) = (values(3, count), values(4, count));
    // The last pixel has no direction.
    (0..channels).for_each(|channel| found[(channels + channel) * 15 + 14] = 0.0);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut expected, mut slopes) = (0.0, vec![vec![0.0; channels]; pixels]);
    for (pixel, slopes) in slopes.iter_mut().enumerate().take(pixels - 1) {
        let (a, b) = (vector(&found, shape, pixel), vector(&other, shape, pixel));
        let (length, lengths) = (dot(&a, &a), (dot(&a, &a) * dot(&b, &b)).sqrt());
        let cosine = dot(&a, &b) / lengths;
        expected += cosine;
        for (slope, (a, b)) in slopes.iter_mut().zip(a.iter().zip(&b)) {
            *slope = b / lengths - cosine * a / length;
        }
    }
    for device in std::iter::once(ComputeDevice::Processor).chain(devices()) {
        let tensors = device.tensors();
        let leaf = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [count]), &tensors).require_grad()
        };
        let (input, truth) = (leaf(&found), leaf(&other));
        let map = |leaf: &Tensor<1>| Map::of_images(leaf.clone().reshape(shape), Arithmetic::on(device));
        let cosines = map(&input).cosines(map(&truth));
        let gradients = cosines.backward();
        assert!((f64::from(to_host(cosines)[0]) - expected).abs() < 1e-4, "{device:?}");
        let gradient = to_host(input.grad(&gradients).unwrap());
        for (pixel, slopes) in slopes.iter().enumerate().take(pixels - 1) {
            for (found, slope) in vector(&gradient, shape, pixel).iter().zip(slopes) {
                assert!((found - slope).abs() < 1e-5, "{device:?}, pixel {pixel}: {found} {slope}");
            }
        }
        assert!(gradient.iter().all(|value| value.is_finite()), "{device:?}");
        assert!(truth.grad(&gradients).is_none(), "the truth gets none");
    }
}

#[test]
fn unit_vectors_and_their_gradients_are_those_of_the_formula() {
    let shape = [2, 19, 3, 5];
    let (channels, pixels) = (shape[1], shape[0] * shape[2] * shape[3]);
    let count = channels * pixels;
    let (mut input, factors) = (values(3, count), values(4, count));
    // The last pixel has no direction.
    (0..channels).for_each(|channel| input[(channels + channel) * 15 + 14] = 0.0);
    let mean = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / channels as f64;
    for device in std::iter::once(ComputeDevice::Processor).chain(devices()) {
        let tensors = device.tensors();
        let leaf =
            |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [count]), &tensors);
        let leaf_in = leaf(&input).require_grad();
        let map = Map::of_images(leaf_in.clone().reshape(shape), Arithmetic::on(device)).unit_vectors();
        let images = map.into_images();
        let gradients = sum(images.clone() * leaf(&factors).reshape(shape)).backward();
        let (found, slopes) = (to_host(images), to_host(leaf_in.grad(&gradients).unwrap()));
        assert!(found.iter().all(|value| value.is_finite()), "{device:?}");
        for pixel in 0..pixels {
            let (x, g) = (vector(&input, shape, pixel), vector(&factors, shape, pixel));
            let root = mean(&x, &x).sqrt();
            let y: Vec<f64> = x.iter().map(|value| if root > 0.0 { value / root } else { 0.0 }).collect();
            for (found, expected) in vector(&found, shape, pixel).iter().zip(&y) {
                assert!((found - expected).abs() < 1e-5, "{device:?}, pixel {pixel}: {found} {expected}");
            }
            let along = mean(&y, &g);
            let expected = y.iter().zip(&g).map(|(y, g)| (g - y * along) / root);
            for (found, expected) in
                vector(&slopes, shape, pixel).iter().zip(expected).take_while(|_| root > 0.0)
            {
                assert!((found - expected).abs() < 1e-5, "{device:?}, pixel {pixel}: {found} {expected}");
            }
        }
    }
}
