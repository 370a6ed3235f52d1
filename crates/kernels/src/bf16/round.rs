//! Rounding to bf16: the upper half of an `f32`, 8 significant bits.

/// The nearest bf16's bits, ties to even.
///
/// # Values
/// Numbers below the smallest normal one become zero of their sign; those that round beyond the largest become infinite;
/// NaN stays NaN, made quiet.
///
/// # Source
/// VCVTNEPS2BF16 in Intel's "Software Developer's Manual", volume 2, whose results these are bit for bit.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let upper = (bits >> 16) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        upper | 0x0040
    } else if magnitude < 0x0080_0000 {
        upper & 0x8000
    } else {
        ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
    }
}

/// The nearest bf16's bits, rounded once: through `f32`, a tie could come of the first rounding.
///
/// # Values
/// As [`round`].
pub(crate) fn round_f64(value: f64) -> u16 {
    /// Significant bits of f64 that bf16 does not have.
    const DROPPED: u32 = 45;
    if value.is_nan() || value.abs() < f64::from(f32::MIN_POSITIVE) {
        return round(value as f32 * if value.is_nan() { 1.0 } else { 0.0 });
    }
    let bits = value.to_bits();
    let bits = bits + (1 << (DROPPED - 1)) - 1 + (bits >> DROPPED & 1);
    // Now exact in `f32`, or beyond its range.
    round(f64::from_bits(bits >> DROPPED << DROPPED) as f32)
}

/// The value of bf16 bits.
#[cfg(test)]
pub(crate) fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_nearest_ties_to_even() {
        let cases = [
            (0x0000_0000, 0x0000),
            (0x8000_0000, 0x8000),
            (0x3f80_0000, 0x3f80),
            (0x3f80_7fff, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f80_8001, 0x3f81),
            (0x3f81_8000, 0x3f82),
            (0xbf81_7fff, 0xbf81),
            (0x3fff_ffff, 0x4000),
            // The largest number, infinities, and NaN whose payload lies below what is kept.
            (0x7f7f_ffff, 0x7f80),
            (0x7f7f_7fff, 0x7f7f),
            (0x7f80_0000, 0x7f80),
            (0xff80_0000, 0xff80),
            (0x7f80_0001, 0x7fc0),
            (0xffff_ffff, 0xffff),
            // The smallest normal number, and what lies below.
            (0x0080_0000, 0x0080),
            (0x007f_ffff, 0x0000),
            (0x8000_0001, 0x8000),
        ];
        let wrong: Vec<String> = cases
            .iter()
            .filter(|(bits, expected)| round(f32::from_bits(*bits)) != *expected)
            .map(|(bits, expected)| {
                format!("{bits:08x} to {:04x}, not {expected:04x}", round(f32::from_bits(*bits)))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn both_roundings_agree_on_what_both_take() {
        // An odd step passes through all kinds of mantissas and exponents.
        for bits in (0..=u32::MAX).step_by(10_007) {
            let value = f32::from_bits(bits);
            if !value.is_nan() {
                assert_eq!(round(value), round_f64(f64::from(value)), "{value:e}");
            }
        }
        assert!(widen(round_f64(f64::NAN)).is_nan());
    }

    #[test]
    fn rounds_an_f64_once() {
        let above_tie = 1.0 + f64::from(f32::EPSILON) * 32768.0 + f64::EPSILON;
        assert_eq!(round_f64(above_tie), 0x3f81);
        assert_eq!(round(above_tie as f32), 0x3f80, "what rounding twice would give");
        assert_eq!(round_f64(1e300), 0x7f80);
        assert_eq!(round_f64(-1e-300), 0x8000);
    }
}
