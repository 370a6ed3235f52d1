//! Element types, and the conversions between them.
//!
//! Rounding is to nearest, ties to even, as IEEE 754 and PyTorch do.

/// How a tensor's elements are stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: the upper half of a single.
    BF16,
}

impl DType {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Its name: `f32`, `f16`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    /// The type of a name that [`DType::name`] gives.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::BF16].into_iter().find(|dtype| dtype.name() == name)
    }

    /// The narrowest type that holds every value of both.
    pub fn wider(self, other: Self) -> Self {
        if self == other { self } else { Self::F32 }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of half-precision bits; exact.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    // The exponent's bias is 15 instead of 127; a product also makes subnormal numbers normal. Without branches, because whole
    // models pass through here.
    const SCALE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff);
    let value = f32::from_bits(magnitude << 13) * SCALE;
    let not_finite = if magnitude >= 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(value.to_bits() | not_finite | u32::from(bits & 0x8000) << 16)
}

/// The nearest half-precision bits; infinity beyond the range, a NaN stays one.
pub(crate) fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        // Keep the payload's upper bits; the quiet bit keeps a payload without them from becoming infinity.
        let payload = ((magnitude >> 13) & 0x3ff) as u16;
        return sign | 0x7c00 | payload | if payload == 0 { 0x200 } else { 0 };
    }
    // 65520 is half way between the largest half, 65504, and the next step.
    if magnitude >= 65520f32.to_bits() {
        return sign | 0x7c00;
    }
    let exponent = (magnitude >> 23) as i32 - 127;
    if exponent < -14 {
        // Adding 0.5 aligns the sum's last bit with 2^-24, a subnormal's unit; the addition itself rounds to even.
        let aligned = f32::from_bits(magnitude) + 0.5;
        return sign | (aligned.to_bits() - 0.5f32.to_bits()) as u16;
    }
    let rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    sign | ((rounded - ((127 - 15) << 23)) >> 13) as u16
}

/// The value of bfloat16 bits; exact.
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The nearest bfloat16 bits; infinity beyond the range, a NaN stays one.
pub(crate) fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        let upper = (bits >> 16) as u16;
        return upper | if upper & 0x7f == 0 { 0x40 } else { 0 };
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            assert_eq!(f32_to_f16(f16_to_f32(bits)), bits, "f16 {bits:#06x}");
            assert_eq!(f32_to_bf16(bf16_to_f32(bits)), bits, "bf16 {bits:#06x}");
        }
    }

    /// Every positive half and the next one: what lies between must go to the nearer, and the middle to the even one.
    #[test]
    fn rounding_is_to_nearest_and_ties_to_even() {
        for bits in 0..0x7bff_u16 {
            let (low, high) = (f16_to_f32(bits), f16_to_f32(bits + 1));
            let middle = (low + high) / 2.0;
            let even = bits + (bits & 1);
            let cases = [(middle.next_down(), bits), (middle, even), (middle.next_up(), bits + 1)];
            for (value, expected) in cases {
                assert_eq!(f32_to_f16(value), expected, "{value:e}");
                assert_eq!(f32_to_f16(-value), expected | 0x8000, "-{value:e}");
            }
        }
        assert_eq!(f32_to_f16(65519.996), 0x7bff);
        assert_eq!(f32_to_f16(65520.0), 0x7c00);
        assert_eq!(f32_to_f16(1e-30), 0);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
    }

    #[test]
    fn known_values() {
        for (value, f16, bf16) in [
            (1.0f32, 0x3c00, 0x3f80),
            (-2.0, 0xc000, 0xc000),
            (65504.0, 0x7bff, 0x4780),
            (5.960_464_5e-8, 0x0001, 0x3380),
            (f32::INFINITY, 0x7c00, 0x7f80),
        ] {
            assert_eq!((f32_to_f16(value), f32_to_bf16(value)), (f16, bf16), "{value}");
        }
    }
}
