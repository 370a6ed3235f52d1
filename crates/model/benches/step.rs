//! Seconds of a generator's forward and backward pass at the size of ESRGAN's training step: batch 4, HR 128, 64/23/32.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use esrgan_model::{Generator, device};
use esrgan_weights::{Activation, Family, ModelSpec, SpecParts};

fn images(side: usize) -> Tensor<4> {
    let count = 4 * 3 * side * side;
    let values: Vec<f32> = (0..count).map(|i| ((i * 7919) % 1000) as f32 / 1000.0).collect();
    Tensor::from_data(TensorData::new(values, [4, 3, side, side]), &device())
}

fn main() {
    let parts = SpecParts {
        family: Family::Rrdb,
        scale: 4,
        in_channels: 3,
        out_channels: 3,
        num_features: 64,
        num_blocks: 23,
        growth_channels: 32,
        unshuffle: 1,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    };
    let generator = Generator::new(ModelSpec::new(parts).expect("a sound network")).expect("an RRDB network");
    let parameters = generator.initial(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    pool.install(|| {
        for _ in 0..4 {
            let start = Instant::now();
            let leaves = parameters.tracked();
            let output = generator.forward(&leaves, images(32));
            let forward = start.elapsed().as_secs_f64();
            let gradients = (output - images(128)).abs().mean().backward();
            let found = leaves.gradients(&gradients);
            let total = start.elapsed().as_secs_f64();
            println!("forward {forward:.3} s, with backward {total:.3} s, {} gradients", found.len());
        }
    });
}
