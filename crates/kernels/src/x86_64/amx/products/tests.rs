//! The loops' texts, interpreted: so they are tested on processors without AMX too.
//!
//! What is not interpreted is what surrounds them: the pointers' steps and the count, which all four loops share.

use super::*;
use crate::bf16::products::tests::{Sides, check};

/// A tile: sixteen rows of sixteen lanes, as bits.
type Tile = [[u32; 16]; 16];

/// What a text works on: its operands as lanes in memory, and the tiles.
struct Machine<'a> {
    left: &'a [u32],
    rights: Vec<&'a [u32]>,
    sums: Vec<u32>,
    /// Bytes that the pointers of both sides have moved on.
    moved: usize,
    tiles: [Tile; 8],
}

fn lanes(blocks: &[ChannelBlock]) -> &[u32] {
    bytemuck::cast_slice(blocks)
}

fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

/// TDPBF16PS of Intel's "Software Developer's Manual", volume 2, for full tiles.
fn add_products(sums: &mut Tile, left: &Tile, right: &Tile) {
    for (sums, left) in sums.iter_mut().zip(left) {
        let mut halves = [[0.0_f32; 16]; 2];
        for (left, right) in left.iter().zip(right) {
            for (column, right) in right.iter().enumerate() {
                halves[0][column] += low(*left) * low(*right);
                halves[1][column] += high(*left) * high(*right);
            }
        }
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = (f32::from_bits(*sum) + (halves[0][column] + halves[1][column])).to_bits();
        }
    }
}

/// The number of a `tmm3`.
fn tile(operand: &str) -> usize {
    operand.strip_prefix("tmm").and_then(|number| number.parse().ok()).expect("a tile")
}

impl Machine<'_> {
    /// First lane and memory of `[{sums} + {stride}*1 + 1024]`; rows are 64 bytes apart.
    fn place(&mut self, operand: &str) -> &mut [u32] {
        let inner = operand.strip_prefix("[{").and_then(|rest| rest.strip_suffix(']')).expect("an address");
        let (name, rest) = inner.split_once("} + {stride}*1").expect("a base and a stride");
        let offset: usize = rest.strip_prefix(" + ").map_or(0, |offset| offset.parse().expect("bytes"));
        assert_eq!(name, "sums");
        &mut self.sums[offset / 4..]
    }

    fn load(&mut self, operand: &str) -> Tile {
        let rows =
            |lanes: &[u32]| std::array::from_fn(|row| *lanes[16 * row..].first_chunk().expect("a row"));
        let moved = self.moved / 4;
        match operand {
            "[{left} + {stride}*1]" => rows(&self.left[moved..]),
            "[{right0} + {stride}*1]" => rows(&self.rights[0][moved..]),
            "[{right1} + {stride}*1]" => rows(&self.rights[1][moved..]),
            "[{right2} + {stride}*1]" => rows(&self.rights[2][moved..]),
            "[{right3} + {stride}*1]" => rows(&self.rights[3][moved..]),
            _ => rows(self.place(operand)),
        }
    }

    fn run(&mut self, text: &[&str]) {
        for line in text {
            let (name, operands) = line.split_once(' ').expect("an instruction with operands");
            let operands: Vec<&str> = operands.split(", ").collect();
            match (name, &operands[..]) {
                ("tileloadd", [target, source]) => self.tiles[tile(target)] = self.load(source),
                ("tilestored", [target, source]) => {
                    let rows = self.tiles[tile(source)];
                    self.place(target)[..256].copy_from_slice(rows.as_flattened());
                }
                ("tdpbf16ps", [sums, left, right]) => {
                    let (left, right) = (self.tiles[tile(left)], self.tiles[tile(right)]);
                    add_products(&mut self.tiles[tile(sums)], &left, &right);
                }
                _ => unreachable!("{line}: no instruction of the loops"),
            }
        }
    }
}

/// A call as `Tiles::add_outer_products` does it.
fn interpret(call: &mut OuterProductsBf16<'_, '_>) {
    let of_group = sums_of_a_group(call.rights.len());
    for (rights, sums) in call.rights.chunks(of_group).zip(call.sums.chunks_mut(of_group)) {
        let [load, tile, store] = match rights.len() {
            1 => ONE_SUM,
            2 => TWO_SUMS,
            3 => THREE_SUMS,
            _ => FOUR_SUMS,
        };
        let mut machine = Machine {
            left: lanes(call.left),
            rights: rights.iter().map(|right| lanes(right)).collect(),
            sums: lanes(sums.as_flattened()).to_vec(),
            moved: 0,
            // What earlier calls leave.
            tiles: [[[0x7fc0_0000; 16]; 16]; 8],
        };
        machine.run(load);
        for index in 0..call.left.len() / PAIRS_OF_A_TILE {
            machine.moved = index * TILE_BYTES;
            machine.run(tile);
        }
        machine.run(store);
        bytemuck::cast_slice_mut(sums.as_flattened_mut()).copy_from_slice(&machine.sums);
    }
}

#[test]
fn interpreted_loops_give_the_sums_of_the_oracle() {
    for (seed, (pixels, rights)) in
        [(1, 1), (33, 2), (32, 3), (97, 4), (64, 5), (7, 9), (500, 6)].into_iter().enumerate()
    {
        check(
            &format!("{pixels} pixels, {rights} sums"),
            &Sides::new(seed as u64, pixels, rights),
            interpret,
        );
    }
}

#[test]
fn groups_of_sums_are_nearly_equal() {
    let groups = |sums: usize| {
        (0..sums).collect::<Vec<_>>().chunks(sums_of_a_group(sums)).map(<[_]>::len).collect::<Vec<_>>()
    };
    assert_eq!(groups(1), [1]);
    assert_eq!(groups(4), [4]);
    assert_eq!(groups(5), [3, 2]);
    assert_eq!(groups(6), [3, 3]);
    assert_eq!(groups(9), [3, 3, 3]);
    assert_eq!(groups(12), [4, 4, 4]);
}
