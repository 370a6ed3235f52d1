//! Every device that Vulkan shows, held against the processor: through the facade, in f32.

use std::ops::ControlFlow;
use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth};
use esrgan_testkit::shared_data;
use esrgan_upscale::{
    DeviceChoice, DeviceFacts, Edge, EngineError, Enlarged, ModelOptions, PictureOptions, Precision, Samples,
    TilePolicy, UpscaleError, Upscaler, devices,
};

/// Both round the same value, but for the order of its sums: where it lies between two levels they may take either.
const LEVELS: u8 = 1;

/// Models of every family and shape that ways through the network depend on.
const MODELS: [&str; 6] = [
    "checkpoints/basicsr_bare_x4.pth",
    "checkpoints/compact_x4.pth",
    "checkpoints/old_x4_gray.pth",
    "checkpoints/old_x4_odd_widths.pth",
    "checkpoints/old_x4_plus.pth",
    "checkpoints/unshuffle_x2.pth",
];

/// A picture of gradients and texture.
fn picture(width: usize, height: usize) -> Picture {
    let plane = |channel: usize| {
        let value = |index: usize| {
            let (x, y) = (index % width, index / width);
            ((x * x + 3 * y * y + 7 * x * y + 31 * channel) % 64 + 2 * (x + y)) as f32 / 255.0
        };
        Plane::new(width, height, (0..width * height).map(value).collect())
            .expect("as many samples as pixels")
    };
    Picture { color: (0..3).map(plane).collect(), alpha: None }
}

fn found() -> Vec<DeviceFacts> {
    let found = devices().expect("a build that knows devices");
    if found.is_empty() {
        println!("SKIPPED: Vulkan shows no device");
    }
    found
}

fn load(model: &Path, device: DeviceChoice, precision: Precision) -> Upscaler {
    let options = ModelOptions { device, precision: Some(precision), ..ModelOptions::default() };
    Upscaler::load(&model.into(), &options).unwrap_or_else(|error| panic!("{}: {error}", model.display()))
}

fn enlarge(upscaler: &Upscaler, picture: &Picture, options: &PictureOptions) -> Enlarged {
    let name = Path::new("picture");
    let plan = upscaler.plan_picture(name, picture, SampleDepth::U8, options).unwrap();
    upscaler
        .upscale_picture(picture.clone(), SampleDepth::U8, &plan, options, &|_| ControlFlow::Continue(()))
        .unwrap()
}

/// The largest difference of two pictures in levels.
fn distance(one: &Enlarged, other: &Enlarged) -> u8 {
    let (Samples::U8(a), Samples::U8(b)) = (&one.raster.samples, &other.raster.samples) else {
        panic!("8 bits were asked for")
    };
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn a_device_gives_the_processors_pictures() {
    let picture = picture(21, 13);
    for device in found() {
        for model in MODELS {
            let Some(model) = shared_data(model) else { return };
            let on_device = load(&model, DeviceChoice::Vulkan(Some(device.number)), Precision::F32);
            assert_eq!(on_device.computation().device, device.title());
            let on_processor = load(&model, DeviceChoice::Cpu, Precision::F32);
            for edge in [Edge::Zero, Edge::Replicate, Edge::Reflect, Edge::Wrap] {
                let options = PictureOptions { edge: Some(edge), ..PictureOptions::default() };
                let (found, expected) =
                    (enlarge(&on_device, &picture, &options), enlarge(&on_processor, &picture, &options));
                let distance = distance(&found, &expected);
                assert!(distance <= LEVELS, "{}: {}, {edge:?}: {distance}", device.title(), model.display());
            }
        }
    }
}

/// Tiles are cut, blended and averaged alike, and one device gives the same bits again.
#[test]
fn tiles_and_views_are_the_processors() {
    let Some(model) = shared_data("checkpoints/old_x2.pth") else { return };
    let picture = picture(70, 40);
    for device in found() {
        let on_device = load(&model, DeviceChoice::Vulkan(Some(device.number)), Precision::F32);
        let on_processor = load(&model, DeviceChoice::Cpu, Precision::F32);
        for (tile, self_ensemble) in [(TilePolicy::LrPx(32), false), (TilePolicy::Auto, true)] {
            let options = PictureOptions { tile, self_ensemble, ..PictureOptions::default() };
            let found = enlarge(&on_device, &picture, &options);
            let again = enlarge(&on_device, &picture, &options);
            let expected = enlarge(&on_processor, &picture, &options);
            assert_eq!(found.mode, if tile == TilePolicy::Auto { "whole" } else { "tiled" });
            assert!(found.raster.samples == again.raster.samples, "{}: {tile:?}", device.title());
            let distance = distance(&found, &expected);
            assert!(distance <= LEVELS, "{}: {tile:?}: {distance}", device.title());
        }
    }
}

#[test]
fn a_run_on_a_device_stops_on_request() {
    let Some(model) = shared_data("checkpoints/old_x2.pth") else { return };
    let (picture, options) = (picture(16, 16), PictureOptions::default());
    for device in found() {
        let upscaler = load(&model, DeviceChoice::Vulkan(Some(device.number)), Precision::F32);
        let plan = upscaler.plan_picture(Path::new("picture"), &picture, SampleDepth::U8, &options).unwrap();
        let ended = upscaler
            .upscale_picture(picture.clone(), SampleDepth::U8, &plan, &options, &|_| ControlFlow::Break(()));
        assert!(matches!(ended, Err(EngineError::Cancelled)), "{}: {ended:?}", device.title());
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error_and_a_plan_stays_with_its_device() {
    let Some(model) = shared_data("checkpoints/old_x2.pth") else { return };
    let options = ModelOptions { device: DeviceChoice::Vulkan(Some(999)), ..ModelOptions::default() };
    let error = Upscaler::load(&model.as_path().into(), &options).unwrap_err();
    assert!(matches!(error, UpscaleError::NoDevice { number: 999, .. }), "{error}");
    let (picture, options) = (picture(8, 8), PictureOptions::default());
    let on_processor = load(&model, DeviceChoice::Cpu, Precision::F32);
    let plan = on_processor.plan_picture(Path::new("picture"), &picture, SampleDepth::U8, &options).unwrap();
    for device in found() {
        let upscaler = load(&model, DeviceChoice::Vulkan(Some(device.number)), Precision::F32);
        let ended = upscaler.upscale_picture(picture.clone(), SampleDepth::U8, &plan, &options, &|_| {
            ControlFlow::Continue(())
        });
        assert!(matches!(ended, Err(EngineError::Plan)), "{}: {ended:?}", device.title());
    }
}
