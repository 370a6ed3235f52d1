//! Times single rows of a dense block's convolutions, once verified to be finite: `cargo bench -p esrgan-kernels`.
//!
//! Prints, for each instruction set and layer shape, GFLOP/s of the best and of the median of many short runs: where they
//! differ much, other work was on the machine.

use std::time::Instant;

use esrgan_kernels::{ChannelBlock, ConvRow, Epilogue, Isa, Kernel, PackedConv, conv_row};

/// Runs of each shape.
const REPEATS: usize = 200;

fn main() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (inputs, out_channels, pixels) in [
            (vec![64], 32, 128),
            (vec![64, 32, 32], 32, 128),
            (vec![64, 32, 32, 32, 32], 64, 128),
            (vec![64, 32, 32, 32, 32], 64, 512),
            (vec![64], 3, 512),
        ] {
            let channels: usize = inputs.iter().sum();
            let weights: Vec<f32> = (0..channels * out_channels * 9).map(|i| (i % 7) as f32 * 0.01 - 0.03).collect();
            let packed = PackedConv::new(Kernel::CENTRED_3X3, &inputs, out_channels, &weights, None).expect("a shape");
            let blocks = packed.input_block_channels().len();
            let rows = vec![vec![ChannelBlock::splat(0.5); pixels + 2]; blocks * 3];
            let rows: Vec<&[ChannelBlock]> = rows.iter().map(Vec::as_slice).collect();
            let mut outputs = vec![vec![ChannelBlock::ZERO; pixels]; packed.out_blocks()];
            let mut seconds = Vec::new();
            for _ in 0..REPEATS {
                let start = Instant::now();
                conv_row(
                    isa,
                    ConvRow {
                        weights: &packed,
                        first_out_block: 0,
                        inputs: &rows,
                        pixels,
                        out_stride: 1,
                        epilogue: Epilogue::default(),
                        outputs: &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                    },
                );
                seconds.push(start.elapsed().as_secs_f64());
            }
            assert!(outputs.iter().flatten().all(|block| block.0.iter().all(|lane| lane.is_finite())));
            seconds.sort_by(f64::total_cmp);
            let gflop = 2.0 * (channels * out_channels * 9 * pixels) as f64 / 1e9;
            let (best, median) = (gflop / seconds[0], gflop / seconds[REPEATS / 2]);
            println!(
                "{isa:8} {channels:3} -> {out_channels:2} channels, {pixels:4} pixels: \
                 best {best:6.1}, median {median:6.1} GFLOP/s"
            );
        }
    }
}
