//! AMX: tiles of 16 pixels by 16 output channels, to which one instruction adds the products of 32 input channels.
//!
//! Tiles 0 to 3 hold sums, as two groups of pixels by two output blocks or four groups by one; 4 and 5 pixels of the
//! input, 6 and 7 weights. A row of an input tile is a pixel's block in the paired row, of which the kernel's next column
//! is the next pixel: so nothing is copied, but the last pixels of a segment that fill no whole tiles, because a tile
//! always loads sixteen.
//!
//! # Source
//! Intel's "64 and IA-32 Architectures Optimization Reference Manual", chapter on AMX.

use std::arch::asm;
use std::marker::PhantomData;

use crate::bf16::tile::{AddProducts, Part, SEGMENT_PIXELS, Sums};
use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};
use crate::conv::tile::MAX_GROUP;
use crate::isa::Amx;

mod products;

/// Pixels of a tile: its most rows.
const TILE_PIXELS: usize = 16;
/// Tiles of sums.
const SUM_TILES: usize = 4;
/// Bytes of a pixel in a row, of an entry of weights, and of a pixel's sums: the stride of every tile.
const STRIDE: usize = size_of::<ChannelBlock>();
/// From one output block's sums to the other's.
const MEMBER_BYTES: usize = SEGMENT_PIXELS * STRIDE;

const _: () = assert!(SEGMENT_PIXELS.is_multiple_of(SUM_TILES * TILE_PIXELS));

/// The operand of LDTILECFG, palette 1.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The shapes of this thread's tiles, from `new` until it is dropped.
#[derive(Debug)]
struct Configuration {
    pairs: usize,
    /// The configuration is the thread's: it must not be sent to another.
    of_thread: PhantomData<*mut ()>,
}

impl Configuration {
    /// Shapes for input blocks of `pairs` pairs of channels.
    fn new(_proof: Amx, pairs: usize) -> Self {
        let mut configuration = Self { pairs: 0, of_thread: PhantomData };
        configuration.set_pairs(pairs);
        configuration
    }

    /// Changes the shapes; the tiles' data are lost.
    fn set_pairs(&mut self, pairs: usize) {
        assert!((1..=CHANNELS_PER_BLOCK).contains(&pairs), "a tile of {pairs} pairs");
        if self.pairs == pairs {
            return;
        }
        self.pairs = pairs;
        let mut config =
            TileConfig { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let (sums, input, weights) = (0..4, 4..6, 6..8);
        config.rows[sums.clone()].fill(TILE_PIXELS as u8);
        config.row_bytes[sums].fill(STRIDE as u16);
        config.rows[input.clone()].fill(TILE_PIXELS as u8);
        config.row_bytes[input].fill(4 * pairs as u16);
        config.rows[weights.clone()].fill(pairs as u8);
        config.row_bytes[weights].fill(STRIDE as u16);
        // SAFETY: the token given to `new` proves AMX and the permission for it; the configuration is one of palette 1:
        // up to 16 rows of up to 64 bytes, each tile either with both or with neither.
        unsafe {
            asm!(
                "ldtilecfg [{config}]",
                config = in(reg) &raw const config,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, readonly)
            );
        }
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: the token given to `new` proves AMX.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, nomem)
            );
        }
    }
}

/// Sums in tiles.
pub(crate) struct Tiles {
    configuration: Configuration,
    /// For each step of a chunk: where the input of the part's first pixel lies.
    taps: Vec<*const ChannelBlock>,
    /// The input of the last pixels of a part, followed by enough for whole tiles.
    tail: Vec<ChannelBlock>,
}

impl Tiles {
    /// Prepares this thread's tiles.
    pub(crate) fn new(proof: Amx) -> Self {
        let configuration = Configuration::new(proof, CHANNELS_PER_BLOCK);
        Self { configuration, taps: Vec::new(), tail: Vec::new() }
    }

    /// Adds products of tiles that hold zeros, and tells how many operations that were.
    pub(crate) fn ceiling(&mut self, rounds: u64) -> u64 {
        self.configuration.set_pairs(CHANNELS_PER_BLOCK);
        if rounds == 0 {
            return 0;
        }
        // SAFETY: `self.configuration` stands for AMX and the tiles' shapes; nothing touches memory.
        unsafe {
            asm!(
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) rounds => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, nomem)
            );
        }
        // Of each tile of sums 16 by 16, 16 pairs of products.
        rounds * (SUM_TILES * TILE_PIXELS * CHANNELS_PER_BLOCK * CHANNELS_PER_BLOCK * 4) as u64
    }

    /// Points the taps to pixel `start` of the part's rows.
    fn set_taps(&mut self, part: &Part<'_>, start: usize) {
        self.taps.clear();
        for row in part.chunk.rows {
            let first = row[start..].as_ptr();
            self.taps.extend((0..part.chunk.columns).map(|column| first.wrapping_add(column)));
        }
    }

    /// Copies the part's rows from its pixel `done` on, and points the taps to the copies.
    fn set_taps_to_tail(&mut self, part: &Part<'_>, done: usize) {
        let columns = part.chunk.columns;
        let length = SUM_TILES * TILE_PIXELS + columns - 1;
        // What lies behind the last pixel reaches only the sums of pixels that do not exist.
        self.tail.resize(part.chunk.rows.len() * length, ChannelBlock::ZERO);
        let there = part.length - done + columns - 1;
        for (copy, row) in self.tail.chunks_exact_mut(length).zip(part.chunk.rows) {
            copy[..there].copy_from_slice(&row[part.start + done..][..there]);
        }
        self.taps.clear();
        for copy in self.tail.chunks_exact(length) {
            self.taps.extend((0..columns).map(|column| copy.as_ptr().wrapping_add(column)));
        }
    }

    /// Adds the taps' products to as many groups of sixteen pixels.
    ///
    /// # Safety
    /// - Each tap is valid for reads of `16 * groups` blocks from the `skipped`-th on.
    /// - `weights` are valid for reads of a block for each tap and pair.
    /// - `sums` has room for `16 * groups` pixels from `first` on.
    unsafe fn add_groups(
        &self,
        part: &Part<'_>,
        groups: usize,
        skipped: usize,
        first: usize,
        sums: &mut Sums,
    ) {
        let operands = Operands {
            taps: self.taps.as_ptr(),
            count: self.taps.len(),
            skipped_bytes: skipped * STRIDE,
            weights: part.weights.map(<[_]>::as_ptr),
            weights_bytes: self.configuration.pairs * STRIDE,
            sums: sums.as_mut_ptr().cast::<ChannelBlock>().wrapping_add(first),
        };
        // SAFETY: the caller promises what the loops ask for; `self.configuration` stands for the tiles' shapes.
        unsafe {
            match (part.members, groups) {
                (2, 2) => two_groups_of_two_blocks(operands),
                (2, _) => one_group_of_two_blocks(operands),
                (_, 4) => four_groups(operands),
                (_, 3) => three_groups(operands),
                (_, 2) => two_groups(operands),
                (_, _) => one_group(operands),
            }
        }
    }
}

impl AddProducts for Tiles {
    unsafe fn add(&mut self, part: &Part<'_>, sums: &mut Sums) {
        if part.chunk.channels.is_empty() {
            return;
        }
        self.configuration.set_pairs(part.chunk.channels[0]);
        let groups = SUM_TILES / part.members;
        let at_once = groups * TILE_PIXELS;
        let whole = part.length / at_once * at_once;
        if whole > 0 {
            self.set_taps(part, part.start);
        }
        for done in (0..whole).step_by(at_once) {
            // SAFETY: the caller promises `length + columns - 1` pixels from the part's first one on, and the weights; the
            // segment's sums are at least `length`.
            unsafe { self.add_groups(part, groups, done, done, sums) };
        }
        if whole < part.length {
            self.set_taps_to_tail(part, whole);
            let groups = (part.length - whole).div_ceil(TILE_PIXELS);
            // SAFETY: each copy has room for four groups and the columns; the caller promises the weights; the segment's
            // most pixels are a multiple of four groups, so its last group's sums exist.
            unsafe { self.add_groups(part, groups, 0, whole, sums) };
        }
    }
}

/// What a tile loop works on.
#[derive(Clone, Copy)]
struct Operands {
    taps: *const *const ChannelBlock,
    /// Taps: at least one.
    count: usize,
    /// From where a tap points to the first pixel's block.
    skipped_bytes: usize,
    weights: [*const ChannelBlock; MAX_GROUP],
    /// Weights of a tap.
    weights_bytes: usize,
    sums: *mut ChannelBlock,
}

/// Defines the loop over the taps for some groups of pixels and output blocks: first all sums are loaded, in the end all
/// are stored, so that no tile's data outlasts the loop.
macro_rules! tile_loop {
    ($name:ident, load [$($load:literal)+], tap [$($tap:literal)+], store [$($store:literal)+]) => {
        /// Adds the products of all taps to the sums.
        ///
        /// # Safety
        /// - The tiles have the shapes that `Configuration` gives them, for the pairs of these weights.
        /// - For each tap, sixteen blocks are readable for each group of pixels, from `skipped_bytes` behind where it
        ///   points; `weights_bytes` for each tap behind each of `weights`.
        /// - Sixteen blocks for each group are writable behind `sums`, and if there are two output blocks, as many
        ///   `MEMBER_BYTES` behind.
        unsafe fn $name(operands: Operands) {
            // SAFETY: the caller promises the memory and the tiles' shapes.
            unsafe {
                asm!(
                    "lea {other_sums}, [{sums} + {member_bytes}]",
                    $($load,)+
                    "2:",
                    "mov {pixels}, [{taps}]",
                    "add {pixels}, {skipped}",
                    $($tap,)+
                    "add {taps}, 8",
                    "add {weights}, {weights_bytes}",
                    "add {other_weights}, {weights_bytes}",
                    "dec {count}",
                    "jnz 2b",
                    $($store,)+
                    taps = inout(reg) operands.taps => _,
                    count = inout(reg) operands.count => _,
                    skipped = in(reg) operands.skipped_bytes,
                    weights = inout(reg) operands.weights[0] => _,
                    other_weights = inout(reg) operands.weights[1] => _,
                    weights_bytes = in(reg) operands.weights_bytes,
                    sums = in(reg) operands.sums,
                    stride = in(reg) STRIDE,
                    pixels = out(reg) _,
                    other_sums = out(reg) _,
                    member_bytes = const MEMBER_BYTES,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack)
                );
            }
        }
    };
}

// 1024 bytes are sixteen pixels. Loads stand between the products that do not wait for them.
tile_loop!(
    two_groups_of_two_blocks,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{other_sums} + {stride}*1]"
        "tileloadd tmm2, [{sums} + {stride}*1 + 1024]"
        "tileloadd tmm3, [{other_sums} + {stride}*1 + 1024]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{other_weights} + {stride}*1]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{pixels} + {stride}*1 + 1024]"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{other_sums} + {stride}*1], tmm1"
        "tilestored [{sums} + {stride}*1 + 1024], tmm2"
        "tilestored [{other_sums} + {stride}*1 + 1024], tmm3"
    ]
);
tile_loop!(
    one_group_of_two_blocks,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{other_sums} + {stride}*1]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{other_weights} + {stride}*1]"
        "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{other_sums} + {stride}*1], tmm1"
    ]
);
tile_loop!(
    four_groups,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
        "tileloadd tmm2, [{sums} + {stride}*1 + 2048]"
        "tileloadd tmm3, [{sums} + {stride}*1 + 3072]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm5, [{pixels} + {stride}*1 + 1024]"
        "tdpbf16ps tmm1, tmm5, tmm6"
        "tileloadd tmm4, [{pixels} + {stride}*1 + 2048]"
        "tdpbf16ps tmm2, tmm4, tmm6"
        "tileloadd tmm5, [{pixels} + {stride}*1 + 3072]"
        "tdpbf16ps tmm3, tmm5, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
        "tilestored [{sums} + {stride}*1 + 2048], tmm2"
        "tilestored [{sums} + {stride}*1 + 3072], tmm3"
    ]
);
tile_loop!(
    three_groups,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
        "tileloadd tmm2, [{sums} + {stride}*1 + 2048]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm5, [{pixels} + {stride}*1 + 1024]"
        "tdpbf16ps tmm1, tmm5, tmm6"
        "tileloadd tmm4, [{pixels} + {stride}*1 + 2048]"
        "tdpbf16ps tmm2, tmm4, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
        "tilestored [{sums} + {stride}*1 + 2048], tmm2"
    ]
);
tile_loop!(
    two_groups,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm5, [{pixels} + {stride}*1 + 1024]"
        "tdpbf16ps tmm1, tmm5, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
    ]
);
tile_loop!(
    one_group,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
    ],
    tap [
        "tileloadd tmm6, [{weights} + {stride}*1]"
        "tileloadd tmm4, [{pixels} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
    ]
);
