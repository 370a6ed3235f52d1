//! Files cut off at many places, and files with one wrong byte: a typed error or a model, never a panic.

use esrgan_core::{Classify, Kind};
use esrgan_weights::{DType, LoadOptions, Model, SaveOptions, WeightsError, load, save};

use crate::pickles::{Pickle, Stored, legacy};
use crate::samples::{Folder, Random, model, specs};

const CUTS: usize = 100;
const FLIPS: usize = 250;

fn seed_model() -> Model {
    let (_, spec) = specs().into_iter().find(|(name, _)| *name == "compact x4").unwrap();
    model(&spec, DType::F32, 9)
}

fn saved(file: &str) -> Vec<u8> {
    let folder = Folder::new();
    let path = folder.file(file);
    save(&seed_model(), &path, &SaveOptions::default()).unwrap();
    std::fs::read(path).unwrap()
}

fn saved_as_legacy() -> Vec<u8> {
    let model = seed_model();
    let mut pickle = Pickle::new().raw(b"}").text("params").global("collections", "OrderedDict").raw(b")R");
    let mut storages = vec![];
    let keys: Vec<String> = (0..model.weights.len()).map(|index| format!("storage{index}")).collect();
    for ((name, tensor), key) in model.weights.iter().zip(&keys) {
        let shape: Vec<u64> = tensor.shape.iter().map(|&side| side as u64).collect();
        let strides: Vec<u64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let elements = tensor.num_elements() as u64;
        let stored =
            Stored { class: "FloatStorage", key, elements, offset: 0, shape: &shape, strides: &strides };
        pickle = pickle.text(name).tensor(&stored).raw(b"s");
        storages.push((key.as_str(), elements, tensor.bytes().to_vec()));
    }
    legacy(&pickle.raw(b"s").end(), &storages)
}

struct Seed {
    file: &'static str,
    bytes: Vec<u8>,
    /// Whether the format tells a damaged tensor from a sound one.
    has_checksums: bool,
}

fn seeds() -> Vec<Seed> {
    vec![
        Seed { file: "model.pth", bytes: saved("model.pth"), has_checksums: true },
        Seed { file: "legacy.pth", bytes: saved_as_legacy(), has_checksums: false },
        Seed { file: "model.safetensors", bytes: saved("model.safetensors"), has_checksums: false },
    ]
}

fn read(folder: &Folder, seed: &Seed, bytes: &[u8]) -> Result<Model, WeightsError> {
    let result = load(&folder.with(seed.file, bytes), &LoadOptions::default());
    if let Err(error) = &result {
        assert_ne!(error.kind(), Kind::Internal, "{error}");
        assert!(error.to_string().contains(seed.file), "{error}");
    }
    result
}

#[test]
fn the_seeds_are_sound() {
    let folder = Folder::new();
    for seed in seeds() {
        assert_eq!(read(&folder, &seed, &seed.bytes).unwrap().weights, seed_model().weights, "{}", seed.file);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let folder = Folder::new();
    for seed in seeds() {
        let stepped = (0..CUTS).map(|step| step * seed.bytes.len() / CUTS);
        let beginning = 0..64;
        for length in beginning.chain(stepped).chain(seed.bytes.len() - 30..seed.bytes.len()) {
            let result = read(&folder, &seed, &seed.bytes[..length]);
            assert!(result.is_err(), "{} cut off at {length} of {}", seed.file, seed.bytes.len());
        }
    }
}

#[test]
fn one_wrong_byte_is_an_error_or_a_model() {
    let folder = Folder::new();
    let sound = seed_model().weights;
    for seed in seeds() {
        let mut random = Random(seed.bytes.len() as u64);
        let mut refused = 0;
        for flip in 0..FLIPS {
            let mut bytes = seed.bytes.clone();
            // Every other one in the first kilobytes, where the structure is.
            let range = if flip % 2 == 0 { bytes.len() } else { bytes.len().min(2048) };
            let at = random.below(range);
            bytes[at] ^= (random.below(255) + 1) as u8;
            match read(&folder, &seed, &bytes) {
                Ok(model) if seed.has_checksums => assert!(model.weights == sound, "{} at {at}", seed.file),
                Ok(model) => {
                    assert_eq!(model.weights.len(), model.spec.tensors().len(), "{} at {at}", seed.file)
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused >= FLIPS / 8, "{}: only {refused} of {FLIPS} were refused", seed.file);
    }
}

#[test]
fn every_length_may_be_a_lie() {
    let folder = Folder::new();
    for seed in seeds() {
        let mut random = Random(77);
        for value in [0u64, 1, 0x7fff_ffff, 1 << 32, 1 << 63, u64::MAX] {
            for _ in 0..10 {
                let mut bytes = seed.bytes.clone();
                let at = random.below(bytes.len().min(4096) - 8);
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                if let Ok(model) = read(&folder, &seed, &bytes) {
                    assert_eq!(model.weights.len(), model.spec.tensors().len());
                }
            }
        }
        let mut bytes = seed.bytes.clone();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&folder, &seed, &bytes).is_err());
    }
}
