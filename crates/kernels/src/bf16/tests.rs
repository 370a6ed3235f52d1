//! Every variant against a plain f64 loop over the rounded values, on odd shapes, with poisoned outputs.

use super::*;
use crate::bf16::round::widen;
use crate::conv::tests::Values;
use crate::{Isa, Kernel, Residual, blocks_for, conv_row_bf16, pair_row};

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

#[derive(Clone, Debug)]
struct Case {
    inputs: Vec<usize>,
    out_channels: usize,
    kernel: Kernel,
    pixels: usize,
    out_stride: usize,
    activation: bool,
    residuals: usize,
    biased: bool,
}

fn cases() -> Vec<Case> {
    let base = Case {
        inputs: vec![40],
        out_channels: 32,
        kernel: Kernel::CENTRED_3X3,
        pixels: 7,
        out_stride: 1,
        activation: true,
        residuals: 1,
        biased: true,
    };
    let mut cases: Vec<Case> = (1..=40).map(|pixels| Case { pixels, ..base.clone() }).collect();
    for out_channels in [16, 48] {
        cases.extend([1, 15, 16, 17, 33, 49, 63, 64, 65, 127, 128, 129, 193].map(|pixels| Case {
            pixels,
            out_channels,
            ..base.clone()
        }));
    }
    for inputs in
        [vec![1], vec![3], vec![17], vec![64, 32, 32, 32, 32], vec![8, 4, 4], vec![12, 6, 6, 6, 6], vec![48]]
    {
        for out_channels in [1, 3, 16, 24, 32, 48, 64] {
            let case =
                Case { inputs: inputs.clone(), out_channels, pixels: 13, residuals: 2, ..base.clone() };
            cases.push(case);
        }
    }
    let windows = [(1, 1), (1, 2), (2, 1), (2, 2)];
    cases.extend(windows.map(|(rows, columns)| Case {
        kernel: Kernel { rows, columns, first_row: 0, first_column: 0 },
        out_stride: 2,
        inputs: vec![64, 5],
        ..base.clone()
    }));
    cases.push(Case { activation: false, residuals: 0, biased: false, ..base.clone() });
    cases.push(Case { out_stride: 3, residuals: 2, ..base });
    cases
}

fn rounded(values: Vec<f32>) -> Vec<f32> {
    values.into_iter().map(|value| widen(round(value))).collect()
}

/// Values of a case: planar `[channel][kernel row][pixel]` inputs, as the oracle reads them; inputs and weights are bf16.
struct Data {
    planes: Vec<Vec<Vec<f32>>>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    slopes: Vec<f32>,
    residuals: Vec<(f32, Vec<Vec<f32>>)>,
}

impl Data {
    fn new(case: &Case, seed: u64) -> Self {
        let mut values = Values(seed);
        let channels: usize = case.inputs.iter().sum();
        let taps = case.kernel.rows * case.kernel.columns;
        let row = case.pixels + case.kernel.columns - 1;
        Self {
            planes: (0..channels)
                .map(|_| (0..case.kernel.rows).map(|_| rounded(values.vec(row))).collect())
                .collect(),
            weights: rounded(values.vec(case.out_channels * channels * taps)),
            biases: values.vec(case.out_channels),
            slopes: values.vec(case.out_channels),
            residuals: (0..case.residuals)
                .map(|_| (values.next(), (0..case.out_channels).map(|_| values.vec(case.pixels)).collect()))
                .collect(),
        }
    }

    /// The value by plain f64 sums, and the bound on the error of a result in `f32`: epsilon times the number of additions
    /// times the sum of magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1), carried
    /// through the epilogue. Products of bf16 are exact in both.
    fn oracle(&self, case: &Case, out: usize, x: usize) -> (f64, f64) {
        let bias = if case.biased { f64::from(self.biases[out]) } else { 0.0 };
        let (mut sum, mut magnitude, mut terms) = (bias, bias.abs(), 1.0);
        let columns = case.kernel.columns;
        for (channel, rows) in self.planes.iter().enumerate() {
            for (ky, row) in rows.iter().enumerate() {
                let first = ((out * self.planes.len() + channel) * case.kernel.rows + ky) * columns;
                for (weight, value) in self.weights[first..first + columns].iter().zip(&row[x..]) {
                    let term = f64::from(*weight) * f64::from(*value);
                    sum += term;
                    magnitude += term.abs();
                    terms += 1.0;
                }
            }
        }
        if case.activation && sum < 0.0 {
            sum *= f64::from(self.slopes[out]);
        }
        for (scale, rows) in &self.residuals {
            let addend = f64::from(rows[out][x]);
            sum = sum * f64::from(*scale) + addend;
            magnitude += addend.abs();
        }
        // Two roundings for each residual, one for the activation.
        (sum, f64::from(f32::EPSILON) * (terms + 5.0) * magnitude)
    }
}

/// One block of 16 channels, `[pixel]`, from planes; padding lanes zero.
fn block_row(planes: &[&[f32]]) -> Vec<ChannelBlock> {
    let lane = |lane: usize, x: usize| planes.get(lane).map_or(0.0, |plane| plane[x]);
    (0..planes[0].len()).map(|x| ChannelBlock(std::array::from_fn(|index| lane(index, x)))).collect()
}

fn block_rows<P: AsRef<[f32]>>(planes: &[P]) -> Vec<Vec<ChannelBlock>> {
    planes.chunks(16).map(|planes| block_row(&planes.iter().map(AsRef::as_ref).collect::<Vec<_>>())).collect()
}

/// One paired block, from planes of bf16 values.
fn paired_row(planes: &[&[f32]]) -> Vec<ChannelBlock> {
    let channel = |index: usize, x: usize| planes.get(index).map_or(0, |plane| plane[x].to_bits() >> 16);
    (0..planes[0].len())
        .map(|x| {
            let lane = |lane: usize| f32::from_bits(channel(2 * lane, x) | channel(2 * lane + 1, x) << 16);
            ChannelBlock(std::array::from_fn(lane))
        })
        .collect()
}

/// Paired rows of a case, each followed by `tail` pixels of NaN.
fn input_rows(case: &Case, data: &Data, tail: usize) -> Vec<Vec<ChannelBlock>> {
    let mut rows = Vec::new();
    let mut first = 0;
    for &channels in &case.inputs {
        for block in data.planes[first..first + channels].chunks(32) {
            for ky in 0..case.kernel.rows {
                let mut row = paired_row(&block.iter().map(|rows| &rows[ky][..]).collect::<Vec<_>>());
                row.extend(vec![ChannelBlock::splat(f32::NAN); tail]);
                rows.push(row);
            }
        }
        first += channels;
    }
    rows
}

fn pack(case: &Case, data: &Data) -> PackedConv {
    let biases = case.biased.then_some(&data.biases[..]);
    PackedConv::new_bf16(case.kernel, &case.inputs, case.out_channels, &data.weights, biases).unwrap()
}

/// Rows of a call's outputs in bits, with a guard block before and two behind.
type Bits = Vec<Vec<[u32; 16]>>;

const GUARD: [u32; 16] = [0x7fc0_0000; 16];

fn guarded(rows: usize, reach: usize) -> Vec<Vec<ChannelBlock>> {
    vec![vec![ChannelBlock::splat(f32::NAN); reach + 3]; rows]
}

fn inside(rows: &mut [Vec<ChannelBlock>], reach: usize) -> Vec<&mut [ChannelBlock]> {
    rows.iter_mut().map(|row| &mut row[1..1 + reach]).collect()
}

fn bits(rows: &[Vec<ChannelBlock>]) -> Bits {
    rows.iter().map(|row| row.iter().map(|block| block.0.map(f32::to_bits)).collect()).collect()
}

/// Runs a case; asks for `f32` rows, for paired rows, or for both.
fn run(isa: Isa, case: &Case, data: &Data, (floats, paired): (bool, bool)) -> (Bits, Bits) {
    let packed = pack(case, data);
    let inputs = input_rows(case, data, 2);
    let needed = case.pixels + case.kernel.columns - 1;
    let inputs: Vec<&[ChannelBlock]> = inputs.iter().map(|row| &row[..needed]).collect();
    let reach = (case.pixels - 1) * case.out_stride + 1;
    let count = |wanted: bool, blocks: usize| if wanted { blocks } else { 0 };
    let mut outputs = guarded(count(floats, blocks_for(case.out_channels)), reach);
    let mut paired_outputs = guarded(count(paired, paired_blocks_for(case.out_channels)), reach);
    let slopes: Vec<ChannelBlock> =
        block_rows(&data.slopes.iter().map(std::slice::from_ref).collect::<Vec<_>>()).concat();
    let spread = |row: &Vec<ChannelBlock>| -> Vec<ChannelBlock> {
        row.iter().flat_map(|&block| vec![block; case.out_stride]).collect()
    };
    let rows: Vec<Vec<Vec<ChannelBlock>>> =
        data.residuals.iter().map(|(_, planes)| block_rows(planes).iter().map(spread).collect()).collect();
    let rows: Vec<Vec<&[ChannelBlock]>> =
        rows.iter().map(|blocks| blocks.iter().map(Vec::as_slice).collect()).collect();
    let residuals: Vec<Residual> =
        rows.iter().zip(&data.residuals).map(|(rows, (scale, _))| Residual { scale: *scale, rows }).collect();
    conv_row_bf16(
        isa,
        ConvRowBf16 {
            weights: &packed,
            first_out_block: 0,
            inputs: &inputs,
            pixels: case.pixels,
            out_stride: case.out_stride,
            epilogue: Epilogue { slopes: case.activation.then_some(&slopes), residuals: &residuals },
            outputs: &mut inside(&mut outputs, reach),
            paired_outputs: &mut inside(&mut paired_outputs, reach),
        },
    );
    (bits(&outputs), bits(&paired_outputs))
}

/// Whether a block lies where the call does not write.
fn is_outside(case: &Case, at: usize) -> bool {
    at == 0 || !(at - 1).is_multiple_of(case.out_stride) || at > (case.pixels - 1) * case.out_stride + 1
}

/// The oracle's values and bounds: `[channel][pixel]`.
fn expectations(case: &Case, data: &Data) -> Vec<Vec<(f64, f64)>> {
    let channel = |out: usize| (0..case.pixels).map(|x| data.oracle(case, out, x)).collect();
    (0..case.out_channels).map(channel).collect()
}

/// What is wrong with a call's `f32` rows, if anything.
fn check_floats(case: &Case, expected: &[Vec<(f64, f64)>], rows: &Bits) -> Option<String> {
    let blocks = rows
        .iter()
        .enumerate()
        .flat_map(|(block, row)| row.iter().enumerate().map(move |(at, bits)| (block, at, bits)));
    for (block, at, bits) in blocks {
        if is_outside(case, at) {
            if *bits != GUARD {
                return Some(format!("wrote outside, block {block} at {at}"));
            }
            continue;
        }
        let x = (at - 1) / case.out_stride;
        for (lane, found) in bits.iter().map(|&bits| f64::from(f32::from_bits(bits))).enumerate() {
            let (value, bound) = expected.get(block * 16 + lane).map_or((0.0, 0.0), |row| row[x]);
            let is_close = (found - value).abs() <= bound;
            if !is_close {
                return Some(format!(
                    "block {block}, lane {lane}, pixel {x}: {found}, not {value} ± {bound:e}"
                ));
            }
        }
    }
    None
}

/// What is wrong with a call's paired rows, if anything: they are the `f32` rows, rounded.
fn check_paired(case: &Case, floats: &Bits, rows: &Bits) -> Option<String> {
    for (block, row) in rows.iter().enumerate() {
        for (at, found) in row.iter().enumerate() {
            let channel = |index: usize| {
                let row = floats.get(2 * block + index / 16);
                row.map_or(0, |row| u32::from(round(f32::from_bits(row[at][index % 16]))))
            };
            let expected: [u32; 16] =
                std::array::from_fn(|lane| channel(2 * lane) | channel(2 * lane + 1) << 16);
            let expected = if is_outside(case, at) { GUARD } else { expected };
            if *found != expected {
                return Some(format!("paired block {block} at {at}: {found:x?}, not {expected:x?}"));
            }
        }
    }
    None
}

#[test]
fn every_variant_agrees_with_the_oracle() {
    let mut failures = Vec::new();
    for (seed, case) in cases().iter().enumerate() {
        let data = Data::new(case, seed as u64);
        let expected = expectations(case, &data);
        for isa in available() {
            let (floats, paired) = run(isa, case, &data, (true, true));
            let wrong = check_floats(case, &expected, &floats)
                .or_else(|| check_paired(case, &floats, &paired))
                .or_else(|| {
                    let alone =
                        (run(isa, case, &data, (true, false)).0, run(isa, case, &data, (false, true)).1);
                    (alone != (floats, paired)).then(|| "kinds of output depend on each other".to_owned())
                });
            failures.extend(wrong.map(|wrong| format!("{isa} {case:?}: {wrong}")));
        }
    }
    let first = &failures[..failures.len().min(20)];
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), first.join("\n"));
}

/// A pixel's bits depend neither on where in the row it is nor on which blocks are computed in the same call.
#[test]
fn bits_do_not_depend_on_the_split() {
    let case = Case {
        inputs: vec![32, 64, 7],
        out_channels: 80,
        kernel: Kernel::CENTRED_3X3,
        pixels: 261,
        out_stride: 1,
        activation: false,
        residuals: 0,
        biased: true,
    };
    let data = Data::new(&case, 77);
    let packed = pack(&case, &data);
    let rows = input_rows(&case, &data, 0);
    for isa in available() {
        let (whole, whole_paired) = run(isa, &case, &data, (true, true));
        for (first, count, start, pixels) in
            [(0, 2, 0, 261), (1, 3, 5, 60), (3, 1, 130, 1), (4, 1, 1, 200), (0, 5, 64, 131), (2, 2, 1, 17)]
        {
            let inputs: Vec<&[ChannelBlock]> = rows.iter().map(|row| &row[start..][..pixels + 2]).collect();
            let is_even = first % 2 == 0;
            let mut outputs = guarded(count, pixels);
            let mut paired_outputs = guarded(if is_even { count.div_ceil(2) } else { 0 }, pixels);
            conv_row_bf16(
                isa,
                ConvRowBf16 {
                    weights: &packed,
                    first_out_block: first,
                    inputs: &inputs,
                    pixels,
                    out_stride: 1,
                    epilogue: Epilogue::default(),
                    outputs: &mut inside(&mut outputs, pixels),
                    paired_outputs: &mut inside(&mut paired_outputs, pixels),
                },
            );
            let pairs = bits(&outputs)
                .into_iter()
                .zip(&whole[first..])
                .chain(bits(&paired_outputs).into_iter().zip(&whole_paired[first.div_ceil(2)..]));
            for (part, whole) in pairs {
                assert!(
                    part[1..=pixels] == whole[1 + start..][..pixels],
                    "{isa} blocks {first}+{count}, pixels {start}+{pixels}"
                );
            }
        }
    }
}

/// Small whole numbers are exact in bf16, and their sums in `f32`: then the folded phases equal those in `f32`.
#[test]
fn upsampled_phases_equal_those_in_f32() {
    let (inputs, out_channels, width) = ([35], 19, 21);
    let mut values = Values(5);
    let mut small = |count: usize| -> Vec<f32> {
        values.vec(count).into_iter().map(|value| (value * 4.0).round()).collect()
    };
    let weights = small(out_channels * inputs[0] * 9);
    let planes: Vec<Vec<f32>> = (0..inputs[0]).map(|_| small(width + 2)).collect();
    for (factor, phase) in [(1, (0, 0)), (2, (0, 1)), (2, (1, 1)), (3, (1, 1)), (4, (3, 0))] {
        let packed =
            PackedConv::new_upsampled_bf16(factor, phase, &inputs, out_channels, &weights, None).unwrap();
        let packed_f32 =
            PackedConv::new_upsampled(factor, phase, &inputs, out_channels, &weights, None).unwrap();
        assert_eq!(packed.kernel(), packed_f32.kernel());
        let kernel = packed.kernel();
        let rows = |blocks: Vec<Vec<ChannelBlock>>| -> Vec<Vec<ChannelBlock>> {
            blocks.into_iter().flat_map(|row| vec![row; kernel.rows]).collect()
        };
        let floats = rows(block_rows(&planes));
        let views: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        let paired = rows(views.chunks(32).map(paired_row).collect());
        let mut expected = vec![vec![ChannelBlock::ZERO; width]; 2];
        crate::conv_row(
            Isa::Portable,
            crate::ConvRow {
                weights: &packed_f32,
                first_out_block: 0,
                inputs: &floats.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                pixels: width,
                out_stride: 1,
                epilogue: Epilogue::default(),
                outputs: &mut expected.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
            },
        );
        for isa in available() {
            let mut found = vec![vec![ChannelBlock::ZERO; width]; 2];
            conv_row_bf16(
                isa,
                ConvRowBf16 {
                    weights: &packed,
                    first_out_block: 0,
                    inputs: &paired.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                    pixels: width,
                    out_stride: 1,
                    epilogue: Epilogue::default(),
                    outputs: &mut found.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                    paired_outputs: &mut [],
                },
            );
            assert_eq!(found, expected, "{isa} x{factor} {phase:?}");
        }
    }
}

#[test]
fn every_variant_pairs_rows_alike() {
    let mut values = Values(9);
    // All kinds of bit patterns, NaN and subnormal numbers among them.
    let mut any = |length: usize| -> Vec<ChannelBlock> {
        let mut bits = || (values.next().to_bits() << 9) ^ values.next().to_bits();
        (0..length).map(|_| ChannelBlock(std::array::from_fn(|_| f32::from_bits(bits())))).collect()
    };
    let special = [f32::NAN, f32::INFINITY, -0.0, 1e-40, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 0.0];
    let mut rows = [any(37), any(37)];
    rows[0][3].0[..8].copy_from_slice(&special);
    for count in [1, 2] {
        let inputs: Vec<&[ChannelBlock]> = rows[..count].iter().map(Vec::as_slice).collect();
        let channel = |x: usize, index: usize| {
            inputs.get(index / 16).map_or(0, |row| u32::from(round(row[x].0[index % 16])))
        };
        for isa in available() {
            let mut output = guarded(1, 37);
            pair_row(isa, &inputs, inside(&mut output, 37)[0]);
            for (at, found) in bits(&output)[0].iter().enumerate() {
                let pair = |lane: usize| channel(at - 1, 2 * lane) | channel(at - 1, 2 * lane + 1) << 16;
                let exists = (1..=37).contains(&at);
                let expected = if exists { std::array::from_fn(pair) } else { GUARD };
                assert_eq!(*found, expected, "{isa}, {count} rows, at {at}");
            }
        }
    }
}

#[test]
fn not_a_number_reaches_the_output() {
    let packed = PackedConv::new_bf16(Kernel::POINTWISE, &[1], 1, &[1.0], None).unwrap();
    for isa in available() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let input = paired_row(&[&[value]]);
            let (mut output, mut paired) = ([ChannelBlock::ZERO; 1], [ChannelBlock::ZERO; 1]);
            conv_row_bf16(
                isa,
                ConvRowBf16 {
                    weights: &packed,
                    first_out_block: 0,
                    inputs: &[&input],
                    pixels: 1,
                    out_stride: 1,
                    epilogue: Epilogue { slopes: Some(&[ChannelBlock::splat(0.2)]), residuals: &[] },
                    outputs: &mut [&mut output],
                    paired_outputs: &mut [&mut paired],
                },
            );
            let rounded = widen(paired[0].0[0].to_bits() as u16);
            for found in [output[0].0[0], rounded] {
                assert!(!found.is_finite(), "{isa}: {value} became {found}");
            }
        }
    }
}

/// Calls with one 3x3 layer of 48 output channels over 7 pixels, of which some arguments are wrong.
fn refused(first_out_block: usize, blocks: (usize, usize), input_pixels: usize) {
    let packed = PackedConv::new_bf16(Kernel::CENTRED_3X3, &[1], 48, &[0.0; 48 * 9], None).unwrap();
    let row = vec![ChannelBlock::ZERO; input_pixels];
    let mut outputs = vec![vec![ChannelBlock::ZERO; 7]; blocks.0];
    let mut paired_outputs = vec![vec![ChannelBlock::ZERO; 7]; blocks.1];
    conv_row_bf16(
        Isa::Portable,
        ConvRowBf16 {
            weights: &packed,
            first_out_block,
            inputs: &[&row, &row, &row],
            pixels: 7,
            out_stride: 1,
            epilogue: Epilogue::default(),
            outputs: &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
            paired_outputs: &mut paired_outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
        },
    );
}

#[test]
#[should_panic(expected = "an input row is shorter than 9 pixels")]
fn short_rows_are_refused_before_anything_is_read() {
    refused(0, (3, 2), 8);
}

#[test]
#[should_panic(expected = "a call has outputs")]
fn calls_without_outputs_are_refused() {
    refused(0, (0, 0), 9);
}

#[test]
#[should_panic(expected = "paired outputs start with an even output block")]
fn paired_rows_across_blocks_are_refused() {
    refused(1, (0, 1), 9);
}

#[test]
#[should_panic(expected = "a paired row without its second output block")]
fn half_of_a_paired_row_is_refused() {
    refused(0, (1, 1), 9);
}

#[test]
#[should_panic(expected = "a paired row for two output blocks")]
fn too_many_paired_rows_are_refused() {
    refused(0, (0, 3), 9);
}

#[test]
#[should_panic(expected = "weights packed for the bf16 kernels")]
fn weights_of_another_kind_are_refused() {
    let packed = PackedConv::new(Kernel::POINTWISE, &[1], 1, &[1.0], None).unwrap();
    conv_row_bf16(
        Isa::Portable,
        ConvRowBf16 {
            weights: &packed,
            first_out_block: 0,
            inputs: &[&[ChannelBlock::ZERO]],
            pixels: 1,
            out_stride: 1,
            epilogue: Epilogue::default(),
            outputs: &mut [&mut [ChannelBlock::ZERO]],
            paired_outputs: &mut [],
        },
    );
}
