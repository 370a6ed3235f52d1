//! Against the definition written out pixel by pixel; the published LR pictures are held in `tests/it`.

use super::*;

/// The definition, one output sample at a time: rows, whole levels, columns, whole levels.
fn plain(levels: &[Vec<f64>], (width, height): (usize, usize), boundary: Boundary) -> Vec<Vec<f64>> {
    let transposed = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        (0..rows[0].len()).map(|x| rows.iter().map(|row| row[x]).collect()).collect()
    };
    let is_rows_first = height * levels[0].len() <= width * levels.len();
    if is_rows_first {
        transposed(&plain_rows(&transposed(&plain_rows(levels, height, boundary)), width, boundary))
    } else {
        plain_rows(&transposed(&plain_rows(&transposed(levels), width, boundary)), height, boundary)
    }
}

fn plain_rows(rows: &[Vec<f64>], height: usize, boundary: Boundary) -> Vec<Vec<f64>> {
    let old_height = rows.len();
    let scale = height as f64 / old_height as f64;
    let stretch = if scale < 1.0 { scale } else { 1.0 };
    let at = |y: i64| {
        let mut y = y;
        while y < 0 || y >= old_height as i64 {
            y = match (boundary, y < 0) {
                (Boundary::Replicate, true) => 0,
                (Boundary::Replicate, false) => old_height as i64 - 1,
                (Boundary::Symmetric, true) => -1 - y,
                (Boundary::Symmetric, false) => 2 * old_height as i64 - 1 - y,
            };
        }
        y as usize
    };
    let row = |y: usize| {
        let centre = (y as f64 + 0.5) / scale - 0.5;
        let reach = (2.0 / stretch).ceil() as i64 + 1;
        let taps: Vec<(usize, f64)> = (centre as i64 - reach..=centre as i64 + reach + 1)
            .map(|tap| (at(tap), cubic(stretch * (centre - tap as f64))))
            .collect();
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        (0..rows[0].len())
            .map(|x| {
                let value: f64 = taps.iter().map(|(row, weight)| weight / sum * rows[*row][x]).sum();
                // Far below a level: sums that are halves but for their rounding are halves.
                (value + 0.5 + 1e-9).floor().clamp(0.0, 255.0)
            })
            .collect()
    };
    (0..height).map(row).collect()
}

/// A plane of 8-bit levels that rises, falls and jumps.
fn picture(width: usize, height: usize) -> (Plane, Vec<Vec<f64>>) {
    let level = |x: usize, y: usize| ((x * x * 7 + y * 31 + (x / 5) * (y / 3) * 90) % 256) as f64;
    let levels: Vec<Vec<f64>> = (0..height).map(|y| (0..width).map(|x| level(x, y)).collect()).collect();
    let samples = levels.iter().flatten().map(|level| *level as f32 / 255.0).collect();
    (Plane::new(width, height, samples).unwrap(), levels)
}

#[test]
fn planes_are_what_the_definition_says() {
    for (old, new) in [
        ((16, 12), (4, 3)),
        ((40, 36), (20, 18)),
        ((33, 27), (11, 9)),
        ((24, 24), (3, 3)),
        ((5, 7), (20, 28)),
        ((9, 4), (5, 9)),
        ((30, 20), (7, 19)),
        ((1, 1), (3, 2)),
        ((2, 3), (1, 1)),
    ] {
        for boundary in [Boundary::Replicate, Boundary::Symmetric] {
            let (plane, levels) = picture(old.0, old.1);
            let resized = imresize(&plane, new.0, new.1, SampleDepth::U8, boundary);
            let expected: Vec<f64> = plain(&levels, new, boundary).concat();
            let found: Vec<f64> =
                resized.samples().iter().map(|sample| (f64::from(*sample) * 255.0).round()).collect();
            assert_eq!(found, expected, "{old:?} to {new:?}, {boundary:?}");
        }
    }
}

/// The fast way is taken where it is exact, and only there.
#[test]
fn sums_in_f32_are_exact_for_small_powers_of_two() {
    for (old, new, is_exact) in
        [(64, 16, true), (64, 32, true), (16, 64, true), (64, 8, false), (63, 21, false)]
    {
        assert_eq!(Taps::new(old, new, Boundary::Replicate).are_exact_in_f32(), is_exact, "{old} to {new}");
    }
    let (plane, _) = picture(64, 48);
    let (rows, columns) = (Taps::new(48, 12, Boundary::Replicate), Taps::new(64, 16, Boundary::Replicate));
    let order = (&rows, &columns, true);
    assert_eq!(
        resized::<f32>(&plane, order, SampleDepth::U8),
        resized::<f64>(&plane, order, SampleDepth::U8)
    );
}

#[test]
fn deeper_samples_are_rounded_to_their_own_levels_or_not_at_all() {
    let (plane, _) = picture(32, 32);
    let resized = |depth| imresize(&plane, 8, 8, depth, Boundary::Replicate);
    let (of_8, of_16, of_float) =
        (resized(SampleDepth::U8), resized(SampleDepth::U16), resized(SampleDepth::F32));
    let distance = |a: &Plane, levels: f32| {
        let pairs = a.samples().iter().zip(of_float.samples());
        pairs.map(|(a, b)| (a - b.clamp(0.0, 1.0)).abs() * levels).fold(0.0, f32::max)
    };
    // Half a level of each pass; the columns' weights may add up to 1.25.
    assert!(distance(&of_8, 255.0) <= 1.2 && distance(&of_8, 255.0) > 0.1);
    assert!(distance(&of_16, 65_535.0) <= 1.2 && distance(&of_16, 65_535.0) > 0.1);
    let step = Plane::new(4, 1, vec![0.0, 0.0, 1.0, 1.0]).unwrap();
    let enlarged = |depth| imresize(&step, 16, 1, depth, Boundary::Replicate).samples().to_vec();
    assert!(enlarged(SampleDepth::F32).iter().any(|sample| *sample > 1.01), "a cubic overshoots");
    assert!(enlarged(SampleDepth::U8).iter().all(|sample| (0.0..=1.0).contains(sample)));
}

#[test]
fn a_flat_plane_stays_flat() {
    for level in [0.0, 1.0, 128.0, 255.0] {
        let plane = Plane::filled(19, 23, level / 255.0);
        let resized = imresize(&plane, 6, 41, SampleDepth::U8, Boundary::Symmetric);
        assert!(resized.samples().iter().all(|sample| *sample == level / 255.0), "{level}");
    }
}
