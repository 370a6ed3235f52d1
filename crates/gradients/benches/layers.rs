//! Milliseconds of layers, forward and backward, at the sizes of the built-in model's training step: batch 4, HR 96, and VGG16; with
//! GFLOP/s, counted as the direct convolution's.

use std::time::Instant;

use esrgan_gradients::{Conv3x3, DenseBlock, Edge, FeatureMap, Isa, KeptFilters, Precision};

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919) % 1000) as f32 / 10_000.0 - 0.05).collect()
}

/// The median of some rounds, in ms.
fn median(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn dense_block(isa: Isa) {
    let (features, growth) = (64, 32);
    let channels = |index: usize| (features + index * growth, if index == 4 { features } else { growth });
    let weights: Vec<Vec<f32>> = (0..5).map(|i| values(channels(i).0 * channels(i).1 * 9)).collect();
    let biases: Vec<Vec<f32>> = (0..5).map(|i| values(channels(i).1)).collect();
    let block = DenseBlock {
        weights: std::array::from_fn(|i| weights[i].as_slice()),
        biases: std::array::from_fn(|i| biases[i].as_slice()),
        features,
        growth,
        scale: 0.2,
        edge: Edge::Zero,
        precision: Precision::F32,
    };
    let shape = [4, 64, 24, 24];
    let planar = values(shape.iter().product());
    let input = FeatureMap::from_planar(&planar, shape);
    let forward = median(|| drop(block.forward(isa, &input)));
    let pass = block.forward(isa, &input);
    let backward = median(|| drop(block.backward(isa, &input, &pass.features, &input)));
    let layout = median(|| drop(FeatureMap::from_planar(&planar, shape).to_planar()));
    println!(
        "dense block 64/32, 4 x 24x24: forward {forward:.1} backward {backward:.1} layout there and back {layout:.1} ms"
    );
}

fn convolution(isa: Isa, inputs: usize, outputs: usize, side: usize) {
    let (weights, biases) = (values(inputs * outputs * 9), values(outputs));
    let kept = KeptFilters::default();
    let layer = Conv3x3 {
        weights: &weights,
        biases: Some(&biases),
        channels: (inputs, outputs),
        factor: 1,
        slope: Some(0.2),
        edge: Edge::Zero,
        precision: Precision::F32,
        kept: Some(&kept),
    };
    let shape = [4, inputs, side, side];
    let input = FeatureMap::from_planar(&values(shape.iter().product()), shape);
    let output = layer.forward(isa, &input);
    let forward = median(|| drop(layer.forward(isa, &input)));
    let of_input = median(|| drop(layer.backward(isa, (None, Some(&output)), output.clone(), true)));
    let of_all = median(|| drop(layer.backward(isa, (Some(&input), Some(&output)), output.clone(), true)));
    let gflop = 2.0 * (4 * inputs * outputs * 9 * side * side) as f64 / 1e9;
    let rate = |ms: f64| gflop / ms * 1e3;
    println!(
        "3x3 {inputs} to {outputs}, 4 x {side}x{side}: forward {forward:.2} backward {of_input:.2}, with weights {of_all:.2} ms; {:.0}, {:.0}, {:.0} GFLOP/s",
        rate(forward),
        rate(of_input),
        rate(of_all - of_input)
    );
}

fn main() {
    let threads: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let isa = Isa::detect();
    println!("{isa}, {threads} threads");
    pool.install(|| {
        dense_block(isa);
        for (inputs, outputs, side) in [
            (64, 64, 96),
            (64, 128, 48),
            (128, 128, 48),
            (128, 256, 24),
            (256, 256, 24),
            (256, 512, 12),
            (512, 512, 12),
            (512, 512, 6),
            (3, 64, 96),
            (64, 32, 24),
            (96, 32, 24),
            (160, 32, 24),
            (192, 64, 24),
            (64, 64, 24),
        ] {
            convolution(isa, inputs, outputs, side);
        }
    });
}
