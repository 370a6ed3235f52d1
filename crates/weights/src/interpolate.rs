//! A network between two: each weight a mean of both (Wang et al., ESRGAN, 2018, section 3.4).

use crate::dtype::DType;
use crate::error::WeightsError;
use crate::map::WeightMap;
use crate::model::{Model, Origin};
use crate::spec::ModelSpec;
use crate::tensor::Tensor;

/// `(1 - alpha) * a + alpha * b`, weight by weight, whichever files and layouts the models came from.
///
/// # Values
/// Computed in f64 and rounded once to the wider of both element types. `alpha` 0 gives exactly `a`, 1 exactly `b`.
///
/// # Errors
/// [`WeightsError::Argument`] for an `alpha` outside of 0..=1, [`WeightsError::Incompatible`] where the models are not of
/// one kind, [`WeightsError::Overflow`] where a mean does not fit the type.
pub fn interpolate(a: &Model, b: &Model, alpha: f64) -> Result<Model, WeightsError> {
    if !(0.0..=1.0).contains(&alpha) {
        let (argument, expected) = ("alpha", "a number from 0 to 1".to_owned());
        return Err(WeightsError::Argument { argument, expected, found: alpha.to_string() });
    }
    check_compatible(&a.spec, &b.spec)?;
    let mut weights = WeightMap::new();
    for (name, first) in a.weights.iter() {
        // Equal specifications have equal tensors.
        if let Some(second) = b.weights.get(name) {
            weights.insert(name.to_owned(), mix(name, first, second, alpha)?);
        }
    }
    let origin = Origin {
        path: None,
        dtype: a.origin.dtype.wider(b.origin.dtype),
        sha256: String::new(),
        notices: Vec::new(),
        repeats_edge: a.origin.repeats_edge && b.origin.repeats_edge,
        scale_is_ambiguous: a.origin.scale_is_ambiguous && b.origin.scale_is_ambiguous,
        ..a.origin.clone()
    };
    Model::new(a.spec.clone(), weights, origin)
}

fn check_compatible(a: &ModelSpec, b: &ModelSpec) -> Result<(), WeightsError> {
    let facts = |spec: &ModelSpec| {
        [
            ("family", spec.family().to_string()),
            ("scale", spec.scale().to_string()),
            ("the number of input channels", spec.in_channels().to_string()),
            ("the number of output channels", spec.out_channels().to_string()),
            ("the number of features", spec.num_features().to_string()),
            ("the number of blocks", spec.num_blocks().to_string()),
            ("the number of growth channels", spec.growth_channels().to_string()),
            ("the unshuffle", spec.unshuffle().to_string()),
            ("the upsampling", format!("{:?}", spec.upsampling())),
            ("the activation", format!("{:?}", spec.activation())),
        ]
    };
    let difference = facts(a).into_iter().zip(facts(b)).find(|((_, first), (_, second))| first != second);
    match difference {
        Some(((what, first), (_, second))) => Err(WeightsError::Incompatible { what, first, second }),
        None => Ok(()),
    }
}

fn mix(name: &str, first: &Tensor, second: &Tensor, alpha: f64) -> Result<Tensor, WeightsError> {
    let dtype = first.dtype.wider(second.dtype);
    if alpha == 0.0 || alpha == 1.0 {
        let whole = if alpha == 0.0 { first } else { second };
        return whole.cast(dtype, name);
    }
    let mean = |(a, b): (&f32, &f32)| (1.0 - alpha) * f64::from(*a) + alpha * f64::from(*b);
    let rounded = |mean: f64| match dtype {
        DType::F32 => mean as f32,
        DType::F16 | DType::BF16 => round_to_odd(mean),
    };
    let means: Vec<f32> = first.to_f32().iter().zip(&second.to_f32()).map(mean).map(rounded).collect();
    Tensor::from_f32(first.shape.clone(), &means)?.cast(dtype, name)
}

/// A single that rounds on to a half exactly as the double itself would: where inexact, its last bit is one.
///
/// # Source
/// Boldo and Melquiond, "When double rounding is odd", 2005.
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || !nearest.is_finite() {
        return nearest;
    }
    let truncated = if back.abs() > value.abs() { nearest.to_bits() - 1 } else { nearest.to_bits() };
    f32::from_bits(truncated | 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::f32_to_f16;

    #[test]
    fn a_double_is_rounded_once() {
        // Half way between two halves, and a little more: a nearest single would drop the little.
        let tie = 1.0 + f64::powi(2.0, -11);
        let above = tie + f64::powi(2.0, -40);
        assert_eq!(f32_to_f16(tie as f32), 0x3c00);
        assert_eq!(f32_to_f16(above as f32), 0x3c00, "rounded twice");
        assert_eq!(f32_to_f16(round_to_odd(above)), 0x3c01, "rounded once");
        assert_eq!(f32_to_f16(round_to_odd(-above)), 0xbc01);
        assert_eq!(round_to_odd(0.5), 0.5);
    }
}
