//! The parts that values and weights play in a network.

use super::super::{Site, ValueId};
use crate::Tensor;

/// What a value is, in the terms of the network. Dense blocks count from 0 through all RRDBs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Picture,
    /// A value with its edge repeated around it.
    Ringed(ValueId),
    Unshuffled,
    /// A dense block's input; `Stream(0)` is what conv_first makes.
    Stream(usize),
    /// A convolution of a dense block before its activation (conv1..conv5). conv_body looks like conv1 until its sum.
    Raw {
        block: usize,
        conv: usize,
    },
    /// The same after its activation.
    Grown {
        block: usize,
        conv: usize,
    },
    /// ESRGAN+: what conv1x1 makes.
    Bypass(usize),
    /// ESRGAN+: features 2 and 4 after their additions.
    Bypassed {
        block: usize,
        conv: usize,
    },
    /// A dense block's input and its first `count` features.
    Joined {
        block: usize,
        count: usize,
    },
    /// conv5 times the residual scale.
    ScaledDense(usize),
    /// What the third dense block of an RRDB makes.
    Third(usize),
    /// The same times the residual scale.
    ScaledThird(usize),
    /// Features after the trunk and this many upconvs.
    Features(usize),
    Enlarged {
        upconvs: usize,
        factor: usize,
    },
    RawUpconv(usize),
    RawHr,
    Hr,
    Last,
    /// Compact: after convolution `index` and before its activation.
    CompactRaw(usize),
    CompactActivated(usize),
    CompactShuffled {
        index: usize,
        factor: usize,
    },
    EnlargedPicture(usize),
    CompactSum {
        index: usize,
        factor: usize,
    },
}

/// Which convolution or activation of the network a tensor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    First,
    Dense { block: usize, conv: usize },
    Bypass(usize),
    Body,
    Upconv(usize),
    Hr,
    Last,
    Compact(usize),
    Slopes(usize),
}

/// What a slot holds, and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Filling {
    pub site: Site,
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}
