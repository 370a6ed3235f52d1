//! Files that lie: each ends in a typed error, and nothing in them is run.

use esrgan_core::{Classify, Kind};
use esrgan_weights::{LoadOptions, WeightsError, load};

use crate::pickles::{
    Member, Pickle, Stored, archive, checkpoint, checkpoint_members, floats, legacy, member,
};
use crate::samples::Folder;

/// What loading says of a file; loading must fail.
fn refusal(bytes: &[u8]) -> WeightsError {
    let folder = Folder::new();
    let path = folder.with("hostile.pth", bytes);
    let error = load(&path, &LoadOptions::default()).unwrap_err();
    assert_ne!(error.kind(), Kind::Internal, "{error}");
    assert_eq!(folder.names(), ["hostile.pth"], "nothing else was written");
    match error {
        WeightsError::File { problem, .. } => *problem,
        other => other,
    }
}

/// A pickle in either container: what both say must be the same thing.
fn refusal_of_pickle(pickle: &[u8]) -> WeightsError {
    let (zip, old) = (refusal(&checkpoint(pickle, &[])), refusal(&legacy(pickle, &[])));
    assert_eq!(std::mem::discriminant(&zip), std::mem::discriminant(&old), "{zip} / {old}");
    zip
}

fn assert_global(pickle: &[u8], expected: &str) {
    match refusal_of_pickle(pickle) {
        WeightsError::ForbiddenGlobal { global, .. } => assert_eq!(global, expected),
        other => panic!("{expected}: {other}"),
    }
}

#[test]
fn commands_are_refused_by_name_whatever_calls_them() {
    let dict = || Pickle::new().raw(b"}").text("params");
    let argument = |pickle: Pickle| pickle.raw(b"(").text("touch PWNED").raw(b"t");
    let system = |pickle: Pickle| pickle.global("os", "system");
    assert_global(&argument(system(dict())).raw(b"Rs").end(), "os.system");
    assert_global(&argument(system(dict())).raw(&[0x81]).raw(b"s").end(), "os.system");
    assert_global(&dict().raw(b"(").text("touch PWNED").raw(b"ios\nsystem\ns").end(), "os.system");
    assert_global(&system(dict().raw(b"(")).text("touch PWNED").raw(b"os").end(), "os.system");
    assert_global(&system(dict()).raw(b"}bs").end(), "os.system");
    let stacked = dict().text("posix").text("system").raw(&[0x93]);
    assert_global(&argument(stacked).raw(b"Rs").end(), "posix.system");
    // The same strings by way of the memo.
    let remembered = dict().text("system").raw(&[0x94]).text("posix").raw(b"h\0").raw(&[0x93]);
    assert_global(&argument(remembered).raw(b"Rs").end(), "posix.system");
}

#[test]
fn every_other_name_is_refused_too() {
    for (module, name) in [
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("pip", "main"),
        ("runpy", "_run_code"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch._utils", "_rebuild_from_type"),
        ("torch", "UnknownStorage"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy", "load"),
        ("collections", "namedtuple"),
        ("collections.OrderedDict", "fromkeys"),
        ("collections", "OrderedDict.fromkeys"),
        ("", ""),
    ] {
        assert_global(&Pickle::new().global(module, name).raw(b")R").end(), &format!("{module}.{name}"));
    }
}

#[test]
fn names_are_shown_without_control_characters() {
    let error = refusal_of_pickle(&Pickle::new().raw(b"c\x1b[2J\xff\nx\n").end());
    assert!(error.to_string().contains("`\\u{1b}[2J\u{fffd}.x`"), "{error}");
}

#[test]
fn instructions_that_weights_do_not_need_are_refused_by_name() {
    let known = |pickle: Pickle| pickle.global("collections", "OrderedDict");
    for (pickle, expected) in [
        (known(Pickle::new().raw(b"(")).raw(b"o"), "OBJ"),
        (Pickle::new().raw(b"(icollections\nOrderedDict\n"), "INST"),
        (known(Pickle::new()).raw(b")}").raw(&[0x92]), "NEWOBJ_EX"),
        (Pickle::new().raw(&[0x82, 1]), "EXT1"),
        (Pickle::new().raw(b"Pstorage\n"), "PERSID"),
        (Pickle::new().raw(b"I1\n"), "INT"),
        (Pickle::new().raw(&[0x97]), "NEXT_BUFFER"),
        (Pickle::new().raw(&[0xff]), "0xff"),
    ] {
        match refusal_of_pickle(&pickle.end()) {
            WeightsError::ForbiddenOpcode { opcode, .. } => assert_eq!(opcode, expected),
            other => panic!("{expected}: {other}"),
        }
    }
}

#[test]
fn stacks_that_do_not_work_out_are_malformed() {
    for instructions in [
        &b"R"[..],
        b"}R",
        b"0",
        b"1",
        b"2",
        b"t",
        b"(0.",
        b"(}(Ku",
        b"}(K\x01u",
        b"K\x01K\x02a",
        b"NNs",
        b"h\x07",
        b"q\x07",
        b"Q",
        b"Nb",
        b")Q",
        b"\x93",
        b"NN\x93",
        b"X\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"ccollections",
        b"ccollections\nOrderedDict\nNR",
        b"ccollections\nOrderedDict\nK\x01\x85R",
        b"ctorch\nFloatStorage\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ccollections\nOrderedDict\n}b",
    ] {
        let error = refusal_of_pickle(&Pickle::new().raw(instructions).end());
        assert!(matches!(error, WeightsError::Malformed { .. }), "{instructions:?}: {error}");
    }
}

#[test]
fn a_million_levels_do_not_overflow_the_stack() {
    const LEVELS: usize = 900_000;
    let lists = Pickle::new().raw(&b"]".repeat(LEVELS)).raw(&b"a".repeat(LEVELS - 1)).end();
    let marks = Pickle::new().raw(&b"(".repeat(LEVELS)).end();
    let tuples = Pickle::new().raw(b")").raw(&[0x85].repeat(LEVELS)).end();
    for pickle in [lists, marks, tuples] {
        assert!(matches!(refusal_of_pickle(&pickle), WeightsError::Malformed { .. }));
    }
    let dicts = b"}X\x01\0\0\0a".repeat(200_000);
    let nested = Pickle::new().raw(&dicts).raw(b"N").raw(&b"s".repeat(200_000)).end();
    assert!(matches!(refusal_of_pickle(&nested), WeightsError::Malformed { .. }));
    // One that holds itself.
    let own = Pickle::new().raw(b"}q\0").text("params").raw(b"h\0s").end();
    assert!(matches!(refusal_of_pickle(&own), WeightsError::Malformed { .. }));
}

#[test]
fn bombs_of_remembered_values_stay_small() {
    // Each tuple holds the one before twice: 2^100,000 leaves if anyone walked it.
    let doubled =
        Pickle::new().raw(b"}").text("x").raw(b")").raw(&[b'2', 0x86].repeat(100_000)).raw(b"s").end();
    assert!(matches!(refusal_of_pickle(&doubled), WeightsError::Malformed { .. }));
    // A long list made into a dictionary again and again.
    let list = Pickle::new().raw(b"](").raw(&b"NN\x86".repeat(50_000)).raw(b"e").raw(&[0x85]).raw(b"q\0");
    let copies = b"ccollections\nOrderedDict\nh\0R0".repeat(100);
    let error = refusal_of_pickle(&list.raw(&copies).end());
    assert!(matches!(error, WeightsError::Limit { .. }), "{error}");
    let error = refusal_of_pickle(&Pickle::new().raw(&b"N0".repeat(1_500_000)).end());
    assert!(matches!(error, WeightsError::Limit { .. }), "{error}");
}

#[test]
fn a_pickle_beyond_the_limit_is_not_read() {
    let large = Pickle::new().text(&"a".repeat(10_000_001)).end();
    match refusal_of_pickle(&large) {
        WeightsError::Limit { limit, found, .. } => assert!(limit == 10_000_000 && found > limit),
        other => panic!("{other}"),
    }
}

/// A checkpoint with one tensor that is a view of a storage of four floats.
fn one_tensor(stored: Stored<'_>) -> Vec<u8> {
    let pickle = Pickle::new().raw(b"}").text("weight").tensor(&stored).raw(b"s").end();
    checkpoint(&pickle, &[floats([1.0, 2.0, 3.0, 4.0])])
}

const HONEST: Stored<'_> =
    Stored { class: "FloatStorage", key: "0", elements: 4, offset: 0, shape: &[2, 2], strides: &[2, 1] };

#[test]
fn views_that_repeat_elements_are_counted_before_they_are_read() {
    // 10 GiB out of four floats.
    let expanded = Stored { shape: &[2_684_354_560, 1], strides: &[0, 1], ..HONEST };
    match refusal(&one_tensor(expanded)) {
        WeightsError::Limit { limit, found, .. } => {
            assert_eq!(found, 10 << 30);
            assert!(limit < 17 << 20, "four times the file and 16 MiB: {limit}");
        }
        other => panic!("{other}"),
    }
    // The same by a thousand tensors of 1 MiB.
    let view = Stored { shape: &[1 << 18], strides: &[0], ..HONEST };
    let many = (0..1000).fold(Pickle::new().raw(b"}"), |pickle, index| {
        pickle.text(&format!("weight{index}")).tensor(&view).raw(b"s")
    });
    let error = refusal(&checkpoint(&many.end(), &[floats([1.0, 2.0, 3.0, 4.0])]));
    assert!(matches!(error, WeightsError::Limit { .. }), "{error}");
}

#[test]
fn tensors_outside_of_their_storage_are_malformed() {
    let cases = [
        Stored { offset: 1, ..HONEST },
        Stored { offset: u64::MAX >> 1, ..HONEST },
        Stored { strides: &[3, 1], ..HONEST },
        Stored { strides: &[u64::MAX >> 1, 1], ..HONEST },
        Stored { shape: &[1 << 62, 1 << 62], strides: &[0, 0], ..HONEST },
        Stored { strides: &[2], ..HONEST },
        Stored { shape: &[1; 9], strides: &[1; 9], ..HONEST },
        Stored { elements: 5, ..HONEST },
        Stored { elements: 1 << 62, ..HONEST },
        Stored { class: "DoubleStorage", ..HONEST },
        Stored { key: "1", ..HONEST },
        Stored { key: "../0", ..HONEST },
        // Beyond 63 bits: no length at all.
        Stored { offset: u64::MAX, ..HONEST },
    ];
    for (index, case) in cases.into_iter().enumerate() {
        let error = refusal(&one_tensor(case));
        assert!(matches!(error, WeightsError::Malformed { .. }), "case {index}: {error}");
    }
    let error = refusal(&one_tensor(HONEST));
    assert!(matches!(error, WeightsError::Tensors { .. }), "the honest one is only no network: {error}");
}

#[test]
fn more_tensors_than_the_limit_are_refused() {
    let many = (0..20_001).fold(Pickle::new().raw(b"}"), |pickle, index| {
        pickle.text(&format!("weight{index}")).tensor(&HONEST).raw(b"s")
    });
    let error = refusal(&checkpoint(&many.end(), &[floats([1.0, 2.0, 3.0, 4.0])]));
    assert!(matches!(error, WeightsError::Limit { limit: 20_000, .. }), "{error}");
}

#[test]
fn archives_that_lie_are_malformed() {
    let pickle = Pickle::new().raw(b"}").text("weight").tensor(&HONEST).raw(b"s").end();
    let honest = checkpoint_members(&pickle, &[floats([1.0, 2.0, 3.0, 4.0])]);
    assert!(
        matches!(refusal(&archive(&honest)), WeightsError::Tensors { .. }),
        "the honest one is only no network"
    );
    let with = |change: &dyn Fn(&mut Vec<Member>)| {
        let mut members = honest.clone();
        change(&mut members);
        archive(&members)
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("one data.pkl", with(&|members| members.push(member("b/data.pkl", b".")))),
        ("an archive without data.pkl", with(&|members| members[0].name = "a/data.pk".to_owned())),
        ("`a/data/0` twice", with(&|members| members.push(members[1].clone()))),
        ("compression method 8", with(&|members| members[0].method = 8)),
        ("compression method 8", with(&|members| members[1].method = 8)),
        ("encrypted", with(&|members| members[1].flags = 1)),
        ("the file is damaged", with(&|members| members[1].crc32 ^= 1)),
        ("its header", with(&|members| members[1].header_at = Some(7))),
        ("its header", with(&|members| members[1].header_at = Some(u32::MAX - 1))),
        ("64-bit sizes", with(&|members| members[1].header_at = Some(u32::MAX))),
        ("the same name", with(&|members| members[1].header_at = Some(0))),
        ("an end up to byte", with(&|members| members[1].size = 1 << 30)),
        ("share no bytes", with(&|members| members[0].size += 45)),
        ("little", with(&|members| members.push(member("a/byteorder", b"big")))),
        ("an end record", with(&|_| {})[..400].to_vec()),
    ];
    for (expected, bytes) in cases {
        let error = refusal(&bytes);
        let is_right =
            matches!(&error, WeightsError::Malformed { .. }) && error.to_string().contains(expected);
        assert!(is_right, "{expected}: {error}");
    }
}

#[test]
fn the_directory_of_an_archive_must_be_where_it_says() {
    let pickle = Pickle::new().raw(b"}").text("weight").tensor(&HONEST).raw(b"s").end();
    let honest = checkpoint(&pickle, &[floats([1.0, 2.0, 3.0, 4.0])]);
    let end = honest.len() - 22;
    // Number of entries, length and place of the directory, length of the comment.
    for (offset, width) in [(10, 2), (12, 4), (16, 4), (20, 2)] {
        for value in [0u32, 1, 3, 0x7fff_ffff, u32::MAX - 1, u32::MAX] {
            let mut bytes = honest.clone();
            let place = end + offset..end + offset + width;
            let lie = &value.to_le_bytes()[..width];
            if bytes[place.clone()] == *lie {
                continue;
            }
            bytes[place].copy_from_slice(lie);
            let error = refusal(&bytes);
            assert!(
                matches!(error, WeightsError::Malformed { .. } | WeightsError::Limit { .. }),
                "{value} at {offset}: {error}"
            );
        }
    }
}

#[test]
fn a_pickle_that_is_no_checkpoint_is_malformed() {
    let error = refusal(&Pickle::new().raw(b"}").text("a").raw(b"K\x01s").end());
    assert!(error.to_string().contains("expected a checkpoint of PyTorch, found a dictionary"), "{error}");
    for root in [&b"N"[..], b"K\x01", b"]", b"}", b")"] {
        let error = refusal_of_pickle(&Pickle::new().raw(root).end());
        assert!(error.to_string().contains("expected a dictionary of tensors"), "{error}");
    }
}

#[test]
fn legacy_storages_must_be_there() {
    let pickle = Pickle::new().raw(b"}").text("weight").tensor(&HONEST).raw(b"s").end();
    let elements = floats([1.0, 2.0, 3.0, 4.0]);
    let honest = legacy(&pickle, &[("0", 4, elements.clone())]);
    assert!(matches!(refusal(&honest), WeightsError::Tensors { .. }), "the honest one is only no network");
    for (name, bytes) in [
        ("absent", legacy(&pickle, &[])),
        ("of another length", legacy(&pickle, &[("0", 5, elements.clone())])),
        ("of a huge length", legacy(&pickle, &[("0", u64::MAX, elements.clone())])),
        ("unknown", legacy(&pickle, &[("1", 4, elements.clone())])),
        ("cut off", legacy(&pickle, &[("0", 4, elements[..15].to_vec())])),
    ] {
        let error = refusal(&bytes);
        assert!(matches!(error, WeightsError::Malformed { .. }), "{name}: {error}");
    }
}

/// A safetensors file with this header and so many zero bytes.
fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data_bytes, 0);
    bytes
}

#[test]
fn safetensors_headers_that_lie_are_malformed() {
    let entry = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let one = |entry: String| format!(r#"{{"a":{entry}}}"#);
    let two = |first: String, second: String| format!(r#"{{"a":{first},"b":{second}}}"#);
    let honest = safetensors(&two(entry("F32", "[2]", 0, 8), entry("F16", "[1,2]", 8, 12)), 12);
    assert!(matches!(refusal(&honest), WeightsError::Tensors { .. }), "the honest one is only no network");
    for (name, header, data_bytes) in [
        ("a hole", two(entry("F32", "[2]", 0, 8), entry("F32", "[1]", 12, 16)), 16),
        ("an overlap", two(entry("F32", "[2]", 0, 8), entry("F32", "[2]", 4, 12)), 12),
        ("a gap before the first", one(entry("F32", "[1]", 4, 8)), 8),
        ("bytes behind the last", one(entry("F32", "[1]", 0, 4)), 5),
        ("the end of the file too early", one(entry("F32", "[2]", 0, 8)), 4),
        ("offsets backwards", one(entry("F32", "[1]", 4, 0)), 4),
        ("another shape", one(entry("F32", "[3]", 0, 8)), 8),
        ("a shape beyond counting", one(entry("F32", "[4294967296,4294967296,4294967296]", 0, 8)), 8),
        ("a huge end", one(entry("F32", "[1]", 0, u64::MAX)), 8),
        ("an unknown type", one(entry("F5", "[1]", 0, 4)), 4),
        ("one key twice", format!(r#"{{"a":{0},"a":{0}}}"#, entry("F32", "[0]", 0, 0)), 0),
        ("a negative side", one(entry("F32", "[-1]", 0, 4)), 4),
        ("an unknown field", r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"b":1}}"#.to_owned(), 4),
        ("a missing field", r#"{"a":{"dtype":"F32","shape":[]}}"#.to_owned(), 4),
        ("no object", "{1}".to_owned(), 0),
        ("something behind the object", "{}{}".to_owned(), 0),
        ("metadata that is no text", r#"{"__metadata__":{"a":1}}"#.to_owned(), 0),
        ("deep nesting", format!(r#"{{"a":{}"#, "[".repeat(100_000)), 0),
    ] {
        let error = refusal(&safetensors(&header, data_bytes));
        assert!(matches!(error, WeightsError::Malformed { .. }), "{name}: {error}");
    }
}

#[test]
fn safetensors_beyond_the_limits_are_refused() {
    let spaces = " ".repeat(10_000_000);
    let error = refusal(&safetensors(&format!("{{{spaces}}}"), 0));
    assert!(matches!(error, WeightsError::Limit { limit: 10_000_000, found: 10_000_002, .. }), "{error}");
    let entry = r#":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let entries: Vec<String> = (0..20_001).map(|index| format!(r#""{index}"{entry}"#)).collect();
    let error = refusal(&safetensors(&format!("{{{}}}", entries.join(",")), 0));
    assert!(matches!(error, WeightsError::Limit { limit: 20_000, .. }), "{error}");
}

#[test]
fn what_is_no_model_file_is_said_so() {
    for (bytes, found) in [
        (&b""[..], "an empty file"),
        (b"\x89PNG\r\n\x1a\n", "a file that begins with `\u{fffd}PNG\\r\\n\\u{1a}\\n`"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "a file that begins with"),
    ] {
        let error = refusal(bytes);
        assert!(matches!(error, WeightsError::UnknownFormat { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
    }
}

#[test]
fn folders_and_absent_files_are_errors_that_name_them() {
    let folder = Folder::new();
    for path in [folder.file("absent.pth"), folder.file("")] {
        let error = load(&path, &LoadOptions::default()).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let param = folder.with("lonely.param", b"7767517\n0 0\n");
    let error = load(&param, &LoadOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("lonely.bin"), "{error}");
}
