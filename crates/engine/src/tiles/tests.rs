//! Cuts, and the order in which rows of tiles come together.

use esrgan_weights::{Activation, Family, SpecParts};

use super::*;

fn spec(unshuffle: usize) -> ModelSpec {
    ModelSpec::new(SpecParts {
        family: Family::Rrdb,
        scale: 4 / unshuffle,
        in_channels: 1,
        out_channels: 1,
        num_features: 8,
        num_blocks: 1,
        growth_channels: 4,
        unshuffle,
        upsampling: vec![2, 2],
        activation: Activation::LeakyRelu,
    })
    .unwrap()
}

#[test]
fn cells_cover_the_picture_and_their_tiles_are_of_one_length() {
    for (length, most, halo, unit) in [
        (1000, 100, 32, 1),
        (1000, 300, 7, 1),
        (40, 64, 32, 1),
        (130, 64, 32, 4),
        (131, 40, 8, 4),
        (1, 32, 32, 1),
    ] {
        for wraps in [false, true] {
            let case = format!("{length} {most} {halo} {unit} {wraps}");
            let cells = cells(length, (most, halo), unit, wraps);
            assert_eq!((cells[0].own.start, cells.last().unwrap().own.end), (0, length), "{case}");
            assert!(cells.windows(2).all(|pair| pair[0].own.end == pair[1].own.start), "{case}");
            let usual = cells[0].tile.len();
            for (index, cell) in cells.iter().enumerate() {
                let Range { start, end } = cell.tile;
                assert!(cell.own.len() <= most && cell.own.start % unit == 0, "{case} {cell:?}");
                assert!(start.rem_euclid(unit as isize) == 0, "{case} {cell:?}");
                let reach = |distance: isize| distance >= halo as isize;
                let (before, behind) = (cell.own.start as isize - start, end - cell.own.end as isize);
                assert!(reach(before) || start == 0 && !wraps, "{case} {cell:?}");
                assert!(reach(behind) || end == length as isize && !wraps, "{case} {cell:?}");
                // Where the last one would begin within a grid pixel, it is another.
                let is_other = index + 1 == cells.len() && length % unit > 0;
                assert!(cell.tile.len() == usual || is_other, "{case} {cell:?}");
            }
        }
    }
}

/// Repeats pixels, strip by strip; NaN where the picture is negative.
fn enlarge(
    scale: usize,
    largest_batch: &mut usize,
) -> impl FnMut(&[&[Plane]], TileRows<'_>, Progress<'_>) -> Result<(), EngineError> {
    move |tiles, rows, progress| {
        *largest_batch = tiles.len().max(*largest_batch);
        let (width, height) = (tiles[0][0].width() * scale, tiles[0][0].height() * scale);
        for first in (0..height).step_by(5) {
            for (number, tile) in tiles.iter().enumerate() {
                assert_eq!((tile[0].width() * scale, tile[0].height() * scale), (width, height));
                for y in first..height.min(first + 5) {
                    let row: Vec<f32> = (0..width).map(|x| tile[0].row(y / scale)[x / scale]).collect();
                    if let Some(x) = row.iter().position(|value| *value < 0.0) {
                        return Err(EngineError::NotFinite { value: f32::NAN, channel: 0, x, y });
                    }
                    rows(number, y, &[&row]);
                }
            }
        }
        match progress(1.0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        }
    }
}

const SIZE: (usize, usize) = (230, 90);

fn picture() -> Plane {
    let samples = (0..SIZE.0 * SIZE.1).map(|index| (index * 7919 % 251) as f32).collect();
    Plane::new(SIZE.0, SIZE.1, samples).unwrap()
}

#[test]
fn tiles_together_give_what_they_give_alone() {
    let picture = picture();
    for (edge, unshuffle) in [(Edge::Zero, 1), (Edge::Wrap, 1), (Edge::Reflect, 2)] {
        let tiling = Tiling::new(&spec(unshuffle), SIZE, (40, 12), edge).unwrap();
        for at_once in [1, 3, usize::MAX] {
            let (mut next, mut largest) = (0, 0);
            let scale = 4 / unshuffle;
            let mut sink = |y: usize, channels: &[&[f32]]| {
                assert_eq!(y, next);
                next += 1;
                let expected = picture.row(y / scale);
                let is_right = |(x, value): (usize, &f32)| *value == expected[x / scale];
                assert!(channels[0].iter().enumerate().all(is_right), "{edge:?} {at_once}: row {y}");
            };
            let planes = std::slice::from_ref(&picture);
            let forward = |_: f64| ControlFlow::Continue(());
            tiling.run(planes, at_once, &mut enlarge(scale, &mut largest), &mut sink, &forward).unwrap();
            assert_eq!((next, largest), (SIZE.1 * scale, at_once.min(tiling.most_at_once())));
        }
    }
}

#[test]
fn what_is_no_number_is_placed_in_the_picture() {
    let mut picture = picture();
    picture.row_mut(70)[200] = -1.0;
    let tiling = Tiling::new(&spec(1), SIZE, (40, 12), Edge::Zero).unwrap();
    for at_once in [1, 2, usize::MAX] {
        let (mut largest, mut sink) = (0, |_: usize, _: &[&[f32]]| {});
        let forward = |_: f64| ControlFlow::Continue(());
        let planes = std::slice::from_ref(&picture);
        let error =
            tiling.run(planes, at_once, &mut enlarge(4, &mut largest), &mut sink, &forward).unwrap_err();
        assert!(matches!(error, EngineError::NotFinite { x: 800, y: 280, .. }), "{at_once}: {error}");
    }
}
