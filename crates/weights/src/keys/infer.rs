//! Family, scale and widths from a few tensors of a layout; whether the rest agrees is checked afterwards.

use super::Shapes;
use super::names::number_after;
use crate::error::TensorProblem;
use crate::model::KeyLayout;
use crate::spec::{Activation, Family, SpecParts};

/// Upsampling convolutions that are counted; a specification refuses fewer.
const MAX_COUNTED: usize = 64;

/// The parts of the specification that the shapes of a layout make.
///
/// # Errors
/// The tensors that are missing or have too few or too many dimensions.
pub(super) fn parts(layout: KeyLayout, shapes: &Shapes<'_>) -> Result<SpecParts, Vec<TensorProblem>> {
    match layout {
        KeyLayout::Compact => compact(shapes),
        _ => rrdb(layout, shapes),
    }
}

/// Looks shapes up and remembers what was wrong.
struct Lookup<'a> {
    shapes: &'a Shapes<'a>,
    problems: Vec<TensorProblem>,
}

impl Lookup<'_> {
    /// Outputs and inputs of a convolution.
    fn convolution(&mut self, key: &str) -> (usize, usize) {
        match self.shapes.get(key) {
            Some(&&[outputs, inputs, _, _]) => return (outputs, inputs),
            Some(found) => {
                let (key, found) = (key.to_owned(), found.to_vec());
                self.problems.push(TensorProblem::Rank { key, expected: 4, found });
            }
            None => self.problems.push(TensorProblem::Missing { key: key.to_owned(), shape: Vec::new() }),
        }
        (0, 0)
    }
}

fn rrdb(layout: KeyLayout, shapes: &Shapes<'_>) -> Result<SpecParts, Vec<TensorProblem>> {
    let (first, block, dense, last) = match layout {
        KeyLayout::Old => ("model.0.weight", "model.1.sub.", ".RDB1.conv1.0.weight", old_last(shapes)),
        KeyLayout::RrdbTrunk => {
            ("conv_first.weight", "RRDB_trunk.", ".RDB1.conv1.weight", "conv_last.weight".to_owned())
        }
        _ => ("conv_first.weight", "body.", ".rdb1.conv1.weight", "conv_last.weight".to_owned()),
    };
    let mut lookup = Lookup { shapes, problems: Vec::new() };
    let (num_features, first_inputs) = lookup.convolution(first);
    let (growth_channels, _) = lookup.convolution(&format!("{block}0{dense}"));
    let (out_channels, _) = lookup.convolution(&last);
    if !lookup.problems.is_empty() {
        return Err(lookup.problems);
    }
    let is_dense = |rest: &str| rest.to_ascii_lowercase().starts_with(".rdb");
    let blocks = shapes.keys().filter_map(|key| number_after(key, block).filter(|(_, rest)| is_dense(rest)));
    let num_blocks = blocks.map(|(number, _)| number).max().map_or(0, |last| last.saturating_add(1));
    let num_upsampling = num_upsampling(layout, shapes).min(MAX_COUNTED);
    let upsampling = vec![2; num_upsampling];
    let enlargement = 1usize.checked_shl(num_upsampling as u32).unwrap_or(usize::MAX);
    let is_plus = shapes.keys().any(|key| key.contains(".conv1x1."));
    let unshuffle = unshuffle(first_inputs, out_channels, enlargement);
    Ok(SpecParts {
        family: if is_plus { Family::EsrganPlus } else { Family::Rrdb },
        scale: enlargement / unshuffle,
        in_channels: first_inputs / (unshuffle * unshuffle),
        out_channels,
        num_features,
        num_blocks,
        growth_channels,
        unshuffle,
        upsampling,
        activation: Activation::LeakyRelu,
    })
}

/// The factor of the pixel-unshuffle: pictures that go in have as many channels as those that come out, so four or
/// sixteen times as many come from unshuffling by two or four.
fn unshuffle(inputs: usize, outputs: usize, enlargement: usize) -> usize {
    let factor = match inputs.checked_div(outputs) {
        Some(4) if inputs == 4 * outputs => 2,
        Some(16) if inputs == 16 * outputs => 4,
        _ => 1,
    };
    if enlargement.is_multiple_of(factor) { factor } else { 1 }
}

fn num_upsampling(layout: KeyLayout, shapes: &Shapes<'_>) -> usize {
    let prefix = match layout {
        KeyLayout::Old => {
            // Behind the trunk: the upsampling convolutions, and two more.
            return old_tail(shapes).count().saturating_sub(2);
        }
        KeyLayout::RrdbTrunk => "upconv",
        _ => "conv_up",
    };
    let numbers = shapes.keys().filter_map(|key| number_after(key, prefix));
    numbers.filter(|(_, rest)| *rest == ".weight").map(|(number, _)| number).max().unwrap_or(0)
}

/// Places of the convolutions behind the trunk in the old layout.
fn old_tail(shapes: &Shapes<'_>) -> impl Iterator<Item = usize> {
    let numbers = shapes.keys().filter_map(|key| number_after(key, "model."));
    numbers.filter(|(number, rest)| *number >= 2 && *rest == ".weight").map(|(number, _)| number)
}

fn old_last(shapes: &Shapes<'_>) -> String {
    // Without any, the place in the network of x4.
    format!("model.{}.weight", old_tail(shapes).max().unwrap_or(10))
}

fn compact(shapes: &Shapes<'_>) -> Result<SpecParts, Vec<TensorProblem>> {
    let convolutions = shapes.iter().filter(|(_, shape)| shape.len() == 4);
    let numbers = convolutions.filter_map(|(key, _)| number_after(key, "body."));
    let last = numbers.filter(|(_, rest)| *rest == ".weight").map(|(number, _)| number).max();
    // Of a network without any convolution, the shortest that could be meant.
    let last = last.unwrap_or(2).max(2);
    let mut lookup = Lookup { shapes, problems: Vec::new() };
    let (num_features, channels) = lookup.convolution("body.0.weight");
    let (outputs, _) = lookup.convolution(&format!("body.{last}.weight"));
    if !lookup.problems.is_empty() {
        return Err(lookup.problems);
    }
    // Where the outputs are no square times the channels, the nearest below; the last convolution is then misshapen.
    let scale = outputs.checked_div(channels).map_or(0, usize::isqrt).max(1);
    let has_slopes = shapes.contains_key("body.1.weight");
    Ok(SpecParts {
        family: Family::Compact,
        scale,
        in_channels: channels,
        out_channels: channels,
        num_features,
        num_blocks: last / 2 - 1,
        growth_channels: 0,
        unshuffle: 1,
        upsampling: Vec::new(),
        activation: if has_slopes { Activation::PRelu } else { Activation::LeakyRelu },
    })
}
