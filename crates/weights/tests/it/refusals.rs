//! Networks of other kinds, and what their refusals say.

use esrgan_core::{Classify, Kind};
use esrgan_weights::{DType, KeyLayout, LoadOptions, TensorProblem, WeightsError, load};

use crate::samples::{Folder, Random, model, specs, x4};

/// Keys and shapes.
type Tensors = Vec<(String, Vec<usize>)>;

/// What loading says of a safetensors file with these tensors, all zero.
fn refusal(tensors: &[(String, Vec<usize>)]) -> WeightsError {
    let folder = Folder::new();
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (key, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert(key.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + end, 0);
    let error = load(&folder.with("model.safetensors", &bytes), &LoadOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    error
}

fn problems(error: &WeightsError) -> (KeyLayout, &[TensorProblem]) {
    match error.problem() {
        WeightsError::Tensors { nearest, problems } => (*nearest, problems),
        other => panic!("{other}"),
    }
}

fn named(keys: &[(&str, &[usize])]) -> Tensors {
    keys.iter().map(|(key, shape)| ((*key).to_owned(), shape.to_vec())).collect()
}

#[test]
fn another_network_is_told_what_it_lacks() {
    // The beginning of SwinIR's dictionary.
    let error = refusal(&named(&[
        ("conv_first.weight", &[60, 3, 3, 3]),
        ("conv_first.bias", &[60]),
        ("patch_embed.norm.weight", &[60]),
        ("layers.0.residual_group.blocks.0.attn.relative_position_bias_table", &[225, 6]),
        ("conv_after_body.weight", &[60, 60, 3, 3]),
        ("conv_before_upsample.0.weight", &[64, 60, 3, 3]),
        ("conv_last.weight", &[3, 64, 3, 3]),
        ("conv_last.bias", &[3]),
    ]));
    let text = error.to_string();
    assert!(text.contains("nearest is the layout basicsr: `body.0.rdb1.conv1.weight` is missing"), "{text}");
    assert!(text.contains("`conv_after_body.weight` belongs to no such network"), "{text}");
}

#[test]
fn a_dictionary_of_anything_is_refused() {
    let error = refusal(&named(&[("fc.weight", &[10, 20]), ("fc.bias", &[10])]));
    let (_, found) = problems(&error);
    assert!(found.iter().any(|problem| problem.key() == "conv_first.weight"), "{error}");
    assert!(found.iter().any(|problem| problem.key() == "fc.bias"), "{error}");
}

#[test]
fn a_misshapen_or_missing_tensor_is_named_in_the_files_own_layout() {
    let spec = x4();
    let basicsr = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = spec.tensors();
        change(&mut tensors);
        refusal(&tensors)
    };
    let error = basicsr(&|tensors| tensors.retain(|(key, _)| key != "body.1.rdb2.conv3.bias"));
    assert_eq!(problems(&error).0, KeyLayout::BasicSr);
    assert!(error.to_string().ends_with("`body.1.rdb2.conv3.bias` [4] is missing"), "{error}");

    let error = basicsr(&|tensors| {
        let tensor = tensors.iter_mut().find(|(key, _)| key == "conv_hr.weight").unwrap();
        tensor.1 = vec![8, 8, 1, 1];
    });
    assert!(
        error.to_string().ends_with("`conv_hr.weight` is [8, 8, 1, 1] instead of [8, 8, 3, 3]"),
        "{error}"
    );

    let error = basicsr(&|tensors| tensors.push(("attention.weight".to_owned(), vec![1])));
    assert!(error.to_string().ends_with("`attention.weight` belongs to no such network"), "{error}");

    let error = basicsr(&|tensors| tensors[0].1 = vec![8]);
    assert!(error.to_string().contains("`conv_first.weight` is [8] instead of 4-dimensional"), "{error}");

    // A network with a hole in its trunk.
    let error = basicsr(&|tensors| tensors.retain(|(key, _)| !key.starts_with("body.0.rdb2")));
    assert_eq!(problems(&error).1.len(), 10);
    assert!(error.to_string().ends_with(", and 5 more"), "{error}");
}

#[test]
fn the_nearest_layout_is_the_one_with_the_most_keys() {
    for (layout, keys) in [
        (KeyLayout::Old, &["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight", "model.3.weight"]),
        (KeyLayout::RrdbTrunk, &["RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.bias", "HRconv.weight"]),
        (KeyLayout::Compact, &["body.0.weight", "body.0.bias", "body.1.weight"]),
    ] {
        let tensors: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), vec![1])).collect();
        assert_eq!(problems(&refusal(&tensors)).0, layout);
    }
}

#[test]
fn networks_beyond_all_reason_are_refused_before_they_are_laid_out() {
    for key in
        ["body.18446744073709551614.rdb1.conv1.weight", "body.100000.rdb1.conv1.weight", "conv_up70.weight"]
    {
        let mut tensors = x4().tensors();
        tensors.push((key.to_owned(), vec![4, 8, 3, 3]));
        assert!(matches!(refusal(&tensors).problem(), WeightsError::Spec { .. }), "{key}");
    }
}

#[test]
fn random_dictionaries_are_refused_without_a_panic() {
    let mut random = Random(11);
    let names: Vec<String> =
        specs().iter().flat_map(|(_, spec)| spec.tensors()).map(|(name, _)| name).collect();
    for _ in 0..300 {
        let mut tensors: Tensors = vec![];
        for _ in 0..random.below(40) + 1 {
            let key = names[random.below(names.len())].clone();
            let shape = (0..random.below(6)).map(|_| random.below(4)).collect();
            if tensors.iter().all(|(other, _)| *other != key) {
                tensors.push((key, shape));
            }
        }
        refusal(&tensors);
    }
}

#[test]
fn a_model_is_only_made_of_what_its_specification_names() {
    let good = model(&x4(), DType::F32, 5);
    let mut weights = good.weights.clone();
    weights.insert("more".to_owned(), good.weights.get("conv_last.bias").unwrap().clone());
    let error = esrgan_weights::Model::new(good.spec.clone(), weights, good.origin.clone()).unwrap_err();
    assert_eq!(problems(&error).1, [TensorProblem::Unexpected { key: "more".to_owned() }]);
    let without =
        good.weights.iter().skip(1).map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    let error = esrgan_weights::Model::new(good.spec.clone(), without, good.origin).unwrap_err();
    let shape = vec![8, 3, 3, 3];
    assert_eq!(problems(&error).1, [TensorProblem::Missing { key: "conv_first.weight".to_owned(), shape }]);
}

#[test]
fn contradictory_specifications_are_refused() {
    use esrgan_weights::{Activation, Family, ModelSpec, SpecParts};
    let honest = || x4().to_parts();
    let compact = || specs().into_iter().find(|(name, _)| *name == "compact x4").unwrap().1.to_parts();
    for (name, parts) in [
        ("scale", SpecParts { scale: 2, ..honest() }),
        ("no channels", SpecParts { in_channels: 0, ..honest() }),
        ("no features", SpecParts { num_features: 0, ..honest() }),
        ("no blocks", SpecParts { num_blocks: 0, ..honest() }),
        ("no growth", SpecParts { growth_channels: 0, ..honest() }),
        ("unshuffle 3", SpecParts { unshuffle: 3, ..honest() }),
        (
            "unshuffle beyond the upsampling",
            SpecParts { unshuffle: 2, upsampling: vec![], scale: 1, ..honest() },
        ),
        ("factor 4", SpecParts { upsampling: vec![4], ..honest() }),
        ("x64", SpecParts { upsampling: vec![2; 6], scale: 64, ..honest() }),
        ("learned slopes", SpecParts { activation: Activation::PRelu, ..honest() }),
        ("compact with growth", SpecParts { growth_channels: 4, ..compact() }),
        ("compact with other outputs", SpecParts { out_channels: 1, ..compact() }),
        ("compact with upsampling", SpecParts { upsampling: vec![2, 2], ..compact() }),
        ("too wide", SpecParts { num_features: 1 << 40, ..compact() }),
    ] {
        assert!(matches!(ModelSpec::new(parts), Err(WeightsError::Spec { .. })), "{name}");
    }
    assert_eq!(ModelSpec::new(compact()).unwrap().family(), Family::Compact);
}
