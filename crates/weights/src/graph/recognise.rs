//! Follows a graph's wiring and says which network it is, or which node is the first foreign one.
//!
//! Each value gets a role from the operation that made it and the roles of its inputs; an operation that fits no rule
//! is foreign. A convolution is known by what it reads and what reads it, never by its number in the file, so a graph
//! that merely has as many convolutions as RRDBNet is refused.

mod finish;
mod roles;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::{ChannelOrder, Graph, Node, Op, RESIDUAL_SCALE, RRDB_SLOPE, Site, ValueId, foreign, is_nominal};
use crate::{Activation, Tensor, WeightsError};

pub(crate) use finish::Recognised;
use roles::{Filling, Role, Slot};

#[derive(Default)]
struct Recogniser {
    roles: Vec<Role>,
    slots: BTreeMap<Slot, Filling>,
    unshuffle: Option<(usize, ChannelOrder)>,
    /// The factor before each upconv, whether or not conv_hr is behind it.
    upsampling: Vec<usize>,
    /// How many upconvs conv_hr is behind.
    upconvs: usize,
    num_blocks: Option<usize>,
    /// Per dense block, whether its concatenations hold ESRGAN+'s features; set by the first that can tell.
    bypassed: BTreeMap<usize, bool>,
    compact_activation: Option<Activation>,
    /// Whether 3x3 convolutions see the edge repeated; set by the first.
    repeats_edge: Option<bool>,
}

/// Reads the network out of a graph.
///
/// # Errors
/// An error that names the first node that belongs to no RRDB, ESRGAN+ or compact network, or the first tensor that
/// has another shape than its place asks for.
pub(crate) fn recognise(graph: &Graph) -> Result<Recognised, WeightsError> {
    let mut recogniser = Recogniser::default();
    for node in &graph.nodes {
        let role = recogniser.role(node)?;
        recogniser.roles.push(role);
    }
    let output = graph.nodes.get(graph.output).map(|node| &node.site).cloned().unwrap_or_default();
    match recogniser.roles.get(graph.output).copied() {
        Some(Role::Last) => recogniser.finish_rrdb(),
        Some(Role::CompactSum { index, factor }) => recogniser.finish_compact(index, factor, &output),
        _ => Err(foreign(
            &output,
            "the output of conv_last, or of a compact network's last addition, as the graph's output",
        )),
    }
}

impl Recogniser {
    fn role(&mut self, node: &Node) -> Result<Role, WeightsError> {
        let site = &node.site;
        match &node.op {
            Op::Picture if self.roles.is_empty() => Ok(Role::Picture),
            Op::Picture => Err(foreign(site, "one input")),
            Op::Convolve { input, weight, bias } => {
                let (slot, role) = self.convolve(site, *input, weight)?;
                self.fill(slot, site, weight, bias.as_ref())?;
                Ok(role)
            }
            Op::RepeatEdge { input } => Ok(Role::Ringed(*input)),
            Op::LeakyRelu { input, slope } => self.leaky_relu(site, *input, *slope),
            Op::PRelu { input, slopes } => self.prelu(site, *input, slopes),
            Op::Concatenate { inputs } => self.concatenate(site, inputs),
            Op::Add { left, right } => {
                let (left, right) = (self.roles[*left], self.roles[*right]);
                match self.add(&left, &right) {
                    Some(role) => Ok(role),
                    None => self
                        .add(&right, &left)
                        .ok_or_else(|| foreign(site, "an addition of a residual branch to its own input")),
                }
            }
            Op::Scale { input, factor } => self.scale(site, *input, *factor),
            Op::Enlarge { input, factor } => self.enlarge(site, *input, *factor),
            Op::Unshuffle { input, factor, order } => self.unshuffle(site, *input, *factor, *order),
            Op::Shuffle { input, factor } => match self.roles[*input] {
                Role::CompactRaw(index) => Ok(Role::CompactShuffled { index, factor: *factor }),
                _ => Err(foreign(site, "pixel shuffle only after a compact network's last convolution")),
            },
        }
    }

    /// Which slot a convolution fills, by what it reads.
    fn convolve(
        &mut self,
        site: &Site,
        input: ValueId,
        weight: &Tensor,
    ) -> Result<(Slot, Role), WeightsError> {
        let pointwise = weight.shape.get(2) == Some(&1);
        if pointwise {
            return match self.roles[input] {
                Role::Stream(block) => Ok((Slot::Bypass(block), Role::Bypass(block))),
                _ => {
                    Err(foreign(site, "a 3x3 convolution (1x1 only beside a dense block, as ESRGAN+ has it)"))
                }
            };
        }
        let (source, is_ringed) = match self.roles[input] {
            Role::Ringed(source) => (self.roles[source], true),
            role => (role, false),
        };
        if *self.repeats_edge.get_or_insert(is_ringed) != is_ringed {
            return Err(foreign(
                site,
                "one kind of padding, zeros or the edge repeated, throughout the network",
            ));
        }
        Ok(match source {
            Role::Picture if self.unshuffle.is_none() => (Slot::First, Role::Stream(0)),
            Role::Unshuffled => (Slot::First, Role::Stream(0)),
            Role::Stream(block) => (Slot::Dense { block, conv: 1 }, Role::Raw { block, conv: 1 }),
            Role::Joined { block, count } => {
                let conv = count + 1;
                (Slot::Dense { block, conv }, Role::Raw { block, conv })
            }
            Role::Enlarged { upconvs, factor } => {
                self.upsampling.push(factor);
                (Slot::Upconv(upconvs), Role::RawUpconv(upconvs))
            }
            Role::Features(upconvs) => {
                self.upconvs = upconvs;
                (Slot::Hr, Role::RawHr)
            }
            Role::Hr => (Slot::Last, Role::Last),
            Role::CompactActivated(index) => (Slot::Compact(index + 1), Role::CompactRaw(index + 1)),
            _ => {
                return Err(foreign(site, "a convolution where an RRDB or compact network has one"));
            }
        })
    }

    fn fill(
        &mut self,
        slot: Slot,
        site: &Site,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<(), WeightsError> {
        if self.slots.contains_key(&slot) {
            return Err(foreign(site, "one layer in this place of the network, not a second one"));
        }
        let filling = Filling { site: site.clone(), weight: weight.clone(), bias: bias.cloned() };
        self.slots.insert(slot, filling);
        Ok(())
    }

    fn leaky_relu(&mut self, site: &Site, input: ValueId, slope: f32) -> Result<Role, WeightsError> {
        let role = match self.roles[input] {
            Role::Raw { block, conv } if conv <= 4 => Role::Grown { block, conv },
            Role::RawUpconv(upconvs) => Role::Features(upconvs + 1),
            Role::RawHr => Role::Hr,
            Role::Stream(0) | Role::CompactRaw(_) => {
                if !is_nominal(slope, super::COMPACT_SLOPE) {
                    return Err(foreign(site, "a slope of 0.1, as compact networks with LeakyReLU have"));
                }
                return self.activate_compact(site, input, Activation::LeakyRelu);
            }
            _ => {
                return Err(foreign(site, "an activation only after a convolution that has one"));
            }
        };
        if !is_nominal(slope, RRDB_SLOPE) {
            return Err(foreign(site, "a slope of 0.2, as RRDB networks have"));
        }
        Ok(role)
    }

    fn prelu(&mut self, site: &Site, input: ValueId, slopes: &Tensor) -> Result<Role, WeightsError> {
        let role = self.activate_compact(site, input, Activation::PRelu)?;
        if let Role::CompactActivated(index) = role {
            self.fill(Slot::Slopes(index), site, slopes, None)?;
        }
        Ok(role)
    }

    fn activate_compact(
        &mut self,
        site: &Site,
        input: ValueId,
        kind: Activation,
    ) -> Result<Role, WeightsError> {
        let index = match self.roles[input] {
            Role::Stream(0) => 0,
            Role::CompactRaw(index) => index,
            _ => return Err(foreign(site, "PReLU only after a compact network's convolutions")),
        };
        match self.compact_activation {
            Some(other) if other != kind => {
                Err(foreign(site, "one kind of activation throughout the network"))
            }
            _ => {
                self.compact_activation = Some(kind);
                Ok(Role::CompactActivated(index))
            }
        }
    }

    fn concatenate(&mut self, site: &Site, inputs: &[ValueId]) -> Result<Role, WeightsError> {
        let refusal = || foreign(site, "a dense block's input and its features so far, in their order");
        let (&first, features) = inputs.split_first().ok_or_else(refusal)?;
        let Role::Stream(block) = self.roles[first] else {
            return Err(refusal());
        };
        if features.is_empty() || features.len() > 4 {
            return Err(refusal());
        }
        for (index, &feature) in features.iter().enumerate() {
            let conv = index + 1;
            let bypassed = match self.roles[feature] {
                Role::Grown { block: owner, conv: number } if (owner, number) == (block, conv) => false,
                Role::Bypassed { block: owner, conv: number } if (owner, number) == (block, conv) => true,
                _ => return Err(refusal()),
            };
            if conv % 2 == 0 && *self.bypassed.entry(block).or_insert(bypassed) != bypassed {
                return Err(refusal());
            }
        }
        Ok(Role::Joined { block, count: features.len() })
    }

    /// The sums a network has, with the branch first; `None` for any other.
    fn add(&mut self, branch: &Role, base: &Role) -> Option<Role> {
        let bypassed = |block: usize, conv: usize| Some(Role::Bypassed { block, conv });
        let sum = |index: usize, factor: usize| Some(Role::CompactSum { index, factor });
        match (*branch, *base) {
            (Role::Grown { block, conv: 2 }, Role::Bypass(owner)) if block == owner => bypassed(block, 2),
            (Role::Grown { block, conv: 4 }, Role::Bypassed { block: owner, conv: 2 }) if block == owner => {
                bypassed(block, 4)
            }
            (Role::ScaledDense(block), Role::Stream(owner)) if block == owner => Some(match block % 3 {
                2 => Role::Third(block / 3),
                _ => Role::Stream(block + 1),
            }),
            (Role::ScaledThird(rrdb), Role::Stream(block)) if rrdb * 3 == block => {
                Some(Role::Stream(block + 3))
            }
            (Role::Raw { block, conv: 1 }, Role::Stream(0)) => self.end_trunk(block),
            (Role::CompactShuffled { index, factor }, Role::EnlargedPicture(enlarged))
                if factor == enlarged =>
            {
                sum(index, factor)
            }
            // At scale 1 neither the shuffle nor the enlargement changes anything, and files leave them out.
            (Role::CompactRaw(index), Role::Picture) => sum(index, 1),
            _ => None,
        }
    }

    /// What looked like conv1 of dense block `block` is conv_body: its sum with the trunk's input says so.
    fn end_trunk(&mut self, block: usize) -> Option<Role> {
        if self.num_blocks.is_some() || block == 0 || !block.is_multiple_of(3) {
            return None;
        }
        let body = self.slots.remove(&Slot::Dense { block, conv: 1 })?;
        self.slots.insert(Slot::Body, body);
        self.num_blocks = Some(block / 3);
        Some(Role::Features(0))
    }

    fn scale(&mut self, site: &Site, input: ValueId, factor: f32) -> Result<Role, WeightsError> {
        if !is_nominal(factor, RESIDUAL_SCALE) {
            return Err(foreign(site, "a residual scale of 0.2"));
        }
        match self.roles[input] {
            Role::Raw { block, conv: 5 } => Ok(Role::ScaledDense(block)),
            Role::Third(rrdb) => Ok(Role::ScaledThird(rrdb)),
            _ => Err(foreign(site, "a residual scale only at the end of a dense block or of an RRDB")),
        }
    }

    fn enlarge(&mut self, site: &Site, input: ValueId, factor: usize) -> Result<Role, WeightsError> {
        match self.roles[input] {
            Role::Features(upconvs) => Ok(Role::Enlarged { upconvs, factor }),
            Role::Picture if self.unshuffle.is_none() => Ok(Role::EnlargedPicture(factor)),
            _ => Err(foreign(
                site,
                "an enlargement of features after the trunk, or of a compact network's input",
            )),
        }
    }

    fn unshuffle(
        &mut self,
        site: &Site,
        input: ValueId,
        factor: usize,
        order: ChannelOrder,
    ) -> Result<Role, WeightsError> {
        if self.roles[input] != Role::Picture || self.unshuffle.is_some() || !self.slots.is_empty() {
            return Err(foreign(site, "pixel unshuffle only of the input"));
        }
        self.unshuffle = Some((factor, order));
        Ok(Role::Unshuffled)
    }
}
