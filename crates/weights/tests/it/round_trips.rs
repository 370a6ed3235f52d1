//! What is written is read, bit for bit, whatever the network, format, layout and element type.

use esrgan_core::{Classify, Kind};
use esrgan_testkit::shared_data;
use esrgan_weights::{
    DType, Family, KeyLayout, LoadOptions, Model, SaveOptions, Tensor, WeightMap, WeightsError, load, save,
};

use crate::samples::{Folder, ambiguous, model, specs, x4};

fn layouts(family: Family) -> &'static [KeyLayout] {
    match family {
        Family::Compact => &[KeyLayout::Compact],
        Family::Rrdb | Family::EsrganPlus => &[KeyLayout::BasicSr, KeyLayout::RrdbTrunk, KeyLayout::Old],
    }
}

#[test]
fn dictionaries_of_every_network_layout_and_type() {
    let mut trips = 0;
    for (name, spec) in specs() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let original = model(&spec, dtype, 1);
            for layout in layouts(spec.family()) {
                for file in ["model.pth", "model.safetensors"] {
                    let folder = Folder::new();
                    let path = folder.file(file);
                    save(&original, &path, &SaveOptions { layout: Some(*layout), dtype: None }).unwrap();
                    let read = load(&path, &LoadOptions::default()).unwrap();
                    assert_eq!(read.spec, spec, "{name} {layout} {dtype} {file}");
                    assert_eq!(read.weights, original.weights, "{name} {layout} {dtype} {file}");
                    assert_eq!((read.origin.key_layout, read.origin.dtype), (*layout, dtype), "{name}");
                    assert_eq!(folder.names(), [file], "no temporary file stays");
                    trips += 1;
                }
            }
        }
    }
    assert_eq!(trips, (15 * 3 + 4) * 3 * 2, "networks, layouts, types, files");
}

#[test]
fn graphs_of_every_network() {
    let folder = Folder::new();
    for (name, spec) in specs() {
        for (file, dtype) in
            [("a.onnx", DType::F32), ("b.onnx", DType::F16), ("c.onnx", DType::BF16), ("d.param", DType::F32)]
        {
            let original = model(&spec, dtype, 2);
            let path = folder.file(file);
            save(&original, &path, &SaveOptions::default()).unwrap();
            let read = load(&path, &LoadOptions::default()).unwrap();
            assert_eq!(read.spec, spec, "{name} {file}");
            assert_eq!(read.weights, original.weights, "{name} {file}");
        }
        // ncnn keeps biases and slopes in f32, which holds every f16.
        let original = model(&spec, DType::F16, 2);
        let path = folder.file("e.param");
        save(&original, &path, &SaveOptions::default()).unwrap();
        let read = load(&folder.file("e.bin"), &LoadOptions::default()).unwrap();
        assert_eq!((&read.spec, read.origin.dtype), (&spec, DType::F16), "{name}");
        let as_f16 =
            |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.cast(DType::F16, name).unwrap());
        assert_eq!(read.weights.iter().map(as_f16).collect::<WeightMap>(), original.weights, "{name}");
    }
}

#[test]
fn a_chain_through_every_format_ends_where_it_began() {
    let Some(path) = shared_data("checkpoints/old_x4_odd_widths.pth") else { return };
    let folder = Folder::new();
    let original = load(&path, &LoadOptions::default()).unwrap();
    let mut model = original.clone();
    for (file, layout) in [
        ("1.safetensors", Some(KeyLayout::BasicSr)),
        ("2.pth", Some(KeyLayout::RrdbTrunk)),
        ("3.param", None),
        ("4.onnx", None),
        ("5.pth", Some(KeyLayout::Old)),
    ] {
        let path = folder.file(file);
        save(&model, &path, &SaveOptions { layout, dtype: None }).unwrap();
        model = load(&path, &LoadOptions::default()).unwrap();
    }
    assert_eq!((model.spec, model.weights), (original.spec, original.weights));
    assert_eq!(folder.names(), ["1.safetensors", "2.pth", "3.bin", "3.param", "4.onnx", "5.pth"]);
}

#[test]
fn the_scale_of_x3_survives_where_the_format_has_a_place_for_it() {
    let folder = Folder::new();
    let original = model(&ambiguous(3), DType::F32, 1);
    for file in ["a.safetensors", "b.onnx", "c.param"] {
        let path = folder.file(file);
        save(&original, &path, &SaveOptions::default()).unwrap();
        let read = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!((read.spec.scale(), read.origin.scale_is_ambiguous), (3, false), "{file}");
    }
    let path = folder.file("d.pth");
    save(&original, &path, &SaveOptions::default()).unwrap();
    let read = load(&path, &LoadOptions::default()).unwrap();
    assert_eq!((read.spec.scale(), read.origin.scale_is_ambiguous), (2, true));
    // What was only assumed is not passed on as known.
    let path = folder.file("e.safetensors");
    save(&read, &path, &SaveOptions::default()).unwrap();
    assert!(load(&path, &LoadOptions::default()).unwrap().origin.scale_is_ambiguous);
    // A scale that the user names wins over the file's.
    let named = LoadOptions { scale: Some(2), ..LoadOptions::default() };
    assert_eq!(load(&folder.file("a.safetensors"), &named).unwrap().spec.scale(), 2);
}

#[test]
fn the_layout_of_the_source_is_kept_unless_another_is_named() {
    let folder = Folder::new();
    let old = folder.file("old.pth");
    let named = SaveOptions { layout: Some(KeyLayout::Old), dtype: None };
    save(&model(&x4(), DType::F32, 1), &old, &named).unwrap();
    let read = load(&old, &LoadOptions::default()).unwrap();
    let again = folder.file("again.safetensors");
    save(&read, &again, &SaveOptions::default()).unwrap();
    assert_eq!(load(&again, &LoadOptions::default()).unwrap().origin.key_layout, KeyLayout::Old);
    // A graph has no layout: BasicSR's.
    let graph = folder.file("graph.param");
    save(&read, &graph, &SaveOptions::default()).unwrap();
    save(&load(&graph, &LoadOptions::default()).unwrap(), &again, &SaveOptions::default()).unwrap();
    assert_eq!(load(&again, &LoadOptions::default()).unwrap().origin.key_layout, KeyLayout::BasicSr);
}

#[test]
fn a_named_type_is_that_of_every_tensor() {
    let folder = Folder::new();
    let original = model(&x4(), DType::F32, 1);
    for dtype in [DType::F16, DType::BF16] {
        let path = folder.file("model.safetensors");
        save(&original, &path, &SaveOptions { layout: None, dtype: Some(dtype) }).unwrap();
        let read = load(&path, &LoadOptions::default()).unwrap();
        assert!(read.weights.iter().all(|(_, tensor)| tensor.dtype == dtype));
        // Rounding once more changes nothing.
        save(&read, &path, &SaveOptions { layout: None, dtype: Some(DType::F32) }).unwrap();
        let widened = load(&path, &LoadOptions::default()).unwrap();
        save(&widened, &path, &SaveOptions { layout: None, dtype: Some(dtype) }).unwrap();
        assert_eq!(load(&path, &LoadOptions::default()).unwrap().weights, read.weights);
    }
}

fn with_one_large_weight() -> Model {
    let mut model = model(&x4(), DType::F32, 1);
    model.weights.insert("conv_hr.bias".to_owned(), Tensor::from_f32(vec![8], &[1e6; 8]).unwrap());
    model
}

#[test]
fn a_weight_that_does_not_fit_is_named_and_the_old_file_stays() {
    let folder = Folder::new();
    for file in ["model.pth", "model.safetensors", "model.onnx", "model.param"] {
        let path = folder.with(file, b"what was there before");
        let half = SaveOptions { layout: None, dtype: Some(DType::F16) };
        let error = save(&with_one_large_weight(), &path, &half).unwrap_err();
        assert!(
            matches!(&error, WeightsError::Overflow { tensor, .. } if tensor == "conv_hr.bias"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"what was there before");
    }
    assert_eq!(folder.names().len(), 4, "no temporary file stays");
}

#[test]
fn requests_that_do_not_go_together_are_refused_before_anything_is_written() {
    let folder = Folder::new();
    let rrdb = model(&x4(), DType::F32, 1);
    let (_, compact) = specs().into_iter().find(|(name, _)| *name == "compact x4").unwrap();
    let compact = model(&compact, DType::F32, 1);
    let layout = |layout| SaveOptions { layout: Some(layout), dtype: None };
    for (model, file, options, expected) in [
        (&rrdb, "a.zip", SaveOptions::default(), "output: expected a name in .safetensors"),
        (&rrdb, "a", SaveOptions::default(), "output: expected a name in .safetensors"),
        (&rrdb, "a.pth", layout(KeyLayout::Compact), "layout: expected basicsr, trunk or old, found compact"),
        (&rrdb, "a.pth", layout(KeyLayout::Ncnn), "layout: expected basicsr, trunk or old, found ncnn"),
        (
            &compact,
            "a.pth",
            layout(KeyLayout::Old),
            "layout: expected basicsr for a compact network, found old",
        ),
        (&rrdb, "a.onnx", layout(KeyLayout::Old), "layout: expected none for onnx"),
        (&rrdb, "a.param", layout(KeyLayout::Old), "layout: expected none for ncnn"),
        (
            &rrdb,
            "a.param",
            SaveOptions { layout: None, dtype: Some(DType::BF16) },
            "dtype: expected f32 or f16 for ncnn, found bf16",
        ),
    ] {
        let error = save(model, &folder.file(file), &options).unwrap_err();
        assert_eq!(error.kind(), Kind::Argument, "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert!(folder.names().is_empty());
    let error = save(&rrdb, &folder.file("absent/a.pth"), &SaveOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
}

#[test]
fn the_layout_of_compact_networks_may_be_called_basicsr() {
    let folder = Folder::new();
    let (_, spec) = specs().into_iter().find(|(name, _)| *name == "compact x2").unwrap();
    let path = folder.file("a.pth");
    let options = SaveOptions { layout: Some(KeyLayout::BasicSr), dtype: None };
    save(&model(&spec, DType::F32, 1), &path, &options).unwrap();
    assert_eq!(load(&path, &LoadOptions::default()).unwrap().origin.key_layout, KeyLayout::Compact);
}

#[test]
fn members_of_archives_are_aligned() {
    let folder = Folder::new();
    let path = folder.file("a.pth");
    let model = model(&x4(), DType::F32, 1);
    save(&model, &path, &SaveOptions::default()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for (name, tensor) in model.weights.iter().filter(|(_, tensor)| tensor.bytes().len() >= 64) {
        let aligned = (0..bytes.len()).step_by(64).any(|at| bytes[at..].starts_with(tensor.bytes()));
        assert!(aligned, "{name}");
    }
}
