//! What BasicSR and lpips 0.1.4 measured on known pictures.

use std::path::Path;

use esrgan_core::Picture;
use esrgan_image::{Limits, decode};
use esrgan_metrics::{Lpips, LpipsNetwork, niqe, psnr_rgb_db, psnr_y_db, ssim_rgb, ssim_y};
use esrgan_testkit::shared_data;
use esrgan_weights::load_tensors;
use serde_json::Value;

fn golden() -> Option<Value> {
    let bytes = std::fs::read(shared_data("golden/metrics.json")?).expect("a readable file");
    Some(serde_json::from_slice(&bytes).expect("JSON"))
}

/// A picture in three colours.
fn picture(path: &Path) -> Picture {
    let mut picture = decode(path, &Limits::default()).expect("a sound picture").picture;
    if picture.is_gray() {
        picture.color = vec![picture.color[0].clone(); 3];
    }
    picture
}

/// Metrics that `metrics.json` has for pairs, and how far ours may be from them.
type Measure<'a> = (&'a str, f64, &'a dyn Fn(&Picture, &Picture) -> f64);

#[test]
fn pairs_measure_as_they_did() {
    let (Some(golden), Some(data)) = (golden(), shared_data("eval")) else { return };
    let weights = |name: &str| {
        let path = shared_data("weights").expect("beside `eval`").join(name);
        load_tensors(&path, &esrgan_weights::Limits::default()).expect("sound weights")
    };
    let heads = weights("lpips_vgg_v0.1.safetensors");
    let lpips = Lpips::new(LpipsNetwork::Vgg, &weights("vgg16_features.safetensors"), &heads).unwrap();
    let border = golden["border"].as_u64().unwrap() as usize;
    let measures: [Measure<'_>; 5] = [
        ("psnr_y", 1e-4, &|hr, sr| psnr_y_db(hr, sr, border).expect("comparable")),
        ("psnr_rgb", 1e-4, &|hr, sr| psnr_rgb_db(hr, sr, border).expect("comparable")),
        ("ssim_y", 1e-5, &|hr, sr| ssim_y(hr, sr, border).expect("comparable")),
        ("ssim_rgb", 1e-5, &|hr, sr| ssim_rgb(hr, sr, border).expect("comparable")),
        ("lpips_vgg", 1e-4, &|hr, sr| lpips.distance(hr, sr).expect("comparable")),
    ];
    let mut worst = [0.0f64; 5];
    let mut count = 0;
    for (set, pictures) in golden["bicubic_x4"].as_object().unwrap() {
        for (name, expected) in pictures.as_object().unwrap().iter().filter(|(name, _)| *name != "mean") {
            let hr = picture(&data.join(set).join("HR").join(name));
            let lr = picture(&data.join(set).join("LR").join(name));
            let (width, height) = (4 * lr.width(), 4 * lr.height());
            let depth = esrgan_core::SampleDepth::U8;
            let larger = |plane| {
                esrgan_image::imresize(plane, width, height, depth, esrgan_image::Boundary::Replicate)
            };
            let sr = Picture { color: lr.color.iter().map(larger).collect(), alpha: None };
            let hr = cropped(&hr, width, height);
            for ((key, bound, measure), worst) in measures.iter().zip(&mut worst) {
                let Some(expected) = expected[*key].as_f64() else { continue };
                let found = measure(&hr, &sr);
                *worst = worst.max((found - expected).abs());
                assert!(
                    (found - expected).abs() < *bound,
                    "{set} {name}: {key} {found}, expected {expected}"
                );
                count += 1;
            }
        }
    }
    println!("{count} figures; largest deviations {worst:?}");
    assert!(count >= 19 * 4 + 5, "only {count} figures");
}

fn cropped(picture: &Picture, width: usize, height: usize) -> Picture {
    let plane = |plane: &esrgan_core::Plane| {
        let samples = (0..height).flat_map(|y| plane.row(y)[..width].to_vec()).collect();
        esrgan_core::Plane::new(width, height, samples).expect("as many samples as pixels")
    };
    Picture { color: picture.color.iter().map(plane).collect(), alpha: None }
}

#[test]
fn niqe_of_photographs_is_as_it_was() {
    let (Some(golden), Some(data)) = (golden(), shared_data("eval/Kodak24/HR")) else { return };
    let expected = golden["niqe"].as_object().unwrap();
    assert!(expected.len() >= 8);
    let mut worst = 0.0f64;
    for (name, expected) in expected {
        let found = niqe(&picture(&data.join(name)), 0).unwrap();
        let deviation = (found - expected.as_f64().unwrap()).abs();
        println!("{name}: {found}, expected {expected}");
        worst = worst.max(deviation);
        assert!(deviation < 1e-3, "{name}: {found}, expected {expected}");
    }
    println!("largest deviation {worst:e}");
}
