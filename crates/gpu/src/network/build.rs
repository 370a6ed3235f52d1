//! From a checked model to convolutions on a device.

use esrgan_engine::EngineError;
use esrgan_weights::{Activation, Family, Model, Tensor};

use super::{DenseBlock, TailLayer, Trunk};
use crate::device::Gpu;
use crate::error::GpuError;
use crate::kernels::{Convolution, PackedConvolution, Storage};

/// Slope of the leaky ReLU in RRDB networks (Wang et al., ESRGAN, 2018; the reference code's 0.2).
const RRDB_SLOPE: f32 = 0.2;
/// Slope of the leaky ReLU in compact networks (SRVGGNetCompact of Real-ESRGAN).
const COMPACT_SLOPE: f32 = 0.1;
/// Taps of a 3x3 convolution.
const TAPS: usize = 9;
/// The middle one.
const MIDDLE: usize = 4;

/// A network's layers.
pub(super) struct Built {
    pub(super) trunk: Trunk,
    pub(super) tail: Vec<TailLayer>,
    pub(super) multiply_adds: u64,
}

/// Makes the layers one by one.
pub(super) struct Builder<'a> {
    gpu: &'a Gpu,
    model: &'a Model,
    storage: Storage,
    multiply_adds: u64,
}

impl<'a> Builder<'a> {
    pub(super) fn new(gpu: &'a Gpu, model: &'a Model, storage: Storage) -> Self {
        Self { gpu, model, storage, multiply_adds: 0 }
    }

    pub(super) fn build(mut self) -> Result<Built, GpuError> {
        let (trunk, tail) = match self.model.spec.family() {
            Family::Compact => self.compact()?,
            Family::Rrdb | Family::EsrganPlus => self.rrdb()?,
        };
        Ok(Built { trunk, tail, multiply_adds: self.multiply_adds })
    }

    /// RRDBNet and ESRGAN+ (Wang et al. 2018, figure 4; Rakotonirina and Rasoanaivo 2020, figure 2).
    fn rrdb(&mut self) -> Result<(Trunk, Vec<TailLayer>), GpuError> {
        let spec = self.model.spec.clone();
        let features = spec.num_features();
        let picture = spec.in_channels() * spec.unshuffle() * spec.unshuffle();
        let first = self.layer("conv_first", &[picture], features, None, Storage::F32)?;
        self.count(picture, features, 1);
        let mut dense = Vec::new();
        for block in 0..spec.num_blocks() {
            for number in 1..=3 {
                dense.push(self.dense_block(&format!("body.{block}.rdb{number}"))?);
            }
        }
        let mut tail = vec![self.tail_layer("conv_body", (features, features), None, (1, 1))?];
        tail[0].adds_first = true;
        let mut scale = 1;
        for (index, &factor) in spec.upsampling().iter().enumerate() {
            scale *= factor;
            let name = format!("conv_up{}", index + 1);
            tail.push(self.tail_layer(&name, (features, features), Some(RRDB_SLOPE), (factor, scale))?);
        }
        tail.push(self.tail_layer("conv_hr", (features, features), Some(RRDB_SLOPE), (1, scale))?);
        tail.push(self.tail_layer("conv_last", (features, spec.out_channels()), None, (1, scale))?);
        Ok((Trunk::Rrdb { first, dense }, tail))
    }

    fn dense_block(&mut self, name: &str) -> Result<DenseBlock, GpuError> {
        let (features, growth) = (self.model.spec.num_features(), self.model.spec.growth_channels());
        let mut sources = vec![features];
        let mut layers = Vec::new();
        for number in 1..=4 {
            let slopes = Some(vec![RRDB_SLOPE; growth]);
            layers.push(self.layer(
                &format!("{name}.conv{number}"),
                &sources,
                growth,
                slopes,
                self.storage,
            )?);
            self.count(sources.iter().sum(), growth, 1);
            sources.push(growth);
        }
        let last = self.layer(&format!("{name}.conv5"), &sources, features, None, self.storage)?;
        self.count(sources.iter().sum(), features, 1);
        let is_plus = self.model.spec.family() == Family::EsrganPlus;
        let pointwise = is_plus.then(|| self.pointwise(&format!("{name}.conv1x1"), features, growth));
        Ok(DenseBlock { growth: layers, last, pointwise: pointwise.transpose()? })
    }

    /// SRVGGNetCompact (Wang et al., Real-ESRGAN, 2021): convolutions at the small size, then a pixel shuffle.
    fn compact(&mut self) -> Result<(Trunk, Vec<TailLayer>), GpuError> {
        let spec = self.model.spec.clone();
        let features = spec.num_features();
        let mut layers = Vec::new();
        for index in 0..=spec.num_blocks() {
            // With parameters in every activation, they take the odd places.
            let slopes = match spec.activation() {
                Activation::PRelu => self.tensor(&format!("body.{}.weight", 2 * index + 1))?.to_f32(),
                Activation::LeakyRelu => vec![COMPACT_SLOPE; features],
            };
            let (inputs, storage) =
                if index == 0 { (spec.in_channels(), Storage::F32) } else { (features, self.storage) };
            layers.push(self.layer(
                &format!("body.{}", 2 * index),
                &[inputs],
                features,
                Some(slopes),
                storage,
            )?);
            self.count(inputs, features, 1);
        }
        let outputs = spec.out_channels() * spec.scale() * spec.scale();
        let name = format!("body.{}", 2 * (spec.num_blocks() + 1));
        let tail = vec![self.tail_layer(&name, (features, outputs), None, (1, 1))?];
        let first = layers.remove(0);
        Ok((Trunk::Compact { first, body: layers }, tail))
    }

    fn tail_layer(
        &mut self,
        name: &str,
        (inputs, outputs): (usize, usize),
        slope: Option<f32>,
        (factor, scale): (usize, usize),
    ) -> Result<TailLayer, GpuError> {
        let slopes = slope.map(|slope| vec![slope; outputs]);
        let convolution = self.layer(name, &[inputs], outputs, slopes, self.storage)?;
        self.count(inputs, outputs, scale);
        Ok(TailLayer { convolution, factor, adds_first: false, outputs })
    }

    /// Counts a convolution's multiply-adds at an enlargement of the trunk.
    fn count(&mut self, inputs: usize, outputs: usize, scale: usize) {
        self.multiply_adds += (inputs * outputs * TAPS * scale * scale) as u64;
    }

    fn layer(
        &self,
        name: &str,
        sources: &[usize],
        outputs: usize,
        slopes: Option<Vec<f32>>,
        storage: Storage,
    ) -> Result<Convolution, GpuError> {
        let weights = self.tensor(&format!("{name}.weight"))?.to_f32();
        let biases = self.tensor(&format!("{name}.bias"))?.to_f32();
        let inputs: usize = sources.iter().sum();
        let fits = weights.len() == outputs * inputs * TAPS && biases.len() == outputs;
        if !fits || slopes.as_ref().is_some_and(|slopes| slopes.len() != outputs) {
            return Err(EngineError::Weights { name: name.to_owned() }.into());
        }
        let packed =
            PackedConvolution { sources: sources.to_vec(), outputs, weights, biases: Some(biases), slopes };
        Ok(self.bring(&packed, storage))
    }

    /// A 1x1 convolution without biases, as the middle of a 3x3 one.
    fn pointwise(&self, name: &str, inputs: usize, outputs: usize) -> Result<Convolution, GpuError> {
        let middle = self.tensor(&format!("{name}.weight"))?.to_f32();
        if middle.len() != inputs * outputs {
            return Err(EngineError::Weights { name: name.to_owned() }.into());
        }
        let mut weights = vec![0.0; inputs * outputs * TAPS];
        weights.iter_mut().skip(MIDDLE).step_by(TAPS).zip(middle).for_each(|(to, from)| *to = from);
        let packed =
            PackedConvolution { sources: vec![inputs], outputs, weights, biases: None, slopes: None };
        Ok(self.bring(&packed, self.storage))
    }

    fn bring(&self, packed: &PackedConvolution, storage: Storage) -> Convolution {
        Convolution::new(self.gpu.client(), packed, storage, self.gpu.matrix_units(storage))
    }

    fn tensor(&self, name: &str) -> Result<&'a Tensor, GpuError> {
        let found = self.model.weights.get(name);
        found.ok_or_else(|| EngineError::Weights { name: name.to_owned() }.into())
    }
}
