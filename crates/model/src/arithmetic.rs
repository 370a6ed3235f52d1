//! With what a network computes.

use esrgan_gradients::{Isa, Precision};

use crate::device::ComputeDevice;
use crate::layers::Half;

/// A device, the processor's instruction set, and in what convolutions multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// The instruction set.
    pub isa: Isa,
    /// In what convolutions multiply, those of pictures apart.
    pub precision: Precision,
    /// Where it is computed.
    pub device: ComputeDevice,
}

impl Default for Arithmetic {
    /// `f32` on the processor, with the fastest set that there is.
    fn default() -> Self {
        Self { isa: Isa::detect(), precision: Precision::F32, device: ComputeDevice::Processor }
    }
}

impl Arithmetic {
    /// What serves a wish best on a set: bf16 where it has instructions for it, or where plain Rust was chosen, which can show
    /// what they give; `f32` elsewhere, being faster there and more exact. As the engine chooses.
    pub fn serving(isa: Isa, wanted: Precision) -> Self {
        let has_bf16 = isa.has_native_bf16() || isa == Isa::Portable;
        let precision = if has_bf16 { wanted } else { Precision::F32 };
        Self { isa, precision, device: ComputeDevice::Processor }
    }

    /// `f32` on a device.
    pub fn on(device: ComputeDevice) -> Self {
        Self { device, ..Self::default() }
    }

    /// What serves a wish best on a device: half precision where the device has units that multiply matrices of it. bf16 stands for
    /// either kind of it; IEEE half precision is taken where there is no bfloat16.
    pub fn serving_on(device: ComputeDevice, wanted: Precision) -> Self {
        let precision = if device.has_half_units() { wanted } else { Precision::F32 };
        Self { precision, ..Self::on(device) }
    }

    /// The half precision in which layers multiply on another device than the processor.
    pub(crate) fn half(self) -> Option<Half> {
        Half::of(self.device).filter(|_| self.precision == Precision::Bf16)
    }

    /// What convolves a picture: `f32` always. Eight bits are too few for its samples, and the layer is small.
    pub(crate) fn of_pictures(self) -> Self {
        Self { precision: Precision::F32, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_computed_where_it_is_fast_or_shown() {
        let serves = |isa| Arithmetic::serving(isa, Precision::Bf16).precision == Precision::Bf16;
        let found: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| serves(*isa)).collect();
        assert_eq!(found, [Isa::Portable, Isa::Avx512Bf16, Isa::Amx]);
        for isa in Isa::ALL {
            assert_eq!(
                Arithmetic::serving(isa, Precision::F32),
                Arithmetic { isa, precision: Precision::F32, device: ComputeDevice::Processor }
            );
        }
    }
}
