//! What a network is: family, scale, widths. Checked once; every holder of a [`ModelSpec`] may rely on it.
//!
//! What lives here: the rules that widths obey and the list of tensors that follows from them. What does not: how files
//! name those tensors (`layout`).

use crate::error::WeightsError;

/// Channels of a picture at most; a picture has up to four, a model of depth maps or masks a few more.
const MAX_PICTURE_CHANNELS: usize = 64;
/// Features and growth channels at most, sixteen times the widest published network.
const MAX_FEATURES: usize = 1024;
/// Blocks at most, twenty times the deepest published network.
const MAX_BLOCKS: usize = 512;
/// Scale at most.
const MAX_SCALE: usize = 16;

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// RRDBNet of ESRGAN (Wang et al. 2018).
    Rrdb,
    /// RRDBNet with a 1x1 bypass in each dense block (ESRGAN+, Rakotonirina and Rasoanaivo 2020).
    EsrganPlus,
    /// SRVGGNetCompact of Real-ESRGAN.
    Compact,
}

impl Family {
    /// Its name: `rrdb`, `esrgan_plus`, `compact`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rrdb => "rrdb",
            Self::EsrganPlus => "esrgan_plus",
            Self::Compact => "compact",
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands between the convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// A learned slope for each channel; compact networks only.
    PRelu,
    /// A fixed slope: 0.2 in RRDB networks, 0.1 in compact ones.
    LeakyRelu,
}

/// The parts of a [`ModelSpec`], before they are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecParts {
    /// The kind of network.
    pub family: Family,
    /// Output pixels for one input pixel, along one side.
    pub scale: usize,
    /// Channels of the picture that goes in.
    pub in_channels: usize,
    /// Channels of the picture that comes out.
    pub out_channels: usize,
    /// Channels of the trunk.
    pub num_features: usize,
    /// RRDBs; in a compact network, the convolutions between the first and the last.
    pub num_blocks: usize,
    /// Channels that a dense block's convolution adds; 0 in a compact network.
    pub growth_channels: usize,
    /// The factor of the pixel-unshuffle before the first convolution: 1, 2 or 4.
    pub unshuffle: usize,
    /// The factor of each upsampling convolution, 2 or 3; empty in a compact network.
    pub upsampling: Vec<usize>,
    /// What stands between the convolutions.
    pub activation: Activation,
}

/// What a network is; no value of this type is contradictory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    parts: SpecParts,
}

impl ModelSpec {
    /// Checks the parts.
    ///
    /// # Errors
    /// [`WeightsError::Spec`] where a width is zero or beyond all reason, or the scale is not what the upsampling makes.
    pub fn new(parts: SpecParts) -> Result<Self, WeightsError> {
        let is_compact = parts.family == Family::Compact;
        within("input channels", parts.in_channels, 1, MAX_PICTURE_CHANNELS)?;
        within("output channels", parts.out_channels, 1, MAX_PICTURE_CHANNELS)?;
        within("features", parts.num_features, 1, MAX_FEATURES)?;
        within("blocks", parts.num_blocks, usize::from(!is_compact), MAX_BLOCKS)?;
        within("scale", parts.scale, 1, MAX_SCALE)?;
        if is_compact {
            within("growth channels of a compact network", parts.growth_channels, 0, 0)?;
            within("unshuffle of a compact network", parts.unshuffle, 1, 1)?;
            within("upsampling convolutions of a compact network", parts.upsampling.len(), 0, 0)?;
            // The picture is added to the result, channel by channel.
            within(
                "output channels of a compact network",
                parts.out_channels,
                parts.in_channels,
                parts.in_channels,
            )?;
            return Ok(Self { parts });
        }
        within("growth channels", parts.growth_channels, 1, MAX_FEATURES)?;
        if ![1, 2, 4].contains(&parts.unshuffle) {
            return Err(refusal("unshuffle", "1, 2 or 4", parts.unshuffle));
        }
        if parts.activation != Activation::LeakyRelu {
            let (field, expected) = ("activation of an RRDB network", "LeakyRelu".to_owned());
            return Err(WeightsError::Spec { field, expected, found: format!("{:?}", parts.activation) });
        }
        // 16 * 4: the largest scale after the largest unshuffle; each factor is at least 2.
        within("upsampling convolutions", parts.upsampling.len(), 0, 6)?;
        for &factor in &parts.upsampling {
            within("factor of an upsampling convolution", factor, 2, 3)?;
        }
        let enlargement: usize = parts.upsampling.iter().product();
        if enlargement != parts.scale * parts.unshuffle {
            let expected = format!("{} (the upsampling) / {} (the unshuffle)", enlargement, parts.unshuffle);
            return Err(refusal("scale", expected, parts.scale));
        }
        Ok(Self { parts })
    }

    /// The kind of network.
    pub fn family(&self) -> Family {
        self.parts.family
    }

    /// Output pixels for one input pixel, along one side.
    pub fn scale(&self) -> usize {
        self.parts.scale
    }

    /// Channels of the picture that goes in.
    pub fn in_channels(&self) -> usize {
        self.parts.in_channels
    }

    /// Channels of the picture that comes out.
    pub fn out_channels(&self) -> usize {
        self.parts.out_channels
    }

    /// Channels of the trunk.
    pub fn num_features(&self) -> usize {
        self.parts.num_features
    }

    /// RRDBs; in a compact network, the convolutions between the first and the last.
    pub fn num_blocks(&self) -> usize {
        self.parts.num_blocks
    }

    /// Channels that a dense block's convolution adds; 0 in a compact network.
    pub fn growth_channels(&self) -> usize {
        self.parts.growth_channels
    }

    /// The factor of the pixel-unshuffle before the first convolution: 1, 2 or 4.
    pub fn unshuffle(&self) -> usize {
        self.parts.unshuffle
    }

    /// The factor of each upsampling convolution; empty in a compact network.
    pub fn upsampling(&self) -> &[usize] {
        &self.parts.upsampling
    }

    /// What stands between the convolutions.
    pub fn activation(&self) -> Activation {
        self.parts.activation
    }

    /// The parts, to make a changed specification of.
    pub fn to_parts(&self) -> SpecParts {
        self.parts.clone()
    }

    /// Every tensor's canonical name and exact shape, in the order of the network.
    ///
    /// Names are BasicSR's; of ESRGAN+, `conv1x1` follows a dense block's `conv5`.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = TensorList::default();
        match self.family() {
            Family::Compact => self.compact_tensors(&mut list),
            Family::Rrdb | Family::EsrganPlus => self.rrdb_tensors(&mut list),
        }
        list.0
    }

    fn rrdb_tensors(&self, list: &mut TensorList) {
        let (features, growth) = (self.num_features(), self.growth_channels());
        let unshuffled = self.in_channels() * self.unshuffle() * self.unshuffle();
        list.convolution("conv_first", features, unshuffled);
        for block in 0..self.num_blocks() {
            for dense in 1..=3 {
                for conv in 1..=5 {
                    let outputs = if conv == 5 { features } else { growth };
                    let name = format!("body.{block}.rdb{dense}.conv{conv}");
                    list.convolution(&name, outputs, features + (conv - 1) * growth);
                }
                if self.family() == Family::EsrganPlus {
                    list.0.push((
                        format!("body.{block}.rdb{dense}.conv1x1.weight"),
                        vec![growth, features, 1, 1],
                    ));
                }
            }
        }
        list.convolution("conv_body", features, features);
        for number in 1..=self.upsampling().len() {
            list.convolution(&format!("conv_up{number}"), features, features);
        }
        list.convolution("conv_hr", features, features);
        list.convolution("conv_last", self.out_channels(), features);
    }

    fn compact_tensors(&self, list: &mut TensorList) {
        let features = self.num_features();
        for index in 0..=self.num_blocks() {
            let inputs = if index == 0 { self.in_channels() } else { features };
            list.convolution(&format!("body.{}", 2 * index), features, inputs);
            if self.activation() == Activation::PRelu {
                list.0.push((format!("body.{}.weight", 2 * index + 1), vec![features]));
            }
        }
        let outputs = self.out_channels() * self.scale() * self.scale();
        list.convolution(&format!("body.{}", 2 * (self.num_blocks() + 1)), outputs, features);
    }
}

/// Names and shapes of a network's tensors.
#[derive(Default)]
struct TensorList(Vec<(String, Vec<usize>)>);

impl TensorList {
    fn convolution(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.0.push((format!("{name}.weight"), vec![outputs, inputs, 3, 3]));
        self.0.push((format!("{name}.bias"), vec![outputs]));
    }
}

fn within(field: &'static str, found: usize, least: usize, most: usize) -> Result<(), WeightsError> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false if least == most => Err(refusal(field, least.to_string(), found)),
        false => Err(refusal(field, format!("{least} to {most}"), found)),
    }
}

fn refusal(field: &'static str, expected: impl Into<String>, found: usize) -> WeightsError {
    WeightsError::Spec { field, expected: expected.into(), found: found.to_string() }
}
