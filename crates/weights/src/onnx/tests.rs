//! Round trips, files by PyTorch's exporters, and files that lie.

use esrgan_core::{Classify, Kind};

use super::wire::Message;
use super::*;
use crate::graph::samples::{Sample, assert_weights, golden, mangled, samples, samples_by_edge};
use crate::graph::{ChannelOrder, Op};
use crate::{DType, Family};

fn sample(name: &str) -> Sample {
    samples(DType::F32).into_iter().find(|sample| sample.name == name).expect("a known sample")
}

fn file(name: &str) -> Vec<u8> {
    let sample = sample(name);
    write(&sample.spec, &sample.weights, false).unwrap()
}

/// `bytes` with every `from` made `to`, which is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut result = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "{from:?} is not in the file");
    places.iter().for_each(|&place| result[place..place + to.len()].copy_from_slice(to));
    result
}

/// A model of the given nodes between `input`, a picture of three channels, and `output`.
fn model(nodes: &[Message], initializers: &[Message]) -> Vec<u8> {
    let dims = [1, 3, 8, 12]
        .iter()
        .fold(Message::default(), |shape, &dim| shape.message(1, &Message::default().int(1, dim)));
    let tensor_type = Message::default().int(1, 1).message(2, &dims);
    let port = |name: &str| {
        Message::default().text(1, name).message(2, &Message::default().message(1, &tensor_type))
    };
    let graph = nodes.iter().fold(Message::default(), |graph, node| graph.message(1, node));
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor));
    let graph = graph.message(11, &port("input")).message(12, &port("output"));
    Message::default().int(1, 8).message(7, &graph).into_bytes()
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    node.text(2, output).text(3, &format!("the {op_type}")).text(4, op_type)
}

fn tensor(name: &str, dims: &[i64], data_type: i64) -> Message {
    dims.iter().fold(Message::default(), |tensor, &dim| tensor.int(1, dim)).int(2, data_type).text(8, name)
}

#[test]
fn what_is_written_is_read() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for (sample, repeats_edge) in samples_by_edge(dtype) {
            let bytes = write(&sample.spec, &sample.weights, repeats_edge).unwrap();
            let network = read(&bytes).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            assert_eq!(network.spec, sample.spec, "{}", sample.name);
            assert!(network.weights == sample.weights, "{} {dtype}", sample.name);
            assert_eq!(network.repeats_edge, repeats_edge, "{}", sample.name);
        }
    }
}

#[test]
fn files_by_exporters_are_read() {
    // The f16 fixture's weights are given as it holds them, so every value is exact.
    for (name, family, scale, unshuffle, channels, dtype) in [
        ("rrdb_x4_opset11", Family::Rrdb, 4, 1, 3, DType::F32),
        ("rrdb_x2_unshuffle_opset17_dynamic", Family::Rrdb, 2, 2, 3, DType::F32),
        ("rrdb_gray_x1_half_opset13", Family::Rrdb, 1, 1, 1, DType::F16),
        ("rrdb_x3_dynamo", Family::Rrdb, 3, 1, 3, DType::F32),
        ("esrgan_plus_x4_opset13", Family::EsrganPlus, 4, 1, 3, DType::F32),
        ("compact_x2_opset9_dynamic", Family::Compact, 2, 1, 3, DType::F32),
        ("rrdb_x2_replicate_dynamo", Family::Rrdb, 2, 1, 3, DType::F32),
        ("compact_x2_replicate_opset9", Family::Compact, 2, 1, 3, DType::F32),
    ] {
        let path = golden(&format!("onnx/{name}.onnx"));
        let network = read(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let Recognised { spec, weights, repeats_edge } = network;
        assert_eq!(repeats_edge, name.contains("replicate"), "{name}");
        assert_eq!((spec.family(), spec.scale(), spec.unshuffle()), (family, scale, unshuffle), "{name}");
        assert_eq!((spec.in_channels(), spec.out_channels()), (channels, channels), "{name}");
        assert!(weights.iter().all(|(_, tensor)| tensor.dtype == dtype), "{name}");
        assert_weights(&weights, &path.with_extension("npz"), 0.0);
    }
}

#[test]
fn the_first_foreign_node_is_named() {
    let foreign =
        model(&[node("LayerNormalization", &["input"], "x"), node("Softmax", &["x"], "output")], &[]);
    let error = read(&foreign).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("LayerNormalization `the LayerNormalization` (node 0)"), "{error}");
    let domain = model(&[node("Conv", &["input"], "output").text(7, "com.acme")], &[]);
    let message = read(&domain).unwrap_err().to_string();
    assert!(message.contains("com.acme.Conv"), "{message}");
}

#[test]
fn a_ring_of_another_kind_is_foreign() {
    let sample = sample("x4");
    let x4 = write(&sample.spec, &sample.weights, true).unwrap();
    let ring = |pads: [i64; 8]| pads.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<_>>();
    let ours = ring([0, 0, 1, 1, 0, 0, 1, 1]);
    for (from, to) in [
        (&b"edge\xA0"[..], &b"wrap\xA0"[..]),
        (&ours, &ring([0, 0, 2, 2, 0, 0, 2, 2])),
        (&ours, &ring([0, 0, 0, 1, 0, 0, 0, 1])),
        (&ours, &ring([0, 1, 1, 1, 0, 1, 1, 1])),
    ] {
        let message = read(&replaced(&x4, from, to)).unwrap_err().to_string();
        assert!(message.contains("Pad `conv_first.edge` (node 0)"), "{message}");
    }
    // The `pads` of every convolution: zeros around a ring as well.
    let zeros = [&b"pads"[..], &[0x40, 0].repeat(4)].concat();
    let ones = [&b"pads"[..], &[0x40, 1].repeat(4)].concat();
    let message = read(&replaced(&x4, &zeros, &ones)).unwrap_err().to_string();
    assert!(message.contains("Conv `conv_first`") && message.contains("ring of the edge"), "{message}");
}

#[test]
fn a_changed_operation_is_foreign() {
    let x4 = file("x4");
    for (from, to, culprit) in [
        (&b"Concat"[..], &b"Gather"[..], "body.0.rdb1.cat2"),
        (b"LeakyRelu", b"HardSwish", "HardSwish `body.0.rdb1.conv1.lrelu`"),
        (b"nearest\xA0", b"linears\xA0", "Resize `enlarge1`"),
        (b"asymmetric", b"symmetrica", "Resize `enlarge1`"),
        (b"floor", b"ceils", "Resize `enlarge1`"),
        (&0.2f32.to_le_bytes(), &0.3f32.to_le_bytes(), "body.0.rdb1.conv1.lrelu"),
    ] {
        let message = read(&replaced(&x4, from, to)).unwrap_err().to_string();
        assert!(message.contains(culprit), "{message}");
    }
    let compact = file("compact x4");
    for (from, to, culprit) in [(b"CRD", b"DCR", "DepthToSpace `shuffle`"), (b"Add", b"Sub", "Sub `output`")]
    {
        let message = read(&replaced(&compact, from, to)).unwrap_err().to_string();
        assert!(message.contains(culprit), "{message}");
    }
}

#[test]
fn space_to_depth_is_read_as_pixel_unshuffle() {
    let sample = sample("unshuffle x2");
    let mut graph = build(&sample.spec, &sample.weights, false).unwrap();
    for node in &mut graph.nodes {
        if let Op::Unshuffle { order, .. } = &mut node.op {
            *order = ChannelOrder::PositionFirst;
        }
    }
    let Recognised { spec, weights, .. } = read(&emit::emit(&sample.spec, &graph)).unwrap();
    assert_eq!(spec, sample.spec);
    let changed = sample.weights.iter().filter(|(name, tensor)| weights.get(name) != Some(tensor));
    assert_eq!(changed.map(|(name, _)| name).collect::<Vec<_>>(), ["conv_first.weight"]);
}

#[test]
fn an_enlargement_may_be_worded_otherwise() {
    // half_pixel with the default rounding repeats pixels too; with floor it shifts them.
    let x4 = replaced(&file("x4"), b"asymmetric", b"half_pixel");
    assert!(read(&x4).unwrap_err().to_string().contains("Resize `enlarge1`"));
    let Recognised { spec, .. } = read(&replaced(&x4, b"nearest_mode", b"ignored_mode")).unwrap();
    assert_eq!(spec.scale(), 4);
    // A size instead of factors: of the 8x12 picture, three times as large.
    let sizes: Vec<u8> = [1i64, 3, 24, 36].iter().flat_map(|size| size.to_le_bytes()).collect();
    let bytes = model(
        &[node("Resize", &["input", "", "", "sizes"], "output")],
        &[tensor("sizes", &[4], 7).slice(9, &sizes)],
    );
    let graph = lower::lower(&proto::parse_model(&bytes).unwrap().unwrap()).unwrap();
    assert!(matches!(graph.nodes[1].op, Op::Enlarge { input: 0, factor: 3 }));
}

#[test]
fn data_in_other_files_is_refused() {
    for external in [tensor("w", &[1], 1).int(14, 1), tensor("w", &[1], 1).message(13, &Message::default())] {
        let error = read(&model(&[], &[external])).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(
            error.to_string().contains("initializer `w`") && error.to_string().contains("external"),
            "{error}"
        );
    }
}

#[test]
fn weights_of_other_types_are_refused() {
    let conv = node("Conv", &["input", "w"], "output");
    let int8 = tensor("w", &[4, 3, 3, 3], 3).slice(9, &[0; 108]);
    let error = read(&model(std::slice::from_ref(&conv), &[int8])).unwrap_err();
    assert!(matches!(error, WeightsError::ElementType { .. }), "{error}");
    let computed = [node("Add", &["w", "input"], "sum"), node("Conv", &["input", "sum"], "output")];
    let weights = tensor("w", &[1, 3, 8, 12], 1).slice(9, &[0; 4 * 3 * 8 * 12]);
    assert!(read(&model(&computed, &[weights])).is_err());
}

#[test]
fn weights_may_be_given_as_float_data() {
    let values: Vec<u8> = (0..9u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
    let halves: Vec<u8> = (0..9).collect();
    for (tensor, dtype) in [
        (tensor("w", &[1, 1, 3, 3], 1).slice(4, &values), DType::F32),
        ((0..9).fold(tensor("w", &[1, 1, 3, 3], 1), |t, v| t.float(4, v as f32)), DType::F32),
        (tensor("w", &[1, 1, 3, 3], 10).slice(5, &halves), DType::F16),
        ((0..9).fold(tensor("w", &[1, 1, 3, 3], 16), |t, v| t.int(5, v)), DType::BF16),
    ] {
        let bytes = model(&[], &[tensor]);
        let graph = proto::parse_model(&bytes).unwrap().unwrap();
        let weights = tensor::to_weights(&graph.initializers[0], &[1, 1, 3, 3]).unwrap();
        assert_eq!(weights.dtype, dtype);
        let expected: Vec<u8> = match dtype {
            DType::F32 => values.clone(),
            _ => (0..9u16).flat_map(u16::to_le_bytes).collect(),
        };
        assert_eq!(weights.bytes(), expected);
    }
}

#[test]
fn tensors_that_lie_are_malformed() {
    let conv = node("Conv", &["input", "w"], "output");
    for (lie, what) in [
        (tensor("w", &[4, 3, 3, 3], 1).slice(9, &[0; 431]), "a byte too few"),
        (tensor("w", &[4, 3, 3, 3], 1).slice(9, &[0; 436]), "an element too many"),
        (tensor("w", &[4, 3, 3, 3], 1), "no data"),
        (tensor("w", &[4, 3, 3, 3], 1).slice(4, &[0; 5]), "floats of odd length"),
        (tensor("w", &[4, 3, 3, 3], 10).slice(5, &[0xFF; 11]), "a cut varint"),
        (tensor("w", &[4, 3, 3, 3], 10).slice(5, &[0; 109]), "a half too many"),
        (tensor("w", &[i64::MAX, 3, 3, 3], 1).slice(9, &[0; 432]), "a giant dimension"),
        (tensor("w", &[1 << 31, 1 << 31, 3, 3], 1).slice(9, &[0; 432]), "a product beyond 64 bits"),
        (tensor("w", &[-4, 3, 3, 3], 1).slice(9, &[0; 432]), "a negative dimension"),
        (tensor("w", &[1; 9], 1).slice(9, &[0; 4]), "nine dimensions"),
    ] {
        let error = read(&model(std::slice::from_ref(&conv), &[lie])).expect_err(what);
        assert_eq!(error.kind(), Kind::Malformed, "{what}: {error}");
    }
    for dims in [&[4, 3, 3][..], &[4, 3, 5, 5], &[4, 3, 3, 1], &[4, 4, 3, 3], &[0, 3, 3, 3]] {
        let elements = dims.iter().product::<i64>() as usize;
        let odd = tensor("w", dims, 1).slice(9, &vec![0; 4 * elements]);
        assert!(read(&model(std::slice::from_ref(&conv), &[odd])).is_err(), "{dims:?}");
    }
}

#[test]
fn cycles_and_names_used_twice_are_malformed() {
    let cyclic = [
        node("Add", &["input", "b"], "a"),
        node("Identity", &["a"], "b"),
        node("Identity", &["b"], "output"),
    ];
    let error = read(&model(&cyclic, &[])).unwrap_err();
    assert!(error.to_string().contains("`b`") && error.kind() == Kind::Malformed, "{error}");
    let twice = [node("Identity", &["input"], "a"), node("Identity", &["input"], "a")];
    let error = read(&model(&twice, &[])).unwrap_err();
    assert!(error.to_string().contains("`a` once more"), "{error}");
    let initializers = [tensor("w", &[0], 1), tensor("w", &[0], 1)];
    assert_eq!(read(&model(&[], &initializers)).unwrap_err().kind(), Kind::Malformed);
    let itself = [node("Identity", &["output"], "output")];
    assert_eq!(read(&model(&itself, &[])).unwrap_err().kind(), Kind::Malformed);
}

#[test]
fn a_million_nodes_are_over_the_limit() {
    let mut graph = Vec::new();
    for _ in 0..1_000_000 {
        graph.extend([0x0A, 0]);
    }
    let bytes = Message::default().slice(7, &graph).into_bytes();
    assert_eq!(read(&bytes).unwrap_err().kind(), Kind::Limit);
    let dims = Message::default().slice(1, &vec![1; 1_000_000]);
    assert_eq!(read(&model(&[], &[dims])).unwrap_err().kind(), Kind::Limit);
}

/// Exporters write subgraphs of any depth; none is entered.
#[test]
fn deep_nesting_is_not_followed() {
    let mut attribute = Message::default().text(1, "then_branch");
    for _ in 0..2000 {
        let node = Message::default().text(4, "If").message(5, &attribute);
        attribute =
            Message::default().text(1, "then_branch").message(6, &Message::default().message(1, &node));
    }
    let deep = Message::default().text(1, "input").text(2, "output").text(4, "If").message(5, &attribute);
    let message = read(&model(&[deep], &[])).unwrap_err().to_string();
    assert!(message.contains("If (node 0)"), "{message}");
}

/// Thousands of convolutions of one tensor may not make thousands of copies of it.
#[test]
fn a_shared_tensor_is_read_once() {
    let weights = tensor("w", &[1024, 3, 1, 1], 1).slice(9, &vec![0; 4 * 3 * 1024]);
    let nodes = ["a", "b", "c", "output"].map(|output| node("Conv", &["input", "w"], output));
    let bytes = model(&nodes, &[weights]);
    let graph = lower::lower(&proto::parse_model(&bytes).unwrap().unwrap()).unwrap();
    let places: Vec<*const u8> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Op::Convolve { weight, .. } => Some(weight.bytes().as_ptr()),
            _ => None,
        })
        .collect();
    assert_eq!(places, [places[0]; 4]);
    assert!(read(&bytes).is_err());
}

#[test]
fn a_graph_without_a_picture_is_refused() {
    for bytes in [&b""[..], b"ONNX", &Message::default().int(1, 8).into_bytes()] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
    let no_ports = Message::default().slice(7, &[]).into_bytes();
    let message = read(&no_ports).unwrap_err().to_string();
    assert!(message.contains("one input"), "{message}");
    let passed = model(&[node("Identity", &["input"], "output")], &[]);
    assert_eq!(read(&passed).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn shape_arithmetic_that_fails_is_refused() {
    let constant = |name: &str, value: i64| tensor(name, &[1], 7).slice(9, &value.to_le_bytes());
    let constants = [constant("zero", 0), constant("far", i64::MAX)];
    for (op_type, other) in
        [("Div", "zero"), ("Gather", "far"), ("Mul", "far"), ("Add", "input"), ("Concat", "far")]
    {
        let nodes = [
            node("Shape", &["input"], "shape"),
            node(op_type, &["shape", other], "size"),
            node("Reshape", &["input", "size"], "output"),
        ];
        let error = read(&model(&nodes, &constants)).expect_err(op_type);
        assert!(error.to_string().contains(op_type), "{op_type}: {error}");
    }
    let nodes = [node("Unsqueeze", &["input", "far"], "a"), node("Identity", &["a"], "output")];
    assert!(read(&model(&nodes, &constants)).is_err());
    // Each step would be cheap, but axes without end are not.
    let name = |index: usize| if index == 0 { "input".to_owned() } else { format!("v{index}") };
    let deeper = |index: usize| node("Unsqueeze", &[&name(index), "zero"], &name(index + 1));
    let nodes: Vec<Message> = (0..5).map(deeper).collect();
    let message = read(&model(&nodes, &constants)).unwrap_err().to_string();
    assert!(message.contains("Unsqueeze") && message.contains("node 4"), "{message}");
}

#[test]
fn mangled_files_are_errors_or_whole_models() {
    let mut accepted = 0;
    let fixtures = ["onnx/rrdb_x2_unshuffle_opset17_dynamic.onnx", "onnx/compact_x2_opset9_dynamic.onnx"];
    let mut files: Vec<Vec<u8>> = fixtures.iter().map(|path| std::fs::read(golden(path)).unwrap()).collect();
    files.extend(["plus x2 unshuffle", "compact x4"].map(file));
    for (bytes, seed) in files.iter().zip(21..) {
        for mangled in mangled(bytes, 500, seed) {
            if let Ok(Recognised { spec, weights, .. }) = read(&mangled) {
                accepted += 1;
                assert_eq!(weights.len(), spec.tensors().len());
            }
        }
    }
    assert!(accepted > 0 && accepted < 3000, "{accepted} of 4000 mangled files were accepted");
}
