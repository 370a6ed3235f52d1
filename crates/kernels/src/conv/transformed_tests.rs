//! The convolution over transformed tiles against a plain f64 loop, transforms included, on odd shapes, with poisoned
//! outputs.

use super::tests::{Values, blocked};
use super::*;
use crate::{
    Arena, Isa, Kernel, PackedKind, SEGMENT_TILES, TILE_REACH, TILE_SIDE, TransformSegment, blocks_for,
    conv_segment, joined_length, segment_length, segments, transform_segment, transformed_length,
};

#[derive(Clone, Debug)]
struct Case {
    inputs: Vec<usize>,
    out_channels: usize,
    /// Of the enlarged map, and of the output.
    width: usize,
    height: usize,
    factor: usize,
    residuals: usize,
    biased: bool,
}

fn cases() -> Vec<Case> {
    let base = Case {
        inputs: vec![16],
        out_channels: 16,
        width: 7,
        height: 6,
        factor: 1,
        residuals: 1,
        biased: true,
    };
    let mut cases: Vec<Case> = (1..=26).map(|width| Case { width, ..base.clone() }).collect();
    cases.extend([51, 124, 127, 128, 129, 133].map(|width| Case { width, height: 2, ..base.clone() }));
    cases.extend((1..=9).map(|height| Case { height, ..base.clone() }));
    cases.extend([2, 3].map(|factor| Case { factor, width: 6 * factor, height: 2 * factor, ..base.clone() }));
    for inputs in
        [vec![1], vec![3], vec![17], vec![64, 32, 32, 32, 32], vec![8, 4, 4], vec![12, 6, 6, 6, 6], vec![48]]
    {
        for out_channels in [1, 3, 16, 24, 32, 48, 64] {
            let residuals = out_channels % 3;
            cases.push(Case {
                inputs: inputs.clone(),
                out_channels,
                width: 9,
                height: 5,
                residuals,
                ..base.clone()
            });
        }
    }
    cases.push(Case { biased: false, residuals: 0, ..base });
    cases
}

/// Planes `[channel][row][pixel]`, one pixel of padding around them.
type Planes = Vec<Vec<Vec<f32>>>;

struct Data {
    /// The small map with its padding.
    planes: Planes,
    weights: Vec<f32>,
    biases: Vec<f32>,
    slopes: Vec<f32>,
    residuals: Vec<(f32, Planes)>,
    /// |G| |g| |G'| of each filter, `[out][in]`.
    filter_magnitudes: Vec<[f64; 36]>,
    /// |B'| |d| |B| of each tile, `[row of tiles][tile][channel]`.
    input_magnitudes: Vec<Vec<Vec<[f64; 36]>>>,
}

impl Data {
    fn new(case: &Case, seed: u64) -> Self {
        let mut data = Self::values(case, seed);
        data.filter_magnitudes = data.weights.as_chunks::<9>().0.iter().map(filter_magnitude).collect();
        data.input_magnitudes = (0..case.height.div_ceil(TILE_SIDE))
            .map(|row| {
                let tiles = 0..case.width.div_ceil(TILE_SIDE);
                let channels = 0..data.planes.len();
                let of_tile = |tile| {
                    channels.clone().map(|channel| data.input_magnitude(case, channel, (row, tile))).collect()
                };
                tiles.map(of_tile).collect()
            })
            .collect();
        data
    }

    fn values(case: &Case, seed: u64) -> Self {
        let mut values = Values(seed);
        let channels: usize = case.inputs.iter().sum();
        let (width, height) = (case.width / case.factor + 2, case.height / case.factor + 2);
        let mut planes = |channels: usize, width: usize, height: usize| -> Planes {
            (0..channels).map(|_| (0..height).map(|_| values.vec(width)).collect()).collect()
        };
        Self {
            planes: planes(channels, width, height),
            residuals: (0..case.residuals)
                .map(|index| (0.3 + index as f32, planes(case.out_channels, case.width, case.height)))
                .collect(),
            weights: values.vec(case.out_channels * channels * 9),
            biases: values.vec(case.out_channels),
            slopes: values.vec(case.out_channels),
            filter_magnitudes: Vec::new(),
            input_magnitudes: Vec::new(),
        }
    }

    /// Pixel of the enlarged map; zero beyond its padding.
    fn pixel(&self, case: &Case, channel: usize, y: isize, x: isize) -> f64 {
        let factor = case.factor as isize;
        let (row, column) = (y.div_euclid(factor) + 1, x.div_euclid(factor) + 1);
        let plane = &self.planes[channel];
        let value = plane.get(row as usize).and_then(|row| row.get(column as usize));
        value.copied().map_or(0.0, f64::from)
    }

    /// The value by plain f64 sums, and the bound on a f32 result's error: epsilon times the number of roundings times the
    /// sum of magnitudes that the transforms turn the products into, carried through the epilogue.
    fn oracle(&self, case: &Case, out: usize, y: usize, x: usize) -> (f64, f64) {
        let channels = self.planes.len();
        let mut sum = if case.biased { f64::from(self.biases[out]) } else { 0.0 };
        let mut magnitude = sum.abs();
        for channel in 0..channels {
            let taps = &self.weights[(out * channels + channel) * 9..][..9];
            for (tap, &weight) in taps.iter().enumerate() {
                let (dy, dx) = ((tap / 3) as isize - 1, (tap % 3) as isize - 1);
                sum += f64::from(weight) * self.pixel(case, channel, y as isize + dy, x as isize + dx);
            }
            magnitude += self.magnitude_of_products(out * channels + channel, channel, (y, x));
        }
        if sum < 0.0 {
            sum *= f64::from(self.slopes[out]);
        }
        for (scale, planes) in &self.residuals {
            let addend = f64::from(planes[out][y][x]);
            sum = sum * f64::from(*scale) + addend;
            magnitude = magnitude * f64::from(*scale).max(1.0) + addend.abs();
        }
        // Some twenty roundings lie in the transforms of the input, of the filter and of the output, in both directions.
        (sum, f64::from(f32::EPSILON) * (channels as f64 + 24.0) * magnitude)
    }

    /// |A'| (|G| |g| |G'| * |B'| |d| |B|) |A| for one output pixel and channel.
    fn magnitude_of_products(&self, filter: usize, channel: usize, (y, x): (usize, usize)) -> f64 {
        let filter = &self.filter_magnitudes[filter];
        let input = &self.input_magnitudes[y / TILE_SIDE][x / TILE_SIDE][channel];
        let (rows, columns) = (&OUTPUT[y % TILE_SIDE], &OUTPUT[x % TILE_SIDE]);
        let products = filter.iter().zip(input).enumerate();
        products.map(|(at, (filter, input))| rows[at / 6] * columns[at % 6] * filter * input).sum()
    }

    fn input_magnitude(&self, case: &Case, channel: usize, (row, tile): (usize, usize)) -> [f64; 36] {
        let (first_y, first_x) = ((row * TILE_SIDE) as isize - 1, (tile * TILE_SIDE) as isize - 1);
        let pixels: [f64; 36] = std::array::from_fn(|at| {
            self.pixel(case, channel, first_y + (at / 6) as isize, first_x + (at % 6) as isize).abs()
        });
        std::array::from_fn(|at| {
            let weights = |tap: usize| INPUT[at / 6][tap / 6] * INPUT[at % 6][tap % 6];
            pixels.iter().enumerate().map(|(tap, pixel)| weights(tap) * pixel).sum()
        })
    }
}

fn filter_magnitude(taps: &[f32; 9]) -> [f64; 36] {
    std::array::from_fn(|at| {
        let weights = |tap: usize| FILTER[at / 6][tap / 3] * FILTER[at % 6][tap % 3];
        taps.iter().enumerate().map(|(tap, value)| weights(tap) * f64::from(value.abs())).sum()
    })
}

const NEAR: f64 = std::f64::consts::FRAC_1_SQRT_2;
const FAR: f64 = std::f64::consts::SQRT_2;
/// Magnitudes of the matrix G.
const FILTER: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [1.0 / 1.5, NEAR / 1.5, 0.5 / 1.5],
    [1.0 / 1.5, NEAR / 1.5, 0.5 / 1.5],
    [1.0 / 6.0, FAR / 6.0, 2.0 / 6.0],
    [1.0 / 6.0, FAR / 6.0, 2.0 / 6.0],
    [0.0, 0.0, 1.0],
];
/// Magnitudes of the matrix B transposed.
const INPUT: [[f64; 6]; 6] = [
    [1.0, 0.0, 2.5, 0.0, 1.0, 0.0],
    [0.0, 2.0 * NEAR, 2.0, NEAR, 1.0, 0.0],
    [0.0, 2.0 * NEAR, 2.0, NEAR, 1.0, 0.0],
    [0.0, 0.5 * FAR, 0.5, FAR, 1.0, 0.0],
    [0.0, 0.5 * FAR, 0.5, FAR, 1.0, 0.0],
    [0.0, 1.0, 0.0, 2.5, 0.0, 1.0],
];
/// Magnitudes of the matrix A transposed.
const OUTPUT: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, NEAR, NEAR, FAR, FAR, 0.0],
    [0.0, 0.5, 0.5, 2.0, 2.0, 0.0],
    [0.0, 0.5 * NEAR, 0.5 * NEAR, 2.0 * FAR, 2.0 * FAR, 1.0],
];

/// Padded rows of the small map, `[row][block][pixel]`.
fn rows(case: &Case, data: &Data) -> Vec<Vec<Vec<ChannelBlock>>> {
    (0..case.height / case.factor + 2)
        .map(|row| {
            let mut first = 0;
            let mut blocks = Vec::new();
            for &channels in &case.inputs {
                let planes: Vec<&[f32]> =
                    (first..first + channels).map(|channel| &data.planes[channel][row][..]).collect();
                blocks.extend(blocked(&planes, 0));
                first += channels;
            }
            blocks
        })
        .collect()
}

/// The rows of tiles at these rows `y` of pixels, transformed, for each input block: one, or several that are joined.
fn transformed(
    isa: Isa,
    case: &Case,
    rows: &[Vec<Vec<ChannelBlock>>],
    tile_rows: &[usize],
) -> Vec<Vec<ChannelBlock>> {
    let blocks = rows[0].len();
    let seen = |y: usize| -> [Option<usize>; TILE_REACH] {
        std::array::from_fn(|index| {
            // The row above is the first one of padding.
            let row = (y as isize + index as isize - 1).div_euclid(case.factor as isize) + 1;
            Some(row as usize).filter(|&row| row < rows.len())
        })
    };
    let transform = |block: usize, y: usize, (first_tile, pixels), output: &mut [ChannelBlock]| {
        let rows = seen(y).map(|row| row.map(|row| &rows[row][block][..]));
        transform_segment(isa, TransformSegment { rows, factor: case.factor, pixels, first_tile, output });
    };
    (0..blocks)
        .map(|block| {
            if let [y] = *tile_rows {
                let mut output = vec![ChannelBlock::splat(f32::NAN); transformed_length(case.width)];
                let mut rest = &mut output[..];
                for pixels in segments(case.width) {
                    let (output, behind) = rest.split_at_mut(segment_length(pixels.len()));
                    rest = behind;
                    transform(block, y, (0, pixels), output);
                }
                assert!(rest.is_empty());
                return output;
            }
            let mut output = vec![ChannelBlock::splat(f32::NAN); joined_length(case.width, tile_rows.len())];
            for (index, &y) in tile_rows.iter().enumerate() {
                let first_tile = index * case.width.div_ceil(TILE_SIDE);
                transform(block, y, (first_tile, 0..case.width), &mut output);
            }
            output
        })
        .collect()
}

fn arena(case: &Case) -> Arena {
    let (kind, kernel) = (PackedKind::OverTransformed, Kernel::CENTRED_3X3);
    Arena::new(PackedConv::weight_blocks(kind, kernel, &case.inputs, case.out_channels))
}

/// How a call takes rows of tiles.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    /// So many, joined.
    Joined(usize),
    /// So many, each in segments of its own.
    Apart(usize),
}

/// The output, `[row][block][pixel]`, two poisoned pixels behind each row; of so many output blocks a call.
fn run(
    isa: Isa,
    case: &Case,
    data: &Data,
    (members, together): (usize, Rows),
) -> Vec<Vec<Vec<ChannelBlock>>> {
    let biases = case.biased.then_some(&data.biases[..]);
    let packed = PackedConv::new_over_transformed(
        &arena(case),
        &case.inputs,
        case.out_channels,
        &data.weights,
        biases,
    )
    .unwrap();
    let rows = rows(case, data);
    let slopes: Vec<ChannelBlock> =
        blocked(&data.slopes.iter().map(std::slice::from_ref).collect::<Vec<_>>(), 0).concat();
    let out_blocks = blocks_for(case.out_channels);
    let mut output = vec![vec![vec![ChannelBlock::splat(f32::NAN); case.width + 2]; out_blocks]; case.height];
    let (Rows::Joined(most) | Rows::Apart(most)) = together;
    for y in (0..case.height).step_by(TILE_SIDE * most) {
        let count = (TILE_SIDE * most).min(case.height - y);
        let tile_rows: Vec<usize> = (y..y + count).step_by(TILE_SIDE).collect();
        let transformed: Vec<_> = match together {
            Rows::Joined(_) => transformed(isa, case, &rows, &tile_rows),
            Rows::Apart(_) => tile_rows.iter().flat_map(|y| transformed(isa, case, &rows, &[*y])).collect(),
        };
        let joined = if matches!(together, Rows::Joined(_)) { tile_rows.len() } else { 1 };
        let length = |pixels: usize| joined_length(pixels, joined);
        let residuals: Vec<(f32, Vec<Vec<Vec<ChannelBlock>>>)> = data
            .residuals
            .iter()
            .map(|(scale, planes)| {
                let row =
                    |y: usize| blocked(&planes.iter().map(|plane| &plane[y][..]).collect::<Vec<_>>(), 0);
                (*scale, (y..y + count).map(row).collect())
            })
            .collect();
        for first in (0..out_blocks).step_by(members) {
            let blocks = first..out_blocks.min(first + members);
            let mut segment = 0;
            for pixels in segments(case.width) {
                let inputs: Vec<&[ChannelBlock]> =
                    transformed.iter().map(|block| &block[segment..][..length(pixels.len())]).collect();
                segment += length(pixels.len());
                let added: Vec<Vec<&[ChannelBlock]>> = residuals
                    .iter()
                    .map(|(_, rows)| {
                        let of_block = |block: usize| rows.iter().map(move |row| &row[block][..]);
                        blocks.clone().flat_map(of_block).map(|row| &row[pixels.clone()]).collect()
                    })
                    .collect();
                let residuals: Vec<Residual> = residuals
                    .iter()
                    .zip(&added)
                    .map(|((scale, _), rows)| Residual { scale: *scale, rows })
                    .collect();
                // One pixel more than is written, where the row has it.
                let mut parts: Vec<(usize, &mut [ChannelBlock])> = output[y..y + count]
                    .iter_mut()
                    .flat_map(|row| row.iter_mut().enumerate())
                    .filter(|(block, _)| blocks.contains(block))
                    .map(|(block, row)| (block, &mut row[pixels.start..]))
                    .collect();
                parts.sort_by_key(|(block, _)| *block);
                let mut outputs: Vec<&mut [ChannelBlock]> = parts.into_iter().map(|(_, part)| part).collect();
                conv_segment(
                    isa,
                    ConvSegment {
                        weights: &packed,
                        first_out_block: first,
                        inputs: &inputs,
                        pixels: pixels.len(),
                        rows: count,
                        epilogue: Epilogue { slopes: Some(&slopes), residuals: &residuals },
                        outputs: &mut outputs,
                    },
                );
            }
        }
    }
    output
}

#[test]
fn every_variant_agrees_with_the_oracle() {
    let mut failures = Vec::new();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (seed, case) in cases().iter().enumerate() {
            let data = Data::new(case, seed as u64);
            for (y, blocks) in run(isa, case, &data, (1 + seed % 2, Rows::Joined(1))).iter().enumerate() {
                for (out_block, row) in blocks.iter().enumerate() {
                    for (x, block) in row.iter().enumerate() {
                        if let Some(failure) = check(case, &data, (out_block, y, x), block) {
                            failures.push(format!("{isa} {case:?}: {failure}"));
                        }
                    }
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
}

/// What is wrong with a block of the output, if anything.
fn check(
    case: &Case,
    data: &Data,
    (out_block, y, x): (usize, usize, usize),
    block: &ChannelBlock,
) -> Option<String> {
    if x >= case.width {
        let is_untouched = block.0.iter().all(|lane| lane.is_nan());
        return (!is_untouched).then(|| format!("wrote outside, block {out_block} at {x}, {y}"));
    }
    block.0.iter().enumerate().find_map(|(lane, &found)| {
        let out = out_block * 16 + lane;
        let exists = out < case.out_channels;
        let (expected, bound) = if exists { data.oracle(case, out, y, x) } else { (0.0, 0.0) };
        let is_close = (f64::from(found) - expected).abs() <= bound;
        (!is_close).then(|| format!("channel {out} at {x}, {y}: {found}, not {expected} ± {bound:e}"))
    })
}

/// A pixel's bits depend only on where it lies in its tile: neither on the segment, nor on the blocks of the call, nor on
/// how far the row goes on behind it.
#[test]
fn bits_do_not_depend_on_the_split() {
    let wide = Case {
        inputs: vec![16, 16, 7],
        out_channels: 64,
        width: 200,
        height: 4,
        factor: 1,
        residuals: 1,
        biased: true,
    };
    let data = Data::new(&wide, 77);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let whole = run(isa, &wide, &data, (2, Rows::Joined(1)));
        assert!(is_equal_but_for_poison(&run(isa, &wide, &data, (1, Rows::Joined(1))), &whole), "{isa}");
        for width in [4, 20, 124, 128] {
            let narrow = run(isa, &Case { width, ..wide.clone() }, &data, (2, Rows::Joined(1)));
            for (narrow, wide) in narrow.iter().flatten().zip(whole.iter().flatten()) {
                assert_eq!(narrow[..width], wide[..width], "{isa} of {width} pixels");
            }
        }
    }
}

/// Rows of tiles that are taken together have the bits of single ones, the last of fewer than four rows of pixels too.
#[test]
fn bits_do_not_depend_on_the_rows_that_are_taken_together() {
    for (width, height, most) in [(24, 24, 5), (6, 6, 2), (5, 11, 3), (1, 17, 32), (64, 10, 2), (12, 12, 10)]
    {
        let case = Case {
            inputs: vec![16, 7],
            out_channels: 40,
            width,
            height,
            factor: 1,
            residuals: 1,
            biased: true,
        };
        assert!(width.div_ceil(TILE_SIDE) * most <= SEGMENT_TILES);
        let data = Data::new(&case, 5);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let single = run(isa, &case, &data, (2, Rows::Joined(1)));
            for together in [Rows::Joined(most), Rows::Apart(most)] {
                let found = run(isa, &case, &data, (2, together));
                assert!(is_equal_but_for_poison(&found, &single), "{isa} {width}x{height} by {most}");
            }
        }
    }
}

/// Equal but for the poison behind the rows, which is equal to nothing.
fn is_equal_but_for_poison(a: &[Vec<Vec<ChannelBlock>>], b: &[Vec<Vec<ChannelBlock>>]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| a[..a.len() - 2] == b[..b.len() - 2])
}

#[test]
fn segments_cover_a_row_in_whole_tiles() {
    for pixels in 1..700 {
        let found: Vec<_> = segments(pixels).collect();
        assert_eq!(found.iter().map(|range| range.len()).sum::<usize>(), pixels);
        assert!(found.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(found.iter().all(|range| range.start % TILE_SIDE == 0 && range.len() <= 128));
        assert_eq!(
            found.iter().map(|range| segment_length(range.len())).sum::<usize>(),
            transformed_length(pixels),
            "{pixels} pixels"
        );
    }
}

#[test]
#[should_panic(expected = "an input segment is shorter than 36 blocks")]
fn short_segments_are_refused_before_anything_is_read() {
    let packed = PackedConv::new_over_transformed(&Arena::new(36), &[1], 1, &[0.0; 9], None).unwrap();
    let segment = [ChannelBlock::ZERO; 35];
    conv_segment(
        Isa::Portable,
        ConvSegment {
            weights: &packed,
            first_out_block: 0,
            inputs: &[&segment],
            pixels: 3,
            rows: 1,
            epilogue: Epilogue::default(),
            outputs: &mut [&mut [ChannelBlock::ZERO; 3]],
        },
    );
}
