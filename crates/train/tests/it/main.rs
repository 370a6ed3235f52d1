//! Training against PyTorch, and bf16 against `f32`.

mod bf16;
mod devices;
mod goldens;
mod losses;
mod unet;

use esrgan_model::Generator;
use esrgan_weights::{Activation, Family, ModelSpec, SpecParts};

/// RRDBs of 16 channels that grow by 8, for x4.
fn small_generator(num_blocks: usize) -> Generator {
    let parts = SpecParts {
        family: Family::Rrdb,
        scale: 4,
        in_channels: 3,
        out_channels: 3,
        num_features: 16,
        num_blocks,
        growth_channels: 8,
        unshuffle: 1,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    };
    Generator::new(ModelSpec::new(parts).expect("a sound network")).expect("an RRDB network")
}
