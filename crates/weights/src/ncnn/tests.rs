//! Round trips, files by other tools, and files that lie.

use esrgan_core::{Classify, Kind};
use esrgan_testkit::shared_data;

use super::*;
use crate::graph::samples::{Sample, assert_weights, golden, mangled, samples, samples_by_edge};
use crate::{Activation, DType, Family};

/// [`super::read`] of bytes that nobody shares.
fn read(param: &[u8], bin: &[u8]) -> Result<Recognised, WeightsError> {
    super::read(param, &Arc::new(bin.to_vec()))
}

fn sample(name: &str) -> Sample {
    samples(DType::F32).into_iter().find(|sample| sample.name == name).expect("a known sample")
}

fn files(name: &str) -> NcnnFiles {
    let sample = sample(name);
    write(&sample.spec, &sample.weights, false).unwrap()
}

/// What reading says after one change of the text.
fn refusal(files: &NcnnFiles, from: &str, to: &str) -> WeightsError {
    assert!(files.param.contains(from), "`{from}` is not in the text");
    let text = files.param.replacen(from, to, 1);
    read(text.as_bytes(), &files.bin).expect_err(to)
}

#[test]
fn what_is_written_is_read() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for (sample, edge) in samples_by_edge(dtype) {
            let files = write(&sample.spec, &sample.weights, edge).unwrap();
            let network = read(files.param.as_bytes(), &files.bin);
            let Recognised { spec, weights, repeats_edge } =
                network.unwrap_or_else(|e| panic!("{}: {e}", sample.name));
            assert_eq!((&spec, repeats_edge), (&sample.spec, edge), "{}", sample.name);
            assert_eq!(weights.len(), sample.weights.len(), "{}", sample.name);
            for (name, tensor) in sample.weights.iter() {
                let is_half = dtype == DType::F16 && tensor.shape.len() == 4;
                let expected = tensor.cast(if is_half { DType::F16 } else { DType::F32 }, name).unwrap();
                assert!(weights.get(name) == Some(&expected), "{}: {name}", sample.name);
            }
        }
    }
}

#[test]
fn a_ring_of_another_kind_is_foreign() {
    let sample = sample("x4");
    let files = write(&sample.spec, &sample.weights, true).unwrap();
    for (from, to, culprit) in [
        (" 4=1\n", " 4=2\n", "Padding `conv_first.edge`"),
        (" 4=1\n", " 4=1 8=1\n", "Padding `conv_first.edge`"),
        (" 3=1 4=1\n", " 3=2 4=1\n", "Padding `conv_first.edge`"),
        (" 1=3 4=0 ", " 1=3 4=1 ", "Convolution `conv_first`"),
    ] {
        let message = refusal(&files, from, to).to_string();
        assert!(message.contains(culprit), "{message}");
    }
}

#[test]
fn the_blobs_at_the_ends_have_the_names_that_upscalers_use() {
    let text = files("x4").param;
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[2])[..5], ["Input", "picture", "0", "1", "data"]);
    assert_eq!(words(lines[lines.len() - 1])[5], "output");
    assert_eq!(words(lines[1])[0], (lines.len() - 2).to_string());
}

#[test]
fn the_published_x4plus_is_read_and_written_to_the_same_bytes() {
    let Some(param) = shared_data("weights/realesrgan-x4plus.param") else {
        return;
    };
    let bin = std::fs::read(param.with_extension("bin")).unwrap();
    let Recognised { spec, weights, repeats_edge } = read(&std::fs::read(&param).unwrap(), &bin).unwrap();
    assert!(!repeats_edge);
    assert_eq!((spec.family(), spec.scale(), spec.num_features()), (Family::Rrdb, 4, 64));
    assert_eq!((spec.num_blocks(), spec.growth_channels(), spec.unshuffle()), (23, 32, 1));
    assert_eq!((spec.in_channels(), spec.out_channels(), spec.upsampling()), (3, 3, &[2, 2][..]));
    let dtype = |name: &str| weights.get(name).map(|tensor| tensor.dtype);
    assert_eq!(dtype("body.22.rdb3.conv5.weight"), Some(DType::F16));
    assert_eq!(dtype("body.22.rdb3.conv5.bias"), Some(DType::F32));
    assert!(write(&spec, &weights, false).unwrap().bin == bin, "the weights are written to the same bytes");
}

#[test]
fn files_by_pnnx_are_read() {
    let half = f64::from(f32::EPSILON) * f64::from(1 << 12); // 2^-11: half a unit of an 11-bit mantissa
    for (name, family, scale, unshuffle, error) in [
        ("rrdb_x2_unshuffle_f16", Family::Rrdb, 2, 2, half),
        ("esrgan_plus_x3_f32", Family::EsrganPlus, 3, 1, 0.0),
        ("compact_x2_f16", Family::Compact, 2, 1, half),
        ("esrgan_plus_x2_replicate_f16", Family::EsrganPlus, 2, 1, half),
    ] {
        let path = |end: &str| golden(&format!("ncnn/{name}.{end}"));
        let Recognised { spec, weights, repeats_edge } =
            read(&std::fs::read(path("param")).unwrap(), &std::fs::read(path("bin")).unwrap()).unwrap();
        assert_eq!(repeats_edge, name.contains("replicate"), "{name}");
        assert_eq!((spec.family(), spec.scale(), spec.unshuffle()), (family, scale, unshuffle), "{name}");
        assert_weights(&weights, &path("npz"), error);
    }
}

#[test]
fn a_fixed_size_does_not_matter_but_an_unknown_parameter_does() {
    let files = files("x4");
    let text = files.param.replacen(" 0 1 data", " 0 1 data 0=64 1=64 2=3 -23330=4,3,64,64,3", 1);
    assert!(read(text.as_bytes(), &files.bin).is_ok());
    let error = refusal(&files, " 0 1 data", " 0 1 data 7=1").to_string();
    assert!(error.contains("Input `picture` (line 3)") && error.contains("parameter 7"), "{error}");
}

#[test]
fn the_first_foreign_layer_is_named() {
    let x4 = files("x4");
    for (from, to, culprit, expected) in [
        ("Concat ", "Softmax ", "Softmax `body.0.rdb1.cat2`", "RRDB and compact"),
        (" 9=2 -23310=1,2", " 9=1 -23310=1,2", "Convolution `body.0.rdb1.conv1`", "LeakyReLU"),
        (" 9=2 -23310=1,2", " 9=2 -23310=1,3", "Convolution `body.0.rdb1.conv1`", "slope of 0.2"),
        (" 9=2 -23310=1,2.000000e-1", " 9=2 -23310=0", "Convolution `body.0.rdb1.conv1`", "one slope"),
        ("0=1 -23301=2,2", "0=1 -23301=2,3", "Eltwise `body.0.rdb1.sum`", "residual scale of 0.2"),
        ("0=1 -23301=2,2", "0=0 -23301=2,2", "Eltwise `body.0.rdb1.sum`", "a sum"),
        ("0=1 1=2.0 2=2.0", "0=2 1=2.0 2=2.0", "Interp `enlarge1`", "nearest"),
        ("0=1 1=2.0 2=2.0", "0=1 1=2.0 2=3.0", "Interp `enlarge1`", "one whole factor"),
        ("0=1 1=2.0 2=2.0", "0=1 1=1.5 2=1.5", "Interp `enlarge1`", "one whole factor"),
        ("0=1 1=2.0 2=2.0", "0=1 1=2.0 2=2.0 3=64 4=64", "Interp `enlarge1`", "by a factor"),
        ("1=3 4=1", "1=3 4=0", "Convolution `conv_first`", "padding"),
        ("1=3 4=1", "1=3 3=2 4=1", "Convolution `conv_first`", "stride 1"),
        ("1=3 4=1", "1=5 4=2", "Convolution `conv_first`", "kernel"),
        ("1=3 4=1", "1=3 8=2 4=1", "Convolution `conv_first`", "int8"),
        (" 0=0\n", " 0=2\n", "BinaryOp `trunk`", "addition"),
    ] {
        let error = refusal(&x4, from, to);
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
        let message = error.to_string();
        assert!(message.contains(culprit) && message.contains(expected), "{from} -> {to}: {message}");
    }
}

#[test]
fn other_kinds_of_weights_are_named() {
    let mut files = files("x4");
    for (tag, expected) in [(0x000D_4B38u32, "int8"), (0x0002_C056, "0x0002C056"), (1, "0x00000001")] {
        files.bin[..4].copy_from_slice(&tag.to_le_bytes());
        let message = read(files.param.as_bytes(), &files.bin).unwrap_err().to_string();
        assert!(
            message.contains("Convolution `conv_first` (line 4)") && message.contains(expected),
            "{message}"
        );
    }
}

#[test]
fn weights_must_end_where_the_file_ends() {
    for name in ["x4", "compact x4", "plus x4"] {
        let mut files = files(name);
        files.bin.push(0);
        let message = read(files.param.as_bytes(), &files.bin).unwrap_err().to_string();
        assert!(message.contains("1 bytes more"), "{message}");
        files.bin.truncate(files.bin.len() - 2);
        let message = read(files.param.as_bytes(), &files.bin).unwrap_err().to_string();
        assert!(message.contains("conv_last") || message.contains("body.6"), "{message}");
    }
}

#[test]
fn texts_that_lie_are_malformed() {
    let files = files("x4");
    let counts = files.param.lines().nth(1).unwrap().to_owned();
    for (from, to, expected) in [
        ("7767517", "7767516", "magic"),
        (counts.as_str(), "2 2", "one more layer"),
        (counts.as_str(), "-1 3", "numbers of layers and blobs"),
        (counts.as_str(), "90000 90000", "90000 as line 2 says"),
        (" 1 1 data ", " 1 1 dada ", "an earlier line makes"),
        (" 1 1 data ", " 9 1 data ", "as many blob names"),
        (" 1 1 data ", " 99999999999999999999 1 data ", "a number of inputs"),
        (" 1 1 data ", " 1 18446744073709551615 data ", "as many blob names"),
        ("6=135", "6=136", "multiple of outputs x kernel"),
        ("6=135", "6=-135", "multiple of outputs x kernel"),
        ("6=135", "6=1x5", "a number"),
        ("6=135", "6=99999999999999999999", "a number"),
        ("6=135", "6=9223372036854775800", "bytes"),
        ("6=135", "6=1.5e1", "an integer"),
        ("0=5 1=3", "0=9223372036854775807 1=3", "multiple of outputs x kernel"),
        ("-23310=1,2.000000e-1", "-23310=2,2.000000e-1", "a number"),
        ("-23310=1,2.000000e-1", "-23310=1,NaN", "a number"),
        ("-23310=1,2.000000e-1", "10=2.000000e-1", "an array"),
    ] {
        let error = refusal(&files, from, to);
        assert_eq!(error.kind(), Kind::Malformed, "{to}: {error}");
        assert!(error.to_string().contains(expected), "{to}: {error}");
    }
}

#[test]
fn cycles_and_names_used_twice_are_malformed() {
    let cyclic = "7767517\n3 3\nInput a 0 1 data\nConcat b 2 1 data later joined\nNoop c 1 1 joined later\n";
    let error = read(cyclic.as_bytes(), &[]).unwrap_err();
    assert!(error.to_string().contains("`later`"), "{error}");
    let twice = "7767517\n2 2\nInput a 0 1 data\nNoop b 1 1 data data\n";
    let error = read(twice.as_bytes(), &[]).unwrap_err();
    assert!(error.to_string().contains("`data` once more"), "{error}");
}

#[test]
fn a_million_layers_are_over_the_limit() {
    let mut text = "7767517\n1000000 1000000\nInput a 0 1 data\n".to_owned();
    assert_eq!(read(text.as_bytes(), &[]).unwrap_err().kind(), Kind::Limit);
    text.push_str(&"Noop b 1 1 data data\n".repeat(1_000_000));
    assert_eq!(read(text.as_bytes(), &[]).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn giant_tensors_are_refused_before_memory_is_taken() {
    let files = files("x4");
    for size in ["2147483655", "9223372036854775755", "4611686018427387855"] {
        let text = files.param.replacen("6=135", &format!("6={size}"), 1);
        assert!(read(text.as_bytes(), &files.bin).is_err(), "{size}");
    }
}

#[test]
fn several_outputs_or_none_are_refused() {
    let two = "7767517\n3 3\nInput a 0 1 data\nReLU b 1 1 data x 0=0.2\nReLU c 1 1 data y 0=0.2\n";
    let error = read(two.as_bytes(), &[]).unwrap_err();
    assert!(error.to_string().contains("ReLU `b` (line 4)"), "{error}");
    for empty in ["7767517\n0 0\n", "7767517\n1 0\nInput a 0 0\n"] {
        assert!(read(empty.as_bytes(), &[]).is_err());
    }
    assert!(read(&[], &[]).is_err());
    assert!(read(&[0xFF, 0xFE, 0x00], &[]).is_err());
}

#[test]
fn mangled_files_are_errors_or_whole_models() {
    let mut accepted = 0;
    for (name, seed) in [("x4", 11), ("plus x2 unshuffle", 12), ("compact x4", 13)] {
        let files = files(name);
        for text in mangled(files.param.as_bytes(), 500, seed) {
            if let Ok(Recognised { spec, weights, .. }) = read(&text, &files.bin) {
                accepted += 1;
                assert_eq!(weights.len(), spec.tensors().len(), "{name}");
            }
        }
        for bin in mangled(&files.bin, 500, seed + 100) {
            if let Ok(Recognised { spec, weights, .. }) = read(files.param.as_bytes(), &bin) {
                assert_eq!((bin.len(), weights.len()), (files.bin.len(), spec.tensors().len()), "{name}");
            }
        }
    }
    assert!(accepted < 1000, "{accepted} of 3000 mangled texts were accepted");
}

#[test]
fn compact_activations_are_told_apart() {
    for (name, activation) in [("compact x4", Activation::PRelu), ("compact x3 leaky", Activation::LeakyRelu)]
    {
        let files = files(name);
        let Recognised { spec, .. } = read(files.param.as_bytes(), &files.bin).unwrap();
        assert_eq!(spec.activation(), activation, "{name}");
    }
}
