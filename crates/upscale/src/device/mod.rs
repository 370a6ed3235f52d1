//! Where a network runs: the wish, the devices that there are, and what becomes of the one on the other.
//!
//! What lives here: the choice, plans for memory of a device's own, runs that mend themselves. What does not: kernels and
//! drivers (`esrgan-gpu`). `docs/gpu.md` says what a user sees of it.

mod choice;
mod plan;
#[cfg(any(feature = "vulkan", test))]
mod run;
#[cfg(feature = "vulkan")]
mod vulkan;

use std::fmt;
use std::str::FromStr;

pub use esrgan_core::DeviceKind;
use esrgan_core::format_bytes;
use esrgan_engine::Precision;

pub(crate) use choice::{Chosen, choose};
pub use plan::{DeviceMeans, DevicePlan};
#[cfg(feature = "vulkan")]
pub(crate) use vulkan::runner_on;

/// Where a network shall run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// On the first GPU, where this build knows GPUs and there is one; else on the processor.
    Auto,
    /// On the processor: what a caller gets who asks for nothing, so that bits do not depend on what is plugged in.
    #[default]
    Cpu,
    /// On the device of this number, whatever it is; without a number on the first GPU, or with a notice on the processor.
    Vulkan(Option<usize>),
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto`, `cpu`, `vulkan` or `vulkan:N`, found `{found}`")]
pub struct UnknownDeviceError {
    /// The text.
    pub found: String,
}

impl FromStr for DeviceChoice {
    type Err = UnknownDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |number: &str| number.parse().ok().map(|number| Self::Vulkan(Some(number)));
        match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "vulkan" => Some(Self::Vulkan(None)),
            _ => text.strip_prefix("vulkan:").and_then(number),
        }
        .ok_or_else(|| UnknownDeviceError { found: text.to_owned() })
    }
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its place in the list, by which it is asked for.
    pub number: usize,
    /// As its driver calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its memory, where the driver says it.
    pub memory_bytes: Option<u64>,
    /// The largest single buffer.
    pub largest_buffer_bytes: u64,
    /// Whether it computes in IEEE half precision.
    pub has_f16: bool,
    /// Whether it multiplies bfloat16.
    pub has_bf16: bool,
    /// Whether it multiplies matrices of 16-bit numbers by units of their own.
    pub has_matrix_units: bool,
}

impl DeviceFacts {
    /// Whether it is more than the processor under another name.
    pub fn is_gpu(&self) -> bool {
        self.kind != DeviceKind::Cpu
    }

    /// Whether its memory is the processor's.
    pub fn shares_host_memory(&self) -> bool {
        matches!(self.kind, DeviceKind::Cpu | DeviceKind::Integrated)
    }

    /// The precisions that it computes in.
    pub fn precisions(&self) -> Vec<Precision> {
        let all = [(Precision::F32, true), (Precision::F16, self.has_f16), (Precision::Bf16, self.has_bf16)];
        all.into_iter().filter(|(_, has)| *has).map(|(precision, _)| precision).collect()
    }

    /// By what a user asks for it, and its name.
    pub fn title(&self) -> String {
        format!("vulkan:{} {}", self.number, self.name)
    }
}

impl fmt::Display for DeviceFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory_bytes.map_or("unknown memory".to_owned(), format_bytes);
        let units = if self.has_matrix_units { ", matrix units" } else { "" };
        write!(f, "{}: {}, {memory}", self.title(), self.kind.name())?;
        self.precisions().iter().try_for_each(|precision| write!(f, ", {}", precision.name()))?;
        f.write_str(units)
    }
}

/// The devices that Vulkan shows, GPUs first; `None` in a build without GPU support.
pub fn devices() -> Option<Vec<DeviceFacts>> {
    #[cfg(feature = "vulkan")]
    let found = Some(vulkan::devices());
    #[cfg(not(feature = "vulkan"))]
    let found = None;
    found
}

/// Why devices that Vulkan shows are not among [`devices`]: a sentence for each.
pub fn refused_devices() -> Vec<String> {
    #[cfg(feature = "vulkan")]
    let refused = vulkan::refused_devices();
    #[cfg(not(feature = "vulkan"))]
    let refused = Vec::new();
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_said() {
        let facts = DeviceFacts {
            number: 1,
            name: "Some Card".to_owned(),
            kind: DeviceKind::Discrete,
            memory_bytes: None,
            largest_buffer_bytes: 1 << 30,
            has_f16: true,
            has_bf16: false,
            has_matrix_units: true,
        };
        let said = "vulkan:1 Some Card: discrete, unknown memory, f32, f16, matrix units";
        assert_eq!(facts.to_string(), said);
        assert!(facts.is_gpu() && !facts.shares_host_memory());
        let rasteriser = DeviceFacts { kind: DeviceKind::Cpu, ..facts };
        assert!(!rasteriser.is_gpu() && rasteriser.shares_host_memory());
    }

    #[test]
    fn wishes_are_read() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("vulkan", DeviceChoice::Vulkan(None)),
            ("vulkan:12", DeviceChoice::Vulkan(Some(12))),
        ] {
            assert_eq!(text.parse(), Ok(choice), "{text}");
        }
        for text in ["", "gpu", "Vulkan", "vulkan:", "vulkan:-1", "vulkan:a", "cuda:0"] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("`{text}`")), "{error}");
        }
    }
}
