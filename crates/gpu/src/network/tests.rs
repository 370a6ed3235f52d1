//! Networks on a device against the CPU engine, in every layout that a model may have.

use std::ops::ControlFlow;

use esrgan_core::Plane;
use esrgan_engine::{Edge, Engine, EngineError, Network, Plan, Precision, RunOptions};
use esrgan_weights::{Activation, Family, Model, ModelSpec, SpecParts, Tensor, WeightMap};

use super::run::Needs;
use super::{GpuNetwork, STRIP_BYTES};
use crate::device::{Gpu, tests::gpu};
use crate::error::GpuError;
use crate::kernels::tests::Numbers;

fn rrdb(family: Family, unshuffle: usize, upsampling: &[usize]) -> SpecParts {
    SpecParts {
        family,
        scale: upsampling.iter().product::<usize>() / unshuffle,
        in_channels: 3,
        out_channels: 3,
        num_features: 16,
        num_blocks: 2,
        growth_channels: 8,
        unshuffle,
        upsampling: upsampling.to_vec(),
        activation: Activation::LeakyRelu,
    }
}

fn compact(activation: Activation) -> SpecParts {
    SpecParts {
        family: Family::Compact,
        num_features: 12,
        num_blocks: 3,
        growth_channels: 0,
        upsampling: Vec::new(),
        scale: 3,
        activation,
        ..rrdb(Family::Compact, 1, &[3])
    }
}

/// A model of drawn weights, small enough that values stay about one.
fn model(parts: SpecParts) -> Model {
    let spec = ModelSpec::new(parts).unwrap();
    let mut numbers = Numbers(7);
    let mut weights = WeightMap::new();
    for (name, shape) in spec.tensors() {
        let inputs: usize = shape[1..].iter().product::<usize>().max(1);
        let scale = (1.0 / inputs as f32).sqrt();
        let values: Vec<f32> =
            numbers.many(shape.iter().product()).into_iter().map(|value| value * scale).collect();
        weights.insert(name, Tensor::from_f32(shape, &values).unwrap());
    }
    Model::in_memory(spec, weights).unwrap()
}

fn picture(channels: usize, (width, height): (usize, usize)) -> Vec<Plane> {
    let mut numbers = Numbers(9);
    (0..channels)
        .map(|_| {
            let mut plane = Plane::filled(width, height, 0.0);
            plane.samples_mut().iter_mut().for_each(|sample| *sample = numbers.next().abs());
            plane
        })
        .collect()
}

fn collect(run: impl FnOnce(&mut (dyn FnMut(usize, &[&[f32]]) + Send))) -> Vec<f32> {
    let mut values = Vec::new();
    let mut next = 0;
    run(&mut |y, channels| {
        assert_eq!(y, next, "rows come from the top");
        next += 1;
        channels.iter().for_each(|row| values.extend_from_slice(row));
    });
    values
}

fn on_cpu(model: &Model, planes: &[Plane], edge: Edge) -> Vec<f32> {
    let engine = Engine::new(Some(2), None).unwrap();
    let network = Network::new(model, Precision::F32).unwrap();
    let options = RunOptions { edge, ..RunOptions::default() };
    let plan = Plan::new(&network, planes[0].width(), planes[0].height(), &options).unwrap();
    collect(|mut sink| {
        engine.run(&network, &plan, planes, &mut sink, &|_| ControlFlow::Continue(())).unwrap();
    })
}

fn on_gpu(network: &GpuNetwork, planes: &[Plane], edge: Edge) -> Vec<f32> {
    collect(|mut sink| network.run(planes, edge, &mut sink, &|_| ControlFlow::Continue(())).unwrap())
}

/// Decibels of the largest value over the mean square of differences.
fn decibels(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let peak = expected.iter().fold(0.0_f32, |peak, value| peak.max(value.abs()));
    let squares: f64 =
        expected.iter().zip(found).map(|(expected, found)| f64::from(expected - found).powi(2)).sum();
    10.0 * (f64::from(peak).powi(2) * expected.len() as f64 / squares.max(1e-300)).log10()
}

fn compare(gpu: &Gpu, parts: SpecParts, size: (usize, usize), edge: Edge) {
    let model = model(parts.clone());
    let planes = picture(parts.in_channels, size);
    let expected = on_cpu(&model, &planes, edge);
    let mut precisions = vec![(Precision::F32, 100.0)];
    if gpu.info().has_f16 {
        precisions.push((Precision::F16, 50.0));
    }
    for (precision, least) in precisions {
        let network = GpuNetwork::new(gpu, &model, precision).unwrap();
        let found = on_gpu(&network, &planes, edge);
        let reached = decibels(&expected, &found);
        assert!(reached >= least, "{parts:?} {size:?} {edge:?} {}: {reached:.1} dB", precision.name());
        // Plainly, then recorded, then repeated from the record.
        for _ in 0..3 {
            let again = on_gpu(&network, &planes, edge);
            assert!(found.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()), "the same bits again");
        }
    }
}

#[test]
fn networks_give_what_the_cpu_gives() {
    let Some(gpu) = gpu() else { return };
    compare(&gpu, rrdb(Family::Rrdb, 1, &[2, 2]), (11, 9), Edge::Zero);
    compare(&gpu, rrdb(Family::Rrdb, 4, &[2, 2]), (11, 9), Edge::Zero);
    compare(&gpu, rrdb(Family::EsrganPlus, 1, &[3]), (7, 5), Edge::Zero);
    compare(&gpu, compact(Activation::PRelu), (7, 6), Edge::Zero);
    compare(&gpu, compact(Activation::LeakyRelu), (5, 8), Edge::Zero);
}

#[test]
fn edges_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for edge in [Edge::Replicate, Edge::Reflect, Edge::Wrap] {
        compare(&gpu, rrdb(Family::Rrdb, 1, &[2]), (7, 6), edge);
    }
    compare(&gpu, rrdb(Family::Rrdb, 1, &[2]), (1, 1), Edge::Reflect);
}

#[test]
fn strips_give_the_bits_of_the_whole() {
    let Some(gpu) = gpu() else { return };
    let model = model(rrdb(Family::Rrdb, 1, &[2]));
    let planes = picture(3, (6, 21));
    for edge in [Edge::Zero, Edge::Reflect] {
        let mut network = GpuNetwork::new(&gpu, &model, Precision::F32).unwrap();
        let whole = on_gpu(&network, &planes, edge);
        network.strip_bytes = 1;
        assert_eq!(
            Needs::new(&network, 1, (21, 6), edge).strips(),
            6,
            "four rows of the trunk each, at least"
        );
        let found = on_gpu(&network, &planes, edge);
        assert!(whole.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "{edge:?}");
    }
}

#[test]
fn pictures_together_give_the_bits_of_each_alone() {
    let Some(gpu) = gpu() else { return };
    let pictures: Vec<Vec<Plane>> = (0..3)
        .map(|number| {
            let mut planes = picture(3, (9, 14));
            planes.iter_mut().for_each(|plane| plane.samples_mut().rotate_left(number * 31));
            planes
        })
        .collect();
    let pictures: Vec<&[Plane]> = pictures.iter().map(Vec::as_slice).collect();
    for parts in [rrdb(Family::Rrdb, 1, &[2]), rrdb(Family::EsrganPlus, 2, &[2]), compact(Activation::PRelu)]
    {
        for precision in [Precision::F32, Precision::F16] {
            let model = model(parts.clone());
            let mut network = GpuNetwork::new(&gpu, &model, gpu.precision_for(Some(precision))).unwrap();
            // The second time in strips.
            for strip_bytes in [STRIP_BYTES, 1] {
                network.strip_bytes = strip_bytes;
                let mut together = vec![Vec::new(); pictures.len()];
                let mut next = vec![0; pictures.len()];
                let mut take = |number: usize, y: usize, channels: &[&[f32]]| {
                    assert!(y == next[number] && next[..number].iter().all(|before| *before > y));
                    next[number] += 1;
                    channels.iter().for_each(|row| together[number].extend_from_slice(row));
                };
                let forward = |_: f64| ControlFlow::Continue(());
                network.run_together(&pictures, Edge::Replicate, &mut take, &forward).unwrap();
                for (planes, found) in pictures.iter().zip(&together) {
                    let alone = on_gpu(&network, planes, Edge::Replicate);
                    assert_eq!(alone.len(), found.len());
                    assert!(alone.iter().zip(found).all(|(a, b)| a.to_bits() == b.to_bits()), "{parts:?}");
                }
            }
        }
    }
    let network = GpuNetwork::new(&gpu, &model(compact(Activation::PRelu)), Precision::F32).unwrap();
    let other = picture(3, (9, 13));
    for pictures in [&[pictures[0], &other][..], &[]] {
        let mut nowhere = |_: usize, _: usize, _: &[&[f32]]| panic!("no row is handed over");
        let result = network.run_together(pictures, Edge::Zero, &mut nowhere, &|_| ControlFlow::Continue(()));
        assert!(matches!(result, Err(GpuError::Engine(EngineError::Size { .. }))));
    }
}

#[test]
fn a_record_serves_other_pictures_and_other_threads() {
    let Some(gpu) = gpu() else { return };
    let model = model(rrdb(Family::Rrdb, 1, &[2]));
    let network = GpuNetwork::new(&gpu, &model, Precision::F32).unwrap();
    let first = picture(3, (5, 4));
    let mut second = first.clone();
    second[1].samples_mut().iter_mut().for_each(|sample| *sample = 1.0 - *sample);
    for _ in 0..3 {
        on_gpu(&network, &first, Edge::Zero);
    }
    assert!(network.kept.lock().unwrap().as_ref().unwrap().recording.is_recorded());
    assert!(decibels(&on_cpu(&model, &second, Edge::Zero), &on_gpu(&network, &second, Edge::Zero)) > 100.0);
    let elsewhere =
        std::thread::scope(|scope| scope.spawn(|| on_gpu(&network, &first, Edge::Zero)).join().unwrap());
    assert!(decibels(&on_cpu(&model, &first, Edge::Zero), &elsewhere) > 100.0);
    assert!(network.seconds(&first, 2).unwrap().iter().all(|seconds| *seconds > 0.0));
}

#[test]
fn what_is_no_number_is_named() {
    let Some(gpu) = gpu() else { return };
    let mut model = model(rrdb(Family::Rrdb, 1, &[2]));
    let bias = Tensor::from_f32(vec![3], &[0.0, f32::NAN, 0.0]).unwrap();
    model.weights.insert("conv_last.bias".to_owned(), bias);
    let network = GpuNetwork::new(&gpu, &model, Precision::F32).unwrap();
    let mut sink = |_: usize, _: &[&[f32]]| panic!("no row is handed over");
    let result = network.run(&picture(3, (4, 4)), Edge::Zero, &mut sink, &|_| ControlFlow::Continue(()));
    match result {
        Err(GpuError::Engine(EngineError::NotFinite { channel: 1, x: 0, y: 0, value })) => {
            assert!(value.is_nan());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_beyond_the_device_is_refused_and_the_device_goes_on() {
    let Some(gpu) = gpu() else { return };
    let model = model(rrdb(Family::Rrdb, 1, &[2]));
    let network = GpuNetwork::new(&gpu, &model, Precision::F32).unwrap();
    let (needed, largest) = network.bytes(1, (100_000, 100_000), Edge::Zero);
    assert!(needed > largest && largest > gpu.info().largest_buffer_bytes, "{needed} {largest}");
    // A picture of that size would take gigabytes on the host: its buffers are asked for alone.
    assert!(matches!(
        network.workspace(1, (100_000, 100_000), Edge::Zero),
        Err(GpuError::OutOfMemory { needed_bytes }) if needed_bytes > largest
    ));
    let planes = picture(3, (4, 4));
    assert!(decibels(&on_cpu(&model, &planes, Edge::Zero), &on_gpu(&network, &planes, Edge::Zero)) > 100.0);
}

#[test]
fn a_run_stops_where_it_is_asked_to() {
    let Some(gpu) = gpu() else { return };
    let network = GpuNetwork::new(&gpu, &model(rrdb(Family::Rrdb, 1, &[2])), Precision::F32).unwrap();
    let mut sink = |_: usize, _: &[&[f32]]| {};
    let result = network.run(&picture(3, (4, 4)), Edge::Zero, &mut sink, &|_| ControlFlow::Break(()));
    assert!(matches!(result, Err(GpuError::Engine(EngineError::Cancelled))));
}
