//! LPIPS with all three networks, weights by a formula, and MS-SSIM, against `golden/metrics/make_metrics.py`.

use esrgan_core::{Picture, Plane};
use esrgan_image::{Limits, decode};
use esrgan_metrics::{Lpips, LpipsNetwork, MetricError, ms_ssim_y};
use esrgan_testkit::shared_data;
use esrgan_weights::{Tensor, WeightMap};
use serde_json::Value;

fn golden() -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/metrics/metrics.json");
    serde_json::from_slice(&std::fs::read(path).expect("it lies in the repository")).expect("JSON")
}

/// Numbers in 0..1, a stretch of its own for each tensor.
fn uniform(number: usize, count: usize) -> impl Iterator<Item = f64> {
    let index = move |i: usize| (i as u64 + number as u64 * 1_000_003).wrapping_mul(2_654_435_761);
    (0..count).map(move |i| f64::from(index(i) as u32) / 2f64.powi(32))
}

/// The tensors that a list of names and shapes asks for.
fn weights(list: &Value, first: usize, is_head: bool) -> WeightMap {
    let tensor = |(index, entry): (usize, &Value)| {
        let shape: Vec<usize> = entry[1]
            .as_array()
            .expect("a shape")
            .iter()
            .map(|side| side.as_u64().expect("a side") as usize)
            .collect();
        let count: usize = shape.iter().product();
        let fan_in = count as f64 / shape[0] as f64;
        let width = if shape.len() > 1 { 2.0 * (6.0 / fan_in).sqrt() } else { 0.1 };
        let value = |number: f64| if is_head { number / count as f64 } else { (number - 0.5) * width };
        let values: Vec<f32> = uniform(first + index, count).map(|number| value(number) as f32).collect();
        let name = entry[0].as_str().expect("a name").to_owned();
        (name, Tensor::from_f32(shape, &values).expect("as many values as the shape has"))
    };
    list.as_array().expect("a list").iter().enumerate().map(tensor).collect()
}

fn pictures(width: usize, height: usize) -> (Picture, Picture) {
    let plane = |value: &dyn Fn(usize, usize) -> f64| {
        let samples = (0..height * width).map(|i| value(i % width, i / width) as f32).collect();
        Plane::new(width, height, samples).expect("as many samples as pixels")
    };
    let reference = |x: usize, y: usize, c: usize| ((x * 7 + y * 13 + c * 29) % 64) as f64 / 63.0;
    let step = |x: usize, y: usize, c: usize| ((x * 3 + y * 5 + c) % 9) as f64 - 4.0;
    let candidate = |x, y, c| (reference(x, y, c) + step(x, y, c) / 40.0).clamp(0.0, 1.0);
    let picture = |value: &dyn Fn(usize, usize, usize) -> f64| Picture {
        color: (0..3).map(|c| plane(&|x, y| value(x, y, c))).collect(),
        alpha: None,
    };
    (picture(&reference), picture(&candidate))
}

const NETWORKS: [(&str, LpipsNetwork, usize); 3] = [
    ("vgg", LpipsNetwork::Vgg, 16),
    ("alex", LpipsNetwork::Alex, 31),
    ("squeeze", LpipsNetwork::Squeeze, 25),
];

#[test]
fn every_network_measures_as_lpips_does() {
    let golden = golden();
    for (name, network, least) in NETWORKS {
        let backbone = weights(&golden[name]["tensors"], 0, false);
        let heads = weights(&golden[name]["heads"], 100, true);
        let lpips = Lpips::new(network, &backbone, &heads).unwrap();
        let distances = golden[name]["distances"].as_array().unwrap();
        assert!(!distances.is_empty());
        for distance in distances {
            let side = |index: usize| distance[index].as_u64().unwrap() as usize;
            let (reference, candidate) = pictures(side(0), side(1));
            let found = lpips.distance(&reference, &candidate).unwrap();
            let expected = distance[2].as_f64().unwrap();
            println!("{name} {}x{}: {found}, expected {expected}", side(0), side(1));
            // In f32 over up to thirteen layers, of which lpips sums the last in f32 too.
            assert!((found / expected - 1.0).abs() < 1e-4, "{name}: {found}, expected {expected}");
            assert_eq!(lpips.distance(&candidate, &candidate), Ok(0.0));
        }
        let (small, _) = pictures(least, least - 1);
        assert!(matches!(lpips.distance(&small, &small), Err(MetricError::TooSmall { .. })));
        let (square, _) = pictures(least, least);
        assert_eq!(lpips.distance(&square, &square), Ok(0.0), "{name} has pixels left everywhere");
    }
}

#[test]
fn wrong_weights_are_named() {
    let golden = golden();
    let heads = weights(&golden["vgg"]["heads"], 100, true);
    let of_alex = weights(&golden["alex"]["tensors"], 0, false);
    let error = Lpips::new(LpipsNetwork::Vgg, &of_alex, &heads).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `features.0.weight`: shape [64, 3, 3, 3] expected, found [64, 3, 11, 11]"
    );
    let error = Lpips::new(LpipsNetwork::Alex, &of_alex, &WeightMap::new()).unwrap_err();
    assert_eq!(error.to_string(), "the weights have no tensor `lin0.model.1.weight`, of shape [1, 64, 1, 1]");
}

#[test]
fn five_scales_measure_as_another_program_does() {
    let (Some(hr), Some(sr)) = (shared_data("eval/Set5/HR"), shared_data("golden/bicubic_Set5")) else {
        return;
    };
    let golden = golden();
    let expected = golden["ms_ssim_y"].as_object().unwrap();
    assert_eq!(expected.len(), 3);
    for (name, expected) in expected {
        let picture =
            |folder: &std::path::Path| decode(&folder.join(name), &Limits::default()).unwrap().picture;
        let (hr, sr) = (picture(&hr), picture(&sr));
        assert_eq!((hr.width(), hr.height()), (sr.width(), sr.height()));
        let found = ms_ssim_y(&hr, &sr, 4).unwrap();
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-7, "{name}: {found}, expected {expected}");
    }
}

/// Sums are of rows first: threads change no bit.
#[test]
fn threads_change_no_bit() {
    let golden = golden();
    let backbone = weights(&golden["squeeze"]["tensors"], 0, false);
    let heads = weights(&golden["squeeze"]["heads"], 100, true);
    let lpips = Lpips::new(LpipsNetwork::Squeeze, &backbone, &heads).unwrap();
    let (reference, candidate) = pictures(233, 197);
    let measured = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            [
                esrgan_metrics::psnr_rgb_db(&reference, &candidate, 3).unwrap(),
                esrgan_metrics::ssim_y(&reference, &candidate, 3).unwrap(),
                ms_ssim_y(&reference, &candidate, 3).unwrap(),
                esrgan_metrics::niqe(&candidate, 0).unwrap(),
                lpips.distance(&reference, &candidate).unwrap(),
            ]
        })
    };
    let alone = measured(1);
    assert!(alone.iter().all(|value| value.is_finite() && *value > 0.0), "{alone:?}");
    for threads in [2, 3, 8] {
        assert_eq!(measured(threads), alone, "{threads} threads");
    }
}
