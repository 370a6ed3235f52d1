//! Colours spread under transparent pixels, so that a filter or a network that looks across an edge sees no foreign colour.
//!
//! Push-pull: colours are averaged, weighted by alpha, into ever smaller levels (pull), and pixels without a colour of their
//! own take one from the next smaller level, interpolated (push). Gortler et al., The Lumigraph, 1996, section 3.4.

use esrgan_core::Picture;

/// Replaces the colours of fully transparent pixels by those of visible pixels around them; visible pixels stay as they are.
///
/// A picture without alpha, without transparent pixels or without visible ones stays as it is. Time and memory grow with the
/// number of pixels; the result does not depend on threads.
pub fn bleed_colors(picture: &mut Picture) {
    let (width, height) = (picture.width(), picture.height());
    let Some(alpha) = &picture.alpha else {
        return;
    };
    let is_hidden = |alpha: &f32| *alpha <= 0.0;
    let hidden = alpha.samples().iter().filter(|alpha| is_hidden(alpha)).count();
    if hidden == 0 || hidden == alpha.samples().len() {
        return;
    }
    let weights: Vec<f32> = alpha.samples().iter().map(|alpha| alpha.max(0.0)).collect();
    for plane in &mut picture.color {
        let filled = filled(plane.samples(), &weights, width, height);
        let pixels = plane.samples_mut().iter_mut().zip(filled).zip(alpha.samples());
        for ((sample, filled), alpha) in pixels {
            if is_hidden(alpha) {
                *sample = filled;
            }
        }
    }
}

/// One level of the pyramid.
struct Level {
    width: usize,
    height: usize,
    colors: Vec<f32>,
    weights: Vec<f32>,
}

/// The plane with every pixel of weight 0 given a colour.
fn filled(colors: &[f32], weights: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut levels = vec![halved(colors, weights, width, height)];
    while let Some(last) = levels.last()
        && last.weights.contains(&0.0)
    {
        levels.push(halved(&last.colors, &last.weights, last.width, last.height));
    }
    while levels.len() > 1 {
        if let (Some(coarse), Some(fine)) = (levels.pop(), levels.last_mut()) {
            push(&coarse, &mut fine.colors, &fine.weights, fine.width);
        }
    }
    let mut out = colors.to_vec();
    if let Some(coarse) = levels.pop() {
        push(&coarse, &mut out, weights, width);
    }
    out
}

/// Means of 2 x 2 pixels weighted by their weights; the new weight is 1 where anything was visible, as further averages
/// should treat every place alike.
fn halved(colors: &[f32], weights: &[f32], width: usize, height: usize) -> Level {
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut level = Level {
        width: half_width,
        height: half_height,
        colors: Vec::with_capacity(half_width * half_height),
        weights: Vec::with_capacity(half_width * half_height),
    };
    for y in 0..half_height {
        for x in 0..half_width {
            let (mut sum, mut weight) = (0.0, 0.0);
            for row in 2 * y..height.min(2 * y + 2) {
                for column in 2 * x..width.min(2 * x + 2) {
                    let at = row * width + column;
                    sum += colors[at] * weights[at];
                    weight += weights[at];
                }
            }
            level.colors.push(if weight > 0.0 { sum / weight } else { 0.0 });
            level.weights.push(if weight > 0.0 { 1.0 } else { 0.0 });
        }
    }
    level
}

/// Gives the pixels of weight 0 a colour from the next smaller level: of its four nearest pixels 9, 3, 3 and 1 sixteenths.
fn push(coarse: &Level, colors: &mut [f32], weights: &[f32], width: usize) {
    let last = (coarse.width - 1, coarse.height - 1);
    for (at, (color, weight)) in colors.iter_mut().zip(weights).enumerate() {
        if *weight > 0.0 {
            continue;
        }
        let (x, y) = (at % width, at / width);
        let (near_x, far_x) = neighbours(x, last.0);
        let (near_y, far_y) = neighbours(y, last.1);
        let value = |x: usize, y: usize| coarse.colors[y * coarse.width + x];
        *color = (9.0 * value(near_x, near_y)
            + 3.0 * value(far_x, near_y)
            + 3.0 * value(near_x, far_y)
            + value(far_x, far_y))
            / 16.0;
    }
}

/// The coarse pixel that holds fine pixel `at`, and its neighbour on the side where `at` lies.
fn neighbours(at: usize, last: usize) -> (usize, usize) {
    let near = at / 2;
    let far = if at.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(last) };
    (near, far)
}

#[cfg(test)]
mod tests {
    use esrgan_core::Plane;

    use super::*;

    fn picture(width: usize, height: usize, color: &[f32], alpha: &[f32]) -> Picture {
        let plane = |samples: &[f32]| Plane::new(width, height, samples.to_vec()).expect("sizes agree");
        Picture { color: vec![plane(color)], alpha: Some(plane(alpha)) }
    }

    #[test]
    fn one_visible_colour_reaches_every_corner() {
        for (width, height) in [(2, 1), (5, 7), (64, 3), (33, 33)] {
            let mut color = vec![0.0; width * height];
            let mut alpha = color.clone();
            color[width * height / 2] = 0.75;
            alpha[width * height / 2] = 0.01;
            let mut spread = picture(width, height, &color, &alpha);
            bleed_colors(&mut spread);
            for sample in spread.color[0].samples() {
                assert!((sample - 0.75).abs() < 1e-6, "{width} x {height}: {sample}");
            }
        }
    }

    #[test]
    fn visible_pixels_stay_bit_for_bit_and_hidden_ones_lie_between_them() {
        let (width, height) = (19, 11);
        let color: Vec<f32> = (0..width * height).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let alpha: Vec<f32> =
            (0..width * height).map(|i| if i % 3 == 0 { 0.0 } else { (i % 7 + 1) as f32 / 7.0 }).collect();
        let mut spread = picture(width, height, &color, &alpha);
        bleed_colors(&mut spread);
        for ((after, before), alpha) in spread.color[0].samples().iter().zip(&color).zip(&alpha) {
            if *alpha > 0.0 {
                assert_eq!(after, before);
            }
            assert!((0.0..=1.0).contains(after));
        }
    }

    #[test]
    fn a_halo_of_garbage_vanishes() {
        // A white disc on transparent black: a neighbour under transparency must be white.
        let size = 32_usize;
        let inside = |i: usize| {
            let (x, y) = ((i % size) as f32 - 15.5, (i / size) as f32 - 15.5);
            x * x + y * y < 100.0
        };
        let alpha: Vec<f32> = (0..size * size).map(|i| f32::from(inside(i))).collect();
        let mut spread = picture(size, size, &alpha, &alpha);
        bleed_colors(&mut spread);
        assert!(spread.color[0].samples().iter().all(|sample| *sample > 0.999));
    }

    #[test]
    fn nothing_to_spread_changes_nothing() {
        for alpha in [0.0, 1.0] {
            let before = picture(3, 2, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], &[alpha; 6]);
            let mut after = before.clone();
            bleed_colors(&mut after);
            assert_eq!(after, before);
        }
    }
}
