//! Networks of every kind with reproducible weights, and folders that go away.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use esrgan_weights::{Activation, DType, Family, Model, ModelSpec, SpecParts, Tensor, WeightMap};

/// Reproducible numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From -1 to 1, 24 bits of it.
    pub fn weight(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn rrdb(upsampling: &[usize], unshuffle: usize, channels: usize) -> SpecParts {
    SpecParts {
        family: Family::Rrdb,
        scale: upsampling.iter().product::<usize>() / unshuffle,
        in_channels: channels,
        out_channels: channels,
        num_features: 8,
        num_blocks: 2,
        growth_channels: 4,
        unshuffle,
        upsampling: upsampling.to_vec(),
        activation: Activation::LeakyRelu,
    }
}

fn compact(scale: usize, num_blocks: usize, activation: Activation) -> SpecParts {
    SpecParts {
        family: Family::Compact,
        scale,
        growth_channels: 0,
        upsampling: vec![],
        num_blocks,
        activation,
        ..rrdb(&[], 1, 3)
    }
}

/// Networks whose scale a dictionary of tensors tells.
pub fn specs() -> Vec<(&'static str, ModelSpec)> {
    let parts = vec![
        ("x4", rrdb(&[2, 2], 1, 3)),
        (
            "odd widths",
            SpecParts { num_features: 12, num_blocks: 3, growth_channels: 6, ..rrdb(&[2, 2], 1, 3) },
        ),
        ("x1", rrdb(&[], 1, 3)),
        ("x8", rrdb(&[2, 2, 2], 1, 3)),
        ("x16", rrdb(&[2, 2, 2, 2], 1, 3)),
        ("gray", rrdb(&[2, 2], 1, 1)),
        ("rgba", rrdb(&[2, 2], 1, 4)),
        ("rgb to gray", SpecParts { out_channels: 1, ..rrdb(&[2, 2], 1, 3) }),
        ("unshuffle x2", rrdb(&[2, 2], 2, 3)),
        ("unshuffle x1", rrdb(&[2, 2], 4, 3)),
        ("unshuffle x1 by one upsampling", rrdb(&[2], 2, 3)),
        ("unshuffle gray", rrdb(&[2, 2], 2, 1)),
        ("plus", SpecParts { family: Family::EsrganPlus, ..rrdb(&[2, 2], 1, 3) }),
        ("plus x1", SpecParts { family: Family::EsrganPlus, ..rrdb(&[], 1, 3) }),
        ("one block", SpecParts { num_blocks: 1, ..rrdb(&[2, 2], 1, 3) }),
        ("compact x4", compact(4, 3, Activation::PRelu)),
        ("compact x2", compact(2, 1, Activation::PRelu)),
        ("compact x1", compact(1, 0, Activation::PRelu)),
        ("compact leaky", compact(4, 3, Activation::LeakyRelu)),
    ];
    parts.into_iter().map(|(name, parts)| (name, ModelSpec::new(parts).unwrap())).collect()
}

/// A network whose scale a dictionary of tensors does not tell: x2 or x3.
pub fn ambiguous(factor: usize) -> ModelSpec {
    ModelSpec::new(rrdb(&[factor], 1, 3)).unwrap()
}

/// The first of [`specs`].
pub fn x4() -> ModelSpec {
    ModelSpec::new(rrdb(&[2, 2], 1, 3)).unwrap()
}

/// A model with weights from -1 to 1 that depend on the seed alone.
pub fn model(spec: &ModelSpec, dtype: DType, seed: u64) -> Model {
    let mut random = Random(seed);
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.weight()).collect();
        let tensor = Tensor::from_f32(shape, &values).unwrap().cast(dtype, &name).unwrap();
        (name, tensor)
    };
    let weights: WeightMap = spec.tensors().into_iter().map(tensor).collect();
    Model::in_memory(spec.clone(), weights).unwrap()
}

/// A folder of a test, removed with all its files at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("weights-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub fn with(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
