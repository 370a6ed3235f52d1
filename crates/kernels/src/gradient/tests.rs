use super::*;
use crate::transform::{Lanes, outputs_of_line, transform_filters};
use crate::{Isa, add_products, component_stride, segment_length, transform_gradient};

fn value(seed: usize, index: usize) -> f32 {
    let mixed = (seed as u64 * 1_000_003 + index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 40) as f32 / (1 << 24) as f32) * 2.0 - 1.0
}

fn blocks(seed: usize, count: usize) -> Vec<ChannelBlock> {
    (0..count)
        .map(|block| ChannelBlock(std::array::from_fn(|lane| value(seed, block * CHANNELS_PER_BLOCK + lane))))
        .collect()
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

#[test]
fn outer_products_are_those_of_a_plain_sum() {
    for lengths in [vec![], vec![1], vec![7, 0, 3], vec![64, 1, 129], vec![300]] {
        // With sides in pairs and a single one behind them.
        for sides in 0..4 {
            assert_plain_sums(&lengths, sides);
        }
    }
}

fn slices(runs: &[Vec<ChannelBlock>]) -> Vec<&[ChannelBlock]> {
    runs.iter().map(Vec::as_slice).collect()
}

fn assert_plain_sums(lengths: &[usize], sides: usize) {
    let runs = |seed: usize| -> Vec<Vec<ChannelBlock>> {
        lengths.iter().enumerate().map(|(run, length)| blocks(seed + run, *length)).collect()
    };
    let (left, rights) = (runs(1), (0..sides).map(|side| runs(50 + 10 * side)).collect::<Vec<_>>());
    let before: Vec<[ChannelBlock; 16]> =
        (0..sides).map(|side| blocks(99 + side, 16).try_into().unwrap()).collect();
    let left_slices = slices(&left);
    let right_slices: Vec<_> = rights.iter().map(|right| slices(right)).collect();
    let right_slices: Vec<_> = right_slices.iter().map(Vec::as_slice).collect();
    for isa in available() {
        let mut sums = before.clone();
        add_products(isa, OuterProducts { left: &left_slices, rights: &right_slices, sums: &mut sums });
        // One rounding for the product and one for the sum of each term.
        let terms = lengths.iter().sum::<usize>() as f64 + 1.0;
        for (side, i, o) in (0..sides).flat_map(|side| (0..256).map(move |at| (side, at / 16, at % 16))) {
            let products = left.iter().flatten().zip(rights[side].iter().flatten());
            let products = products.map(|(l, r)| f64::from(l.0[i]) * f64::from(r.0[o]));
            let all = || std::iter::once(f64::from(before[side][i].0[o])).chain(products.clone());
            let (expected, magnitude) = (all().sum::<f64>(), all().map(f64::abs).sum::<f64>());
            let bound = 2.0 * terms * f64::from(f32::EPSILON) * magnitude;
            let off = (f64::from(sums[side][i].0[o]) - expected).abs();
            assert!(off <= bound, "{isa} {lengths:?} {side} {i} {o}: {off:e} over {bound:e}");
        }
    }
}

/// What an adjoint is: `<A' m A, y> = <m, A y A'>` for any components and any gradient.
#[test]
fn the_gradient_transform_is_the_adjoint_of_the_inverse_transform() {
    for isa in available() {
        for (rows, pixels) in [(4, 4), (3, 7), (1, 1), (4, 13), (2, 128)] {
            let tiles = usize::div_ceil(pixels, TILE_SIDE);
            let gradient: Vec<Vec<ChannelBlock>> = (0..rows).map(|row| blocks(10 + row, pixels)).collect();
            let lines: Vec<&[ChannelBlock]> = gradient.iter().map(Vec::as_slice).collect();
            let mut transformed = vec![ChannelBlock::splat(f32::NAN); segment_length(pixels)];
            transform_gradient(
                isa,
                TransformGradient { rows: &lines, pixels, first_tile: 0, output: &mut transformed },
            );
            let sums = blocks(77, segment_length(pixels));
            let stride = component_stride(tiles);
            for lane in 0..16 {
                let mut by_gradient = 0.0;
                let mut by_components = 0.0;
                for tile in 0..tiles {
                    let at = |component: usize| component * stride + tile;
                    let components: [ChannelBlock; COMPONENTS] = std::array::from_fn(|c| sums[at(c)]);
                    let outputs = inverse(&components);
                    for (row, line) in outputs.iter().enumerate().take(rows) {
                        for (column, output) in line.iter().enumerate() {
                            if let Some(pixel) = gradient[row].get(tile * TILE_SIDE + column) {
                                by_gradient += f64::from(output[lane]) * f64::from(pixel.0[lane]);
                            }
                        }
                    }
                    let products = (0..COMPONENTS).map(|component| {
                        f64::from(sums[at(component)].0[lane]) * f64::from(transformed[at(component)].0[lane])
                    });
                    by_components += products.sum::<f64>();
                }
                let bound = 1e-5 * (tiles as f64) * 36.0;
                assert!(
                    (by_gradient - by_components).abs() < bound,
                    "{isa} {rows}x{pixels}: {by_gradient} {by_components}"
                );
            }
        }
    }
}

/// The 4x4 outputs of 36 sums, through the portable kernels.
fn inverse(components: &[ChannelBlock; COMPONENTS]) -> [[[f32; 16]; TILE_SIDE]; TILE_SIDE] {
    use crate::portable::Portable;
    let columns: [_; TILE_REACH] = std::array::from_fn(|column| {
        outputs_of_line(Portable, std::array::from_fn(|row| components[row * TILE_REACH + column].0))
    });
    std::array::from_fn(|row| outputs_of_line(Portable, std::array::from_fn(|column| columns[column][row])))
}

/// `<G g G', u> = <g, G' u G>`.
#[test]
fn filter_gradients_are_the_adjoint_of_the_filter_transform() {
    let taps: [Lanes; 9] =
        std::array::from_fn(|tap| std::array::from_fn(|lane| f64::from(value(3, tap * 16 + lane))));
    let mut components = [ChannelBlock::ZERO; COMPONENTS];
    transform_filters(&taps, &mut components);
    let gradient: [ChannelBlock; COMPONENTS] = blocks(4, COMPONENTS).try_into().unwrap();
    let found = filter_gradients(&gradient);
    (0..16).for_each(|lane| {
        let by_components: f64 =
            (0..COMPONENTS).map(|c| f64::from(components[c].0[lane]) * f64::from(gradient[c].0[lane])).sum();
        let by_taps: f64 = (0..9).map(|tap| taps[tap][lane] * f64::from(found[tap].0[lane])).sum();
        assert!((by_components - by_taps).abs() < 1e-5, "{by_components} {by_taps}");
    });
}

#[test]
#[should_panic(expected = "one length")]
fn runs_of_different_lengths_are_refused() {
    let (left, right) = (blocks(1, 3), blocks(2, 4));
    let mut sums = [[ChannelBlock::ZERO; 16]];
    add_products(Isa::Portable, OuterProducts { left: &[&left], rights: &[&[&right]], sums: &mut sums });
}
