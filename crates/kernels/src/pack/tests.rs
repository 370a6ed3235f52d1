//! Packing: what the kernels' own tests do not see.

use super::*;
use crate::conv::tests::Values;
use crate::transform::Lanes;

const INPUTS: [usize; 3] = [17, 8, 32];
const IN_CHANNELS: usize = 17 + 8 + 32;

fn over_transformed(weights: &[f32], biases: &[f32]) -> PackedConv {
    let kind = PackedKind::OverTransformed;
    let blocks = PackedConv::weight_blocks(kind, Kernel::CENTRED_3X3, &INPUTS, biases.len());
    PackedConv::new_over_transformed(&Arena::new(blocks), &INPUTS, biases.len(), weights, Some(biases))
        .unwrap()
}

#[test]
fn parts_join_to_the_whole() {
    for out_channels in [1, 16, 24, 32, 48, 63] {
        let mut values = Values(out_channels as u64);
        let weights = values.vec(out_channels * IN_CHANNELS * 9);
        let biases = values.vec(out_channels);
        let whole = over_transformed(&weights, &biases);
        let part = |first: usize| {
            let outputs = first..out_channels.min(first + CHANNELS_PER_BLOCK);
            let weights = &weights[outputs.start * IN_CHANNELS * 9..outputs.end * IN_CHANNELS * 9];
            over_transformed(weights, &biases[outputs])
        };
        let mut joined = part(0);
        (CHANNELS_PER_BLOCK..out_channels)
            .step_by(CHANNELS_PER_BLOCK)
            .for_each(|first| joined.join(part(first)));
        assert_eq!(
            (joined.out_channels(), joined.out_blocks(), joined.size_bytes()),
            (whole.out_channels(), whole.out_blocks(), whole.size_bytes())
        );
        for block in 0..whole.out_blocks() {
            assert_eq!(joined.bias(block), whole.bias(block));
            for component in 0..COMPONENTS {
                assert_eq!(joined.panel(block, component), whole.panel(block, component));
            }
        }
    }
}

#[test]
#[should_panic(expected = "3 output channels, and more behind them")]
fn nothing_is_joined_behind_padding_lanes() {
    let packed = || PackedConv::new(Kernel::POINTWISE, &[1], 3, &[0.5; 3], None).unwrap();
    packed().join(packed());
}

#[test]
#[should_panic(expected = "parts of one convolution")]
fn parts_of_other_convolutions_are_refused() {
    let packed = |in_channels: usize| {
        PackedConv::new(Kernel::POINTWISE, &[in_channels], 16, &vec![0.5; 16 * in_channels], None).unwrap()
    };
    packed(1).join(packed(2));
}

#[test]
fn the_size_is_known_before_packing() {
    for out_channels in [3, 16, 40] {
        let bias_bytes = blocks_for(out_channels) * size_of::<ChannelBlock>();
        let weights = vec![0.5; out_channels * IN_CHANNELS * 9];
        let arena_blocks = |kind, kernel| PackedConv::weight_blocks(kind, kernel, &INPUTS, out_channels);
        let size = |packed: PackedConv| packed.size_bytes() - bias_bytes;
        let centred = Kernel::CENTRED_3X3;
        assert_eq!(
            size(PackedConv::new(centred, &INPUTS, out_channels, &weights, None).unwrap()),
            arena_blocks(PackedKind::Direct, centred) * size_of::<ChannelBlock>()
        );
        assert_eq!(
            size(over_transformed(&weights, &vec![0.0; out_channels])),
            arena_blocks(PackedKind::OverTransformed, centred) * size_of::<ChannelBlock>()
        );
        let phase = (1, 0);
        let upsampled =
            PackedConv::new_upsampled_bf16(2, phase, &INPUTS, out_channels, &weights, None).unwrap();
        assert_eq!(upsampled.kernel(), Kernel::of_phase(2, phase));
        assert_eq!(
            size(upsampled),
            arena_blocks(PackedKind::Bf16, Kernel::of_phase(2, phase)) * size_of::<ChannelBlock>()
        );
    }
}

#[test]
fn filters_are_transformed_to_the_same_bits_by_every_set() {
    let mut values = Values(5);
    let taps: [Lanes; 9] = std::array::from_fn(|_| {
        let taps = values.vec(CHANNELS_PER_BLOCK);
        std::array::from_fn(|lane| f64::from(taps[lane]))
    });
    let mut expected = [ChannelBlock::ZERO; COMPONENTS];
    transform_filters(Isa::Portable, &taps, &mut expected);
    // The first component is the first tap, the last one the last tap: G's first and last row.
    assert_eq!((expected[0].0[3], expected[COMPONENTS - 1].0[3]), (taps[0][3] as f32, taps[8][3] as f32));
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut components = [ChannelBlock::splat(f32::NAN); COMPONENTS];
        transform_filters(isa, &taps, &mut components);
        assert_eq!(components, expected, "{isa}");
    }
}
