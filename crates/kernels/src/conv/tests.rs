//! Every variant against a plain f64 loop, on odd shapes, with poisoned outputs.

use super::*;
use crate::{Isa, Kernel, blocks_for, conv_row};

/// A reproducible stream of values in -1..1.
pub(crate) struct Values(pub(crate) u64);

impl Values {
    pub(crate) fn next(&mut self) -> f32 {
        // SplitMix64 (Steele, Lea, Flood 2014): passes through every state, so a printed seed repeats a case.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }

    pub(crate) fn vec(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.next()).collect()
    }
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
        inputs: vec![16],
        out_channels: 16,
        kernel: Kernel::CENTRED_3X3,
        pixels: 7,
        out_stride: 1,
        activation: true,
        residuals: 1,
        biased: true,
    };
    let mut cases: Vec<Case> = (1..=26).map(|pixels| Case { pixels, ..base.clone() }).collect();
    cases.extend([95, 96, 97, 193].map(|pixels| Case { pixels, ..base.clone() }));
    for inputs in
        [vec![1], vec![3], vec![17], vec![64, 32, 32, 32, 32], vec![8, 4, 4], vec![12, 6, 6, 6, 6], vec![48]]
    {
        for out_channels in [1, 3, 16, 24, 32, 48, 64] {
            cases.push(Case {
                inputs: inputs.clone(),
                out_channels,
                pixels: 13,
                residuals: 2,
                ..base.clone()
            });
        }
    }
    let windows = [(1, 1), (1, 2), (2, 1), (2, 2)];
    cases.extend(windows.map(|(rows, columns)| Case {
        kernel: Kernel { rows, columns, first_row: 0, first_column: 0 },
        out_stride: 2,
        inputs: vec![16, 5],
        ..base.clone()
    }));
    cases.push(Case { activation: false, residuals: 0, biased: false, ..base.clone() });
    cases.push(Case { out_stride: 3, residuals: 2, ..base });
    cases
}

/// Values of a case: planar `[channel][kernel row][pixel]` inputs, as the oracle reads them.
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
            planes: (0..channels).map(|_| (0..case.kernel.rows).map(|_| values.vec(row)).collect()).collect(),
            weights: values.vec(case.out_channels * channels * taps),
            biases: values.vec(case.out_channels),
            slopes: values.vec(case.out_channels),
            residuals: (0..case.residuals)
                .map(|_| (values.next(), (0..case.out_channels).map(|_| values.vec(case.pixels)).collect()))
                .collect(),
        }
    }

    /// The value by plain f64 sums, and the bound on a f32 result's error: epsilon times the number of additions times the
    /// sum of magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1), carried through the epilogue.
    fn oracle(&self, case: &Case, out: usize, x: usize) -> (f64, f64) {
        let (mut sum, mut magnitude, mut terms) = (0.0, 0.0, 0.0);
        let mut add = |term: f64| {
            sum += term;
            magnitude += term.abs();
            terms += 1.0;
        };
        add(if case.biased { f64::from(self.biases[out]) } else { 0.0 });
        let columns = case.kernel.columns;
        for (channel, rows) in self.planes.iter().enumerate() {
            for (ky, row) in rows.iter().enumerate() {
                for kx in 0..columns {
                    let index = ((out * self.planes.len() + channel) * case.kernel.rows + ky) * columns + kx;
                    add(f64::from(self.weights[index]) * f64::from(row[x + kx]));
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
        (sum, f64::from(f32::EPSILON) * (terms + 4.0) * magnitude)
    }
}

/// Rows of channel blocks from planes: `[block][pixel]`, padding lanes zero.
pub(crate) fn blocked(planes: &[&[f32]], poison_tail: usize) -> Vec<Vec<ChannelBlock>> {
    let pixels = planes[0].len();
    planes
        .chunks(16)
        .map(|planes| {
            let mut row: Vec<ChannelBlock> = (0..pixels)
                .map(|x| {
                    ChannelBlock(std::array::from_fn(|lane| planes.get(lane).map_or(0.0, |plane| plane[x])))
                })
                .collect();
            // What lies behind the row's end must never be read into a result.
            row.extend(vec![ChannelBlock::splat(f32::NAN); poison_tail]);
            row
        })
        .collect()
}

fn input_rows(case: &Case, data: &Data) -> Vec<Vec<ChannelBlock>> {
    let mut rows = Vec::new();
    let mut first = 0;
    for &channels in &case.inputs {
        for block in (first..first + channels).collect::<Vec<_>>().chunks(16) {
            for ky in 0..case.kernel.rows {
                let planes: Vec<&[f32]> =
                    block.iter().map(|&channel| &data.planes[channel][ky][..]).collect();
                rows.extend(blocked(&planes, 2));
            }
        }
        first += channels;
    }
    rows
}

fn run(isa: Isa, case: &Case, data: &Data) -> Vec<Vec<ChannelBlock>> {
    let biases = case.biased.then_some(&data.biases[..]);
    let packed =
        PackedConv::new(case.kernel, &case.inputs, case.out_channels, &data.weights, biases).unwrap();
    let inputs = input_rows(case, data);
    let inputs: Vec<&[ChannelBlock]> = inputs.iter().map(Vec::as_slice).collect();
    let reach = case.pixels * case.out_stride;
    let mut outputs = vec![vec![ChannelBlock::splat(f32::NAN); reach + 3]; blocks_for(case.out_channels)];
    let slopes: Vec<ChannelBlock> =
        blocked(&data.slopes.iter().map(std::slice::from_ref).collect::<Vec<_>>(), 0).concat();
    let spread: Vec<Vec<Vec<ChannelBlock>>> = data
        .residuals
        .iter()
        .map(|(_, planes)| {
            blocked(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>(), 0)
                .iter()
                .map(|row| row.iter().flat_map(|&block| vec![block; case.out_stride]).collect())
                .collect()
        })
        .collect();
    let rows: Vec<Vec<&[ChannelBlock]>> =
        spread.iter().map(|blocks| blocks.iter().map(Vec::as_slice).collect()).collect();
    let residuals: Vec<Residual> =
        rows.iter().zip(&data.residuals).map(|(rows, (scale, _))| Residual { scale: *scale, rows }).collect();
    conv_row(
        isa,
        ConvRow {
            weights: &packed,
            first_out_block: 0,
            inputs: &inputs,
            pixels: case.pixels,
            out_stride: case.out_stride,
            epilogue: Epilogue { slopes: case.activation.then_some(&slopes), residuals: &residuals },
            outputs: &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
        },
    );
    outputs
}

#[test]
fn every_variant_agrees_with_the_oracle() {
    let mut failures = Vec::new();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (seed, case) in cases().iter().enumerate() {
            let data = Data::new(case, seed as u64);
            for (out_block, row) in run(isa, case, &data).iter().enumerate() {
                for (at, block) in row.iter().enumerate() {
                    if let Some(failure) = check(case, &data, (out_block, at), block) {
                        failures.push(format!("{isa} {case:?}: {failure}"));
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

/// What is wrong with a block of the output row, if anything.
fn check(case: &Case, data: &Data, (out_block, at): (usize, usize), block: &ChannelBlock) -> Option<String> {
    if at % case.out_stride != 0 || at >= case.pixels * case.out_stride {
        let is_untouched = block.0.iter().all(|lane| lane.is_nan());
        return (!is_untouched).then(|| format!("wrote outside, block {out_block} at {at}"));
    }
    block.0.iter().enumerate().find_map(|(lane, &found)| {
        let out = out_block * 16 + lane;
        let exists = out < case.out_channels;
        let (expected, bound) =
            if exists { data.oracle(case, out, at / case.out_stride) } else { (0.0, 0.0) };
        let is_close = (f64::from(found) - expected).abs() <= bound;
        (!is_close).then(|| format!("channel {out} at {at}: {found}, not {expected} ± {bound:e}"))
    })
}

/// A pixel's bits depend neither on where in the row it is nor on which blocks are computed in the same call.
#[test]
fn bits_do_not_depend_on_the_split() {
    let case = Case {
        inputs: vec![16, 16, 7],
        out_channels: 64,
        kernel: Kernel::CENTRED_3X3,
        pixels: 131,
        out_stride: 1,
        activation: true,
        residuals: 0,
        biased: true,
    };
    let data = Data::new(&case, 77);
    let packed =
        PackedConv::new(case.kernel, &case.inputs, case.out_channels, &data.weights, Some(&data.biases))
            .unwrap();
    let rows = input_rows(&case, &data);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let whole = run(isa, &Case { activation: false, ..case.clone() }, &data);
        for (first, count, start, pixels) in
            [(0, 1, 0, 131), (1, 3, 5, 60), (3, 1, 130, 1), (0, 4, 64, 67), (2, 2, 1, 12)]
        {
            let inputs: Vec<&[ChannelBlock]> = rows.iter().map(|row| &row[start..]).collect();
            let mut outputs = vec![vec![ChannelBlock::splat(f32::NAN); pixels]; count];
            conv_row(
                isa,
                ConvRow {
                    weights: &packed,
                    first_out_block: first,
                    inputs: &inputs,
                    pixels,
                    out_stride: 1,
                    epilogue: Epilogue::default(),
                    outputs: &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                },
            );
            for (part, whole) in outputs.iter().zip(&whole[first..]) {
                assert_eq!(
                    part[..],
                    whole[start..start + pixels],
                    "{isa} blocks {first}+{count}, pixels {start}+{pixels}"
                );
            }
        }
    }
}

/// Folding the repetition into the kernel gives what convolving the enlarged picture gives.
#[test]
fn upsampled_phases_equal_the_enlarged_convolution() {
    let (height, width, channels) = (4, 5, 3);
    let mut values = Values(5);
    let weights = values.vec(2 * channels * 9);
    let picture = values.vec(channels * height * width);
    let small = |c: usize, y: isize, x: isize| {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        if inside { f64::from(picture[(c * height + y as usize) * width + x as usize]) } else { 0.0 }
    };
    for factor in [1, 2, 3, 4] {
        for phase in (0..factor * factor).map(|p| (p / factor, p % factor)) {
            let packed = PackedConv::new_upsampled(factor, phase, &[channels], 2, &weights, None).unwrap();
            let kernel = packed.kernel();
            assert!(factor < 2 || kernel.rows <= 2);
            for y in 0..height as isize {
                let inputs: Vec<Vec<ChannelBlock>> = (0..kernel.rows as isize)
                    .map(|ky| {
                        let first = kernel.first_column;
                        (first..width as isize + first + kernel.columns as isize - 1)
                            .map(|x| {
                                ChannelBlock(std::array::from_fn(|c| {
                                    if c < channels {
                                        small(c, y + kernel.first_row + ky, x) as f32
                                    } else {
                                        0.0
                                    }
                                }))
                            })
                            .collect()
                    })
                    .collect();
                let mut output = vec![ChannelBlock::splat(f32::NAN); width];
                conv_row(
                    Isa::detect(),
                    ConvRow {
                        weights: &packed,
                        first_out_block: 0,
                        inputs: &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                        pixels: width,
                        out_stride: 1,
                        epilogue: Epilogue::default(),
                        outputs: &mut [&mut output],
                    },
                );
                for (x, block) in output.iter().enumerate() {
                    for out in 0..2 {
                        let mut expected = 0.0;
                        for (index, &weight) in
                            weights[out * channels * 9..(out + 1) * channels * 9].iter().enumerate()
                        {
                            let (c, ky, kx) = (index / 9, (index / 3 % 3) as isize, (index % 3) as isize);
                            let large_y = factor as isize * y + phase.0 as isize + ky - 1;
                            let large_x = (factor * x + phase.1) as isize + kx - 1;
                            let (y, x) =
                                (large_y.div_euclid(factor as isize), large_x.div_euclid(factor as isize));
                            expected += f64::from(weight) * small(c, y, x);
                        }
                        // 27 products of magnitude at most 1, folded weights rounded once more.
                        let bound = 60.0 * 27.0 * f64::from(f32::EPSILON);
                        let found = f64::from(block.0[out]);
                        assert!(
                            (found - expected).abs() < bound,
                            "x{factor} {phase:?} at {x},{y}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn not_a_number_reaches_the_output() {
    let kernel = Kernel::POINTWISE;
    let packed = PackedConv::new(kernel, &[1], 1, &[1.0], None).unwrap();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut input = [ChannelBlock::ZERO; 1];
            input[0].0[0] = value;
            let mut output = [ChannelBlock::ZERO; 1];
            conv_row(
                isa,
                ConvRow {
                    weights: &packed,
                    first_out_block: 0,
                    inputs: &[&input],
                    pixels: 1,
                    out_stride: 1,
                    epilogue: Epilogue { slopes: Some(&[ChannelBlock::splat(0.2)]), residuals: &[] },
                    outputs: &mut [&mut output],
                },
            );
            assert!(!output[0].0[0].is_finite(), "{isa}: {value} became {}", output[0].0[0]);
        }
    }
}

#[test]
#[should_panic(expected = "an input row is shorter than 9 pixels")]
fn short_rows_are_refused_before_anything_is_read() {
    let packed = PackedConv::new(Kernel::CENTRED_3X3, &[1], 1, &[0.0; 9], None).unwrap();
    let row = [ChannelBlock::ZERO; 8];
    conv_row(
        Isa::Portable,
        ConvRow {
            weights: &packed,
            first_out_block: 0,
            inputs: &[&row, &row, &row],
            pixels: 7,
            out_stride: 1,
            epilogue: Epilogue::default(),
            outputs: &mut [&mut [ChannelBlock::ZERO; 7]],
        },
    );
}

#[test]
fn weights_of_the_wrong_number_are_refused() {
    let error = PackedConv::new(Kernel::CENTRED_3X3, &[2], 1, &[0.0; 17], None).unwrap_err();
    assert_eq!(error.to_string(), "18 weights were expected, found 17");
    assert!(PackedConv::new(Kernel::POINTWISE, &[2], 1, &[0.0; 2], Some(&[0.0; 2])).is_err());
}
