//! Layouts and sums against plain f64 loops over the rounded values.

use super::*;
use crate::bf16::round;
use crate::bf16::round::widen;
use crate::conv::tests::Values;
use crate::{Isa, add_products_bf16, pair_pixels, transpose_pairs};

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn pixels(seed: u64, count: usize) -> Vec<ChannelBlock> {
    let mut values = Values(seed);
    (0..count).map(|_| ChannelBlock(std::array::from_fn(|_| values.next()))).collect()
}

/// Pixels of both sides in `f32`, and what the sums hold before.
pub(crate) struct Sides {
    left: Vec<ChannelBlock>,
    rights: Vec<Vec<ChannelBlock>>,
    before: Vec<[ChannelBlock; 16]>,
}

impl Sides {
    pub(crate) fn new(seed: u64, count: usize, rights: usize) -> Self {
        let sums = |index: usize| pixels(1000 * seed + index as u64, 16).try_into().unwrap();
        Self {
            left: pixels(100 * seed + 1, count),
            rights: (0..rights as u64).map(|index| pixels(100 * seed + 2 + index, count)).collect(),
            before: (0..rights).map(sums).collect(),
        }
    }
}

/// Runs a call on the sides, laid out plainly, and holds the sums against f64 ones.
#[track_caller]
pub(crate) fn check(what: &str, sides: &Sides, add: impl Fn(&mut OuterProductsBf16<'_, '_>)) {
    let pairs = sides.left.len().div_ceil(32) * 16;
    let left = transposed(&paired(&sides.left, pairs));
    let rights: Vec<Vec<ChannelBlock>> = sides.rights.iter().map(|right| paired(right, pairs)).collect();
    let rights: Vec<&[ChannelBlock]> = rights.iter().map(Vec::as_slice).collect();
    let mut sums = sides.before.clone();
    add(&mut OuterProductsBf16 { left: &left, rights: &rights, sums: &mut sums });
    for (right, (sums, before)) in sides.rights.iter().zip(sums.iter().zip(&sides.before)) {
        for (i, o) in (0..256).map(|index| (index / 16, index % 16)) {
            let value = |value: f32| f64::from(widen(round(value)));
            let products = sides.left.iter().zip(right).map(|(l, r)| value(l.0[i]) * value(r.0[o]));
            let terms: Vec<f64> = std::iter::once(f64::from(before[i].0[o])).chain(products).collect();
            let expected: f64 = terms.iter().sum();
            // Products are exact; each addition rounds once.
            let magnitude: f64 = terms.iter().map(|term| term.abs()).sum();
            let bound = f64::from(f32::EPSILON) * (terms.len() + 1) as f64 * magnitude;
            let off = (f64::from(sums[i].0[o]) - expected).abs();
            assert!(off <= bound, "{what}, input {i}, output {o}: off by {off:e}, more than {bound:e}");
        }
    }
}

/// Pairs of neighbours by their definition, zeros behind them.
fn paired(pixels: &[ChannelBlock], pairs: usize) -> Vec<ChannelBlock> {
    let half = |pixel: usize, channel: usize| {
        pixels.get(pixel).map_or(0, |pixel| u32::from(round(pixel.0[channel])))
    };
    let lane = |pair: usize, channel: usize| half(2 * pair, channel) | half(2 * pair + 1, channel) << 16;
    (0..pairs)
        .map(|pair| ChannelBlock(std::array::from_fn(|channel| f32::from_bits(lane(pair, channel)))))
        .collect()
}

fn transposed(pairs: &[ChannelBlock]) -> Vec<ChannelBlock> {
    let tiles = pairs.chunks_exact(16);
    tiles
        .flat_map(|tile| {
            (0..16).map(|channel| ChannelBlock(std::array::from_fn(|pair| tile[pair].0[channel])))
        })
        .collect()
}

fn bits(blocks: &[ChannelBlock]) -> Vec<[u32; 16]> {
    blocks.iter().map(|block| block.0.map(f32::to_bits)).collect()
}

#[test]
fn every_variant_gives_the_sums_of_the_oracle() {
    let cases = [(0, 1), (1, 1), (2, 2), (31, 3), (32, 1), (33, 4), (64, 5), (97, 9), (1000, 3), (4096, 1)];
    for (seed, (count, rights)) in cases.into_iter().enumerate() {
        let sides = Sides::new(seed as u64, count, rights);
        for isa in available() {
            check(&format!("{isa}, {count} pixels, {rights} sums"), &sides, |call| {
                let OuterProductsBf16 { left, rights, sums } = call;
                add_products_bf16(isa, OuterProductsBf16 { left, rights, sums });
            });
        }
    }
}

/// The same sum by itself and beside others.
#[test]
fn bits_do_not_depend_on_other_sums() {
    let (left, rights) = (
        transposed(&paired(&pixels(1, 200), 112)),
        [2, 3, 4, 5, 6].map(|seed| paired(&pixels(seed, 200), 112)),
    );
    let rights: Vec<&[ChannelBlock]> = rights.iter().map(Vec::as_slice).collect();
    for isa in available() {
        let mut together = [[ChannelBlock::ZERO; 16]; 5];
        add_products_bf16(isa, OuterProductsBf16 { left: &left, rights: &rights, sums: &mut together });
        for (right, expected) in rights.iter().zip(&together) {
            let mut alone = [[ChannelBlock::ZERO; 16]];
            add_products_bf16(isa, OuterProductsBf16 { left: &left, rights: &[right], sums: &mut alone });
            assert_eq!(alone[0], *expected, "{isa}");
        }
    }
}

#[test]
fn every_variant_pairs_pixels_by_the_definition() {
    let mut values = Values(9);
    // All kinds of bit patterns, NaN and subnormal numbers among them.
    let mut any = || f32::from_bits((values.next().to_bits() << 9) ^ values.next().to_bits());
    let pixels: Vec<ChannelBlock> = (0..41).map(|_| ChannelBlock(std::array::from_fn(|_| any()))).collect();
    for (count, pairs) in [(0, 0), (0, 2), (1, 1), (2, 1), (2, 3), (33, 17), (34, 17), (41, 32)] {
        let expected = bits(&paired(&pixels[..count], pairs));
        for isa in available() {
            let mut output = vec![ChannelBlock::splat(f32::NAN); pairs + 2];
            pair_pixels(isa, &pixels[..count], &mut output[1..=pairs]);
            assert_eq!(bits(&output[1..=pairs]), expected, "{isa}, {count} pixels");
            assert!(output[0].0[0].is_nan() && output[pairs + 1].0[15].is_nan(), "{isa}: wrote outside");
        }
    }
}

#[test]
fn every_variant_transposes() {
    let number =
        |block: usize| ChannelBlock(std::array::from_fn(|lane| f32::from_bits((16 * block + lane) as u32)));
    let pairs: Vec<ChannelBlock> = (0..48).map(number).collect();
    let expected = bits(&transposed(&pairs));
    for isa in available() {
        let mut found = pairs.clone();
        transpose_pairs(isa, &mut found);
        assert_eq!(bits(&found), expected, "{isa}");
    }
}

#[test]
fn not_a_number_reaches_the_sums() {
    for isa in available() {
        for value in [f32::NAN, f32::INFINITY] {
            let left = transposed(&paired(&[ChannelBlock::splat(value)], 16));
            let right = paired(&[ChannelBlock::splat(1.0)], 16);
            let mut sums = [[ChannelBlock::ZERO; 16]];
            add_products_bf16(isa, OuterProductsBf16 { left: &left, rights: &[&right], sums: &mut sums });
            assert!(!sums[0][3].0[7].is_finite(), "{isa}: {value}");
        }
    }
}

fn call(left: usize, rights: &[usize], sums: usize) {
    let left = vec![ChannelBlock::ZERO; left];
    let rights: Vec<Vec<ChannelBlock>> =
        rights.iter().map(|pairs| vec![ChannelBlock::ZERO; *pairs]).collect();
    let rights: Vec<&[ChannelBlock]> = rights.iter().map(Vec::as_slice).collect();
    let mut sums = vec![[ChannelBlock::ZERO; 16]; sums];
    add_products_bf16(Isa::Portable, OuterProductsBf16 { left: &left, rights: &rights, sums: &mut sums });
}

#[test]
#[should_panic(expected = "17 pairs in groups of 16")]
fn parts_of_groups_are_refused() {
    call(17, &[17], 1);
}

#[test]
#[should_panic(expected = "sides of one length")]
fn sides_of_different_lengths_are_refused() {
    call(32, &[32, 16], 2);
}

#[test]
#[should_panic(expected = "sums for each right side")]
fn missing_sums_are_refused() {
    call(16, &[16, 16], 1);
}

#[test]
#[should_panic(expected = "5 pixels in 2 pairs")]
fn pixels_without_room_are_refused() {
    pair_pixels(Isa::Portable, &[ChannelBlock::ZERO; 5], &mut [ChannelBlock::ZERO; 2]);
}

#[test]
#[should_panic(expected = "15 pairs in groups of 16")]
fn parts_of_groups_are_not_transposed() {
    transpose_pairs(Isa::Portable, &mut [ChannelBlock::ZERO; 15]);
}
