//! A graph that is wired in any other way than the families are must be refused, by the node that differs.

use super::super::samples::{Random, samples, samples_by_edge};
use super::super::{Graph, Op, build};
use super::*;
use crate::DType;

/// The graph of a sample, with its nodes named by their operations for the messages.
fn graph(name: &str) -> Graph {
    padded_graph(name, false)
}

/// The same, with its edge repeated or not.
fn padded_graph(name: &str, repeats_edge: bool) -> Graph {
    let sample = samples(DType::F32).into_iter().find(|sample| sample.name == name).expect("a known sample");
    build(&sample.spec, &sample.weights, repeats_edge).unwrap()
}

/// Changes the node called `name` and returns what the recogniser says.
fn after(graph: &Graph, name: &str, change: impl FnOnce(&mut Op)) -> String {
    let mut graph = graph.clone();
    let node =
        graph.nodes.iter_mut().find(|node| node.site.name == name).unwrap_or_else(|| panic!("no {name}"));
    change(&mut node.op);
    recognise(&graph).expect_err(name).to_string()
}

fn id(graph: &Graph, name: &str) -> ValueId {
    graph.nodes.iter().position(|node| node.site.name == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_family_is_recognised_as_it_was_built() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        assert_eq!(samples(dtype).len(), 18);
        for (sample, repeats_edge) in samples_by_edge(dtype) {
            let graph = build(&sample.spec, &sample.weights, repeats_edge).unwrap();
            let network = recognise(&graph).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            assert_eq!(network.spec, sample.spec, "{}", sample.name);
            assert_eq!(network.repeats_edge, repeats_edge, "{}", sample.name);
            assert!(network.weights == sample.weights, "{}", sample.name);
        }
    }
}

#[test]
fn another_slope_or_scale_is_foreign() {
    let x4 = graph("x4");
    for (name, wrong) in [("body.1.rdb2.conv3.lrelu", 0.1), ("conv_hr.lrelu", 0.25), ("conv_up1.lrelu", 0.0)]
    {
        let message = after(&x4, name, |op| match op {
            Op::LeakyRelu { slope, .. } => *slope = wrong,
            other => panic!("{other:?}"),
        });
        assert!(message.contains(name) && message.contains("slope of 0.2"), "{message}");
    }
    for (name, wrong) in [("body.0.rdb1.scale", 0.1), ("body.1.scale", 1.0), ("body.1.scale", f32::NAN)] {
        let message = after(&x4, name, |op| match op {
            Op::Scale { factor, .. } => *factor = wrong,
            other => panic!("{other:?}"),
        });
        assert!(message.contains(name) && message.contains("scale of 0.2"), "{message}");
    }
    let message = after(&graph("compact x3 leaky"), "body.3", |op| match op {
        Op::LeakyRelu { slope, .. } => *slope = 0.2,
        other => panic!("{other:?}"),
    });
    assert!(message.contains("body.3") && message.contains("slope of 0.1"), "{message}");
}

#[test]
fn constants_of_half_precision_are_close_enough() {
    let mut x4 = graph("x4");
    for (index, node) in x4.nodes.iter_mut().enumerate() {
        // 0.2 in f16, in bf16, and as six digits of text give it.
        let nominal = [0.199_951_17, 0.200_195_31, 0.2_f32.next_up()][index % 3];
        match &mut node.op {
            Op::Scale { factor, .. } => *factor = nominal,
            Op::LeakyRelu { slope, .. } => *slope = nominal,
            _ => {}
        }
    }
    assert!(recognise(&x4).is_ok());
}

#[test]
fn a_dense_block_of_another_wiring_is_foreign() {
    let x4 = graph("x4");
    let first = id(&x4, "conv_first");
    let name = "body.0.rdb2.cat4";
    type Change = fn(&mut Vec<ValueId>);
    let changes: [(&str, Change); 5] = [
        ("swapped", |inputs| inputs.swap(1, 2)),
        ("reversed", |inputs| inputs.reverse()),
        ("repeated", |inputs| inputs[2] = inputs[1]),
        ("cut", |inputs| inputs.truncate(2)),
        ("empty", Vec::clear),
    ];
    for (what, change) in changes {
        let message = after(&x4, name, |op| match op {
            Op::Concatenate { inputs } => change(inputs),
            other => panic!("{other:?}"),
        });
        // A cut concatenation is that of an earlier convolution: then the second reader is the foreign one.
        let culprit = if what == "cut" { "body.0.rdb2.conv4" } else { name };
        assert!(message.contains(culprit), "{what}: {message}");
    }
    let message = after(&x4, name, |op| match op {
        Op::Concatenate { inputs } => inputs[0] = first,
        other => panic!("{other:?}"),
    });
    assert!(message.contains(name), "{message}");
}

#[test]
fn a_skip_to_another_value_is_foreign() {
    let x4 = graph("x4");
    let first = id(&x4, "conv_first");
    for name in ["body.0.rdb2.sum", "body.1.sum", "body.1.rdb1.sum"] {
        let message = after(&x4, name, |op| match op {
            Op::Add { right, .. } => *right = first,
            other => panic!("{other:?}"),
        });
        assert!(message.contains(name), "{message}");
    }
    let second = id(&x4, "body.0.sum");
    let message = after(&x4, "trunk", |op| match op {
        Op::Add { right, .. } => *right = second,
        other => panic!("{other:?}"),
    });
    assert!(message.contains("trunk"), "{message}");
}

#[test]
fn the_order_of_a_sum_does_not_matter() {
    for name in ["x4", "plus x4", "compact x4", "compact x1"] {
        let mut graph = graph(name);
        let expected = recognise(&graph).unwrap();
        for node in &mut graph.nodes {
            if let Op::Add { left, right } = &mut node.op {
                std::mem::swap(left, right);
            }
        }
        let network = recognise(&graph).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(network.spec == expected.spec && network.weights == expected.weights, "{name}");
    }
}

#[test]
fn missing_steps_are_foreign() {
    let x4 = graph("x4");
    // Without the residual scale of a dense block, of an RRDB; without an enlargement, an activation.
    for (skipped, reader) in [
        ("body.0.rdb1.scale", "body.0.rdb1.sum"),
        ("body.0.scale", "body.0.sum"),
        ("body.0.rdb3.sum", "body.0.scale"),
        ("trunk", "enlarge1"),
        ("enlarge1", "enlarge2"),
        ("conv_hr.lrelu", "conv_last"),
    ] {
        let mut graph = x4.clone();
        let value = id(&graph, skipped);
        let input = Graph::inputs(&graph.nodes[value].op)[0];
        for node in &mut graph.nodes {
            match &mut node.op {
                Op::Convolve { input: old, .. }
                | Op::LeakyRelu { input: old, .. }
                | Op::Scale { input: old, .. }
                | Op::Enlarge { input: old, .. }
                    if *old == value =>
                {
                    *old = input;
                }
                Op::Add { left, .. } if *left == value => *left = input,
                _ => {}
            }
        }
        let message = recognise(&graph).expect_err(skipped).to_string();
        assert!(message.contains(reader), "without {skipped}: {message}");
    }
}

#[test]
fn the_edge_is_repeated_everywhere_or_nowhere_and_for_convolutions_alone() {
    let ringed = padded_graph("x4", true);
    assert!(recognise(&ringed).unwrap().repeats_edge);
    let ring = id(&ringed, "conv_hr.edge");
    let inner = Graph::inputs(&ringed.nodes[ring].op)[0];
    let rewired = |name: &str, old: ValueId, new: ValueId| {
        let mut graph = ringed.clone();
        let value = id(&graph, name);
        match &mut graph.nodes[value].op {
            Op::Convolve { input, .. } | Op::LeakyRelu { input, .. } if *input == old => *input = new,
            other => panic!("{other:?}"),
        }
        recognise(&graph).unwrap_err().to_string()
    };
    let message = rewired("conv_hr", ring, inner);
    assert!(message.contains("conv_hr") && message.contains("one kind of padding"), "{message}");
    let raw = id(&ringed, "conv_hr");
    let message = rewired("conv_hr.lrelu", raw, ring);
    assert!(message.contains("conv_hr.lrelu"), "{message}");
}

#[test]
fn layers_that_lead_nowhere_are_foreign() {
    for (name, stray) in [("x4", "conv_last"), ("plus x4", "body.1.rdb3.conv1x1"), ("compact x4", "body.2")] {
        let mut graph = graph(name);
        let node = graph.nodes[id(&graph, stray)].clone();
        graph.nodes.push(Node { site: Site { name: "stray".to_owned(), ..Site::default() }, ..node });
        let message = recognise(&graph).expect_err(name).to_string();
        assert!(message.contains("stray"), "{message}");
    }
    // A dense block begun behind the trunk's last one.
    let mut x4 = graph("x4");
    let (stream, conv) = (id(&x4, "body.1.sum"), x4.nodes[id(&x4, "body.0.rdb1.conv1")].op.clone());
    if let Op::Convolve { weight, bias, .. } = conv {
        x4.push(Site::default(), Op::Convolve { input: stream, weight, bias });
    }
    assert!(recognise(&x4).is_err());
}

/// An upconv that conv_hr does not read changes no output: the scale may not count it.
#[test]
fn an_upconv_beside_the_path_is_foreign() {
    let mut x4 = graph("x4");
    let early = id(&x4, "conv_up1.lrelu");
    for node in &mut x4.nodes {
        match &mut node.op {
            Op::Convolve { input, .. } if node.site.name == "conv_hr" => *input = early,
            _ => {}
        }
    }
    let message = recognise(&x4).unwrap_err().to_string();
    assert!(message.contains("conv_up2"), "{message}");
}

#[test]
fn a_second_trunk_is_foreign() {
    let mut x4 = graph("x4");
    let (stream, first) = (id(&x4, "body.1.sum"), id(&x4, "conv_first"));
    if let Op::Convolve { weight, bias, .. } = x4.nodes[id(&x4, "conv_body")].op.clone() {
        let left = x4.push(Site::default(), Op::Convolve { input: stream, weight, bias });
        x4.push(Site { name: "again".to_owned(), ..Site::default() }, Op::Add { left, right: first });
    }
    let message = recognise(&x4).unwrap_err().to_string();
    assert!(message.contains("again"), "{message}");
}

#[test]
fn a_bypass_in_some_blocks_only_is_foreign() {
    let mut plus = graph("plus x4");
    let sum = id(&plus, "body.0.rdb2.add2");
    let Op::Add { left: plain, .. } = plus.nodes[sum].op else { panic!("a sum") };
    for node in &mut plus.nodes {
        if let Op::Concatenate { inputs } = &mut node.op {
            inputs.iter_mut().filter(|input| **input == sum).for_each(|input| *input = plain);
        }
    }
    assert!(recognise(&plus).is_err());
}

#[test]
fn tensors_of_another_shape_are_foreign() {
    let x4 = graph("x4");
    let narrow = |name: &str| {
        after(&x4, name, |op| match op {
            Op::Convolve { weight, .. } => {
                let shape = vec![weight.shape[0], weight.shape[1] - 1, 3, 3];
                let bytes = vec![0; shape.iter().product::<usize>() * 4];
                *weight = Tensor::new(shape, DType::F32, bytes).unwrap();
            }
            other => panic!("{other:?}"),
        })
    };
    for name in ["body.0.rdb1.conv3", "conv_body", "conv_last"] {
        let message = narrow(name);
        assert!(message.contains(name) && message.contains("shape"), "{message}");
    }
    let message = after(&x4, "conv_up2", |op| match op {
        Op::Convolve { bias, .. } => *bias = None,
        other => panic!("{other:?}"),
    });
    assert!(message.contains("conv_up2") && message.contains("bias"), "{message}");
}

#[test]
fn position_first_weights_are_put_in_order() {
    let graph = graph("unshuffle x2");
    let expected = recognise(&graph).unwrap().weights;
    let mut other = graph.clone();
    for node in &mut other.nodes {
        match &mut node.op {
            Op::Unshuffle { order, .. } => *order = ChannelOrder::PositionFirst,
            Op::Convolve { weight, .. } if node.site.name == "conv_first" => {
                let values = weight.to_f32();
                let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
                let mut moved = vec![0.0; values.len()];
                for (index, value) in values.into_iter().enumerate() {
                    let (output, input, tap) = (index / 9 / inputs, index / 9 % inputs, index % 9);
                    let (channel, position) = (input / 4, input % 4);
                    moved[(output * inputs + position * 3 + channel) * 9 + tap] = value;
                }
                let bytes = moved.into_iter().flat_map(f32::to_le_bytes).collect();
                *weight = Tensor::new(vec![outputs, inputs, 3, 3], DType::F32, bytes).unwrap();
            }
            _ => {}
        }
    }
    assert!(recognise(&other).unwrap().weights == expected);
}

/// Rewires graphs at random: never a panic, and what is accepted has all its tensors.
#[test]
fn random_wirings_are_errors_or_whole_models() {
    let mut random = Random(7);
    let mut accepted = 0;
    for round in 0..2000 {
        let all = ["x4", "plus x4", "compact x4", "unshuffle x2", "compact x1"];
        let mut graph = padded_graph(all[round % all.len()], round % 2 == 1);
        let expected = recognise(&graph).unwrap();
        for _ in 0..=random.below(3) {
            let value = 1 + random.below(graph.nodes.len() - 1);
            let other = random.below(value);
            match &mut graph.nodes[value].op {
                Op::Concatenate { inputs } => {
                    let index = random.below(inputs.len());
                    inputs[index] = other;
                }
                Op::Add { left, .. } => *left = other,
                Op::Picture => {}
                Op::Convolve { input, .. }
                | Op::RepeatEdge { input }
                | Op::LeakyRelu { input, .. }
                | Op::PRelu { input, .. }
                | Op::Scale { input, .. }
                | Op::Enlarge { input, .. }
                | Op::Unshuffle { input, .. }
                | Op::Shuffle { input, .. } => *input = other,
            }
        }
        if let Ok(network) = recognise(&graph) {
            accepted += 1;
            assert_eq!(network.spec, expected.spec, "round {round}");
            assert!(network.weights == expected.weights, "round {round}");
        }
    }
    assert!(accepted < 200, "{accepted} of 2000 rewired graphs were accepted");
}
