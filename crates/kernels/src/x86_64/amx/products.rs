//! Outer products in AMX tiles: sixteen input channels by sixteen output channels, to which one instruction adds the products
//! of 32 pixels.
//!
//! Tiles 0 to 3 hold sums, one for each right side; 4 the input, 5 and 6 in turn the right sides. What one load of the input
//! serves is all that the tiles of sums can take.

use std::arch::asm;

use super::{STRIDE, SUM_TILES, Tiles};
use crate::bf16::{OuterProductsBf16, PAIRS_OF_A_TILE};
use crate::block::{CHANNELS_PER_BLOCK, ChannelBlock};

/// Bytes of a tile, of both sides and of the sums.
const TILE_BYTES: usize = PAIRS_OF_A_TILE * STRIDE;

// The loops below have it in their texts.
const _: () = assert!(TILE_BYTES == 1024);

impl Tiles {
    /// Adds up what `OuterProductsBf16::assert_consistent` has seen.
    pub(crate) fn add_outer_products(&mut self, call: &mut OuterProductsBf16<'_, '_>) {
        if call.left.is_empty() || call.rights.is_empty() {
            return;
        }
        self.configuration.set_pairs(PAIRS_OF_A_TILE);
        let of_group = sums_of_a_group(call.rights.len());
        for (rights, sums) in call.rights.chunks(of_group).zip(call.sums.chunks_mut(of_group)) {
            let mut pointers = [rights[0].as_ptr(); SUM_TILES];
            pointers.iter_mut().zip(rights).for_each(|(pointer, right)| *pointer = right.as_ptr());
            let operands = Operands {
                left: call.left.as_ptr(),
                rights: pointers,
                count: call.left.len() / PAIRS_OF_A_TILE,
                sums: sums.as_mut_ptr(),
            };
            // SAFETY: `set_pairs` gave all tiles sixteen rows of 64 bytes; `assert_consistent` saw whole tiles in `left`, as
            // many in each of `rights`, and as many sums as `rights`, of which the group has the number that is chosen by;
            // there is at least one tile.
            unsafe {
                match rights.len() {
                    1 => one_sum(operands),
                    2 => two_sums(operands),
                    3 => three_sums(operands),
                    _ => four_sums(operands),
                }
            }
        }
    }
}

/// Sums that a loop takes of so many: groups of nearly equal size, as one sum alone would wait for its own latencies.
fn sums_of_a_group(sums: usize) -> usize {
    sums.div_ceil(sums.div_ceil(SUM_TILES))
}

/// What a loop works on.
#[derive(Clone, Copy)]
struct Operands {
    left: *const ChannelBlock,
    /// Those that a loop does not use are the first.
    rights: [*const ChannelBlock; SUM_TILES],
    /// Tiles of each side: at least one.
    count: usize,
    sums: *mut [ChannelBlock; CHANNELS_PER_BLOCK],
}

/// Defines the loop over the tiles of both sides for some sums: first they are loaded, in the end stored, so that no tile's data
/// outlasts the loop. Its text is also given as a constant, which the tests interpret: see `tests`.
macro_rules! product_loop {
    (
        $name:ident, $text:ident, load [$($load:literal)+], tile [$($tile:literal)+], store [$($store:literal)+]
    ) => {
        /// The loop's text.
        #[cfg(test)]
        const $text: [&[&str]; 3] = [&[$($load),+], &[$($tile),+], &[$($store),+]];

        /// Adds the products of all tiles to the sums.
        ///
        /// # Safety
        /// - All tiles have sixteen rows of 64 bytes.
        /// - `left` and each of `rights` are readable for `count` tiles of 1024 bytes.
        /// - `sums` is readable and writable for as many as the loop's name says.
        unsafe fn $name(operands: Operands) {
            // SAFETY: the caller promises the memory and the tiles' shapes.
            unsafe {
                asm!(
                    $($load,)+
                    "2:",
                    $($tile,)+
                    "add {left}, 1024",
                    "add {right0}, 1024",
                    "add {right1}, 1024",
                    "add {right2}, 1024",
                    "add {right3}, 1024",
                    "dec {count}",
                    "jnz 2b",
                    $($store,)+
                    left = inout(reg) operands.left => _,
                    right0 = inout(reg) operands.rights[0] => _,
                    right1 = inout(reg) operands.rights[1] => _,
                    right2 = inout(reg) operands.rights[2] => _,
                    right3 = inout(reg) operands.rights[3] => _,
                    count = inout(reg) operands.count => _,
                    sums = in(reg) operands.sums,
                    stride = in(reg) STRIDE,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack)
                );
            }
        }
    };
}

// The left side's rows are input channels, the right side's pairs of pixels. Loads stand between the products that do not wait
// for them.
product_loop!(
    four_sums,
    FOUR_SUMS,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
        "tileloadd tmm2, [{sums} + {stride}*1 + 2048]"
        "tileloadd tmm3, [{sums} + {stride}*1 + 3072]"
    ],
    tile [
        "tileloadd tmm4, [{left} + {stride}*1]"
        "tileloadd tmm5, [{right0} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm5"
        "tileloadd tmm6, [{right1} + {stride}*1]"
        "tdpbf16ps tmm1, tmm4, tmm6"
        "tileloadd tmm5, [{right2} + {stride}*1]"
        "tdpbf16ps tmm2, tmm4, tmm5"
        "tileloadd tmm6, [{right3} + {stride}*1]"
        "tdpbf16ps tmm3, tmm4, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
        "tilestored [{sums} + {stride}*1 + 2048], tmm2"
        "tilestored [{sums} + {stride}*1 + 3072], tmm3"
    ]
);
product_loop!(
    three_sums,
    THREE_SUMS,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
        "tileloadd tmm2, [{sums} + {stride}*1 + 2048]"
    ],
    tile [
        "tileloadd tmm4, [{left} + {stride}*1]"
        "tileloadd tmm5, [{right0} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm5"
        "tileloadd tmm6, [{right1} + {stride}*1]"
        "tdpbf16ps tmm1, tmm4, tmm6"
        "tileloadd tmm5, [{right2} + {stride}*1]"
        "tdpbf16ps tmm2, tmm4, tmm5"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
        "tilestored [{sums} + {stride}*1 + 2048], tmm2"
    ]
);
product_loop!(
    two_sums,
    TWO_SUMS,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
        "tileloadd tmm1, [{sums} + {stride}*1 + 1024]"
    ],
    tile [
        "tileloadd tmm4, [{left} + {stride}*1]"
        "tileloadd tmm5, [{right0} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm5"
        "tileloadd tmm6, [{right1} + {stride}*1]"
        "tdpbf16ps tmm1, tmm4, tmm6"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
        "tilestored [{sums} + {stride}*1 + 1024], tmm1"
    ]
);
product_loop!(
    one_sum,
    ONE_SUM,
    load [
        "tileloadd tmm0, [{sums} + {stride}*1]"
    ],
    tile [
        "tileloadd tmm4, [{left} + {stride}*1]"
        "tileloadd tmm5, [{right0} + {stride}*1]"
        "tdpbf16ps tmm0, tmm4, tmm5"
    ],
    store [
        "tilestored [{sums} + {stride}*1], tmm0"
    ]
);

#[cfg(test)]
mod tests;
