//! Crops of 256x256 degraded in a second, on one thread and on two.

use std::time::Instant;

use esrgan_core::{Picture, Plane};
use esrgan_degrade::{Degradation, Preset, SampleKey};

fn main() {
    const CROPS: u64 = 200;
    let samples =
        |seed: usize| (0..256 * 256).map(|i| ((i * 31 + seed + i / 256 * 7) % 256) as f32 / 255.0).collect();
    let color = (0..3).map(|c| Plane::new(256, 256, samples(c)).expect("a whole plane")).collect();
    let hr = Picture { color, alpha: None };
    let degradation = Degradation::preset(Preset::RealEsrgan, 4).expect("a scale in range");
    for threads in [1, 2] {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let hr = &hr;
                scope.spawn(move || {
                    for sample in (thread..CROPS).step_by(threads as usize) {
                        let parameters = degradation.sample(SampleKey { seed: 1, step: 0, sample });
                        let lr = degradation.apply(hr, &parameters).expect("multiples of the scale");
                        assert_eq!(lr.width(), 64);
                    }
                });
            }
        });
        println!("{threads} threads: {:.1} crops a second", CROPS as f64 / start.elapsed().as_secs_f64());
    }
}
