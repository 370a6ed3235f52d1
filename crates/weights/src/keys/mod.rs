//! Which network a list of named shapes is, and what each tensor is called in the layouts in use.
//!
//! What lives here: names and shapes. What does not: the bytes behind them.

mod infer;
mod names;

use std::collections::HashMap;

use crate::error::{TensorProblem, WeightsError};
use crate::model::KeyLayout;
use crate::spec::ModelSpec;

pub(crate) use names::file_key;

/// The layouts of named tensors, the more common first.
const LAYOUTS: [KeyLayout; 4] =
    [KeyLayout::BasicSr, KeyLayout::Old, KeyLayout::RrdbTrunk, KeyLayout::Compact];

/// Shapes by their keys in a file.
pub(crate) type Shapes<'a> = HashMap<&'a str, &'a [usize]>;

/// A network that was recognised.
#[derive(Debug)]
pub(crate) struct Recognised {
    pub(crate) spec: ModelSpec,
    pub(crate) layout: KeyLayout,
    /// Whether the shapes would be the same for x2 and x3.
    pub(crate) scale_is_ambiguous: bool,
}

/// Finds the network whose tensors these are, all of them and no others.
///
/// # Errors
/// [`WeightsError::Tensors`] with the problems of the nearest layout; [`WeightsError::Spec`] for widths beyond all reason.
pub(crate) fn recognise(shapes: &Shapes<'_>) -> Result<Recognised, WeightsError> {
    let mut nearest: Option<(usize, WeightsError)> = None;
    for layout in LAYOUTS {
        let error = match attempt(layout, shapes) {
            Ok(recognised) => return Ok(recognised),
            Err(error) => error,
        };
        let owned = shapes.keys().filter(|key| names::is_of(layout, key)).count();
        if nearest.as_ref().is_none_or(|(most, _)| owned > *most) {
            nearest = Some((owned, error));
        }
    }
    let nothing = || WeightsError::Tensors { nearest: KeyLayout::BasicSr, problems: Vec::new() };
    Err(nearest.map_or_else(nothing, |(_, error)| error))
}

fn attempt(layout: KeyLayout, shapes: &Shapes<'_>) -> Result<Recognised, WeightsError> {
    let refusal = |problems| WeightsError::Tensors { nearest: layout, problems };
    let unexpected = |known: &dyn Fn(&str) -> bool| {
        let mut keys: Vec<&str> = shapes.keys().copied().filter(|key| !known(key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| TensorProblem::Unexpected { key: key.to_owned() }).collect::<Vec<_>>()
    };
    let parts = match infer::parts(layout, shapes) {
        Ok(parts) => parts,
        Err(mut problems) => {
            problems.extend(unexpected(&|key| names::is_of(layout, key)));
            return Err(refusal(problems));
        }
    };
    let scale_is_ambiguous = parts.upsampling == [2] && parts.unshuffle == 1;
    let spec = ModelSpec::new(parts)?;
    let mut problems = Vec::new();
    let mut expected_keys = std::collections::HashSet::new();
    for (name, expected) in spec.tensors() {
        let key = file_key(layout, &spec, &name);
        match shapes.get(key.as_str()) {
            None => problems.push(TensorProblem::Missing { key: key.clone(), shape: expected }),
            Some(&found) if found != expected => {
                problems.push(TensorProblem::Shape { key: key.clone(), expected, found: found.to_vec() });
            }
            Some(_) => {}
        }
        expected_keys.insert(key);
    }
    problems.extend(unexpected(&|key| expected_keys.contains(key)));
    if problems.is_empty() {
        Ok(Recognised { spec, layout, scale_is_ambiguous })
    } else {
        Err(refusal(problems))
    }
}
