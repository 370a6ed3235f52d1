//! The engine against what PyTorch computed: every checkpoint of the shared folder, and the real network.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use esrgan_core::Plane;
use esrgan_engine::{Edge, Engine, EngineError, Isa, Network, Plan, Precision, RunOptions, TilePolicy};
use esrgan_testkit::{Array, read_npz, shared_data};
use esrgan_weights::{LoadOptions, load};

fn planes(array: &Array) -> Vec<Plane> {
    let [_, _, height, width] = array.shape[..] else { panic!("[1, C, H, W] expected: {:?}", array.shape) };
    let plane =
        |values: &[f64]| Plane::new(width, height, values.iter().map(|&v| v as f32).collect()).unwrap();
    array.values.chunks(width * height).map(plane).collect()
}

fn network(path: &Path, scale: Option<usize>) -> Network {
    network_in(path, scale, Precision::F32)
}

fn network_in(path: &Path, scale: Option<usize>, precision: Precision) -> Network {
    let model = load(path, &LoadOptions { scale, ..LoadOptions::default() }).unwrap();
    Network::new(&model, precision).unwrap()
}

/// All output rows, `[channel][y * width + x]`.
fn run(engine: &Engine, network: &Network, planes: &[Plane], options: &RunOptions) -> Vec<Vec<f32>> {
    let plan = Plan::new(network, planes[0].width(), planes[0].height(), options).unwrap();
    let mut output = vec![Vec::new(); network.spec().out_channels()];
    let mut next = 0;
    let mut sink = |y: usize, channels: &[&[f32]]| {
        assert_eq!(y, next, "rows come in order");
        next += 1;
        output.iter_mut().zip(channels).for_each(|(plane, row)| plane.extend_from_slice(row));
    };
    engine.run(network, &plan, planes, &mut sink, &|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(next, plan.hr_height());
    output
}

fn largest_difference(output: &[Vec<f32>], expected: &Array) -> f64 {
    assert_eq!(
        output.iter().map(Vec::len).sum::<usize>(),
        expected.values.len(),
        "as many samples as PyTorch gave"
    );
    let pairs = output.iter().flatten().zip(&expected.values);
    pairs.map(|(&found, &expected)| (f64::from(found) - expected).abs()).fold(0.0, f64::max)
}

/// What shifting the columns may change: rows are transformed in groups of four pixels, whose sums are rounded otherwise
/// when the group begins elsewhere. A few units in the last place of sums of magnitude one, through some forty layers.
const REGROUPING: f32 = 2e-6;

fn largest_distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The checkpoints that hold a network, with what the name says.
fn checkpoints() -> Vec<(std::path::PathBuf, Option<usize>)> {
    let Some(folder) = shared_data("checkpoints") else {
        return Vec::new();
    };
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pth" || e == "safetensors"))
        .filter(|path| path.with_extension("npz").exists())
        .map(|path| {
            let ambiguous = path.to_string_lossy().contains("needs_scale");
            (path, ambiguous.then_some(3))
        })
        .collect();
    found.sort();
    assert!(found.len() >= 21, "only {} checkpoints", found.len());
    found
}

#[test]
fn every_checkpoint_gives_what_pytorch_gives() {
    let mut failures = Vec::new();
    for (path, scale) in checkpoints() {
        let golden = read_npz(&path.with_extension("npz"));
        let network = network(&path, scale);
        // f32 arithmetic on both sides, sums of at most a few hundred terms of magnitude one; half-precision files were
        // widened before PyTorch computed, so they are held to the same bound.
        let bound = 1e-5;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let engine = Engine::new(Some(2), Some(isa)).unwrap();
            let output = run(&engine, &network, &planes(&golden["input"]), &RunOptions::default());
            let difference = largest_difference(&output, &golden["output"]);
            if difference > bound {
                failures.push(format!("{} on {isa}: {difference:e}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_real_network_is_within_its_bound_of_f64() {
    let (Some(weights), Some(golden)) =
        (shared_data("weights/realesrgan-x4plus.param"), shared_data("golden/x4plus_24x32_f64.npz"))
    else {
        return;
    };
    let golden = read_npz(&golden);
    let network = network(&weights, None);
    let engine = Engine::new(None, None).unwrap();
    let output = run(&engine, &network, &planes(&golden["input"]), &RunOptions::default());
    let difference = largest_difference(&output, &golden["output"]);
    println!("largest difference from f64: {difference:e} on {}", engine.isa());
    assert!(difference < 2e-5, "{difference:e}");
}

/// The least memory in which a picture can be worked off as a whole.
fn least_budget(network: &Network, (width, height): (usize, usize), edge: Edge) -> u64 {
    let fits = |memory_budget_bytes| {
        let options =
            RunOptions { edge, tile: TilePolicy::Off, memory_budget_bytes, ..RunOptions::default() };
        Plan::new(network, width, height, &options).is_ok()
    };
    let (mut too_little, mut enough) = (0, 1 << 40);
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if fits(middle) { enough = middle } else { too_little = middle }
    }
    enough
}

/// The sets that convolve in bf16 here: those with instructions for it, and plain Rust.
fn sets_with_bf16() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available() && (isa.has_native_bf16() || *isa == Isa::Portable))
}

/// In bf16, every input and weight is off by up to 2^-9 of itself, and some forty layers add to that: up to 2^-7 was seen.
#[test]
fn every_checkpoint_in_bf16_is_near_what_pytorch_gives() {
    let mut failures = Vec::new();
    for (path, scale) in checkpoints() {
        let golden = read_npz(&path.with_extension("npz"));
        let network = network_in(&path, scale, Precision::Bf16);
        assert_eq!(network.precision(), Precision::Bf16);
        let spread = golden["output"].values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        for isa in sets_with_bf16() {
            let engine = Engine::new(Some(2), Some(isa)).unwrap();
            let output = run(&engine, &network, &planes(&golden["input"]), &RunOptions::default());
            let difference = largest_difference(&output, &golden["output"]);
            println!("{} on {isa}: {difference:e} of {spread}", path.display());
            if difference > spread / 64.0 {
                failures.push(format!("{} on {isa}: {difference:e} of {spread}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Neither threads nor the way the rows are scheduled change a bit.
#[test]
fn bits_do_not_depend_on_threads_or_schedule() {
    hold_bits_against_one_thread(Isa::detect(), Precision::F32);
}

#[test]
fn bits_in_bf16_do_not_depend_on_threads_or_schedule() {
    sets_with_bf16().for_each(|isa| hold_bits_against_one_thread(isa, Precision::Bf16));
}

fn hold_bits_against_one_thread(isa: Isa, precision: Precision) {
    for (path, scale) in checkpoints() {
        let golden = read_npz(&path.with_extension("npz"));
        let network = network_in(&path, scale, precision);
        let planes = planes(&golden["input"]);
        let size = (planes[0].width(), planes[0].height());
        for edge in [Edge::Zero, Edge::Replicate, Edge::Reflect, Edge::Wrap] {
            let options = RunOptions { edge, ..RunOptions::default() };
            let reference = run(&Engine::new(Some(1), Some(isa)).unwrap(), &network, &planes, &options);
            let least = least_budget(&network, size, edge);
            for (threads, memory_budget_bytes) in [(2, u64::MAX), (7, least), (8, u64::MAX)] {
                let engine = Engine::new(Some(threads), Some(isa)).unwrap();
                // Bands are as wide as one thread asks for where memory is short: the budget was found so.
                let planned_threads = if memory_budget_bytes == least { 1 } else { threads };
                let options = RunOptions { memory_budget_bytes, threads: planned_threads, ..options };
                // Packed anew group by group, then all at once, then as the run before left them.
                for keep_weights in [false, true, true] {
                    let options = RunOptions { keep_weights, ..options };
                    let output = run(&engine, &network, &planes, &options);
                    assert!(output == reference, "{} {edge:?} {threads} threads", path.display());
                }
            }
        }
    }
}

/// A halo beyond the receptive field makes tiles exact; a smaller one makes them nearly so, and never leaves a gap.
#[test]
fn tiles_are_exact_where_the_halo_covers_the_receptive_field() {
    let Some(path) = shared_data("checkpoints/old_x4_legacy.pth") else {
        return;
    };
    let network = network(&path, None);
    let (width, height) = (97, 75);
    let picture: Vec<Plane> = (0..3)
        .map(|c| {
            let value = |i: usize| ((i % width * 7 + i / width * 3 + c * 50) % 101) as f32 / 101.0;
            Plane::new(width, height, (0..width * height).map(value).collect()).unwrap()
        })
        .collect();
    let engine = Engine::new(Some(2), None).unwrap();
    for edge in [Edge::Zero, Edge::Replicate, Edge::Reflect, Edge::Wrap] {
        let exact = run(&engine, &network, &picture, &RunOptions { edge, ..RunOptions::default() });
        // Two RRDBs: 30 layers and the ends, 38 pixels at most; the blended border reaches 8 further.
        let options = |halo| RunOptions {
            edge,
            tile: TilePolicy::LrPx(32),
            tile_halo_lr_px: halo,
            ..RunOptions::default()
        };
        let tiled = run(&engine, &network, &picture, &options(48));
        let difference = largest_distance(&tiled, &exact);
        assert!(difference < REGROUPING, "{edge:?}: {difference:e}");
        let narrow = run(&engine, &network, &picture, &options(16));
        let difference = largest_distance(&narrow, &exact);
        assert!(difference < 1e-3, "{edge:?}: {difference:e}");
    }
}

/// A picture that repeats without a seam is enlarged to one that does: shifting it shifts the result.
#[test]
fn wrapping_commutes_with_shifting() {
    let Some(path) = shared_data("checkpoints/old_x2.pth") else {
        return;
    };
    let network = network(&path, None);
    let golden = read_npz(&path.with_extension("npz"));
    let planes = planes(&golden["input"]);
    let (width, height) = (planes[0].width(), planes[0].height());
    let (dx, dy) = (5, 4);
    let shifted: Vec<Plane> = planes
        .iter()
        .map(|plane| {
            let mut shifted = Plane::filled(width, height, 0.0);
            for y in 0..height {
                for x in 0..width {
                    shifted.row_mut((y + dy) % height)[(x + dx) % width] = plane.row(y)[x];
                }
            }
            shifted
        })
        .collect();
    let engine = Engine::new(Some(2), None).unwrap();
    let options = RunOptions { edge: Edge::Wrap, ..RunOptions::default() };
    let (straight, shifted) =
        (run(&engine, &network, &planes, &options), run(&engine, &network, &shifted, &options));
    let out_width = 2 * width;
    for (straight, shifted) in straight.iter().zip(&shifted) {
        for (i, &value) in straight.iter().enumerate() {
            let (x, y) = ((i % out_width + 2 * dx) % out_width, (i / out_width + 2 * dy) % (2 * height));
            let difference = (shifted[y * out_width + x] - value).abs();
            assert!(difference < REGROUPING, "{x} {y}: {difference:e}");
        }
    }
}

#[test]
fn memory_is_planned_and_refused_before_any_work() {
    let Some(path) = shared_data("checkpoints/old_x4_legacy.pth") else {
        return;
    };
    let network = network(&path, None);
    let full = Plan::new(&network, 600, 400, &RunOptions::default()).unwrap();
    assert!(full.is_exact());
    let tight = RunOptions { memory_budget_bytes: full.peak_bytes() / 2, ..RunOptions::default() };
    let tiled = Plan::new(&network, 600, 400, &tight).unwrap();
    assert!(!tiled.is_exact() && tiled.peak_bytes() <= tight.memory_budget_bytes);
    let off = RunOptions { tile: TilePolicy::Off, ..tight };
    let error = Plan::new(&network, 600, 400, &off).unwrap_err();
    assert!(matches!(error, EngineError::Memory { lr_width: 600, lr_height: 400, .. }), "{error}");
    assert!(error.to_string().contains("--memory"), "{error}");
    let hopeless = RunOptions { memory_budget_bytes: 1000, ..RunOptions::default() };
    assert!(matches!(Plan::new(&network, 600, 400, &hopeless), Err(EngineError::Memory { .. })));
    assert!(matches!(Plan::new(&network, 0, 4, &RunOptions::default()), Err(EngineError::Size { .. })));
    let small = RunOptions { tile: TilePolicy::LrPx(8), ..RunOptions::default() };
    assert!(matches!(Plan::new(&network, 60, 40, &small), Err(EngineError::TileSize { found: 8, .. })));
}

/// Weights that are packed group by group take less memory, and come before tiles where memory is short.
#[test]
fn weights_are_kept_where_that_pays() {
    let Some(folder) = shared_data("weights") else {
        return;
    };
    let network = network(&folder.join("realesrgan-x4plus.bin"), None);
    let plan = |side, options: RunOptions| Plan::new(&network, side, side, &options).unwrap();
    let kept = plan(64, RunOptions::default());
    let passing = plan(64, RunOptions { keep_weights: false, ..RunOptions::default() });
    assert!(kept.keeps_weights() && !passing.keeps_weights());
    assert!(4 * passing.weights_bytes() < kept.weights_bytes());
    assert!(!plan(512, RunOptions::default()).keeps_weights(), "large pictures pack group by group");
    let memory_budget_bytes = passing.weights_bytes() + (100 << 20);
    let short = plan(64, RunOptions { memory_budget_bytes, ..RunOptions::default() });
    assert!(short.is_exact() && !short.keeps_weights(), "exactness is worth more than time");
    let tiles = RunOptions { tile: TilePolicy::LrPx(48), keep_weights: false, ..RunOptions::default() };
    assert!(plan(64, tiles).keeps_weights(), "each tile needs all weights");
}

/// Where memory is short, rows are streamed, and the memory of a tall picture does not grow with its height.
#[test]
fn tall_pictures_are_streamed() {
    let Some(path) = shared_data("checkpoints/basicsr_bare_x4.pth") else {
        return;
    };
    let network = network(&path, None);
    let memory_budget_bytes = least_budget(&network, (64, 2000), Edge::Zero);
    let options = RunOptions { memory_budget_bytes, ..RunOptions::default() };
    let plan = |height| Plan::new(&network, 64, height, &options).unwrap();
    assert_eq!(plan(2000).mode(), "streamed");
    assert_eq!(plan(2000).peak_bytes(), plan(4000).peak_bytes());
    assert_eq!(Plan::new(&network, 64, 2000, &RunOptions::default()).unwrap().mode(), "whole");
}

#[test]
fn what_is_not_finite_is_named_and_progress_can_stop_a_run() {
    let Some(path) = shared_data("checkpoints/old_x2.pth") else {
        return;
    };
    let network = network(&path, None);
    let golden = read_npz(&path.with_extension("npz"));
    let mut planes = planes(&golden["input"]);
    let engine = Engine::new(Some(1), None).unwrap();
    let plan = Plan::new(&network, planes[0].width(), planes[0].height(), &RunOptions::default()).unwrap();
    let mut sink = |_: usize, _: &[&[f32]]| {};
    let stopped = engine.run(&network, &plan, &planes, &mut sink, &|_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(EngineError::Cancelled)));
    let wrong = engine.run(&network, &plan, &planes[..1], &mut sink, &|_| ControlFlow::Continue(()));
    assert!(matches!(wrong, Err(EngineError::Channels { expected: 3, found: 1 })));
    planes[1].samples_mut()[7] = f32::NAN;
    let fractions = Mutex::new(Vec::new());
    let error = engine.run(&network, &plan, &planes, &mut sink, &|fraction| {
        fractions.lock().unwrap().push(fraction);
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(EngineError::NotFinite { y: 0, .. })), "{error:?}");
    assert!(fractions.into_inner().unwrap().is_sorted());
}
