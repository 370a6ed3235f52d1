//! Parts of pictures side by side in one picture.

use std::path::Path;

use esrgan_core::{Picture, Plane, SampleDepth, write_atomically};
use esrgan_image::{Raster, encode_png};

use crate::error::EvaluateError;
use crate::evaluation::{Evaluation, Views};

/// Room between parts, in pixels.
const GAP_PX: usize = 6;
/// White.
const GROUND: f32 = 1.0;

/// Writes a PNG with a row for each of the first `most` pictures that have a part to look at: LR with its pixels repeated,
/// bicubic, SR, HR. Returns its bytes; nothing where there is no such picture.
///
/// # Errors
/// [`EvaluateError::Image`], [`EvaluateError::Io`].
pub fn write_sheet(
    evaluation: &Evaluation,
    most: usize,
    path: &Path,
) -> Result<Option<Vec<u8>>, EvaluateError> {
    let views = evaluation.pictures.iter().filter_map(|picture| picture.views.as_ref());
    let rows: Vec<[&Picture; 4]> =
        views.take(most).map(|Views { lr, bicubic, sr, hr, .. }| [lr, bicubic, sr, hr]).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let png = encode_png(&Raster::from_picture(&laid_out(&rows), SampleDepth::U8), path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(EvaluateError::io(folder))?;
    }
    write_atomically(path, &png).map_err(EvaluateError::io(path))?;
    Ok(Some(png))
}

/// Parts in rows and columns, the pictures of a row being of one size.
fn laid_out(rows: &[[&Picture; 4]]) -> Picture {
    let width = rows.iter().map(|row| row[0].width()).max().unwrap_or(0);
    let height: usize = rows.iter().map(|row| row[0].height() + GAP_PX).sum();
    let size = (4 * (width + GAP_PX) + GAP_PX, height + GAP_PX);
    let plane = |channel: usize| {
        let mut plane = Plane::filled(size.0, size.1, GROUND);
        let mut top = GAP_PX;
        for row in rows {
            for (column, part) in row.iter().enumerate() {
                let left = GAP_PX + column * (width + GAP_PX);
                for y in 0..part.height() {
                    let samples = part.color[channel].row(y);
                    let start = (top + y) * size.0 + left;
                    plane.samples_mut()[start..start + samples.len()].copy_from_slice(samples);
                }
            }
            top += row[0].height() + GAP_PX;
        }
        plane
    };
    Picture { color: (0..3).map(plane).collect(), alpha: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_their_columns() {
        let part = |value: f32, side: usize| Picture {
            color: (0..3).map(|_| Plane::filled(side, side, value)).collect(),
            alpha: None,
        };
        let row = |side: usize| [0.1, 0.2, 0.3, 0.4].map(|value| part(value, side));
        let (small, large) = (row(8), row(12));
        let sheet = laid_out(&[small.each_ref(), large.each_ref()]);
        assert_eq!((sheet.width(), sheet.height()), (4 * 18 + 6, 8 + 12 + 18));
        let at = |column: usize, y: usize| sheet.color[2].row(y)[GAP_PX + column * 18];
        assert_eq!([0, 1, 2, 3].map(|column| at(column, GAP_PX)), [0.1, 0.2, 0.3, 0.4]);
        assert_eq!([0, 1, 2, 3].map(|column| at(column, 2 * GAP_PX + 8)), [0.1, 0.2, 0.3, 0.4]);
        assert_eq!(at(0, 0), GROUND);
        assert_eq!(sheet.color[0].row(GAP_PX)[GAP_PX + 8], GROUND, "the small row leaves room");
    }
}
