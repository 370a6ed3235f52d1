//! From the filled places of a recognised network to its checked spec and named tensors.
//!
//! Every width is read off one tensor, and every other tensor must agree with it.

use std::collections::BTreeMap;

use super::super::{ChannelOrder, Site, body_conv, foreign};
use super::Recogniser;
use super::roles::Slot;
use crate::{Activation, Family, ModelSpec, SpecParts, Tensor, WeightMap, WeightsError};

/// A network read from a graph.
#[derive(Debug)]
pub(crate) struct Recognised {
    /// What it is.
    pub spec: ModelSpec,
    /// Its tensors under their canonical names, in the spec's order.
    pub weights: WeightMap,
    /// Whether its 3x3 convolutions see the edge repeated instead of zeros.
    pub repeats_edge: bool,
}

impl Recogniser {
    /// The network whose conv_last makes the output.
    pub(super) fn finish_rrdb(mut self) -> Result<Recognised, WeightsError> {
        let num_blocks = self.num_blocks.unwrap_or(0);
        let is_plus = self.slots.keys().any(|slot| matches!(slot, Slot::Bypass(_)));
        for block in 0..3 * num_blocks {
            if self.bypassed.get(&block) != Some(&is_plus) {
                let last = self.slots.get(&Slot::Dense { block, conv: 5 });
                let site = last.map(|filling| filling.site.clone()).unwrap_or_default();
                return Err(foreign(&site, "ESRGAN+'s bypass in every dense block or in none"));
            }
        }
        let (unshuffle, order) = self.unshuffle.unwrap_or((1, ChannelOrder::ChannelFirst));
        self.upsampling.truncate(self.upconvs);
        let enlargement =
            self.upsampling.iter().fold(1usize, |product, &factor| product.saturating_mul(factor));
        let spec = ModelSpec::new(SpecParts {
            family: if is_plus { Family::EsrganPlus } else { Family::Rrdb },
            scale: enlargement / unshuffle,
            in_channels: self.side(Slot::First, 1) / (unshuffle * unshuffle),
            out_channels: self.side(Slot::Last, 0),
            num_features: self.side(Slot::First, 0),
            num_blocks,
            growth_channels: self.side(Slot::Dense { block: 0, conv: 1 }, 0),
            unshuffle,
            upsampling: self.upsampling.clone(),
            activation: Activation::LeakyRelu,
        })?;
        if let (ChannelOrder::PositionFirst, Some(first)) = (order, self.slots.get_mut(&Slot::First)) {
            first.weight = channels_first(&first.weight, unshuffle * unshuffle)?;
        }
        self.named(spec)
    }

    /// The compact network whose convolution `last` comes before its shuffle by `scale`.
    pub(super) fn finish_compact(
        self,
        last: usize,
        scale: usize,
        output: &Site,
    ) -> Result<Recognised, WeightsError> {
        let Some(activation) = self.compact_activation else {
            return Err(foreign(output, "a compact network's activations"));
        };
        let channels = self.side(Slot::First, 1);
        let spec = ModelSpec::new(SpecParts {
            family: Family::Compact,
            scale,
            in_channels: channels,
            out_channels: channels,
            num_features: self.side(Slot::First, 0),
            num_blocks: last - 1,
            growth_channels: 0,
            unshuffle: 1,
            upsampling: vec![],
            activation,
        })?;
        self.named(spec)
    }

    /// The tensors that the spec asks for, each of its shape and none besides.
    fn named(self, spec: ModelSpec) -> Result<Recognised, WeightsError> {
        let mut found: BTreeMap<String, (Site, Tensor)> = BTreeMap::new();
        for (slot, filling) in self.slots {
            let layer = name(slot, spec.family());
            if let Some(bias) = filling.bias {
                found.insert(format!("{layer}.bias"), (filling.site.clone(), bias));
            }
            found.insert(format!("{layer}.weight"), (filling.site, filling.weight));
        }
        let mut weights = WeightMap::new();
        let mut last = Site::default();
        for (tensor, expected) in spec.tensors() {
            let Some((site, value)) = found.remove(&tensor) else {
                // Every layer was found, so what is missing is the bias of the one before.
                return Err(foreign(&last, &format!("`{tensor}` of shape {expected:?}")));
            };
            if value.shape != expected {
                let shape = value.shape;
                return Err(foreign(&site, &format!("`{tensor}` of shape {expected:?}, not {shape:?}")));
            }
            weights.insert(tensor, value);
            last = site;
        }
        match found.pop_first() {
            Some((tensor, (site, _))) => {
                Err(foreign(&site, &format!("only layers that lead to the output, not `{tensor}`")))
            }
            None => Ok(Recognised { spec, weights, repeats_edge: self.repeats_edge == Some(true) }),
        }
    }

    /// The length of one axis of a convolution's weights; 0, which no spec allows, where there are none.
    fn side(&self, slot: Slot, axis: usize) -> usize {
        let shape = self.slots.get(&slot).map(|filling| &filling.weight.shape);
        shape.and_then(|shape| shape.get(axis)).copied().unwrap_or(0)
    }
}

fn name(slot: Slot, family: Family) -> String {
    match slot {
        Slot::First if family == Family::Compact => "body.0".to_owned(),
        Slot::First => "conv_first".to_owned(),
        Slot::Dense { block, conv } => body_conv(block / 3, block % 3, conv),
        Slot::Bypass(block) => format!("body.{}.rdb{}.conv1x1", block / 3, block % 3 + 1),
        Slot::Body => "conv_body".to_owned(),
        Slot::Upconv(number) => format!("conv_up{}", number + 1),
        Slot::Hr => "conv_hr".to_owned(),
        Slot::Last => "conv_last".to_owned(),
        Slot::Compact(index) => format!("body.{}", 2 * index),
        Slot::Slopes(index) => format!("body.{}", 2 * index + 1),
    }
}

/// Weights `[out, positions * channels, k, k]` with their input channels put in PyTorch's order of pixel unshuffle.
fn channels_first(weight: &Tensor, positions: usize) -> Result<Tensor, WeightsError> {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    let channels = inputs / positions;
    if channels * positions != inputs {
        return Ok(weight.clone()); // of a wrong shape, which is refused with the others
    }
    let bytes = weight.bytes();
    let slice_bytes = bytes.len() / (outputs * inputs).max(1);
    let mut ordered = Vec::with_capacity(bytes.len());
    for output in 0..outputs {
        for input in 0..inputs {
            let (channel, position) = (input / positions, input % positions);
            let start = (output * inputs + position * channels + channel) * slice_bytes;
            ordered.extend_from_slice(&bytes[start..start + slice_bytes]);
        }
    }
    Tensor::new(weight.shape.clone(), weight.dtype, ordered)
}
