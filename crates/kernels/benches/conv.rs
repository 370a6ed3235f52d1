//! Times the convolutions of a dense block: `cargo bench -p esrgan-kernels`.
//!
//! Prints, for each instruction set and layer shape, GFLOP/s of the best and of the median of many short runs: where they
//! differ much, other work was on the machine. Operations are counted as the direct convolution's, so that both ways can
//! be compared. What is timed is what the tests hold against the oracle.

use std::time::Instant;

use esrgan_kernels::{
    Arena, ChannelBlock, ConvRow, ConvRowBf16, ConvSegment, Epilogue, Isa, Kernel, PackedConv, PackedKind,
    TransformSegment, conv_row, conv_row_bf16, conv_segment, pair_row, paired_blocks_for, segment_length,
    transform_segment,
};

/// Runs of each shape.
const REPEATS: usize = 200;
/// Pixels of the row: a full segment of tiles.
const PIXELS: usize = 128;

fn main() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (in_channels, out_channels) in [(64, 32), (128, 32), (192, 64), (64, 3)] {
            direct(isa, in_channels, out_channels);
            transformed(isa, in_channels, out_channels);
            bf16(isa, in_channels, out_channels);
        }
        transform(isa);
    }
}

/// Best and median.
fn times(mut run: impl FnMut()) -> (f64, f64) {
    let mut seconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    (seconds[0], seconds[seconds.len() / 2])
}

fn report(
    isa: Isa,
    what: &str,
    (in_channels, out_channels): (usize, usize),
    rows: usize,
    seconds: (f64, f64),
) {
    let gflop = 2.0 * (in_channels * out_channels * 9 * PIXELS * rows) as f64 / 1e9;
    println!(
        "{isa:11} {in_channels:3} -> {out_channels:2} channels, {what:11}: best {:6.1}, median {:6.1} GFLOP/s",
        gflop / seconds.0,
        gflop / seconds.1
    );
}

fn weights(in_channels: usize, out_channels: usize) -> Vec<f32> {
    (0..in_channels * out_channels * 9).map(|i| (i % 7) as f32 * 0.01 - 0.03).collect()
}

/// One row of pixels.
fn direct(isa: Isa, in_channels: usize, out_channels: usize) {
    let weights = weights(in_channels, out_channels);
    let packed = PackedConv::new(Kernel::CENTRED_3X3, &[in_channels], out_channels, &weights, None)
        .expect("as many weights as the shape says");
    let rows = vec![vec![ChannelBlock::splat(0.5); PIXELS + 2]; packed.input_block_channels().len() * 3];
    let rows: Vec<&[ChannelBlock]> = rows.iter().map(Vec::as_slice).collect();
    let mut outputs = vec![vec![ChannelBlock::ZERO; PIXELS]; packed.out_blocks()];
    let seconds = times(|| {
        let mut outputs: Vec<&mut [ChannelBlock]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let row = ConvRow {
            weights: &packed,
            first_out_block: 0,
            inputs: &rows,
            pixels: PIXELS,
            out_stride: 1,
            epilogue: Epilogue::default(),
            outputs: &mut outputs,
        };
        conv_row(isa, row);
    });
    report(isa, "direct", (in_channels, out_channels), 1, seconds);
}

/// One row of tiles: four rows of pixels.
fn transformed(isa: Isa, in_channels: usize, out_channels: usize) {
    let (kind, kernel) = (PackedKind::OverTransformed, Kernel::CENTRED_3X3);
    let arena = Arena::new(PackedConv::weight_blocks(kind, kernel, &[in_channels], out_channels));
    let weights = weights(in_channels, out_channels);
    let packed = PackedConv::new_over_transformed(&arena, &[in_channels], out_channels, &weights, None)
        .expect("as many weights as the shape says");
    let input = vec![ChannelBlock::splat(0.5); segment_length(PIXELS)];
    let inputs = vec![&input[..]; packed.input_block_channels().len()];
    let mut outputs = vec![vec![ChannelBlock::ZERO; PIXELS]; packed.out_blocks() * 4];
    let seconds = times(|| {
        for (pair, outputs) in outputs.chunks_mut(8).enumerate() {
            let mut outputs: Vec<&mut [ChannelBlock]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            let call = ConvSegment {
                weights: &packed,
                first_out_block: pair * 2,
                inputs: &inputs,
                pixels: PIXELS,
                rows: 4,
                epilogue: Epilogue::default(),
                outputs: &mut outputs,
            };
            conv_segment(isa, call);
        }
    });
    report(isa, "transformed", (in_channels, out_channels), 4, seconds);
}

/// One row of pixels, in bf16.
fn bf16(isa: Isa, in_channels: usize, out_channels: usize) {
    let weights = weights(in_channels, out_channels);
    let packed = PackedConv::new_bf16(Kernel::CENTRED_3X3, &[in_channels], out_channels, &weights, None)
        .expect("as many weights as the shape says");
    let floats = vec![ChannelBlock::splat(0.5); PIXELS + 2];
    let mut row = vec![ChannelBlock::ZERO; PIXELS + 2];
    pair_row(isa, &[&floats, &floats], &mut row);
    let rows = vec![&row[..]; packed.input_block_channels().len() * 3];
    let mut outputs = vec![vec![ChannelBlock::ZERO; PIXELS]; paired_blocks_for(out_channels)];
    let seconds = times(|| {
        let mut outputs: Vec<&mut [ChannelBlock]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let row = ConvRowBf16 {
            weights: &packed,
            first_out_block: 0,
            inputs: &rows,
            pixels: PIXELS,
            out_stride: 1,
            epilogue: Epilogue::default(),
            outputs: &mut [],
            paired_outputs: &mut outputs,
        };
        conv_row_bf16(isa, row);
    });
    report(isa, "bf16", (in_channels, out_channels), 1, seconds);
}

/// The transform of a segment.
fn transform(isa: Isa) {
    let row = vec![ChannelBlock::splat(0.5); PIXELS + 2];
    let mut output = vec![ChannelBlock::ZERO; segment_length(PIXELS)];
    let seconds = times(|| {
        let segment = TransformSegment {
            rows: [Some(&row[..]); 6],
            factor: 1,
            pixels: 0..PIXELS,
            first_tile: 0,
            output: &mut output,
        };
        transform_segment(isa, segment);
    });
    println!("{isa:11} transform of {PIXELS} x 4 pixels, 16 channels: {:.1} µs", seconds.1 * 1e6);
}
