//! From a checked model to a graph of layers.

use std::sync::{Arc, Mutex, PoisonError};

use esrgan_kernels::{Arena, ChannelBlock, Kernel, PackedKind};
use esrgan_weights::{Activation, Family, Model, ModelSpec, Tensor};

use crate::error::EngineError;
use crate::graph::{FeatureId, Form, Graph, Layer, Outputs, Stage};
use crate::packing::{LayerWeights, PackedLayers, arena_blocks, layers_of};
use crate::schedule::Group;

/// Slope of the leaky ReLU in RRDB networks (Wang et al., ESRGAN, 2018; the reference code's 0.2).
const RRDB_SLOPE: f32 = 0.2;
/// Slope of the leaky ReLU in compact networks (SRVGGNetCompact of Real-ESRGAN).
const COMPACT_SLOPE: f32 = 0.1;
/// Residual scale beta of dense blocks and of RRDBs (ESRGAN, section 3.1).
const RESIDUAL_SCALE: f32 = 0.2;

/// In what the network's products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Everything in f32.
    #[default]
    F32,
    /// Weights and the inputs of convolutions in bfloat16; sums, the stream that residuals are added to, and the convolution
    /// that sees the picture, in f32.
    Bf16,
    /// IEEE half precision: on GPUs. A processor takes another for it, see [`Engine::precision_for`](crate::Engine::precision_for).
    F16,
}

impl Precision {
    /// Its name: `f32`, `bf16`, `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// A model, ready to be run.
pub struct Network {
    pub(crate) graph: Graph,
    pub(crate) layers: Vec<LayerWeights>,
    /// All layers packed, where a run has left them for the next.
    kept: Mutex<Option<Arc<PackedLayers>>>,
    pub(crate) spec: ModelSpec,
    precision: Precision,
    pub(crate) result_shuffle: usize,
    pub(crate) adds_picture: bool,
    /// For one pixel of the trunk's grid.
    nominal_multiply_adds: u64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("spec", &self.spec)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Makes a network of a model; the two share the weights. They are packed when a run needs them.
    ///
    /// # Errors
    /// [`EngineError::Weights`] where a tensor that the specification names is missing, or not of its size;
    /// [`EngineError::Precision`] for half precision.
    pub fn new(model: &Model, precision: Precision) -> Result<Self, EngineError> {
        if precision == Precision::F16 {
            return Err(EngineError::Precision { precision: precision.name() });
        }
        let graph = Graph::default();
        let mut builder = Builder { model, precision, graph, layers: Vec::new(), nominal_multiply_adds: 0 };
        let compact = model.spec.family() == Family::Compact;
        if compact {
            builder.compact()?
        } else {
            builder.rrdb()?
        };
        Ok(Self {
            graph: builder.graph,
            layers: builder.layers,
            kept: Mutex::new(None),
            spec: model.spec.clone(),
            precision,
            result_shuffle: if compact { model.spec.scale() } else { 1 },
            adds_picture: compact,
            nominal_multiply_adds: builder.nominal_multiply_adds,
        })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// In what it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Memory of weights, as the model has them and packed: all layers', or those of one group of stages at a time.
    pub(crate) fn weights_bytes(&self, groups: Option<&[Group]>) -> u64 {
        let packed = |layers: &[LayerWeights]| layers.iter().map(LayerWeights::packed_bytes).sum::<u64>();
        let sources: u64 = self.layers.iter().map(LayerWeights::source_bytes).sum();
        let of_group = |group: &Group| packed(layers_of(&self.layers, &group.stages));
        sources
            + groups
                .map_or_else(|| packed(&self.layers), |groups| groups.iter().map(of_group).max().unwrap_or(0))
    }

    /// All layers packed, on rayon's current pool unless an earlier run has left them.
    pub(crate) fn packed(&self) -> Arc<PackedLayers> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = &*kept() {
            return Arc::clone(packed);
        }
        // Not under the lock: while it waits for others, a thread may take up another run, which asks for it too.
        let packed = Arc::new(PackedLayers::new(&self.layers, &Arena::new(arena_blocks(&self.layers))));
        Arc::clone(kept().insert(packed))
    }

    /// Forgets what was packed, once no run needs it any more.
    pub(crate) fn forget_packed(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Floating-point operations for a picture, two for each multiply-add of the layers as published: what benchmarks
    /// divide by, whichever shortcuts a run takes.
    pub fn nominal_flop(&self, lr_width: usize, lr_height: usize) -> f64 {
        let unshuffle = self.spec.unshuffle();
        let grid = lr_width.div_ceil(unshuffle) as f64 * lr_height.div_ceil(unshuffle) as f64;
        2.0 * grid * self.nominal_multiply_adds as f64
    }
}

/// Builds the graph, then packs its layers.
struct Builder<'m> {
    model: &'m Model,
    precision: Precision,
    graph: Graph,
    layers: Vec<LayerWeights>,
    nominal_multiply_adds: u64,
}

/// What surrounds a convolution.
#[derive(Default)]
struct Around {
    slopes: Option<Vec<f32>>,
    residuals: Vec<(f32, FeatureId)>,
    readers: Readers,
}

/// Who will read a convolution's result.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Readers {
    /// Convolutions alone.
    #[default]
    Convolutions,
    /// Residuals, or the caller.
    Others,
    /// Convolutions and residuals.
    Both,
}

impl Builder<'_> {
    fn tensor(&self, name: &str) -> Result<&Tensor, EngineError> {
        self.model.weights.get(name).ok_or_else(|| EngineError::Weights { name: name.to_owned() })
    }

    /// How a layer is computed.
    fn kind(&self, name: &str, inputs: &[FeatureId]) -> PackedKind {
        match self.precision {
            Precision::F32 if is_pointwise(name) => PackedKind::Direct,
            Precision::F32 => PackedKind::OverTransformed,
            // A picture's samples are worth more bits than bf16 has, and the layer is a hundredth of the work at most: it
            // made more than half of the error of the whole network (docs/performance.md).
            Precision::Bf16 | Precision::F16 if inputs.iter().all(|input| self.is_picture(*input)) => {
                PackedKind::Direct
            }
            // Half precision has been refused.
            Precision::Bf16 | Precision::F16 => PackedKind::Bf16,
        }
    }

    fn is_picture(&self, feature: FeatureId) -> bool {
        let mut stages = self.graph.stages.iter();
        stages.any(|stage| matches!(stage, Stage::Picture { output } if *output == feature))
    }

    /// Adds a convolution named `name`, behind an enlargement by `factor`.
    fn convolution(
        &mut self,
        name: &str,
        inputs: &[FeatureId],
        out_channels: usize,
        factor: usize,
        around: Around,
    ) -> Result<FeatureId, EngineError> {
        let channels: Vec<usize> = inputs.iter().map(|input| self.graph.get(*input).channels).collect();
        let is_pointwise = is_pointwise(name);
        let taps = if is_pointwise { 1 } else { 9 };
        let multiply_adds = (channels.iter().sum::<usize>() * out_channels * taps) as u64;
        let scale = self.graph.get(inputs[0]).scale * factor;
        self.nominal_multiply_adds += multiply_adds * (scale * scale) as u64;
        let kind = self.kind(name, inputs);
        let inputs = inputs.iter().map(|&input| match kind {
            PackedKind::OverTransformed => self.graph.transformed(input, factor),
            PackedKind::Bf16 => self.graph.paired(input),
            _ => input,
        });
        let inputs = inputs.collect();
        let outputs = self.outputs(around.readers, kind, out_channels, scale);
        let weights = LayerWeights {
            stage: self.graph.stages.len(),
            kind,
            kernel: if is_pointwise { Kernel::POINTWISE } else { Kernel::CENTRED_3X3 },
            // Over transformed tiles, enlarging is the transform's work.
            factor: if kind == PackedKind::OverTransformed { 1 } else { factor },
            inputs: channels,
            out_channels,
            weights: self.tensor(&format!("{name}.weight"))?.clone(),
            biases: if is_pointwise { None } else { Some(self.tensor(&format!("{name}.bias"))?.clone()) },
        };
        if !weights.is_consistent() {
            return Err(EngineError::Weights { name: name.to_owned() });
        }
        let slopes = around.slopes.map(|slopes| in_blocks(&slopes));
        let layer = Layer { kind, kernels: weights.kernels(), factor: weights.factor, slopes };
        let residuals = around.residuals;
        self.layers.push(weights);
        self.graph.stages.push(Stage::Convolution { inputs, layer, multiply_adds, residuals, outputs });
        Ok(outputs.main())
    }

    /// The maps that a convolution's readers need.
    fn outputs(&mut self, readers: Readers, kind: PackedKind, channels: usize, scale: usize) -> Outputs {
        let is_bf16 = kind == PackedKind::Bf16;
        let wants_pixels = !is_bf16 || readers != Readers::Convolutions;
        let wants_paired = is_bf16 && readers != Readers::Others;
        Outputs {
            pixels: wants_pixels.then(|| self.graph.feature(channels, scale)),
            paired: wants_paired.then(|| self.graph.feature_in(Form::Paired, channels, scale)),
        }
    }

    fn picture(&mut self) -> FeatureId {
        let unshuffle = self.model.spec.unshuffle();
        let output = self.graph.feature(self.model.spec.in_channels() * unshuffle * unshuffle, 1);
        self.graph.stages.push(Stage::Picture { output });
        output
    }

    fn result(&mut self, input: FeatureId) {
        self.graph.stages.push(Stage::Result { input });
        self.graph.end_group();
    }

    /// RRDBNet and ESRGAN+ (Wang et al. 2018, figure 4; Rakotonirina and Rasoanaivo 2020, figure 2).
    fn rrdb(&mut self) -> Result<(), EngineError> {
        let spec = self.model.spec.clone();
        let features = spec.num_features();
        let activated =
            |channels: usize| Around { slopes: Some(vec![RRDB_SLOPE; channels]), ..Around::default() };
        let picture = self.picture();
        let both = || Around { readers: Readers::Both, ..Around::default() };
        let others = || Around { readers: Readers::Others, ..Around::default() };
        let mut trunk = self.convolution("conv_first", &[picture], features, 1, both())?;
        self.graph.end_group();
        for block in 0..spec.num_blocks() {
            let skip = trunk;
            for dense in 1..=3 {
                let outer = (dense == 3).then_some(skip);
                trunk = self.dense_block(&format!("body.{block}.rdb{dense}"), trunk, outer)?;
                self.graph.end_group();
            }
        }
        // The first features are wanted again at the end: computing them twice costs next to nothing, keeping them a map.
        let nominal = self.nominal_multiply_adds;
        let picture = self.picture();
        let first = self.convolution("conv_first", &[picture], features, 1, others())?;
        self.nominal_multiply_adds = nominal;
        let around = Around { residuals: vec![(1.0, first)], ..Around::default() };
        let mut tail = self.convolution("conv_body", &[trunk], features, 1, around)?;
        for (index, &factor) in spec.upsampling().iter().enumerate() {
            tail = self.convolution(
                &format!("conv_up{}", index + 1),
                &[tail],
                features,
                factor,
                activated(features),
            )?;
        }
        tail = self.convolution("conv_hr", &[tail], features, 1, activated(features))?;
        tail = self.convolution("conv_last", &[tail], spec.out_channels(), 1, others())?;
        self.result(tail);
        Ok(())
    }

    /// A dense block: five convolutions, each seeing all before it; `outer` is the RRDB's own input at its last block.
    fn dense_block(
        &mut self,
        name: &str,
        input: FeatureId,
        outer: Option<FeatureId>,
    ) -> Result<FeatureId, EngineError> {
        let growth = self.model.spec.growth_channels();
        let is_plus = self.model.spec.family() == Family::EsrganPlus;
        let pointwise = if is_plus {
            let around = Around { readers: Readers::Others, ..Around::default() };
            Some(self.convolution(&format!("{name}.conv1x1"), &[input], growth, 1, around)?)
        } else {
            None
        };
        let mut seen = vec![input];
        for conv in 1..=4 {
            // ESRGAN+ adds a projection of the input to the second growth feature, and that to the fourth.
            let added = match conv {
                2 => pointwise,
                4 => is_plus.then(|| seen[2]),
                _ => None,
            };
            let around = Around {
                slopes: Some(vec![RRDB_SLOPE; growth]),
                residuals: added.into_iter().map(|feature| (1.0, feature)).collect(),
                readers: if is_plus { Readers::Both } else { Readers::Convolutions },
            };
            seen.push(self.convolution(&format!("{name}.conv{conv}"), &seen, growth, 1, around)?);
        }
        let residuals =
            std::iter::once(input).chain(outer).map(|feature| (RESIDUAL_SCALE, feature)).collect();
        let features = self.model.spec.num_features();
        self.convolution(
            &format!("{name}.conv5"),
            &seen,
            features,
            1,
            Around { slopes: None, residuals, readers: Readers::Both },
        )
    }

    /// SRVGGNetCompact (Wang et al., Real-ESRGAN, 2021): convolutions at the small size, then a pixel shuffle.
    fn compact(&mut self) -> Result<(), EngineError> {
        let spec = self.model.spec.clone();
        let features = spec.num_features();
        let mut at = self.picture();
        for index in 0..=spec.num_blocks() {
            // With parameters in every activation, they take the odd places.
            let slopes = match spec.activation() {
                Activation::PRelu => self.tensor(&format!("body.{}.weight", 2 * index + 1))?.to_f32(),
                _ => vec![COMPACT_SLOPE; features],
            };
            let around = Around { slopes: Some(slopes), ..Around::default() };
            at = self.convolution(&format!("body.{}", 2 * index), &[at], features, 1, around)?;
        }
        let out_channels = spec.out_channels() * spec.scale() * spec.scale();
        let name = format!("body.{}", 2 * (spec.num_blocks() + 1));
        let around = Around { readers: Readers::Others, ..Around::default() };
        at = self.convolution(&name, &[at], out_channels, 1, around)?;
        self.result(at);
        Ok(())
    }
}

/// Whether a layer is a 1x1 convolution without biases: ESRGAN+ has them.
fn is_pointwise(name: &str) -> bool {
    name.ends_with("conv1x1")
}

/// Values of channels as blocks, padding lanes zero.
fn in_blocks(values: &[f32]) -> Vec<ChannelBlock> {
    let blocks = values.chunks(esrgan_kernels::CHANNELS_PER_BLOCK);
    blocks
        .map(|lanes| ChannelBlock(std::array::from_fn(|lane| lanes.get(lane).copied().unwrap_or(0.0))))
        .collect()
}
