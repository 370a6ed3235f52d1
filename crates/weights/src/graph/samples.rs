//! Small models of every family for the tests of both formats.

use crate::{Activation, DType, Family, ModelSpec, SpecParts, Tensor, WeightMap};

/// A model and a name for messages.
pub(crate) struct Sample {
    pub name: String,
    pub spec: ModelSpec,
    pub weights: WeightMap,
}

/// A xorshift generator: tests need variety, not quality.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn parts(family: Family, upsampling: &[usize], unshuffle: usize) -> SpecParts {
    SpecParts {
        family,
        scale: upsampling.iter().product::<usize>() / unshuffle,
        in_channels: 3,
        out_channels: 3,
        num_features: 5,
        num_blocks: 2,
        growth_channels: 3,
        unshuffle,
        upsampling: upsampling.to_vec(),
        activation: Activation::LeakyRelu,
    }
}

/// Models of odd widths: every scale, unshuffle, gray, RGBA, ESRGAN+ and compact.
pub(crate) fn samples(dtype: DType) -> Vec<Sample> {
    let compact = |scale, activation| SpecParts {
        scale,
        growth_channels: 0,
        activation,
        ..parts(Family::Compact, &[], 1)
    };
    let rrdb = |upsampling, unshuffle| parts(Family::Rrdb, upsampling, unshuffle);
    let variants = [
        ("x1", rrdb(&[], 1)),
        ("x2", rrdb(&[2], 1)),
        ("x3", rrdb(&[3], 1)),
        ("x4", rrdb(&[2, 2], 1)),
        ("x8", rrdb(&[2, 2, 2], 1)),
        ("x16", rrdb(&[2, 2, 2, 2], 1)),
        ("unshuffle x2", rrdb(&[2, 2], 2)),
        ("unshuffle x1", rrdb(&[2, 2], 4)),
        ("gray", SpecParts { in_channels: 1, out_channels: 1, ..rrdb(&[2, 2], 1) }),
        ("gray to color", SpecParts { in_channels: 1, num_blocks: 1, ..rrdb(&[2], 1) }),
        ("rgba", SpecParts { in_channels: 4, out_channels: 4, num_features: 7, ..rrdb(&[2, 2], 1) }),
        ("one of each", SpecParts { num_features: 1, growth_channels: 1, num_blocks: 1, ..rrdb(&[2], 1) }),
        ("wide growth", SpecParts { num_features: 2, growth_channels: 9, num_blocks: 3, ..rrdb(&[2, 2], 1) }),
        ("plus x4", parts(Family::EsrganPlus, &[2, 2], 1)),
        ("plus x2 unshuffle", parts(Family::EsrganPlus, &[2, 2], 2)),
        ("compact x4", compact(4, Activation::PRelu)),
        ("compact x3 leaky", compact(3, Activation::LeakyRelu)),
        ("compact x1", compact(1, Activation::PRelu)),
    ];
    variants.into_iter().map(|(name, parts)| sample(name, parts, dtype)).collect()
}

/// Each of them with zeros beyond its edge, and with its edge repeated.
pub(crate) fn samples_by_edge(dtype: DType) -> impl Iterator<Item = (Sample, bool)> {
    [false, true]
        .into_iter()
        .flat_map(move |edge| samples(dtype).into_iter().map(move |sample| (sample, edge)))
}

fn sample(name: &str, parts: SpecParts, dtype: DType) -> Sample {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut weights = WeightMap::new();
    for (tensor, shape) in tensor_shapes(&parts) {
        let elements = shape.iter().product();
        let bytes: Vec<u8> = match dtype {
            DType::F32 => {
                (0..elements).flat_map(|_| (random.below(2001) as f32 / 1000.0 - 1.0).to_le_bytes()).collect()
            }
            // Sign, a middling exponent and any mantissa: no NaN, and every bit in use.
            DType::F16 | DType::BF16 => {
                (0..elements).flat_map(|_| ((random.next() as u16 & 0x83FF) | 0x3800).to_le_bytes()).collect()
            }
        };
        weights
            .insert(tensor, Tensor::new(shape, dtype, bytes).expect("as many bytes as the shape asks for"));
    }
    let spec = ModelSpec::new(parts).expect("a possible model");
    Sample { name: name.to_owned(), spec, weights }
}

/// Every tensor of a model in canonical order, written down apart from the code under test.
fn tensor_shapes(parts: &SpecParts) -> Vec<(String, Vec<usize>)> {
    let (features, growth) = (parts.num_features, parts.growth_channels);
    let mut shapes = Vec::new();
    let mut conv = |name: &str, outputs: usize, inputs: usize| {
        shapes.push((format!("{name}.weight"), vec![outputs, inputs, 3, 3]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    };
    if parts.family == Family::Compact {
        for index in 0..=parts.num_blocks {
            conv(
                &format!("body.{}", 2 * index),
                features,
                if index == 0 { parts.in_channels } else { features },
            );
        }
        let outputs = parts.out_channels * parts.scale * parts.scale;
        conv(&format!("body.{}", 2 * parts.num_blocks + 2), outputs, features);
        if parts.activation == Activation::PRelu {
            let slopes = (0..=parts.num_blocks)
                .map(|index| (format!("body.{}.weight", 2 * index + 1), vec![features]));
            shapes.extend(slopes);
            let layer = |name: &str| name.split('.').nth(1).and_then(|number| number.parse::<usize>().ok());
            shapes.sort_by_key(|(name, _)| layer(name));
        }
        return shapes;
    }
    conv("conv_first", features, parts.in_channels * parts.unshuffle * parts.unshuffle);
    let mut bypasses = Vec::new();
    for rrdb in 0..parts.num_blocks {
        for dense in 1..=3 {
            let prefix = format!("body.{rrdb}.rdb{dense}");
            for index in 1..=5 {
                let outputs = if index == 5 { features } else { growth };
                conv(&format!("{prefix}.conv{index}"), outputs, features + (index - 1) * growth);
            }
            bypasses.push(format!("{prefix}.conv1x1.weight"));
        }
    }
    conv("conv_body", features, features);
    for index in 1..=parts.upsampling.len() {
        conv(&format!("conv_up{index}"), features, features);
    }
    conv("conv_hr", features, features);
    conv("conv_last", parts.out_channels, features);
    if parts.family == Family::EsrganPlus {
        for name in bypasses {
            let after = name.replace("conv1x1.weight", "conv5.bias");
            let position =
                shapes.iter().position(|(name, _)| *name == after).expect("every block has a conv5");
            shapes.insert(position + 1, (name, vec![growth, features, 1, 1]));
        }
    }
    shapes
}

/// A golden's path in the repository.
pub(crate) fn golden(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(path)
}

/// Checks that the weights are those of an `.npz` file, up to `relative_error` of each value.
pub(crate) fn assert_weights(weights: &WeightMap, npz: &std::path::Path, relative_error: f64) {
    let expected = esrgan_testkit::read_npz(npz);
    assert_eq!(weights.len(), expected.len(), "{}", npz.display());
    for (name, array) in &expected {
        let tensor = weights.get(name).unwrap_or_else(|| panic!("{name} of {}", npz.display()));
        assert_eq!(tensor.shape, array.shape, "{name}");
        for (found, expected) in tensor.to_f32().into_iter().zip(&array.values) {
            let error = (f64::from(found) - expected).abs();
            assert!(error <= relative_error * expected.abs(), "{name}: {found} instead of {expected}");
        }
    }
}

/// Copies of `bytes` cut off at `count` places, and `count` with up to eight bytes changed.
pub(crate) fn mangled(bytes: &[u8], count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let cut = (0..count).map(|index| bytes[..index * bytes.len() / count].to_vec()).collect::<Vec<_>>();
    let changed = (0..count).map(|_| {
        let mut copy = bytes.to_vec();
        for _ in 0..=random.below(8) {
            let place = random.below(copy.len());
            copy[place] = match random.below(3) {
                0 => random.next() as u8,
                1 => copy[place] ^ (1 << random.below(8)),
                _ => [0, 1, 0x7F, 0x80, 0xFF, b'9', b'-', b' '][random.below(8)],
            };
        }
        copy
    });
    cut.iter().cloned().chain(changed).collect()
}
