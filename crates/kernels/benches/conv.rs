//! Times single rows of a dense block's convolutions: `cargo bench -p esrgan-kernels`.
//!
//! Prints, for each instruction set and layer shape, GFLOP/s of the best and of the median of many short runs: where they
//! differ much, other work was on the machine. Operations are counted as the direct convolution's, so that all ways can
//! be compared. What is timed is what the tests hold against the oracle.

use std::time::Instant;

use esrgan_kernels::{
    ChannelBlock, ConvRow, ConvRowBf16, Epilogue, Isa, Kernel, PackedConv, conv_row, conv_row_bf16, pair_row,
    paired_blocks_for, transform_row, transformed_length,
};

/// Runs of each shape.
const REPEATS: usize = 200;

fn main() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (in_channels, out_channels, pixels) in
            [(64, 32, 128), (128, 32, 128), (192, 64, 128), (192, 64, 512), (64, 3, 512)]
        {
            for transformed in [false, true] {
                time(isa, in_channels, out_channels, pixels, transformed);
            }
            time_bf16(isa, in_channels, out_channels, pixels);
        }
        let input = vec![ChannelBlock::splat(0.5); 514];
        let mut output = vec![ChannelBlock::ZERO; transformed_length(512)];
        let seconds = median((0..REPEATS).map(|_| {
            let start = Instant::now();
            transform_row(isa, &input, &mut output);
            start.elapsed().as_secs_f64()
        }));
        println!("{isa:11} transform of 512 pixels, 16 channels: {:.1} µs", seconds.1 * 1e6);
    }
}

/// Best and median.
fn median(seconds: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut seconds: Vec<f64> = seconds.collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

fn time(isa: Isa, in_channels: usize, out_channels: usize, pixels: usize, transformed: bool) {
    let weights: Vec<f32> =
        (0..in_channels * out_channels * 9).map(|i| (i % 7) as f32 * 0.01 - 0.03).collect();
    let packed = if transformed {
        PackedConv::new_over_transformed(&[in_channels], out_channels, &weights, None)
    } else {
        PackedConv::new(Kernel::CENTRED_3X3, &[in_channels], out_channels, &weights, None)
    };
    let packed = packed.expect("as many weights as the shape says");
    let length = if transformed { transformed_length(pixels) } else { pixels + 2 };
    let rows = vec![vec![ChannelBlock::splat(0.5); length]; packed.input_block_channels().len() * 3];
    let rows: Vec<&[ChannelBlock]> = rows.iter().map(Vec::as_slice).collect();
    let mut outputs = vec![vec![ChannelBlock::ZERO; pixels]; packed.out_blocks()];
    let (best, middle) = median((0..REPEATS).map(|_| {
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
        start.elapsed().as_secs_f64()
    }));
    assert!(outputs.iter().flatten().all(|block| block.0.iter().all(|lane| lane.is_finite())));
    let way = if transformed { "transformed" } else { "direct" };
    report(isa, (in_channels, out_channels, pixels), way, (best, middle));
}

/// Times the convolution of paired rows to a paired row, as between the layers of a dense block.
fn time_bf16(isa: Isa, in_channels: usize, out_channels: usize, pixels: usize) {
    let weights: Vec<f32> =
        (0..in_channels * out_channels * 9).map(|i| (i % 7) as f32 * 0.01 - 0.03).collect();
    let packed = PackedConv::new_bf16(Kernel::CENTRED_3X3, &[in_channels], out_channels, &weights, None)
        .expect("as many weights as the shape says");
    let floats = vec![ChannelBlock::splat(0.5); pixels + 2];
    let mut row = vec![ChannelBlock::ZERO; pixels + 2];
    pair_row(isa, &[&floats, &floats], &mut row);
    let rows = vec![&row[..]; packed.input_block_channels().len() * 3];
    let mut outputs = vec![vec![ChannelBlock::ZERO; pixels]; paired_blocks_for(out_channels)];
    let seconds = median((0..REPEATS).map(|_| {
        let start = Instant::now();
        conv_row_bf16(
            isa,
            ConvRowBf16 {
                weights: &packed,
                first_out_block: 0,
                inputs: &rows,
                pixels,
                out_stride: 1,
                epilogue: Epilogue::default(),
                outputs: &mut [],
                paired_outputs: &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
            },
        );
        start.elapsed().as_secs_f64()
    }));
    report(isa, (in_channels, out_channels, pixels), "bf16", seconds);
}

fn report(
    isa: Isa,
    (in_channels, out_channels, pixels): (usize, usize, usize),
    way: &str,
    (best, middle): (f64, f64),
) {
    let gflop = 2.0 * (in_channels * out_channels * 9 * pixels) as f64 / 1e9;
    println!(
        "{isa:11} {in_channels:3} -> {out_channels:2} channels, {pixels:4} pixels, {way:11}: best {:6.1}, median {:6.1} GFLOP/s",
        gflop / best,
        gflop / middle
    );
}
