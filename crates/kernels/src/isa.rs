//! What the processor offers: the only detection code, and the tokens that prove it.
//!
//! A kernel takes its instruction set's token by value. A token can only be made by its `new`, which has asked the
//! processor; so holding one is the proof that the instructions exist.

use std::fmt;
use std::str::FromStr;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::{
    bf16::{self, ConvRowBf16, OuterProductsBf16},
    block::CHANNELS_PER_BLOCK,
    x86_64::amx::Tiles,
};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::{
    ChannelBlock, ceiling,
    conv::{ConvRow, ConvSegment, tile, transformed},
    gradient::{self, OuterProducts, TransformGradient},
    transform::{self, COMPONENTS, Lanes, TransformSegment},
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
    /// x86-64 with AVX-512 F and BF16. Convolutions of `f32` are AVX-512's.
    Avx512Bf16,
    /// x86-64 with AMX for bf16, which the system must permit, and AVX-512 BF16. Convolutions of `f32` are AVX-512's.
    Amx,
    /// 64-bit Arm.
    Neon,
}

impl Isa {
    /// All sets of all architectures, slowest first.
    pub const ALL: [Self; 6] =
        [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

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
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => Avx512Bf16::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Amx::new().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::new().is_some(),
            #[cfg(not(all(target_arch = "x86_64", target_arch = "aarch64")))]
            _ => false,
        }
    }

    /// Whether it multiplies bf16 in instructions made for it. Other sets compute the same in `f32`, slower than `f32`.
    pub fn has_native_bf16(self) -> bool {
        matches!(self, Self::Avx512Bf16 | Self::Amx)
    }

    /// Whether bf16 is faster there than `f32`, which takes a quarter of the multiplications: not on AVX-512 BF16, whose instructions
    /// do twice as many at once (x4plus over 64x64: 0.92 s beside 0.26 s on a Xeon of family 6, model 207; 2026-11).
    pub fn has_fast_bf16(self) -> bool {
        self == Self::Amx
    }

    /// The set whose kernels convolve `f32`: itself, unless what it adds is for bf16 alone.
    pub fn for_f32(self) -> Self {
        if self.has_native_bf16() { Self::Avx512 } else { self }
    }

    /// Its name: `portable`, `avx2`, `avx512`, `avx512-bf16`, `amx`, `neon`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
            Self::Neon => "neon",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
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
        let names: Vec<String> = Isa::ALL.iter().map(|isa| format!("`{isa}`")).collect();
        write!(f, "`{}` is no instruction set: expected one of {}", self.found, names.join(", "))
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

            /// Multiplies and adds in registers alone.
            pub(crate) fn ceiling(self, rounds: u64) -> (u64, ChannelBlock) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, rounds: u64) -> (u64, ChannelBlock) {
                    ceiling::run::<$name, { $positions * $blocks }>(token, rounds)
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, rounds) }
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

            /// Adds up outer products.
            pub(crate) fn add_products(self, call: &mut OuterProducts<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, call: &mut OuterProducts<'_, '_>) {
                    gradient::add_products::<$name, $positions, $blocks>(token, call);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, call) }
            }

            /// Transforms a segment of a gradient.
            pub(crate) fn transform_gradient(self, call: &mut TransformGradient<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: $name, call: &mut TransformGradient<'_, '_>) {
                    gradient::transform(token, call);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, call) }
            }

            /// Transforms sixteen filters.
            pub(crate) fn transform_filters(self, taps: &[Lanes; 9], components: &mut [ChannelBlock; COMPONENTS]) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(taps: &[Lanes; 9], components: &mut [ChannelBlock; COMPONENTS]) {
                    transform::transform_filters(taps, components);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(taps, components) }
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

/// Defines the token of AVX-512 BF16, and what is compiled for its features: its own kernels, and what surrounds AMX.
///
/// `tiles` as in [`token`].
#[cfg(target_arch = "x86_64")]
macro_rules! bf16_tokens {
    ([$($feature:tt),+], tiles $positions:literal x $blocks:literal) => {
        /// Proof of AVX-512 F and BF16. Registers as in [`Avx512`].
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Avx512Bf16(Avx512);

        impl Avx512Bf16 {
            /// The proof that this processor offers the set, if it does.
            pub(crate) fn new() -> Option<Self> {
                let has_all = $(std::arch::is_x86_feature_detected!($feature))&&+;
                Avx512::new().filter(|_| has_all).map(Self)
            }

            /// The proof of what it builds on.
            pub(crate) fn avx512(self) -> Avx512 {
                self.0
            }

            /// Convolves a row.
            pub(crate) fn conv_row_bf16(self, row: &mut ConvRowBf16<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, row: &mut ConvRowBf16<'_, '_>) {
                    let mut registers = bf16::tile::Registers::<_, $positions, $blocks>(token);
                    bf16::tile::run(token, &mut registers, row);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, row) }
            }

            /// Multiplies and adds in registers alone.
            pub(crate) fn ceiling_bf16(self, rounds: u64) -> (u64, ChannelBlock) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, rounds: u64) -> (u64, ChannelBlock) {
                    ceiling::run_bf16::<Avx512Bf16, { $positions * $blocks }>(token, rounds)
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, rounds) }
            }

            /// Pairs one or two rows.
            pub(crate) fn pair_row(self, inputs: &[&[ChannelBlock]], output: &mut [ChannelBlock]) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, inputs: &[&[ChannelBlock]], output: &mut [ChannelBlock]) {
                    bf16::tile::pair(token, inputs, output);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, inputs, output) }
            }

            /// Pairs pixels.
            pub(crate) fn pair_pixels(self, pixels: &[ChannelBlock], output: &mut [ChannelBlock]) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, pixels: &[ChannelBlock], output: &mut [ChannelBlock]) {
                    bf16::products::pair_pixels(token, pixels, output);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, pixels, output) }
            }

            /// Transposes groups of pixel pairs.
            pub(crate) fn transpose_pairs(self, pairs: &mut [ChannelBlock]) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, pairs: &mut [ChannelBlock]) {
                    bf16::products::transpose(token, pairs);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, pairs) }
            }

            /// Adds up outer products.
            pub(crate) fn add_products_bf16(self, call: &mut OuterProductsBf16<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Avx512Bf16, call: &mut OuterProductsBf16<'_, '_>) {
                    bf16::products::add::<_, CHANNELS_PER_BLOCK>(token, call);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, call) }
            }
        }

        /// Proof of AMX with bf16, of the system's permission to use it, and of AVX-512 BF16.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Amx(Avx512Bf16);

        impl Amx {
            /// The proof that this processor offers the set, if it does. Asks the system once per process.
            pub(crate) fn new() -> Option<Self> {
                static IS_USABLE: OnceLock<bool> = OnceLock::new();
                let avx512_bf16 = Avx512Bf16::new()?;
                let is_usable = || amx::is_offered() && amx::is_enabled() && amx::is_permitted();
                IS_USABLE.get_or_init(is_usable).then_some(Self(avx512_bf16))
            }

            /// Multiplies and adds in tiles alone.
            pub(crate) fn ceiling_bf16(self, rounds: u64) -> u64 {
                Tiles::new(self).ceiling(rounds)
            }

            /// Adds up outer products.
            pub(crate) fn add_products_bf16(self, call: &mut OuterProductsBf16<'_, '_>) {
                Tiles::new(self).add_outer_products(call);
            }

            /// Convolves a row.
            pub(crate) fn conv_row_bf16(self, row: &mut ConvRowBf16<'_, '_>) {
                #[target_feature($(enable = $feature),+)]
                fn enabled(token: Amx, row: &mut ConvRowBf16<'_, '_>) {
                    bf16::tile::run(token.0, &mut Tiles::new(token), row);
                }
                // SAFETY: the token proves the features.
                unsafe { enabled(self, row) }
            }
        }
    };
}

// The compiler counts AVX-512 BW among the features of BF16.
#[cfg(target_arch = "x86_64")]
bf16_tokens!(["avx512f", "avx512bw", "avx512bf16"], tiles 12 x 2);

/// What AMX needs, asked of the processor and of the system by hand: the standard library's answer is not stable yet.
#[cfg(target_arch = "x86_64")]
mod amx {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    /// Whether the processor has tiles, and products of bf16 in them.
    pub(super) fn is_offered() -> bool {
        // Bits of leaf 7's EDX: Intel's "Software Developer's Manual", volume 2, CPUID.
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        let has_leaf = __cpuid(0).eax >= 7;
        has_leaf && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
    }

    /// Whether the system saves tiles with the rest of a thread's state.
    pub(super) fn is_enabled() -> bool {
        /// XGETBV exists, in leaf 1's ECX.
        const OSXSAVE: u32 = 1 << 27;
        /// Tile configuration and tile data, in XCR0.
        const TILE_STATE: u64 = 1 << 17 | 1 << 18;
        #[target_feature(enable = "xsave")]
        fn saved_state() -> u64 {
            // SAFETY: register 0 exists wherever the instruction does, which the caller saw.
            unsafe { _xgetbv(0) }
        }
        // SAFETY: OSXSAVE says that the system enabled the instruction.
        __cpuid(1).ecx & OSXSAVE != 0 && unsafe { saved_state() } & TILE_STATE == TILE_STATE
    }

    /// Asks Linux to let this process use tile data: its threads' saved state grows by 8 KiB at their first use.
    ///
    /// # Source
    /// `Documentation/arch/x86/xstate.rst` in Linux, since 5.16.
    #[cfg(target_os = "linux")]
    pub(super) fn is_permitted() -> bool {
        const SYS_ARCH_PRCTL: isize = 158;
        const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
        const XFEATURE_XTILEDATA: usize = 18;
        let result: isize;
        // SAFETY: the call reads and writes no memory of the process; the kernel keeps all registers but these.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") SYS_ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _,
                out("r11") _,
                options(nostack)
            );
        }
        result == 0
    }

    /// Other systems' ways to ask are not known here.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_permitted() -> bool {
        false
    }
}

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
