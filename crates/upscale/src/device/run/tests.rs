//! Runs that mend themselves, on a device that fails on request.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use esrgan_engine::TilePolicy;
use esrgan_weights::{Activation, Family, SpecParts};

use super::*;

/// What a device of the tests gives and refuses.
#[derive(Debug, Default)]
struct Behaviour {
    /// Memory that is really there, by [`bytes`].
    room_bytes: AtomicU64,
    /// From this row of a run on, half precision gives NaN; never where it is zero.
    bad_row: AtomicUsize,
    /// Whether f32 gives NaN as well.
    is_hopeless: bool,
    networks: AtomicUsize,
    /// The most pictures that were run together.
    most_together: AtomicUsize,
}

#[derive(Debug, Clone)]
struct FakeDevice(Arc<Behaviour>);

#[derive(Debug)]
struct FakeNetwork {
    behaviour: Arc<Behaviour>,
    precision: Precision,
}

impl Device for FakeDevice {
    type Network = FakeNetwork;

    fn network(&self, precision: Precision) -> Result<FakeNetwork, EngineError> {
        self.0.networks.fetch_add(1, Ordering::Relaxed);
        Ok(FakeNetwork { behaviour: Arc::clone(&self.0), precision })
    }
}

fn bytes(width: usize, height: usize) -> u64 {
    (width * height) as u64
}

impl DeviceNetwork for FakeNetwork {
    fn precision(&self) -> Precision {
        self.precision
    }

    fn nominal_flop(&self, _: usize, _: usize) -> f64 {
        1.0
    }

    fn seconds(&self, _: &[Plane], passes: usize) -> Result<Vec<f64>, EngineError> {
        Ok(vec![1.0; passes])
    }

    fn forget_maps(&self) {}

    fn bytes(&self, pictures: usize, (lr_width, lr_height): (usize, usize), _: Edge) -> (u64, u64) {
        (pictures as u64 * bytes(lr_width, lr_height), 1)
    }

    /// Repeats every pixel.
    fn run(
        &self,
        pictures: &[&[Plane]],
        _: Edge,
        sink: TileRows<'_>,
        progress: Progress<'_>,
    ) -> Result<(), EngineError> {
        let plane = &pictures[0][0];
        let needed_bytes = pictures.len() as u64 * bytes(plane.width(), plane.height());
        let usable_bytes = self.behaviour.room_bytes.load(Ordering::Relaxed);
        if needed_bytes > usable_bytes {
            let (device, lr_size) = ("vulkan:0 test".to_owned(), Some((plane.width(), plane.height())));
            return Err(EngineError::DeviceMemory { device, lr_size, needed_bytes, usable_bytes });
        }
        if progress(0.5).is_break() {
            return Err(EngineError::Cancelled);
        }
        let bad_row = self.behaviour.bad_row.load(Ordering::Relaxed);
        let is_bad = bad_row > 0 && (self.precision != Precision::F32 || self.behaviour.is_hopeless);
        self.behaviour.most_together.fetch_max(pictures.len(), Ordering::Relaxed);
        for (number, planes) in pictures.iter().enumerate() {
            for y in 0..2 * plane.height() {
                if is_bad && y >= bad_row {
                    return Err(EngineError::NotFinite { value: f32::NAN, channel: 0, x: 0, y });
                }
                let row: Vec<f32> = (0..2 * plane.width()).map(|x| planes[0].row(y / 2)[x / 2]).collect();
                sink(number, y, &[&row]);
            }
        }
        Ok(())
    }
}

fn spec() -> ModelSpec {
    ModelSpec::new(SpecParts {
        family: Family::Rrdb,
        scale: 2,
        in_channels: 1,
        out_channels: 1,
        num_features: 8,
        num_blocks: 1,
        growth_channels: 4,
        unshuffle: 1,
        upsampling: vec![2],
        activation: Activation::LeakyRelu,
    })
    .unwrap()
}

/// A runner whose device promises everything.
fn runner(behaviour: &Arc<Behaviour>, precision: Precision) -> DeviceRunner<FakeDevice> {
    let setting = DeviceSetting {
        device: "vulkan:0 test".to_owned(),
        interface: "vulkan",
        spec: spec(),
        usable_bytes: u64::MAX,
        largest_buffer_bytes: u64::MAX,
        shares_host_memory: false,
        model_bytes: 0,
    };
    DeviceRunner::new(FakeDevice(Arc::clone(behaviour)), setting, precision).unwrap()
}

const SIZE: (usize, usize) = (200, 120);

fn picture() -> Vec<Plane> {
    let samples = (0..SIZE.0 * SIZE.1).map(|index| (index % 251) as f32 / 251.0).collect();
    vec![Plane::new(SIZE.0, SIZE.1, samples).unwrap()]
}

/// Runs a picture and returns how it went, after a look at every row: each comes once, in order, and is right.
fn run(runner: &DeviceRunner<FakeDevice>, tile: TilePolicy) -> Result<PassReport, EngineError> {
    let planes = picture();
    let plan = runner.plan(SIZE, &RunOptions { tile, ..RunOptions::default() })?;
    let mut next = 0;
    let mut sink = |y: usize, channels: &[&[f32]]| {
        assert_eq!(y, next);
        next += 1;
        let is_right = |(x, value): (usize, &f32)| *value == planes[0].row(y / 2)[x / 2];
        assert!(channels[0].len() == 2 * SIZE.0 && channels[0].iter().enumerate().all(is_right), "row {y}");
    };
    let report = runner.run(&plan, &planes, &mut sink, &|_| ControlFlow::Continue(()))?;
    assert_eq!(next, 2 * SIZE.1);
    Ok(report)
}

fn behaviour(room_bytes: u64, bad_row: usize, is_hopeless: bool) -> Arc<Behaviour> {
    let (room_bytes, bad_row) = (AtomicU64::new(room_bytes), AtomicUsize::new(bad_row));
    Arc::new(Behaviour { room_bytes, bad_row, is_hopeless, ..Behaviour::default() })
}

#[test]
fn a_run_without_trouble_says_nothing() {
    let runner = runner(&behaviour(u64::MAX, 0, false), Precision::F16);
    for (tile, mode) in
        [(TilePolicy::Auto, "whole"), (TilePolicy::Off, "whole"), (TilePolicy::LrPx(48), "tiled")]
    {
        let report = run(&runner, tile).unwrap();
        assert_eq!((report.mode, report.notices.len()), (mode, 0), "{tile:?}");
    }
    assert_eq!(runner.computation().to_string(), "vulkan:0 test, f16");
}

#[test]
fn lack_of_memory_makes_tiles_and_then_smaller_ones() {
    let runner = runner(&behaviour(bytes(140, 120), 0, false), Precision::F16);
    let report = run(&runner, TilePolicy::Auto).unwrap();
    assert_eq!(report.mode, "tiled");
    assert!(report.notices[0].as_str().contains("the whole picture"), "{:?}", report.notices);
    assert!(report.notices.last().unwrap().as_str().contains("deviated from the exact result"));
    let report = run(&runner, TilePolicy::LrPx(200)).unwrap();
    assert!(!report.notices.is_empty() && report.mode == "tiled");
}

#[test]
fn tiles_go_together_and_fewer_of_them_where_memory_lacks() {
    let behaviour = behaviour(u64::MAX, 0, false);
    let runner = runner(&behaviour, Precision::F16);
    run(&runner, TilePolicy::LrPx(48)).unwrap();
    assert_eq!(behaviour.most_together.load(Ordering::Relaxed), 5, "a row of tiles");
    behaviour.most_together.store(0, Ordering::Relaxed);
    behaviour.room_bytes.store(3 * bytes(104, 104), Ordering::Relaxed);
    let report = run(&runner, TilePolicy::LrPx(48)).unwrap();
    assert_eq!(behaviour.most_together.load(Ordering::Relaxed), 2);
    let notice = report.notices[0].as_str();
    assert!(notice.contains("2 at once") && !notice.contains("deviated"), "{notice}");
}

#[test]
fn lack_of_memory_that_no_tile_mends_is_an_error() {
    let behaviour = behaviour(bytes(30, 30), 0, false);
    let runner = runner(&behaviour, Precision::F16);
    assert!(matches!(run(&runner, TilePolicy::Auto), Err(EngineError::DeviceMemory { .. })));
    behaviour.room_bytes.store(bytes(199, 120), Ordering::Relaxed);
    assert!(matches!(run(&runner, TilePolicy::Off), Err(EngineError::DeviceMemory { .. })));
}

#[test]
fn what_is_too_much_for_half_precision_is_done_in_f32_and_no_row_comes_twice() {
    let behaviour = behaviour(u64::MAX, 33, false);
    let runner = runner(&behaviour, Precision::F16);
    for tile in [TilePolicy::Auto, TilePolicy::LrPx(48), TilePolicy::LrPx(32)] {
        let report = run(&runner, tile).unwrap();
        assert_eq!(report.notices.len(), 1, "{:?}", report.notices);
        assert!(report.notices[0].as_str().contains("computed in f32"), "{:?}", report.notices);
    }
    assert_eq!(behaviour.networks.load(Ordering::Relaxed), 2, "the model in f32 is kept");
}

#[test]
fn both_troubles_at_once_are_mended() {
    let runner = runner(&behaviour(bytes(120, 120), 20, false), Precision::F16);
    let report = run(&runner, TilePolicy::Auto).unwrap();
    assert!(report.notices.len() >= 2 && report.mode == "tiled", "{:?}", report.notices);
}

#[test]
fn what_is_no_number_in_f32_stays_an_error() {
    for (precision, is_hopeless) in [(Precision::F16, true), (Precision::F32, true)] {
        let runner = runner(&behaviour(u64::MAX, 33, is_hopeless), precision);
        let error = run(&runner, TilePolicy::Auto).unwrap_err();
        assert!(matches!(error, EngineError::NotFinite { y: 33, .. }), "{error}");
    }
}

#[test]
fn a_stop_on_request_is_not_mended() {
    let runner = runner(&behaviour(u64::MAX, 0, false), Precision::F16);
    let plan = runner.plan(SIZE, &RunOptions::default()).unwrap();
    let mut sink = |_: usize, _: &[&[f32]]| {};
    let ended = runner.run(&plan, &picture(), &mut sink, &|_| ControlFlow::Break(()));
    assert!(matches!(ended, Err(EngineError::Cancelled)));
}
