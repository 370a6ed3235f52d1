//! `esrgan devices`.

use esrgan_core::{format_bytes, machine_memory_bytes};
use esrgan_upscale::{DeviceFacts, Isa, Precision, UpscaleError, devices, refused_devices};
use serde_json::{Value, json};

use super::isa_from_environment;
use crate::Outcome;
use crate::flags::DevicesFlags;
use crate::talk;

/// Runs the command.
pub(crate) fn run(flags: &DevicesFlags) -> anyhow::Result<Outcome> {
    let processor = Processor::new()?;
    if flags.json {
        talk::data(processor.json())?;
    } else {
        talk::data(processor.line())?;
    }
    let found = devices();
    for device in found.iter().flatten() {
        if flags.json {
            talk::data(json(device))?;
        } else {
            talk::data(device)?;
        }
    }
    for reason in refused_devices() {
        eprintln!("note: {reason}");
    }
    match found.as_deref() {
        None => eprintln!("note: {}", UpscaleError::NoGpuSupport),
        Some([]) => eprintln!("note: Vulkan shows no device that can be used"),
        Some(found) if !found.iter().any(DeviceFacts::is_gpu) => {
            eprintln!("note: Vulkan shows no GPU but the processor under another name, which is slow");
        }
        Some(_) => {}
    }
    Ok(Outcome::Done)
}

/// What is known of the processor.
struct Processor {
    isa: Isa,
    threads: usize,
    memory_bytes: Option<u64>,
    precisions: Vec<&'static str>,
}

impl Processor {
    fn new() -> anyhow::Result<Self> {
        let isa = isa_from_environment()?.unwrap_or_else(Isa::detect);
        let precisions = [Some(Precision::F32), isa.has_native_bf16().then_some(Precision::Bf16)];
        Ok(Self {
            isa,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: machine_memory_bytes(),
            precisions: precisions.into_iter().flatten().map(Precision::name).collect(),
        })
    }

    fn json(&self) -> Value {
        json!({
            "device": "cpu",
            "isa": self.isa.name(),
            "threads": self.threads,
            "memory_bytes": self.memory_bytes,
            "precisions": self.precisions,
        })
    }

    fn line(&self) -> String {
        let memory = self.memory_bytes.map_or("unknown memory".to_owned(), format_bytes);
        format!("cpu: {} on {} threads, {memory}, {}", self.isa, self.threads, self.precisions.join(", "))
    }
}

fn json(device: &DeviceFacts) -> Value {
    json!({
        "device": format!("vulkan:{}", device.number),
        "name": device.name,
        "kind": device.kind.name(),
        "memory_bytes": device.memory_bytes,
        "largest_buffer_bytes": device.largest_buffer_bytes,
        "precisions": device.precisions().into_iter().map(Precision::name).collect::<Vec<_>>(),
        "has_matrix_units": device.has_matrix_units,
    })
}
