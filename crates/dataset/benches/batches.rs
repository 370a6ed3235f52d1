//! Crops prepared in a second, by source, crop size and threads: in the first epoch, which decodes, and in the second, which
//! finds all pictures decoded.
//!
//! Run with `ESRGAN_SHARED=<folder> cargo bench -p esrgan-dataset`: pictures are taken from `data/train` below it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use esrgan_dataset::{Dataset, DatasetOptions, LrSource};
use esrgan_degrade::Preset;

fn main() {
    let Some(folder) = esrgan_testkit::shared_data("train") else {
        return;
    };
    let sources = [("bicubic", LrSource::Bicubic), ("real-esrgan", LrSource::Degraded(Preset::RealEsrgan))];
    for (name, lr) in &sources {
        for hr_crop_px in [128, 256] {
            for threads in [1, 2] {
                let [first, second] = rates(&folder, lr, hr_crop_px, threads);
                println!(
                    "{name:>11}, {hr_crop_px} px, {threads} threads: {first:6.1} crops a second, then {second:6.1}"
                );
            }
        }
    }
}

/// Crops in a second, in the first and in the second epoch.
fn rates(folder: &Path, lr: &LrSource, hr_crop_px: usize, threads: usize) -> [f64; 2] {
    const BATCH: usize = 8;
    let hr_folders = vec![folder.to_owned()];
    let lr = lr.clone();
    let options =
        DatasetOptions { hr_folders, lr, hr_crop_px, batch: BATCH, threads, ..DatasetOptions::default() };
    let dataset = Arc::new(Dataset::open(&options).expect("pictures that crops fit in"));
    let steps = dataset.picture_count().div_ceil(BATCH);
    let mut batches = dataset.batches(0).expect("threads");
    [(); 2].map(|()| {
        let start = Instant::now();
        for _ in 0..steps {
            let batch = batches.next().expect("pictures that can be decoded");
            assert_eq!(batch.hr.len(), BATCH * hr_crop_px * hr_crop_px * 3);
        }
        (steps * BATCH) as f64 / start.elapsed().as_secs_f64()
    })
}
