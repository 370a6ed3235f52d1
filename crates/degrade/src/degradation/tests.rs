use super::*;

fn picture(width: usize, height: usize) -> Picture {
    let plane = |c: usize| {
        let samples =
            (0..width * height).map(|i| ((i % width * 3 + i / width * 2 + c * 40) % 256) as f32 / 255.0);
        Plane::new(width, height, samples.collect()).unwrap()
    };
    Picture { color: (0..3).map(plane).collect(), alpha: None }
}

#[test]
fn the_same_key_gives_the_same_bits_on_any_number_of_threads() {
    let hr = picture(96, 64);
    for preset in Preset::ALL {
        let degradation = Degradation::preset(preset, 4).unwrap();
        let make = |sample| {
            let parameters = degradation.sample(SampleKey { seed: 7, step: 0, sample });
            degradation.apply(&hr, &parameters).unwrap()
        };
        let alone: Vec<Picture> = (0..12).map(make).collect();
        let together: Vec<Picture> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12).map(|sample| scope.spawn(move || make(sample))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(alone, together);
        for lr in &alone {
            assert_eq!((lr.width(), lr.height()), (24, 16));
            let is_whole = |v: &f32| dequantise_u8(quantise_u8(*v)) == *v;
            assert!(lr.color.iter().flat_map(Plane::samples).all(is_whole));
        }
        assert!(preset == Preset::Bicubic || alone[0] != alone[1]);
    }
}

#[test]
fn tiny_and_gray_pictures_go_through() {
    for scale in [1, 2, 4] {
        let degradation = Degradation::preset(Preset::RealEsrgan, scale).unwrap();
        let mut hr = picture(scale, 2 * scale);
        hr.color.truncate(1);
        for sample in 0..50 {
            let parameters = degradation.sample(SampleKey { seed: 1, step: 2, sample });
            let lr = degradation.apply(&hr, &parameters).unwrap();
            assert_eq!((lr.width(), lr.height(), lr.color.len()), (1, 2, 1));
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_both_values() {
    assert!(matches!(Degradation::preset(Preset::Mild, 0), Err(DegradeError::Scale { scale: 0 })));
    let degradation = Degradation::preset(Preset::Mild, 4).unwrap();
    let parameters = degradation.sample(SampleKey::default());
    let error = degradation.apply(&picture(10, 8), &parameters).unwrap_err().to_string();
    assert!(error.contains("10x8") && error.contains("scale 4"), "{error}");
    let other = Degradation::preset(Preset::Mild, 2).unwrap().apply(&picture(8, 8), &parameters);
    assert!(matches!(other, Err(DegradeError::OtherScale { expected: 2, found: 4 })));
}
