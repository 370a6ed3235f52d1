use std::collections::HashSet;
use std::path::PathBuf;

use esrgan_core::{Classify, Kind, Picture, dequantise_u8, dequantise_u16, quantise_u8};
use esrgan_degrade::Preset;
use tempfile::TempDir;

use super::*;
use crate::fixture::{damage, picture, truncate, write, write_deep};
use crate::orientation::Orientation;

/// A data set in a folder of its own.
struct Data {
    folder: TempDir,
    options: DatasetOptions,
}

impl Data {
    /// Pictures of some sizes in `hr`, some of them in a folder within it; crops of 8 px at scale 2.
    fn new(sizes: &[(usize, usize)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (number, (width, height)) in sizes.iter().enumerate() {
            let place = if number % 2 == 0 { "hr" } else { "hr/more" };
            write(&picture(*width, *height, number), &folder.path().join(format!("{place}/{number}.png")));
        }
        let hr_folders = vec![folder.path().join("hr")];
        let defaults = DatasetOptions::default();
        let options = DatasetOptions { hr_folders, scale: 2, hr_crop_px: 8, batch: 3, seed: 5, ..defaults };
        Self { folder, options }
    }

    /// Pictures of which each pixel of `lr` fills 2x2 pixels of `hr`.
    fn paired(lr_sizes: &[(usize, usize)]) -> Self {
        let mut data = Self::new(&[]);
        for (number, (width, height)) in lr_sizes.iter().enumerate() {
            let lr = picture(*width, *height, number);
            write(&lr, &data.path(&format!("lr/{number}x2.png")));
            write(&enlarged(&lr), &data.path(&format!("hr/{number}.png")));
        }
        data.options.lr = LrSource::Paired(data.path("lr"));
        data
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Dataset {
        Dataset::open(&self.options).expect("a sound data set")
    }

    fn refusal(&self) -> DatasetError {
        Dataset::open(&self.options).err().expect("a data set to be refused")
    }
}

fn enlarged(picture: &Picture) -> Picture {
    let of = |plane: &esrgan_core::Plane| {
        let (width, height) = (2 * plane.width(), 2 * plane.height());
        let samples = (0..width * height).map(|at| plane.row(at / width / 2)[at % width / 2]).collect();
        esrgan_core::Plane::new(width, height, samples).expect("a sample for each pixel")
    };
    Picture { color: picture.color.iter().map(of).collect(), alpha: None }
}

/// The crops of one side of a batch.
fn crops(samples: &[f32], side: usize) -> impl Iterator<Item = &[f32]> {
    samples.chunks_exact(side * side * CHANNELS)
}

/// The levels of a pixel.
fn pixel(crop: &[f32], side: usize, (x, y): (usize, usize)) -> [u8; CHANNELS] {
    [0, 1, 2].map(|channel| quantise_u8(crop[channel * side * side + y * side + x]))
}

#[test]
fn a_batch_depends_on_the_step_alone() {
    let unpaired = [LrSource::Bicubic, LrSource::Degraded(Preset::RealEsrgan)].map(|lr| {
        let mut data = Data::new(&[(8, 8), (20, 9), (13, 30), (16, 16)]);
        data.options.lr = lr;
        data
    });
    for mut data in unpaired.into_iter().chain([Data::paired(&[(4, 4), (9, 5), (6, 20)])]) {
        let expected: Vec<_> = {
            let dataset = data.open();
            let mut backwards: Vec<_> = (0..8).rev().map(|step| dataset.batch(step).unwrap()).collect();
            backwards.reverse();
            backwards
        };
        for (threads, first_step, cache_bytes) in [(1, 0, 0), (2, 3, 1 << 20), (5, 1, 1200)] {
            data.options.threads = threads;
            data.options.cache_bytes = cache_bytes;
            let mut batches = Arc::new(data.open()).batches(first_step as u64).unwrap();
            for batch in &expected[first_step..] {
                assert_eq!(&batches.next().unwrap(), batch, "{:?}, {threads} threads", data.options.lr);
            }
        }
    }
}

#[test]
fn samples_do_not_depend_on_how_many_make_a_batch() {
    let mut data = Data::new(&[(12, 12), (20, 9), (13, 30), (16, 16), (9, 8)]);
    data.options.lr = LrSource::Degraded(Preset::RealEsrgan);
    let small: Vec<_> = (0..4).map(|step| data.open().batch(step).unwrap()).collect();
    data.options.batch = 12;
    let large = data.open().batch(0).unwrap();
    assert_eq!(large.hr, small.iter().flat_map(|batch| batch.hr.clone()).collect::<Vec<_>>());
    assert_eq!(large.lr, small.iter().flat_map(|batch| batch.lr.clone()).collect::<Vec<_>>());
}

#[test]
fn every_epoch_takes_every_picture_once() {
    let data = Data::new(&[(8, 8); 7]);
    let dataset = data.open();
    assert_eq!(dataset.picture_count(), 7);
    let taken: Vec<_> =
        (0..7).flat_map(|step| (0..3).map(move |index| (step, index))).collect::<Vec<(u64, usize)>>();
    for epoch in taken.chunks(7) {
        let pictures: HashSet<_> =
            epoch.iter().map(|(step, index)| dataset.picture_of(*step, *index)).collect();
        assert_eq!(pictures.len(), 7);
    }
    // The batch is of those pictures: their number is in the third channel, 0 to 6 beside it.
    let batch = dataset.batch(2).unwrap();
    for (index, crop) in crops(&batch.hr, 8).enumerate() {
        let number = data_number(dataset.picture_of(2, index));
        let level = usize::from(pixel(crop, 8, (3, 3))[2]);
        assert!((2 * number..2 * number + 7).contains(&level), "level {level} of picture {number}");
    }
}

fn data_number(path: &Path) -> usize {
    let stem = path.file_stem().expect("a name").to_string_lossy();
    stem.parse().expect("pictures are named by numbers")
}

#[test]
fn hr_crops_lie_in_their_pictures() {
    let data = Data::new(&[(20, 9), (13, 30), (8, 8)]);
    let dataset = data.open();
    for step in 0..20 {
        let batch = dataset.batch(step).unwrap();
        for (index, crop) in crops(&batch.hr, 8).enumerate() {
            let number = data_number(dataset.picture_of(step, index));
            let (width, height) = [(20, 9), (13, 30), (8, 8)][number];
            let whole = picture(width, height, number);
            for place in 0..64 {
                // The first channel is the column, the second the row.
                let found = pixel(crop, 8, (place % 8, place / 8));
                let (x, y) = (usize::from(found[0]), usize::from(found[1]));
                assert_eq!(quantise_u8(whole.color[2].row(y)[x]), found[2], "{number} at {x}, {y}");
            }
        }
    }
}

#[test]
fn pairs_stay_aligned_in_all_eight_orientations() {
    let mut data = Data::paired(&[(30, 11), (4, 4), (9, 25)]);
    let turned = data.open();
    (data.options.has_flips, data.options.has_rotations) = (false, false);
    let upright = data.open();
    let mut seen = HashSet::new();
    for step in 0..40 {
        let (turned, upright) = (turned.batch(step).unwrap(), upright.batch(step).unwrap());
        assert_eq!((turned.lr_px, turned.hr_px, turned.size), (4, 8, 3));
        let of_turned = crops(&turned.lr, 4).zip(crops(&turned.hr, 8));
        let of_upright = crops(&upright.lr, 4).zip(crops(&upright.hr, 8));
        for ((lr, hr), (upright_lr, upright_hr)) in of_turned.zip(of_upright) {
            for place in 0..64 {
                let (x, y) = (place % 8, place / 8);
                assert_eq!(pixel(hr, 8, (x, y)), pixel(lr, 4, (x / 2, y / 2)), "step {step}");
            }
            let is_of = |(now, before): (&[f32], &[f32]), side: usize, orientation: Orientation| {
                let mut places = (0..side * side).map(|place| (place % side, place / side));
                places.all(|at| pixel(now, side, at) == pixel(before, side, orientation.source(at, side)))
            };
            let mut all = Orientation::all();
            let orientation = all.find(|orientation| is_of((lr, upright_lr), 4, *orientation));
            let orientation = orientation.expect("one of the eight");
            assert!(is_of((hr, upright_hr), 8, orientation), "{orientation:?}");
            seen.insert(orientation);
        }
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn bicubic_lr_is_imresize_of_the_crop() {
    let data = Data::new(&[(20, 9), (13, 30)]);
    let batch = data.open().batch(4).unwrap();
    assert_eq!((batch.hr.len(), batch.lr.len()), (3 * 8 * 8 * 3, 3 * 4 * 4 * 3));
    for (hr, lr) in crops(&batch.hr, 8).zip(crops(&batch.lr, 4)) {
        for (channel, plane) in planes(hr, 8).iter().enumerate() {
            let expected = imresize(plane, 4, 4, SampleDepth::U8, Boundary::Replicate);
            assert_eq!(planes(lr, 4)[channel], expected);
        }
    }
}

#[test]
fn lr_is_made_of_the_sharpened_crop() {
    let mut data = Data::new(&[]);
    // With edges above what sharpening leaves alone.
    let mut striking = picture(20, 30, 1);
    for sample in striking.color.iter_mut().flat_map(esrgan_core::Plane::samples_mut) {
        *sample = dequantise_u8(quantise_u8((*sample * 9.0).fract()));
    }
    write(&striking, &data.path("hr/only.png"));
    let plain = data.open().batch(4).unwrap();
    data.options.is_sharpened = true;
    let batch = data.open().batch(4).unwrap();
    assert_eq!((batch.hr, plain.sharpened), (plain.hr.clone(), None));
    let sharpened = batch.sharpened.unwrap();
    assert_ne!(sharpened, plain.hr);
    for (hr, (crop, lr)) in crops(&plain.hr, 8).zip(crops(&sharpened, 8).zip(crops(&batch.lr, 4))) {
        let expected: Vec<_> = planes(hr, 8).iter().map(sharpen).collect();
        assert_eq!(planes(crop, 8), expected);
        let small = |plane| imresize(plane, 4, 4, SampleDepth::U8, Boundary::Replicate);
        assert_eq!(planes(lr, 4), expected.iter().map(small).collect::<Vec<_>>());
    }
}

#[test]
fn degraded_lr_is_the_degradation_of_the_crop_under_its_key() {
    for preset in Preset::ALL {
        let mut data = Data::new(&[(20, 9), (13, 30)]);
        data.options.lr = LrSource::Degraded(preset);
        let batch = data.open().batch(4).unwrap();
        let degradation = Degradation::preset(preset, 2).unwrap();
        for (index, (hr, lr)) in crops(&batch.hr, 8).zip(crops(&batch.lr, 4)).enumerate() {
            // Samples 12 to 14 of epochs of 2.
            let sample = 12 + index as u64;
            let parameters = degradation.sample(SampleKey { seed: 5, step: sample / 2, sample: sample % 2 });
            let hr = Picture { color: planes(hr, 8), alpha: None };
            assert_eq!(planes(lr, 4), degradation.apply(&hr, &parameters).unwrap().color, "{preset:?}");
        }
    }
}

#[test]
fn gray_is_repeated_alpha_is_dropped_and_deep_samples_are_kept() {
    let mut data = Data::new(&[]);
    let whole = picture(8, 8, 1);
    let gray = Picture { color: vec![whole.color[0].clone()], alpha: None };
    let clear = Picture { alpha: Some(esrgan_core::Plane::filled(8, 8, 0.0)), ..whole.clone() };
    let mut deep = whole.clone();
    for sample in deep.color.iter_mut().flat_map(esrgan_core::Plane::samples_mut) {
        *sample += dequantise_u16(1);
    }
    (data.options.has_flips, data.options.has_rotations) = (false, false);
    data.options.batch = 1;
    let tripled = Picture { color: vec![whole.color[0].clone(); 3], alpha: None };
    let cases = [
        (gray, SampleDepth::U8, tripled),
        (clear, SampleDepth::U8, whole),
        (deep.clone(), SampleDepth::U16, deep),
    ];
    for (stored, depth, expected) in cases {
        write_deep(&stored, &data.path("hr/only.png"), depth);
        let batch = data.open().batch(0).unwrap();
        for (found, expected) in planes(&batch.hr, 8).iter().zip(&expected.color) {
            assert!(found.samples().iter().zip(expected.samples()).all(|(a, b)| (a - b).abs() < 1e-7));
        }
        assert!(batch.lr.iter().all(|sample| dequantise_u8(quantise_u8(*sample)) == *sample));
    }
}

#[test]
fn the_cache_stays_within_its_budget() {
    // Pictures of 300, 300, 768 and 3072 bytes.
    let mut data = Data::new(&[(10, 10), (10, 10), (16, 16), (32, 32)]);
    for cache_bytes in [0, 299, 300, 1000, 1 << 20] {
        data.options.cache_bytes = cache_bytes;
        let dataset = data.open();
        let mut largest = 0;
        for step in 0..12 {
            dataset.batch(step).unwrap();
            largest = largest.max(dataset.cached_bytes());
        }
        assert!(largest <= cache_bytes, "{largest} bytes of {cache_bytes}");
        assert_eq!(largest > 0, cache_bytes >= 300);
        assert!(cache_bytes < 5000 || largest == 300 + 300 + 768 + 3072, "{largest}");
    }
}

#[test]
fn a_picture_smaller_than_a_crop_is_named_at_once() {
    for size in [(7, 20), (20, 7)] {
        let error = Data::new(&[(8, 8), size]).refusal();
        let text = error.to_string();
        let words = ["1.png", &format!("{}x{}", size.0, size.1), "8x8"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(error.kind(), Kind::Argument);
    }
}

#[test]
fn partners_of_other_sizes_are_named_with_both() {
    let data = Data::paired(&[(4, 4), (9, 5)]);
    write(&picture(9, 6, 0), &data.path("lr/1x2.png"));
    let text = data.refusal().to_string();
    let words = ["1x2.png", "9x6", "1.png", "18x10", "scale 2"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_missing_partner_and_options_out_of_range_are_refused() {
    let mut data = Data::paired(&[(4, 4), (9, 5)]);
    std::fs::remove_file(data.path("lr/0x2.png")).unwrap();
    assert!(matches!(data.refusal(), DatasetError::NoPartner { hr, .. } if hr == data.path("hr/0.png")));
    data.options.hr_crop_px = 9;
    assert!(matches!(data.refusal(), DatasetError::CropNotMultiple { hr_crop_px: 9, scale: 2 }));
    data.options.hr_folders = vec![data.path("absent")];
    data.options.hr_crop_px = 8;
    assert_eq!(data.refusal().kind(), Kind::Io);
}

#[test]
fn what_is_no_picture_is_refused_at_once_and_what_is_too_large_too() {
    let mut data = Data::new(&[(8, 8)]);
    data.options.limits.max_pixels = 63;
    assert_eq!(data.refusal().kind(), Kind::Limit);
    data.options.limits.max_pixels = 64;
    std::fs::write(data.path("hr/odd.png"), "these are no samples").unwrap();
    let error = data.refusal();
    assert!(error.to_string().contains("odd.png") && error.kind() == Kind::Unsupported, "{error}");
}

#[test]
fn a_file_that_is_known_to_end_early_is_refused_at_once() {
    let data = Data::new(&[(64, 64); 4]);
    truncate(&data.path("hr/2.png"));
    let error = data.refusal();
    assert!(error.to_string().contains("2.png") && error.kind() == Kind::Malformed, "{error}");
}

#[test]
fn a_picture_that_ends_early_or_is_damaged_is_named_when_it_is_used_and_others_go_on() {
    for is_cut in [true, false] {
        let mut data = Data::new(&[(64, 64); 4]);
        data.options.batch = 1;
        if !is_cut {
            damage(&data.path("hr/2.png"));
        }
        let dataset = Arc::new(data.open());
        if is_cut {
            truncate(&data.path("hr/2.png"));
        }
        assert_fails_where_used(&dataset, &data.path("hr/2.png"));
    }
}

/// Three epochs of four pictures, one of which cannot be decoded.
fn assert_fails_where_used(dataset: &Arc<Dataset>, broken: &Path) {
    let mut batches = dataset.batches(0).unwrap();
    let mut failures = 0;
    for step in 0..12 {
        let is_broken = dataset.picture_of(step, 0) == broken;
        match batches.next() {
            Ok(batch) => assert!(!is_broken && batch.step == step),
            Err(error) => {
                failures += 1;
                assert!(is_broken && error.to_string().contains("2.png"), "{error}");
                assert_eq!(error.kind(), Kind::Malformed);
            }
        }
    }
    assert_eq!(failures, 3, "once in each epoch");
}

#[test]
fn files_that_change_or_go_are_errors_and_no_panics() {
    let mut data = Data::new(&[(8, 8)]);
    data.options.cache_bytes = 0;
    let dataset = data.open();
    write(&picture(7, 8, 0), &data.path("hr/0.png"));
    assert!(matches!(dataset.batch(0), Err(DatasetError::TooSmall { width: 7, height: 8, .. })));
    std::fs::remove_file(data.path("hr/0.png")).unwrap();
    assert_eq!(dataset.batch(0).unwrap_err().kind(), Kind::Io);
    let data = Data::paired(&[(4, 4)]);
    let dataset = data.open();
    write(&picture(3, 4, 0), &data.path("lr/0x2.png"));
    assert!(matches!(dataset.batch(0), Err(DatasetError::PairSize { lr_size: (3, 4), .. })));
}

#[test]
fn the_end_of_all_steps_is_no_panic() {
    let data = Data::new(&[(8, 8), (9, 9)]);
    let batch = data.open().batch(u64::MAX).unwrap();
    assert_eq!(batch.hr.len(), 3 * 8 * 8 * 3);
}

#[test]
fn dropping_batches_early_ends_their_threads() {
    let dataset = Arc::new(Data::new(&[(32, 32); 3]).open());
    let mut batches = dataset.batches(0);
    assert!(Arc::strong_count(&dataset) > 1);
    let _ = batches.as_mut().unwrap().next();
    drop(batches);
    assert_eq!(Arc::strong_count(&dataset), 1);
}
