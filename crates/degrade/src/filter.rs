//! Convolution of a plane with a blur kernel, the picture mirrored at its edges.

use esrgan_core::Plane;

use crate::kernel::Kernel;

/// Columns whose sums wait in registers.
const COLUMNS: usize = 32;

/// Correlates a plane with a kernel. What lies beyond the edge is the picture mirrored, the edge pixel not repeated.
///
/// # Numerics
/// Sums in f32, tap after tap from the top left: the bits depend on nothing but the input.
pub(crate) fn filter(plane: &Plane, kernel: &Kernel) -> Plane {
    let (width, height, size) = (plane.width(), plane.height(), kernel.size());
    let radius = size / 2;
    // Whole blocks of columns: what is computed beyond the width is not copied.
    let blocks = width.div_ceil(COLUMNS);
    let stride = blocks * COLUMNS + 2 * radius;
    let columns: Vec<usize> =
        (0..width + 2 * radius).map(|x| mirrored(x as isize - radius as isize, width)).collect();
    let mut padded = vec![0.0_f32; stride * (height + 2 * radius)];
    for (y, line) in padded.chunks_exact_mut(stride).enumerate() {
        let source = plane.row(mirrored(y as isize - radius as isize, height));
        line.iter_mut().zip(&columns).for_each(|(sample, x)| *sample = source[*x]);
    }
    let weights: Vec<f32> = kernel.weights().iter().map(|weight| *weight as f32).collect();
    let mut filtered = Plane::filled(width, height, 0.0);
    for y in 0..height {
        let row = filtered.row_mut(y);
        for (block, target) in row.chunks_mut(COLUMNS).enumerate() {
            let sums = block_sums(&padded[y * stride + block * COLUMNS..], stride, &weights, size);
            target.copy_from_slice(&sums[..target.len()]);
        }
    }
    filtered
}

fn block_sums(source: &[f32], stride: usize, weights: &[f32], size: usize) -> [f32; COLUMNS] {
    let mut sums = [0.0; COLUMNS];
    for (row, taps) in weights.chunks_exact(size).enumerate() {
        let line = &source[row * stride..row * stride + size - 1 + COLUMNS];
        for (window, weight) in line.windows(COLUMNS).zip(taps) {
            for (sum, sample) in sums.iter_mut().zip(window) {
                *sum += weight * sample;
            }
        }
    }
    sums
}

/// Where a position beyond the edge is found; mirrored as often as it takes where the picture is small.
fn mirrored(position: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as isize - 1);
    let within = position.rem_euclid(period);
    within.min(period - within) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{golden, largest_difference, planes};
    use crate::kernel::{KernelShape, Profile};

    #[test]
    fn sums_are_those_of_torch() {
        let golden = golden();
        let shape =
            KernelShape::Anisotropic { profile: Profile::Gaussian, sigma_x: 2.5, sigma_y: 0.7, theta: 0.4 };
        let kernel = Kernel::new(&shape, 21);
        let filtered: Vec<Plane> =
            planes(&golden["picture"], 255.0).iter().map(|plane| filter(plane, &kernel)).collect();
        let largest = largest_difference(&filtered, &planes(&golden["filtered"], 1.0));
        // 441 rounded products and sums of positive weights whose sum is 1: far fewer errors than all add up.
        assert!(largest < 20.0 * f32::EPSILON, "{largest:e}");
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        let samples = (0..37 * 5).map(|i| ((i * 7919) % 101) as f32 / 101.0).collect();
        let plane = Plane::new(37, 5, samples).unwrap();
        let kernel = Kernel::new(
            &KernelShape::Anisotropic { profile: Profile::Gaussian, sigma_x: 2.5, sigma_y: 0.7, theta: 0.4 },
            7,
        );
        let filtered = filter(&plane, &kernel);
        for y in 0..5_usize {
            for x in 0..37_usize {
                let mut sum = 0.0;
                for (tap, weight) in kernel.weights().iter().enumerate() {
                    let source_y = mirrored((y + tap / 7) as isize - 3, 5);
                    let source_x = mirrored((x + tap % 7) as isize - 3, 37);
                    sum += weight * f64::from(plane.row(source_y)[source_x]);
                }
                // 49 rounded products and sums of weights whose sum of magnitudes is 1.
                let bound = 100.0 * f64::from(f32::EPSILON);
                assert!((sum - f64::from(filtered.row(y)[x])).abs() < bound, "{x} {y}");
            }
        }
    }

    #[test]
    fn positions_are_mirrored() {
        let found: Vec<_> = (-4..7).map(|position| mirrored(position, 3)).collect();
        assert_eq!(found, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(mirrored(-9, 1), 0);
    }
}
