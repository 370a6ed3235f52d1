//! Named tensors in the order in which they were put in.

use std::collections::HashMap;

use crate::tensor::Tensor;

/// Named tensors in the order in which they were put in; a name has one tensor.
#[derive(Clone, Debug, Default)]
pub struct WeightMap {
    entries: Vec<(String, Tensor)>,
    places: HashMap<String, usize>,
}

impl WeightMap {
    /// A map without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a tensor in, and returns the one that had the name before; its place is kept.
    pub fn insert(&mut self, name: String, tensor: Tensor) -> Option<Tensor> {
        if let Some(&place) = self.places.get(&name) {
            return Some(std::mem::replace(&mut self.entries[place].1, tensor));
        }
        self.places.insert(name.clone(), self.entries.len());
        self.entries.push((name, tensor));
        None
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.places.get(name).map(|&place| &self.entries[place].1)
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// Equal tensors under equal names, in whichever order.
impl PartialEq for WeightMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, tensor)| other.get(name) == Some(tensor))
    }
}

impl FromIterator<(String, Tensor)> for WeightMap {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, tensor) in entries {
            map.insert(name, tensor);
        }
        map
    }
}
