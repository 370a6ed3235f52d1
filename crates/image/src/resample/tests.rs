use super::*;

/// Separable convolution in f64: weights `kernel((i - centre) / scale)` normalised, centres of pixels at halves.
fn oracle(plane: &Plane, width: usize, height: usize, filter: Filter) -> Vec<f64> {
    let (in_width, in_height) = (plane.width(), plane.height());
    let rows: Vec<f64> = plane.samples().iter().map(|v| f64::from(*v)).collect();
    let narrowed: Vec<f64> =
        (0..in_height).flat_map(|y| line(&rows[y * in_width..(y + 1) * in_width], width, filter)).collect();
    let columns: Vec<Vec<f64>> = (0..width)
        .map(|x| {
            let column: Vec<f64> = (0..in_height).map(|y| narrowed[y * width + x]).collect();
            line(&column, height, filter)
        })
        .collect();
    (0..width * height).map(|at| columns[at % width][at / width]).collect()
}

fn line(samples: &[f64], length: usize, filter: Filter) -> Vec<f64> {
    let ratio = samples.len() as f64 / length as f64;
    let scale = ratio.max(1.0);
    (0..length)
        .map(|i| {
            let centre = (i as f64 + 0.5) * ratio;
            let length = samples.len() as i64;
            // The cubic sees the line mirrored at its ends; the other filters do without what is not there.
            let beyond = if filter == Filter::Bicubic { (2.0 * scale).ceil() as i64 + 1 } else { 0 };
            let taps: Vec<(f64, f64)> = (-beyond..length + beyond)
                .map(|j| {
                    let mirrored = j.rem_euclid(2 * length).min(2 * length - 1 - j.rem_euclid(2 * length));
                    (samples[mirrored as usize], kernel(filter, (j as f64 + 0.5 - centre) / scale))
                })
                .collect();
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            taps.iter().map(|(sample, weight)| sample * weight).sum::<f64>() / sum
        })
        .collect()
}

fn kernel(filter: Filter, x: f64) -> f64 {
    let x = x.abs();
    let sinc = |x: f64| {
        if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) }
    };
    match filter {
        Filter::Nearest => panic!("not a convolution"),
        Filter::Bilinear => (1.0 - x).max(0.0),
        Filter::Bicubic if x < 1.0 => 1.5 * x * x * x - 2.5 * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0,
        Filter::Lanczos3 if x < 3.0 => sinc(x) * sinc(x / 3.0),
        Filter::Bicubic | Filter::Lanczos3 => 0.0,
    }
}

fn noise(width: usize, height: usize) -> Plane {
    let samples = (0..width * height).map(|i| ((i * 7919 + 13) % 1009) as f32 / 1009.0).collect();
    Plane::new(width, height, samples).expect("sizes agree")
}

/// Two passes whose taps sum to at most 1.4 in absolute value, each rounded to f32 along with its weights: 16 roundings of
/// values near 1 are generous.
const BOUND: f64 = 16.0 * 1.4 * f32::EPSILON as f64;

#[test]
fn each_filter_is_its_textbook_formula() {
    let plane = noise(37, 23);
    for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3] {
        for (width, height) in [(74, 46), (37, 61), (12, 9), (111, 7), (1, 1), (40, 23)] {
            let found = resample(&plane, width, height, filter);
            let expected = oracle(&plane, width, height, filter);
            let worst = found
                .samples()
                .iter()
                .zip(&expected)
                .map(|(f, e)| (f64::from(*f) - e).abs())
                .fold(0.0, f64::max);
            assert!(worst <= BOUND, "{filter:?} to {width} x {height}: off by {worst}");
        }
    }
}

#[test]
fn an_equal_size_is_an_equal_plane() {
    let plane = noise(31, 17);
    for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3] {
        assert_eq!(resample(&plane, 31, 17, filter), plane);
    }
}

#[test]
fn nearest_repeats_samples() {
    let plane = noise(5, 3);
    let larger = resample(&plane, 20, 12, Filter::Nearest);
    for y in 0..12 {
        for x in 0..20 {
            assert_eq!(larger.row(y)[x], plane.row(y / 4)[x / 4]);
        }
    }
}

#[test]
fn hidden_colours_do_not_show_at_edges() {
    // White and opaque on the left, black and transparent on the right.
    let (width, height) = (16, 4);
    let side: Vec<f32> = (0..width * height).map(|i| f32::from(i % width < 8)).collect();
    let plane = Plane::new(width, height, side).expect("sizes agree");
    let picture = Picture { color: vec![plane.clone()], alpha: Some(plane) };
    let larger = resample_picture(&picture, 40, 10, Filter::Lanczos3);
    let alpha = larger.alpha.as_ref().expect("alpha stays");
    let visible = larger.color[0].samples().iter().zip(alpha.samples()).filter(|(_, alpha)| **alpha > 0.01);
    for (color, alpha) in visible {
        assert!((color - 1.0).abs() < 1e-3, "{color} where alpha is {alpha}");
    }
}

#[test]
fn the_result_is_the_same_on_every_thread() {
    let plane = noise(301, 203);
    let expected = resample(&plane, 500, 77, Filter::Lanczos3);
    let results: Vec<Plane> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| resample(&plane, 500, 77, Filter::Lanczos3))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(results.iter().all(|result| *result == expected));
}
