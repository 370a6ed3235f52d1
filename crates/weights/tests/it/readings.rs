//! Honest checkpoints of unusual make: views, wrappers, prefixes, element types, what lies beside the weights.

use std::path::Path;

use esrgan_core::{Classify, Kind};
use esrgan_weights::{DType, Family, KeyLayout, LoadOptions, Model, SaveOptions, WeightsError, load, save};

use crate::pickles::{Pickle, Stored, checkpoint, floats, legacy};
use crate::samples::{Folder, model, specs, x4};

fn read(bytes: &[u8]) -> Result<Model, WeightsError> {
    let folder = Folder::new();
    load(&folder.with("model.pth", bytes), &LoadOptions::default())
}

/// The smallest network: a compact one of x1 with one channel and one feature. Its weights count up from 0.
const SMALL: [(&str, &[u64]); 5] = [
    ("body.0.weight", &[1, 1, 3, 3]),
    ("body.0.bias", &[1]),
    ("body.1.weight", &[1]),
    ("body.2.weight", &[1, 1, 3, 3]),
    ("body.2.bias", &[1]),
];

/// Where each tensor of [`SMALL`] begins when one follows the other.
fn small_offsets() -> Vec<u64> {
    let lengths = SMALL.iter().map(|(_, shape)| shape.iter().product::<u64>());
    lengths.scan(0, |end, length| Some(std::mem::replace(end, *end + length))).collect()
}

const SMALL_ELEMENTS: u64 = 21;

fn counting() -> Vec<u8> {
    floats((0..SMALL_ELEMENTS).map(|value| value as f32))
}

fn assert_counts_up(model: &Model) {
    let values: Vec<f32> = model.weights.iter().flat_map(|(_, tensor)| tensor.to_f32()).collect();
    assert_eq!(values, (0..SMALL_ELEMENTS).map(|value| value as f32).collect::<Vec<_>>());
}

/// The entries of [`SMALL`] in a dictionary on the stack, all views of the storage "0" of this class.
fn small_entries(pickle: Pickle, prefix: &str, class: &str) -> Pickle {
    SMALL.iter().zip(small_offsets()).fold(pickle, |pickle, ((key, shape), offset)| {
        let strides: Vec<u64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let stored = Stored { class, key: "0", elements: SMALL_ELEMENTS, offset, shape, strides: &strides };
        pickle.text(&format!("{prefix}{key}")).tensor(&stored).raw(b"s")
    })
}

fn small(prefix: &str) -> Pickle {
    small_entries(Pickle::new().raw(b"}"), prefix, "FloatStorage")
}

#[test]
fn tensors_that_share_one_storage_are_read() {
    let model = read(&checkpoint(&small("").end(), &[counting()])).unwrap();
    assert_eq!((model.spec.family(), model.spec.scale(), model.spec.num_blocks()), (Family::Compact, 1, 0));
    assert_counts_up(&model);
    assert_counts_up(&read(&legacy(&small("").end(), &[("0", SMALL_ELEMENTS, counting())])).unwrap());
}

#[test]
fn strided_views_are_put_in_order() {
    // Each 3x3 kernel transposed in the file, and transposed back by its strides.
    let mut values: Vec<f32> = (0..SMALL_ELEMENTS).map(|value| value as f32).collect();
    for start in [0, 11] {
        for y in 0..3 {
            for x in 0..3 {
                values[start + 3 * x + y] = (start + 3 * y + x) as f32;
            }
        }
    }
    let transposed =
        SMALL.iter().zip(small_offsets()).fold(Pickle::new().raw(b"}"), |pickle, ((key, shape), offset)| {
            let strides: &[u64] = if shape.len() == 4 { &[9, 9, 1, 3] } else { &[1] };
            let stored =
                Stored { class: "FloatStorage", key: "0", elements: SMALL_ELEMENTS, offset, shape, strides };
            pickle.text(key).tensor(&stored).raw(b"s")
        });
    assert_counts_up(&read(&checkpoint(&transposed.end(), &[floats(values)])).unwrap());
}

#[test]
fn storages_that_are_parts_of_others_are_read() {
    // Before version 1.6 a storage could be the elements 2 to 22 of another.
    let parts =
        SMALL.iter().zip(small_offsets()).fold(Pickle::new().raw(b"}"), |pickle, ((key, shape), offset)| {
            let strides: Vec<u64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
            let storage =
                pickle.text(key).global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
            let storage =
                storage.global("torch", "FloatStorage").text("root").text("cpu").int(SMALL_ELEMENTS + 4);
            let part = storage.raw(b"(").text("part").int(2).int(SMALL_ELEMENTS).raw(b"ttQ");
            part.int(offset)
                .ints(shape)
                .ints(&strides)
                .raw(&[0x89])
                .global("collections", "OrderedDict")
                .raw(b")RtRs")
        });
    let mut bytes = floats([-1.0, -2.0]);
    bytes.extend(counting());
    bytes.extend(floats([-3.0, -4.0]));
    assert_counts_up(&read(&legacy(&parts.end(), &[("root", SMALL_ELEMENTS + 4, bytes)])).unwrap());
}

#[test]
fn doubles_are_narrowed_with_a_notice() {
    let doubles: Vec<u8> = (0..SMALL_ELEMENTS).flat_map(|value| (value as f64).to_le_bytes()).collect();
    let pickle = small_entries(Pickle::new().raw(b"}"), "", "DoubleStorage").end();
    let model = read(&checkpoint(&pickle, &[doubles])).unwrap();
    assert_counts_up(&model);
    assert_eq!(model.origin.dtype, DType::F32);
    assert_eq!(model.origin.notices[0].as_str(), "tensors narrowed from f64 to f32: 5");
}

#[test]
fn halves_keep_their_type() {
    let bfloats: Vec<u8> = counting().chunks(4).flat_map(|four| [four[2], four[3]]).collect();
    let pickle = small_entries(Pickle::new().raw(b"}"), "", "BFloat16Storage").end();
    let model = read(&checkpoint(&pickle, &[bfloats])).unwrap();
    assert_counts_up(&model);
    assert_eq!(model.origin.dtype, DType::BF16);
}

#[test]
fn integers_are_no_weights() {
    let pickle = small_entries(Pickle::new().raw(b"}"), "", "LongStorage").end();
    let error = read(&checkpoint(&pickle, &[vec![0; 8 * SMALL_ELEMENTS as usize]])).unwrap_err();
    match error.problem() {
        WeightsError::ElementType { tensor, found } => {
            assert_eq!((tensor.as_str(), found.as_str()), ("body.0.weight", "int64"));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_wrapper_is_opened() {
    let storages = [counting()];
    for wrapper in [
        "params_ema",
        "params",
        "model_state_dict",
        "state_dict",
        "params-ema",
        "model",
        "net",
        "any_single_key",
    ] {
        let pickle = Pickle::new().raw(b"}").text(wrapper);
        let pickle = small_entries(pickle.raw(b"}"), "", "FloatStorage").raw(b"s");
        assert_counts_up(&read(&checkpoint(&pickle.end(), &storages)).unwrap());
    }
    // Two around each other, and other things beside the weights.
    let pickle =
        Pickle::new().raw(b"}").text("iter").raw(b"K\x05s").text("state_dict").raw(b"}").text("params");
    let pickle = small_entries(pickle.raw(b"}"), "", "FloatStorage").raw(b"ss");
    assert_counts_up(&read(&checkpoint(&pickle.end(), &storages)).unwrap());
}

#[test]
fn every_prefix_is_taken_off() {
    let storages = [counting()];
    for prefix in ["module.", "generator.", "netG.", "module.generator.", "netG.module.", "generator_ema."] {
        assert_counts_up(&read(&checkpoint(&small(prefix).end(), &storages)).unwrap());
    }
    assert_counts_up(&read(&checkpoint(&small("model.").end(), &storages)).unwrap());
}

#[test]
fn what_training_leaves_beside_the_weights_is_ignored() {
    let beside = Pickle::new()
        .raw(b"}")
        .text("args")
        .global("argparse", "Namespace")
        .raw(b")\x81}")
        .text("lr")
        .raw(b"G\x3f\x50\0\0\0\0\0\0sbs")
        .text("milestones")
        .global("collections", "Counter")
        .raw(b"}K\x05K\x01s\x85Rs")
        .text("score")
        .global("numpy.core.multiarray", "scalar")
        .global("numpy", "dtype")
        .text("f8")
        .raw(b"\x88\x89\x87R(K\x03")
        .text("<")
        .raw(b"NNNtb")
        .raw(b"C\x08\0\0\0\0\0\0\0\0\x86Rs")
        .text("names")
        .global("builtins", "set")
        .raw(b"]\x85Rs")
        .text("size")
        .global("torch", "Size")
        .ints(&[3, 3])
        .raw(b"\x85Rs")
        .raw(b"K\x07Ns")
        .text("params")
        .global("collections", "OrderedDict")
        .raw(b")R");
    let pickle = small_entries(beside, "", "FloatStorage").text("note").text("a string").raw(b"s");
    // A state dictionary's attributes.
    let pickle = pickle.raw(b"}").text("_metadata").raw(b"}sbs").end();
    assert_counts_up(&read(&checkpoint(&pickle, &[counting()])).unwrap());
}

#[test]
fn parameters_and_pairs_are_read() {
    let first = Stored {
        class: "FloatStorage",
        key: "0",
        elements: SMALL_ELEMENTS,
        offset: 0,
        shape: &[1, 1, 3, 3],
        strides: &[9, 9, 3, 1],
    };
    let parameter =
        Pickle::new().raw(b"}").text("body.0.weight").global("torch._utils", "_rebuild_parameter");
    let parameter = parameter.raw(b"(").tensor(&first).raw(b"\x88}tRs");
    let others = small_entries(parameter, "", "FloatStorage");
    assert_counts_up(&read(&checkpoint(&others.end(), &[counting()])).unwrap());
    // An ordered dictionary as Python 2 wrote it: made of a list of pairs.
    let pairs = SMALL.iter().zip(small_offsets()).fold(
        Pickle::new().global("collections", "OrderedDict").raw(b"]"),
        |pickle, ((key, shape), offset)| {
            let strides: Vec<u64> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
            let stored = Stored { offset, shape, strides: &strides, ..first };
            pickle.raw(b"]U").raw(&[key.len() as u8]).raw(key.as_bytes()).raw(b"a").tensor(&stored).raw(b"aa")
        },
    );
    assert_counts_up(&read(&checkpoint(&pairs.raw(b"\x85R").end(), &[counting()])).unwrap());
}

#[test]
fn an_archive_saved_without_checksums_is_read() {
    let mut members = crate::pickles::checkpoint_members(&small("").end(), &[counting()]);
    members.iter_mut().for_each(|member| member.crc32 = 0);
    assert_counts_up(&read(&crate::pickles::archive(&members)).unwrap());
}

#[test]
fn a_comment_behind_the_archive_is_allowed() {
    let mut bytes = checkpoint(&small("").end(), &[counting()]);
    let length_at = bytes.len() - 2;
    bytes[length_at] = 5;
    bytes.extend_from_slice(b"hello");
    assert_counts_up(&read(&bytes).unwrap());
}

#[test]
fn a_network_is_the_same_in_every_layout() {
    let folder = Folder::new();
    let original = model(&x4(), DType::F32, 3);
    for layout in [KeyLayout::BasicSr, KeyLayout::RrdbTrunk, KeyLayout::Old] {
        let path = folder.file("model.safetensors");
        save(&original, &path, &SaveOptions { layout: Some(layout), dtype: None }).unwrap();
        let read = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!(read.origin.key_layout, layout);
        assert_eq!(read.weights, original.weights);
    }
}

/// The keys of published files, written down by hand.
#[test]
fn keys_are_spelled_as_their_programs_spell_them() {
    let folder = Folder::new();
    let (_, plus) = specs().into_iter().find(|(name, _)| *name == "plus").unwrap();
    for (layout, keys) in [
        (
            KeyLayout::BasicSr,
            [
                "conv_first.weight",
                "body.1.rdb3.conv5.bias",
                "body.0.rdb1.conv1x1.weight",
                "conv_body.bias",
                "conv_up2.weight",
                "conv_hr.weight",
                "conv_last.bias",
            ],
        ),
        (
            KeyLayout::RrdbTrunk,
            [
                "conv_first.weight",
                "RRDB_trunk.1.RDB3.conv5.bias",
                "RRDB_trunk.0.RDB1.conv1x1.weight",
                "trunk_conv.bias",
                "upconv2.weight",
                "HRconv.weight",
                "conv_last.bias",
            ],
        ),
        (
            KeyLayout::Old,
            [
                "model.0.weight",
                "model.1.sub.1.RDB3.conv5.0.bias",
                "model.1.sub.0.RDB1.conv1x1.weight",
                "model.1.sub.2.bias",
                "model.6.weight",
                "model.8.weight",
                "model.10.bias",
            ],
        ),
    ] {
        let path = folder.file("model.safetensors");
        save(&model(&plus, DType::F32, 1), &path, &SaveOptions { layout: Some(layout), dtype: None })
            .unwrap();
        let header = header(&path);
        let missing: Vec<&str> = keys.into_iter().filter(|key| header.get(key).is_none()).collect();
        assert!(missing.is_empty(), "{layout}: {missing:?}");
    }
}

fn header(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).unwrap()
}

#[test]
fn metadata_says_what_the_model_is_and_where_it_came_from() {
    let folder = Folder::new();
    let first = folder.file("first.pth");
    save(&model(&x4(), DType::F16, 3), &first, &SaveOptions::default()).unwrap();
    let read = load(&first, &LoadOptions::default()).unwrap();
    let second = folder.file("second.safetensors");
    save(&read, &second, &SaveOptions { layout: Some(KeyLayout::Old), dtype: None }).unwrap();
    let expected = serde_json::json!({
        "family": "rrdb", "scale": "4", "key_layout": "old", "format": "pt",
        "program": format!("esrgan {}", env!("CARGO_PKG_VERSION")),
        "origin": "first.pth", "origin_format": "pth", "origin_key_layout": "basicsr", "origin_dtype": "f16",
        "origin_sha256": read.origin.sha256,
    });
    assert_eq!(header(&second)["__metadata__"], expected);
}

#[test]
fn limits_are_the_callers() {
    let folder = Folder::new();
    let original = model(&x4(), DType::F32, 3);
    for file in ["model.safetensors", "model.pth", "model.onnx", "model.param"] {
        let path = folder.file(file);
        save(&original, &path, &SaveOptions::default()).unwrap();
        let with = |change: &dyn Fn(&mut esrgan_weights::Limits)| {
            let mut options = LoadOptions::default();
            change(&mut options.limits);
            load(&path, &options).map_err(|error| error.kind())
        };
        assert_eq!(with(&|limits| limits.max_file_bytes = 1000).unwrap_err(), Kind::Limit, "{file}");
        // 25,387 parameters: 101,548 bytes.
        assert_eq!(with(&|limits| limits.max_total_bytes = 100_000).unwrap_err(), Kind::Limit, "{file}");
        if !file.ends_with("onnx") {
            assert_eq!(with(&|limits| limits.max_header_bytes = 1000).unwrap_err(), Kind::Limit, "{file}");
        }
        if file.ends_with("safetensors") || file.ends_with("pth") {
            assert_eq!(with(&|limits| limits.max_tensors = 71).unwrap_err(), Kind::Limit, "{file}");
            assert!(with(&|limits| limits.max_tensors = 72).is_ok(), "{file}");
        }
    }
}
