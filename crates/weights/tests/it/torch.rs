//! What we write, read by PyTorch. Runs where `ESRGAN_TEST_PYTHON` names a Python that has torch.

use std::collections::BTreeMap;
use std::process::Command;

use esrgan_weights::{DType, KeyLayout, LoadOptions, Model, SaveOptions, load, save};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::samples::{Folder, model, specs};

/// Prints the wrapper's key, what is said of the edge, and for each tensor its type, shape and the digest of its elements.
const SCRIPT: &str = r#"
import hashlib, json, sys, torch
loaded = torch.load(sys.argv[1], weights_only=True)
edge = loaded.pop("edge", None)
wrapper = None
if list(loaded) == ["params"]:
    wrapper, loaded = "params", loaded["params"]
def described(tensor):
    assert tensor.is_contiguous() and not tensor.requires_grad
    elements = bytes(tensor.view(torch.uint8).flatten().tolist())
    return [str(tensor.dtype), list(tensor.shape), hashlib.sha256(elements).hexdigest()]
print(json.dumps({"wrapper": wrapper, "edge": edge, "tensors": {key: described(tensor) for key, tensor in loaded.items()}}))
"#;

/// Saves tensors that PyTorch lays out in every way: transposed, expanded, parts of one storage, parameters.
const VIEWS: &str = r#"
import collections, sys, torch
torch.manual_seed(1)
base = torch.arange(64 * 9, dtype=torch.float32).reshape(8, 8, 3, 3)
state = collections.OrderedDict()
state["body.0.weight"] = torch.arange(8 * 3 * 9, dtype=torch.float32).reshape(3, 3, 3, 8).permute(3, 2, 1, 0)
state["body.0.bias"] = torch.tensor([0.5]).expand(8)
state["body.1.weight"] = base[1, 2, 0, 0:1].repeat(16)[::2]
state["body.2.weight"] = torch.nn.Parameter(base.to(memory_format=torch.channels_last))
state["body.2.bias"] = base[:, 0, 0, 0]
state["body.3.weight"] = base[3, :, 1, 1]
state["body.4.weight"] = base[:3].double()
state["body.4.bias"] = base[0, 0, 0, :3].flip(0)
torch.save({"params_ema": state, "iter": 5, "best": {"psnr": 31.5}}, sys.argv[1], _use_new_zipfile_serialization=sys.argv[2] == "zip")
import json
print(json.dumps({key: tensor.detach().float().flatten().tolist() for key, tensor in state.items()}))
"#;

fn python(script: &str, arguments: &[&std::ffi::OsStr]) -> Option<Value> {
    let Some(python) = std::env::var_os("ESRGAN_TEST_PYTHON") else {
        eprintln!("SKIPPED: ESRGAN_TEST_PYTHON names no Python that has torch");
        return None;
    };
    let output = Command::new(python).arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn described(model: &Model) -> BTreeMap<String, Value> {
    let described = |(name, tensor): (&str, &esrgan_weights::Tensor)| {
        let dtype = match tensor.dtype {
            DType::F32 => "torch.float32",
            DType::F16 => "torch.float16",
            DType::BF16 => "torch.bfloat16",
        };
        let digest: String =
            Sha256::digest(tensor.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        (name.to_owned(), serde_json::json!([dtype, tensor.shape, digest]))
    };
    model.weights.iter().map(described).collect()
}

#[test]
fn pytorch_reads_what_we_write() {
    let folder = Folder::new();
    for name in ["x4", "compact x4", "plus"] {
        let (_, spec) = specs().into_iter().find(|(other, _)| *other == name).unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let mut model = model(&spec, dtype, 4);
            model.origin.repeats_edge = dtype == DType::F16;
            let path = folder.file("model.pth");
            save(&model, &path, &SaveOptions::default()).unwrap();
            let back = load(&path, &LoadOptions::default()).unwrap();
            assert_eq!(back.origin.repeats_edge, model.origin.repeats_edge);
            let Some(found) = python(SCRIPT, &[path.as_os_str()]) else { return };
            assert_eq!(found["wrapper"], "params", "{name}");
            let edge = model.origin.repeats_edge.then_some("replicate");
            assert_eq!(found["edge"], serde_json::json!(edge), "{name} {dtype}");
            assert_eq!(found["tensors"], serde_json::json!(described(&model)), "{name} {dtype}");
        }
    }
    let (_, spec) = specs().remove(0);
    for (layout, first) in
        [(KeyLayout::Old, "model.0.weight"), (KeyLayout::RrdbTrunk, "RRDB_trunk.0.RDB1.conv1.weight")]
    {
        let path = folder.file("bare.pth");
        let options = SaveOptions { layout: Some(layout), dtype: None };
        save(&model(&spec, DType::F32, 4), &path, &options).unwrap();
        let Some(found) = python(SCRIPT, &[path.as_os_str()]) else { return };
        assert!(found["wrapper"].is_null() && !found["tensors"][first].is_null(), "{layout}");
    }
}

#[test]
fn we_read_what_pytorch_lays_out_in_its_own_ways() {
    let folder = Folder::new();
    for container in ["zip", "legacy"] {
        let path = folder.file("views.pth");
        let Some(expected) = python(VIEWS, &[path.as_os_str(), container.as_ref()]) else { return };
        let model = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!((model.spec.scale(), model.weights.len()), (1, 8), "{container}");
        for (name, tensor) in model.weights.iter() {
            assert_eq!(serde_json::json!(tensor.to_f32()), expected[name], "{container} {name}");
        }
        let notices: Vec<&str> = model.origin.notices.iter().map(|notice| notice.as_str()).collect();
        assert_eq!(notices, ["tensors narrowed from f64 to f32: 1"]);
    }
}
