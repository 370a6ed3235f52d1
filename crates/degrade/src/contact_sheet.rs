//! The contact sheet: a picture and what a degradation makes of it, side by side.

use std::path::Path;

use esrgan_core::{Picture, Plane};
use esrgan_image::{PictureFormat, check_writable};

use crate::degradation::Degradation;
use crate::error::DegradeError;
use crate::files::{part, read_hr, write_png};
use crate::parameters::Parameters;
use esrgan_random::SampleKey;

/// Pixels of a side of the part that is shown.
const PART_PX: usize = 256;
const COLUMNS: usize = 3;

/// Writes a PNG with the middle of the picture `input` at the top left and `count` degraded samples of it after that, row by
/// row, enlarged by repetition; three to a row. Returns the samples' parameters in that order.
///
/// # Errors
/// As [`degrade_file`](crate::degrade_file); [`DegradeError::SheetFormat`].
pub fn contact_sheet(
    degradation: &Degradation,
    input: &Path,
    output: &Path,
    seed: u64,
    count: usize,
) -> Result<Vec<Parameters>, DegradeError> {
    if PictureFormat::from_path(output) != Some(PictureFormat::Png) {
        return Err(DegradeError::SheetFormat { path: output.to_owned() });
    }
    check_writable(output)?;
    let scale = degradation.scale();
    let (hr, _) = read_hr(input, scale)?;
    let side = |length: usize| length.min((PART_PX / scale).max(1) * scale);
    let size = (side(hr.width()), side(hr.height()));
    let hr = part(&hr, ((hr.width() - size.0) / 2, (hr.height() - size.1) / 2), size);
    let blank = Plane::filled(size.0 * COLUMNS, size.1 * (count + 1).div_ceil(COLUMNS), 1.0);
    let mut sheet = Picture { color: vec![blank; hr.color.len()], alpha: None };
    paste(&mut sheet, &hr, 0, 1);
    let keys = (0..count as u64).map(|sample| SampleKey { seed, step: 0, sample });
    let drawn: Vec<Parameters> = keys.map(|key| degradation.sample(key)).collect();
    for (index, parameters) in drawn.iter().enumerate() {
        paste(&mut sheet, &degradation.apply(&hr, parameters)?, index + 1, scale);
    }
    write_png(&sheet, output)?;
    Ok(drawn)
}

/// Puts a picture into a cell, each of its pixels `scale` times over each way.
fn paste(sheet: &mut Picture, picture: &Picture, cell: usize, scale: usize) {
    let (width, height) = (picture.width() * scale, picture.height() * scale);
    let (left, top) = (cell % COLUMNS * width, cell / COLUMNS * height);
    for (target, source) in sheet.color.iter_mut().zip(&picture.color) {
        for y in 0..height {
            let line = source.row(y / scale);
            let target = &mut target.row_mut(top + y)[left..left + width];
            target.iter_mut().enumerate().for_each(|(x, sample)| *sample = line[x / scale]);
        }
    }
}
