//! A run that only writes its journal.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use esrgan_journal::{Clock, Journal, Record, RecordKind};

/// When the first event is written; each later one comes a second after the one before.
pub const START_SECONDS: u64 = 1_700_000_000;

/// A clock that goes on by a second each time that it is asked.
pub fn clock(start_seconds: u64) -> Clock {
    let now = AtomicU64::new(start_seconds);
    Box::new(move || UNIX_EPOCH + Duration::from_secs(now.fetch_add(1, Ordering::Relaxed)))
}

pub fn open(folder: &Path, resume_step: Option<u64>) -> Journal {
    Journal::open_with_clock(folder, resume_step, clock(START_SECONDS)).expect("the journal opens")
}

/// Writes all that a run writes of its steps from `first` to `last`; `haste` is what differs between runs.
pub fn write_steps(journal: &mut Journal, (first, last): (u64, u64), haste: f64) {
    for step in first..=last {
        journal.write(&train_record(step)).expect("a record is written");
        journal.write_timing(step, &[("seconds", step as f64 * haste)]).expect("timing is written");
        if step % 4 == 0 {
            journal.write(&validation_record(step)).expect("a record is written");
            journal.write_picture(step, "sr/baby", &png(step as u8)).expect("a picture is written");
        }
        if step % 5 == 0 {
            journal.flush_and_sync().expect("the disk takes it");
            journal.draw_curves().expect("curves are drawn");
        }
    }
}

pub fn train_record(step: u64) -> Record {
    let gan = if step == 7 { f64::NAN } else { 0.1 * step as f64 };
    Record::new(step, RecordKind::Train).with("loss_l1", 1.0 / step as f64).with("loss_gan", gan)
}

pub fn validation_record(step: u64) -> Record {
    Record::new(step, RecordKind::Validation).with("psnr/set5", 25.0 + step as f64 / 3.0)
}

/// A gray PNG of 1x1 pixels.
pub fn png(gray: u8) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8], data: &[u8]| {
        let body = [name, data].concat();
        png.extend((data.len() as u32).to_be_bytes());
        png.extend(&body);
        png.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&body).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
    // zlib: one stored block of two bytes, filter and sample, and their Adler-32.
    let adler = (u32::from(gray) + 2) << 16 | (u32::from(gray) + 1);
    let head = [0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, 0, gray];
    chunk(b"IDAT", &[head.as_slice(), &adler.to_be_bytes()].concat());
    chunk(b"IEND", &[]);
    png
}
