//! Plans for devices: what fits, what does not, and what is tried next.

use esrgan_weights::{Activation, Family, SpecParts};

use super::*;

fn spec() -> ModelSpec {
    ModelSpec::new(SpecParts {
        family: Family::Rrdb,
        scale: 4,
        in_channels: 3,
        out_channels: 3,
        num_features: 8,
        num_blocks: 1,
        growth_channels: 4,
        unshuffle: 1,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    })
    .unwrap()
}

/// A kilobyte for each pixel, a quarter of it in one buffer.
fn bytes(pictures: usize, (width, height): (usize, usize), _: Edge) -> (u64, u64) {
    let all = (pictures * width * height * 1024) as u64;
    (all, all / 4)
}

fn means(spec: &ModelSpec, usable_bytes: u64) -> DeviceMeans<'_> {
    DeviceMeans {
        device: "vulkan:0 test",
        spec,
        bytes: &bytes,
        usable_bytes,
        largest_buffer_bytes: u64::MAX,
        shares_host_memory: false,
        model_bytes: 1000,
    }
}

fn options(tile: TilePolicy) -> RunOptions {
    RunOptions { tile, ..RunOptions::default() }
}

#[test]
fn the_whole_picture_comes_first_then_the_largest_tiles() {
    let spec = spec();
    for (usable, largest_buffer, tile) in [
        (bytes(1, (200, 100), Edge::Zero).0, u64::MAX, None),
        // The picture is as wide as the first tiles, which save nothing.
        (bytes(1, (200, 100), Edge::Zero).0 - 1, u64::MAX, Some(150)),
        (u64::MAX, bytes(1, (200, 100), Edge::Zero).1, None),
        (u64::MAX, bytes(1, (200, 100), Edge::Zero).1 - 1, Some(150)),
        (bytes(1, (96, 96), Edge::Zero).0, u64::MAX, Some(32)),
    ] {
        let means = DeviceMeans { largest_buffer_bytes: largest_buffer, ..means(&spec, usable) };
        let plan = DevicePlan::new(&means, (200, 100), &options(TilePolicy::Auto)).unwrap();
        assert_eq!(plan.tiling().map(Tiling::tile_lr_px), tile, "{usable} {largest_buffer}: {plan}");
        assert!(plan.device_bytes() <= usable);
    }
}

#[test]
fn policies_are_kept() {
    let spec = spec();
    let large = means(&spec, u64::MAX);
    let plan = DevicePlan::new(&large, (200, 100), &options(TilePolicy::LrPx(64))).unwrap();
    assert_eq!(plan.tiling().map(|tiling| (tiling.tile_lr_px(), tiling.halo_lr_px())), Some((64, 32)));
    let small = means(&spec, bytes(1, (100, 100), Edge::Zero).0);
    let error = DevicePlan::new(&small, (200, 100), &options(TilePolicy::Off)).unwrap_err();
    assert!(matches!(error, EngineError::DeviceMemory { lr_size: Some((200, 100)), .. }), "{error}");
    assert!(
        error.to_string().contains("vulkan:0 test") && error.to_string().contains("--tile auto"),
        "{error}"
    );
    assert!(DevicePlan::new(&small, (200, 100), &options(TilePolicy::LrPx(100))).is_err());
    assert!(DevicePlan::new(&large, (200, 100), &options(TilePolicy::LrPx(8))).is_err());
    assert!(DevicePlan::new(&large, (0, 100), &options(TilePolicy::Auto)).is_err());
    let tiny = means(&spec, 1);
    assert!(matches!(
        DevicePlan::new(&tiny, (200, 100), &options(TilePolicy::Auto)),
        Err(EngineError::DeviceMemory { .. })
    ));
}

#[test]
fn the_processors_memory_counts_too() {
    let spec = spec();
    let plan = DevicePlan::new(&means(&spec, u64::MAX), (200, 100), &options(TilePolicy::Auto)).unwrap();
    assert_eq!(plan.peak_bytes(), 1000 + 200 * 100 * 3 * 4);
    let short = RunOptions { memory_budget_bytes: plan.peak_bytes() - 1, ..options(TilePolicy::Off) };
    let error = DevicePlan::new(&means(&spec, u64::MAX), (200, 100), &short).unwrap_err();
    assert!(matches!(error, EngineError::Memory { .. }), "{error}");
    // Where both are one memory, the budget holds for their sum.
    let shared = DeviceMeans { shares_host_memory: true, ..means(&spec, u64::MAX) };
    let whole = DevicePlan::new(&shared, (200, 100), &options(TilePolicy::Auto)).unwrap();
    assert_eq!(whole.peak_bytes(), plan.peak_bytes() + plan.device_bytes());
    let budget = RunOptions { memory_budget_bytes: whole.peak_bytes() - 1, ..options(TilePolicy::Auto) };
    assert!(DevicePlan::new(&shared, (200, 100), &budget).unwrap().tiling().is_some());
}

#[test]
fn tighter_plans_take_less_until_there_are_none() {
    let spec = spec();
    let means = means(&spec, u64::MAX);
    let mut plan = DevicePlan::new(&means, (200, 100), &options(TilePolicy::Auto)).unwrap();
    let mut steps = Vec::new();
    while let Some(tighter) = plan.tighter(&means) {
        assert!(tighter.device_bytes() < plan.device_bytes());
        steps.extend(tighter.tiling().map(|tiling| (tiling.tile_lr_px(), tighter.at_once())));
        plan = tighter;
    }
    // First fewer at once, then smaller ones.
    assert!(steps.len() > 3 && steps.is_sorted_by(|one, next| one > next), "{steps:?}");
    assert_eq!(steps.last(), Some(&(32, 1)));
    let off = DevicePlan::new(&means, (200, 100), &options(TilePolicy::Off)).unwrap();
    assert!(off.tighter(&means).is_none());
}

#[test]
fn a_transposed_plan_has_the_same_tiles() {
    let spec = spec();
    let means = means(&spec, bytes(1, (150, 150), Edge::Zero).0);
    let plan = DevicePlan::new(&means, (400, 300), &options(TilePolicy::Auto)).unwrap();
    let transposed = plan.transposed(&means).unwrap();
    assert_eq!(transposed.lr_size(), (300, 400));
    let side = |plan: &DevicePlan| plan.tiling().map(Tiling::tile_lr_px);
    assert_eq!(side(&transposed), side(&plan));
}

#[test]
fn small_tiles_go_together_as_far_as_there_is_room() {
    let spec = spec();
    let at_once = |usable_bytes| {
        let options = options(TilePolicy::LrPx(64));
        let plan = DevicePlan::new(&means(&spec, usable_bytes), (1000, 400), &options).unwrap();
        assert!(plan.device_bytes() <= usable_bytes);
        plan.at_once()
    };
    // A tile of 64 has 127 pixels with its halo, here 63 of the cell's.
    let tile = bytes(1, (127, 122), Edge::Zero).0;
    assert_eq!(at_once(u64::MAX), 16);
    assert_eq!(at_once(7 * tile), 4);
    assert_eq!(at_once(tile), 1);
    let large = DevicePlan::new(&means(&spec, u64::MAX), (4000, 4000), &options(TilePolicy::LrPx(1000)));
    let large = large.unwrap();
    assert_eq!(large.at_once(), 1, "one keeps the device busy");
    assert!(!large.to_string().contains("at once"), "{large}");
}
