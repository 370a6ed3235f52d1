//! What the processor offers: the only detection code, and the tokens that prove it.
//!
//! A kernel takes its instruction set's token by value. A token can only be made by its `new`, which has asked the
//! processor; so holding one is the proof that the instructions exist.

use std::fmt;
use std::str::FromStr;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::{
    conv::{ConvRow, ConvSegment, tile, transformed},
    transform::{self, TransformSegment},
};

/// An instruction set that kernels are written for.
///
/// Results of different sets differ in the last bits (fused or separate multiply-add); within one set they are the same
/// on every machine and for every thread count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust that the compiler may vectorise. Everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F.
    Avx512,
    /// 64-bit Arm.
    Neon,
}

impl Isa {
    /// All sets of all architectures, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// The fastest set that this processor offers.
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this processor offers it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().is_some(),
            #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
            _ => false,
        }
    }

    /// Its name: `portable`, `avx2`, `avx512`, `neon`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = UnknownIsaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|isa| isa.name() == text)
            .ok_or_else(|| UnknownIsaError { found: text.to_owned() })
    }
}

/// A text that names no instruction set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsaError {
    /// The text as it was given.
    pub found: String,
}

impl fmt::Display for UnknownIsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no instruction set: expected `portable`, `avx2`, `avx512` or `neon`", self.found)
    }
}

impl std::error::Error for UnknownIsaError {}

/// Defines a token: the detection of its features, and the kernels compiled for exactly these features.
///
/// `tiles` is the shape of the micro-kernel's tile: positions, and output blocks at once (see `conv::tile`).
macro_rules! token {
    (
        $(#[$doc:meta])*
        $name:ident, $arch:literal, $detect:ident, [$($feature:tt),+], tiles $positions:literal x $blocks:literal
    ) => {
        $(#[$doc])*
        #[cfg(target_arch = $arch)]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(());

        #[cfg(target_arch = $arch)]
        impl $name {
            /// The proof that this processor offers the set, if it does.
            pub(crate) fn new() -> Option<Self> {
                ($(std::arch::$detect!($feature))&&+).then_some(Self(()))
            }

            /// Convolves a row.
            pub(crate) fn conv_row(self, row: &mut ConvRow<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, row: &mut ConvRow<'_, '_>) {
                    tile::run::<$name, $positions, $blocks>(token, row);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, row) }
            }

            /// Convolves a segment of transformed tiles.
            pub(crate) fn conv_segment(self, call: &mut ConvSegment<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, call: &mut ConvSegment<'_, '_>) {
                    transformed::run::<$name, $positions, $blocks>(token, call);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, call) }
            }

            /// Transforms a segment.
            pub(crate) fn transform_segment(self, segment: &mut TransformSegment<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, segment: &mut TransformSegment<'_, '_>) {
                    transform::run(token, segment);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, segment) }
            }
        }
    };
}

token!(
    /// Proof of AVX2 and FMA. Of sixteen registers, twelve hold sums, two weights, one input.
    Avx2, "x86_64", is_x86_feature_detected, ["avx2", "fma"], tiles 6 x 1
);
token!(
    /// Proof of AVX-512 F. Of 32 registers, 24 hold sums, two weights, one input.
    Avx512, "x86_64", is_x86_feature_detected, ["avx512f"], tiles 12 x 2
);
token!(
    /// Proof of NEON. Of 32 registers, 24 hold sums, four weights, one input.
    Neon, "aarch64", is_aarch64_feature_detected, ["neon"], tiles 6 x 1
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert!("sse9".parse::<Isa>().is_err());
    }

    /// Prints which sets the tests of this run covered. `ESRGAN_REQUIRE_ISA=avx2,…` makes a missing one a failure.
    #[test]
    fn isa_report() {
        for isa in Isa::ALL {
            println!("ISA {}: {isa}", if isa.is_available() { "tested" } else { "absent here" });
        }
        let required = std::env::var("ESRGAN_REQUIRE_ISA").unwrap_or_default();
        for name in required.split(',').filter(|name| !name.is_empty()) {
            let isa: Isa = name.parse().unwrap();
            assert!(
                isa.is_available(),
                "ESRGAN_REQUIRE_ISA names {isa}, which this processor does not offer"
            );
        }
    }
}
