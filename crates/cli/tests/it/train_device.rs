//! `esrgan train --device`.

#[cfg(feature = "vulkan")]
use crate::training::assert_same_endings;
use crate::{
    run::{Folder, esrgan, text},
    training::psnr_recipe,
};

#[cfg(not(feature = "vulkan"))]
#[test]
fn without_gpus_a_gpu_is_refused_and_the_processor_taken() {
    let folder = Folder::new();
    let (recipe, output) = (folder.join("recipe.toml"), text(&folder.join("run")));
    std::fs::write(&recipe, psnr_recipe(std::path::Path::new("nowhere"), 1)).unwrap();
    let train =
        |device: &str| esrgan(&["train", text(&recipe).as_str(), "-o", output.as_str(), "--device", device]);
    let ended = train("vulkan");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("built without GPUs"), "{}", ended.stderr);
    for device in ["auto", "cpu"] {
        let ended = train(device);
        assert!(ended.stderr.contains("nowhere"), "{}", ended.stderr);
    }
}

/// The losses of all steps that a run has written down.
#[cfg(feature = "vulkan")]
fn losses(folder: &Folder, name: &str) -> Vec<f64> {
    let log = std::fs::read_to_string(folder.join(name).join("log.jsonl")).unwrap();
    let records = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    records.map(|record| record["loss_pixel"].as_f64().unwrap()).collect()
}

/// A run goes on on another device, and back; on one device it ends with the same bytes, stopped on the way or not.
#[cfg(feature = "vulkan")]
#[test]
fn a_run_moves_between_devices() {
    let Some(hr) = esrgan_testkit::shared_data("eval/Set5/HR") else { return };
    let folder = Folder::new();
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, psnr_recipe(&hr, 6)).unwrap();
    let train = |name: &str, device: &str, steps: u64| {
        let (recipe, output) = (text(&recipe), text(&folder.join(name)));
        let steps = format!("steps={steps}");
        let ended = esrgan(&["train", &recipe, "-o", &output, "--device", device, "--set", &steps]);
        (ended.code, ended.stderr)
    };
    let (code, said) = train("gpu", "vulkan:0", 6);
    if said.contains("Vulkan device 0") {
        eprintln!("SKIPPED: {said}");
        return;
    }
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("(vulkan:0)"), "{said}");
    for (name, parts) in [
        ("cpu", &[("cpu", 6)][..]),
        ("parts", &[("vulkan:0", 3), ("vulkan:0", 6)]),
        ("moved", &[("cpu", 2), ("vulkan:0", 4), ("cpu", 6)]),
    ] {
        for (device, steps) in parts {
            let (code, said) = train(name, device, *steps);
            assert_eq!(code, 0, "{name}: {device}: {said}");
        }
    }
    let ending = |name: &str| folder.join(name);
    assert_same_endings(&ending("gpu"), &ending("parts"), "stopped on the way");
    let (on_cpu, moved) = (losses(&folder, "cpu"), losses(&folder, "moved"));
    assert_eq!((on_cpu.len(), moved.len()), (6, 6));
    assert_eq!(on_cpu[..2], moved[..2], "the same device");
    for (moved, on_cpu) in moved.iter().zip(&on_cpu) {
        // Six steps of Adam: what roundings change in its steps' directions is far below a hundredth of the loss.
        assert!((moved - on_cpu).abs() < 0.01 * on_cpu, "{moved} for {on_cpu}");
    }
}
