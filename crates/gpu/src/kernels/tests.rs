//! Kernels against a plain loop in f64, over odd shapes, with poisoned buffers.

use cubecl::bytes::Bytes;
use esrgan_engine::Edge;

use super::{Around, Convolution, Map, MatrixUnits, PackedConvolution, Planes, Storage, padded};
use crate::device::{Gpu, tests::gpu};

/// Pseudo-random numbers in -1..1 (Steele et al., SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn many(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Numbers as a storage holds them.
fn rounded(storage: Storage, value: f32) -> f32 {
    match storage {
        Storage::F32 => value,
        Storage::F16 => half::f16::from_f32(value).to_f32(),
        Storage::Bf16 => half::bf16::from_f32(value).to_f32(),
    }
}

/// One convolution to be tried.
#[derive(Clone, Debug)]
struct Case {
    sources: Vec<usize>,
    outputs: usize,
    size: (usize, usize),
    samples: usize,
    factor: usize,
    edge: Edge,
    has_slopes: bool,
    adds: (bool, bool),
    rows: Option<std::ops::Range<usize>>,
}

impl Case {
    fn new(sources: &[usize], outputs: usize, size: (usize, usize)) -> Self {
        Self {
            sources: sources.to_vec(),
            outputs,
            size,
            samples: 1,
            factor: 1,
            edge: Edge::Zero,
            has_slopes: true,
            adds: (false, false),
            rows: None,
        }
    }
}

fn found_at(edge: Edge, index: isize, length: usize) -> Option<usize> {
    let last = length as isize - 1;
    if (0..=last).contains(&index) {
        return Some(index as usize);
    }
    match edge {
        Edge::Zero => None,
        Edge::Replicate => Some(index.clamp(0, last) as usize),
        Edge::Reflect if last == 0 => Some(0),
        Edge::Reflect => Some(if index < 0 { -index } else { 2 * last - index } as usize),
        Edge::Wrap => Some(index.rem_euclid(length as isize) as usize),
    }
}

/// A filled-up map of values `[sample][row][column][channel]`.
fn filled_up(values: &[f32], channels: usize) -> Vec<f32> {
    let lanes = padded(channels);
    values
        .chunks(channels)
        .flat_map(|pixel| pixel.iter().copied().chain(std::iter::repeat_n(0.0, lanes - channels)))
        .collect()
}

struct Trial {
    case: Case,
    storage: Storage,
    maps: Vec<Vec<f32>>,
    packed: PackedConvolution,
    stream: Vec<f32>,
    skip: Vec<f32>,
}

const SCALE: f32 = 0.2;

impl Trial {
    fn new(case: &Case, storage: Storage, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let (height, width) = case.size;
        let maps = case
            .sources
            .iter()
            .map(|channels| {
                let values = numbers.many(case.samples * height * width * channels);
                values.into_iter().map(|value| rounded(storage, value)).collect()
            })
            .collect();
        let inputs: usize = case.sources.iter().sum();
        let weights = numbers.many(case.outputs * inputs * 9);
        let packed = PackedConvolution {
            sources: case.sources.clone(),
            outputs: case.outputs,
            weights: weights.into_iter().map(|weight| rounded(storage, weight)).collect(),
            biases: Some(numbers.many(case.outputs)),
            slopes: case.has_slopes.then(|| numbers.many(case.outputs)),
        };
        let numbers_out = case.samples * height * width * case.factor * case.factor * case.outputs;
        let (stream, skip) = (numbers.many(numbers_out), numbers.many(numbers_out));
        Self { case: case.clone(), storage, maps, packed, stream, skip }
    }

    /// The output in f64, and for each number the sum of absolute products.
    fn oracle(&self) -> (Vec<f64>, Vec<f64>) {
        let case = &self.case;
        let (height, width) = (case.size.0 * case.factor, case.size.1 * case.factor);
        let inputs: usize = case.sources.iter().sum();
        let (mut values, mut sizes) = (Vec::new(), Vec::new());
        for sample in 0..case.samples {
            for y in 0..height {
                for x in 0..width {
                    for output in 0..case.outputs {
                        let mut sum = f64::from(self.packed.biases.as_ref().unwrap()[output]);
                        let mut size = sum.abs();
                        for tap in 0..9 {
                            let row = found_at(case.edge, y as isize + tap / 3 - 1, height);
                            let column = found_at(case.edge, x as isize + tap % 3 - 1, width);
                            let (Some(row), Some(column)) = (row, column) else { continue };
                            let pixel = (sample * case.size.0 + row / case.factor) * case.size.1
                                + column / case.factor;
                            let mut first = 0;
                            for (map, channels) in self.maps.iter().zip(&case.sources) {
                                for channel in 0..*channels {
                                    let weight = self.packed.weights
                                        [(output * inputs + first + channel) * 9 + tap as usize];
                                    let product =
                                        f64::from(map[pixel * channels + channel]) * f64::from(weight);
                                    sum += product;
                                    size += product.abs();
                                }
                                first += channels;
                            }
                        }
                        if let Some(slopes) = self.packed.slopes.as_ref().filter(|_| sum < 0.0) {
                            sum *= f64::from(slopes[output]);
                        }
                        let at = values.len();
                        if case.adds.0 {
                            sum = sum * f64::from(SCALE) + f64::from(self.stream[at]);
                        }
                        if case.adds.1 {
                            sum = sum * f64::from(SCALE) + f64::from(self.skip[at]);
                        }
                        values.push(sum);
                        sizes.push(size + 2.0);
                    }
                }
            }
        }
        (values, sizes)
    }

    /// The kernel's output map and stream.
    fn run(&self, gpu: &Gpu, units: Option<MatrixUnits>) -> (Vec<f32>, Vec<f32>) {
        let case = &self.case;
        let client = gpu.client();
        let (height, width) = case.size;
        let upload = |values: Vec<f32>, storage: Storage| {
            client.create(Bytes::from_bytes_vec(storage.encode(&values)))
        };
        let map = |values: &[f32], channels: usize, storage: Storage, factor: usize| Map {
            handle: upload(filled_up(values, channels), storage),
            storage,
            samples: case.samples,
            channels,
            height: height * factor,
            width: width * factor,
            rows: 0..height * factor,
        };
        let sources: Vec<Map> = self
            .maps
            .iter()
            .zip(&case.sources)
            .map(|(values, channels)| map(values, *channels, self.storage, 1))
            .collect();
        let sources: Vec<&Map> = sources.iter().collect();
        let stream = map(&self.stream, case.outputs, Storage::F32, case.factor);
        let skip = map(&self.skip, case.outputs, Storage::F32, case.factor);
        let poison = vec![f32::NAN; self.stream.len()];
        let output = map(&poison, case.outputs, Storage::F32, case.factor);
        let convolution = Convolution::new(client, &self.packed, self.storage, units);
        let around = Around {
            adds: case.adds,
            stores: (true, false),
            stream: Some(&stream),
            skip: Some(&skip),
            scale: SCALE,
            output: Some(&output),
            result: None,
        };
        let rows = case.rows.clone().unwrap_or(0..height * case.factor);
        convolution.run(client, &sources, (case.factor, case.edge), &around, rows);
        let read = |map: &Map| {
            let bytes = client.read_one(map.handle.clone()).unwrap();
            let values: Vec<f32> =
                bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
            values.chunks(padded(case.outputs)).flat_map(|pixel| pixel[..case.outputs].to_vec()).collect()
        };
        (read(&output), read(&stream))
    }

    fn check(&self, gpu: &Gpu, units: Option<MatrixUnits>) {
        let (expected, sizes) = self.oracle();
        let (found, stream) = self.run(gpu, units);
        let rows = self.case.rows.clone().unwrap_or(0..self.case.size.0 * self.case.factor);
        let of_row = self.case.size.1 * self.case.factor * self.case.outputs;
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let is_computed = rows.contains(&(at / of_row % (self.case.size.0 * self.case.factor)));
            if !is_computed {
                assert!(found.is_nan(), "{:?}: number {at} was written", self.case);
                continue;
            }
            // A sum of n products in f32 is off by at most n units of rounding of the sum of their sizes; n is below 2048 here.
            let bound = sizes[at] * 2048.0 * f64::from(f32::EPSILON) / 2.0;
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= bound, "{:?}: number {at} is {found}, not {expected}", self.case);
            assert_eq!(stream[at].to_bits(), found.to_bits(), "the stream holds the same");
        }
    }
}

fn cases() -> Vec<Case> {
    let plain = Case::new(&[16], 16, (5, 7));
    vec![
        plain.clone(),
        Case::new(&[16], 32, (1, 1)),
        Case { adds: (true, false), ..Case::new(&[32, 32], 64, (9, 17)) },
        Case { adds: (true, true), has_slopes: false, ..Case::new(&[64, 32, 32, 32, 32], 64, (10, 19)) },
        Case { samples: 2, ..Case::new(&[3], 10, (11, 16)) },
        Case { samples: 2, adds: (false, true), ..Case::new(&[10, 5, 5], 3, (18, 33)) },
        Case { factor: 2, ..Case::new(&[16], 16, (7, 9)) },
        Case { factor: 3, edge: Edge::Reflect, ..plain.clone() },
        Case { edge: Edge::Replicate, ..plain.clone() },
        Case { edge: Edge::Reflect, ..plain.clone() },
        Case { edge: Edge::Wrap, ..plain.clone() },
        Case { edge: Edge::Wrap, factor: 2, ..Case::new(&[16], 16, (1, 1)) },
        Case { rows: Some(3..9), factor: 2, ..plain },
        Case::new(&[16], 100, (4, 4)),
    ]
}

#[test]
fn the_direct_kernel_computes_what_the_oracle_does() {
    let Some(gpu) = gpu() else { return };
    for (seed, case) in cases().iter().enumerate() {
        Trial::new(case, Storage::F32, seed as u64).check(&gpu, None);
    }
}

#[test]
fn the_direct_kernel_reads_half_precision() {
    let Some(gpu) = gpu() else { return };
    if !gpu.info().has_f16 {
        eprintln!("SKIPPED: `{}` has no half precision", gpu.info().name);
        return;
    }
    for (seed, case) in cases().iter().enumerate() {
        Trial::new(case, Storage::F16, seed as u64).check(&gpu, None);
    }
}

#[test]
fn the_matrix_kernel_computes_what_the_oracle_does() {
    let Some(gpu) = gpu() else { return };
    let Some(units) = gpu.matrix_units(Storage::F16) else {
        eprintln!("SKIPPED: `{}` has no matrix units", gpu.info().name);
        return;
    };
    eprintln!("{units:?}");
    for (seed, case) in cases().iter().enumerate() {
        Trial::new(case, Storage::F16, seed as u64).check(&gpu, Some(units));
    }
    // As it is compiled for a real device, and for one whose planes vary.
    let other = MatrixUnits { unrolls_taps: true, has_fixed_planes: false, ..units };
    Trial::new(&cases()[0], Storage::F16, 99).check(&gpu, Some(other));
}

#[test]
fn planes_are_shuffled_from_channels() {
    let Some(gpu) = gpu() else { return };
    let case = Case { has_slopes: false, ..Case::new(&[16], 12, (3, 5)) };
    let trial = Trial::new(&case, Storage::F32, 77);
    let client = gpu.client();
    let source = Map {
        handle: client.create(Bytes::from_bytes_vec(Storage::F32.encode(&trial.maps[0]))),
        storage: Storage::F32,
        samples: 1,
        channels: 16,
        height: 3,
        width: 5,
        rows: 0..3,
    };
    let numbers = 12 * 15;
    let planes = Planes { handle: client.empty(numbers * 4), channels: 3, shuffle: 2, rows: 0..3, numbers };
    let convolution = Convolution::new(client, &trial.packed, Storage::F32, None);
    let around = Around { result: Some(&planes), scale: 1.0, ..Around::default() };
    convolution.run(client, &[&source], (1, Edge::Zero), &around, 0..3);
    let bytes = client.read_one(planes.handle).unwrap();
    let (expected, _) = trial.oracle();
    for (at, bytes) in bytes.chunks_exact(4).enumerate() {
        let (plane, y, x) = (at / 60, at / 10 % 6, at % 10);
        let channel = (plane * 2 + y % 2) * 2 + x % 2;
        let value = expected[(y / 2 * 5 + x / 2) * 12 + channel];
        assert!((f64::from(f32::from_le_bytes(bytes.try_into().unwrap())) - value).abs() < 1e-4, "{at}");
    }
}
