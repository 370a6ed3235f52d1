//! How long a Kodak-sized picture takes to become four times smaller: MATLAB's cubic beside the SIMD resizer that the other
//! filters use, with half and with one and a half times as many taps. `cargo bench -p esrgan-image`.

use std::hint::black_box;
use std::time::Instant;

use esrgan_core::{Plane, SampleDepth};
use esrgan_image::{Boundary, Filter, imresize, resample};

const ROUNDS: usize = 60;

/// What makes a plane small.
type Contender<'a> = (&'a str, &'a dyn Fn(&Plane) -> Plane);

fn main() {
    let (width, height) = (768, 512);
    let samples = (0..width * height).map(|i| ((i * 7919 + 13) % 256) as f32 / 255.0).collect();
    let plane = Plane::new(width, height, samples).expect("as many samples as pixels");
    let small = |depth| move |plane: &Plane| imresize(plane, 192, 128, depth, Boundary::Replicate);
    let contenders: [Contender<'_>; 5] = [
        ("imresize, 8 bits", &small(SampleDepth::U8)),
        ("imresize, 16 bits", &small(SampleDepth::U16)),
        ("imresize, f32", &small(SampleDepth::F32)),
        ("fast_image_resize, Bilinear, f32", &|plane| resample(plane, 192, 128, Filter::Bilinear)),
        ("fast_image_resize, Lanczos3, f32", &|plane| resample(plane, 192, 128, Filter::Lanczos3)),
    ];
    let mut seconds = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for ((_, contender), seconds) in contenders.iter().zip(&mut seconds) {
            let start = Instant::now();
            black_box(contender(black_box(&plane)));
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    for ((name, _), mut seconds) in contenders.iter().zip(seconds) {
        seconds.sort_by(f64::total_cmp);
        println!("{name:34}: median {:.3} ms for a plane of {width}x{height}", 1e3 * seconds[ROUNDS / 2]);
    }
}
