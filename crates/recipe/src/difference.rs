//! What differs between two recipes, for a run that goes on with another one than it began with.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::error::RecipeError;
use crate::recipe::Recipe;

/// Keys and sections that may change in the midst of a run: they change no step's result.
const HARMLESS: [&str; 6] = ["steps", "threads", "data.workers", "data.cache", "validation", "checkpoints"];

/// A key whose values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key, with its sections.
    pub key: String,
    /// The value here, as TOML; none where it is not set.
    pub here: Option<String>,
    /// The value there, as TOML; none where it is not set.
    pub there: Option<String>,
    /// Whether a run may go on in spite of it.
    pub is_harmless: bool,
}

impl Recipe {
    /// Every key whose value in `self` (here) is not the one in `other` (there), in the order of the alphabet.
    ///
    /// # Errors
    /// As [`Recipe::to_toml`].
    pub fn differences(&self, other: &Self) -> Result<Vec<Difference>, RecipeError> {
        let (mut here, mut there) = (leaves(self)?, leaves(other)?);
        let keys: BTreeSet<_> = here.keys().chain(there.keys()).cloned().collect();
        let differences = keys.into_iter().filter_map(|key| {
            let (here, there) = (here.remove(&key), there.remove(&key));
            let is_harmless = is_harmless(&key);
            (here != there).then_some(Difference { key, here, there, is_harmless })
        });
        Ok(differences.collect())
    }
}

fn is_harmless(key: &str) -> bool {
    HARMLESS.iter().any(|harmless| {
        key.strip_prefix(harmless).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Every key that is no table, with its value as TOML.
pub(crate) fn leaves(recipe: &Recipe) -> Result<BTreeMap<String, String>, RecipeError> {
    let value = Value::try_from(recipe).map_err(|source| RecipeError::Write { source })?;
    let mut found = BTreeMap::new();
    gather(String::new(), &value, &mut found);
    Ok(found)
}

fn gather(key: String, value: &Value, found: &mut BTreeMap<String, String>) {
    let Value::Table(table) = value else {
        found.insert(key, value.to_string());
        return;
    };
    for (name, value) in table {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        gather(key, value, found);
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;

    fn differences(overrides: &[(&str, &str)]) -> Vec<(String, Option<String>, Option<String>, bool)> {
        let overrides: Vec<_> =
            overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let here = Recipe::from_preset("esrgan-x4", &[]).unwrap();
        let there = Recipe::from_preset("esrgan-x4", &overrides).unwrap();
        let found = here.differences(&there).unwrap();
        found.into_iter().map(|found| (found.key, found.here, found.there, found.is_harmless)).collect()
    }

    #[test]
    fn a_recipe_does_not_differ_from_itself() {
        assert_eq!(differences(&[]), []);
        assert_eq!(differences(&[("scale", "4")]), []);
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let text = |text: &str| Some(text.to_owned());
        let found = differences(&[
            ("data.batch", "2"),
            ("optimizer.generator.betas", "[0.5, 0.75]"),
            ("threads", "3"),
            ("average", ""),
        ]);
        let expected = [
            ("average.decay", text("0.999"), None, false),
            ("data.batch", text("16"), text("2"), false),
            ("optimizer.generator.betas", text("[0.9, 0.99]"), text("[0.5, 0.75]"), false),
            ("threads", None, text("3"), true),
        ];
        assert_eq!(
            found,
            expected.map(|(key, here, there, harmless)| (key.to_owned(), here, there, harmless))
        );
    }

    #[test]
    fn some_keys_may_change() {
        let found = differences(&[
            ("steps", "500000"),
            ("data.workers", "3"),
            ("data.cache", "2GiB"),
            ("validation.every", "7"),
            ("checkpoints.keep", "9"),
        ]);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.iter().all(|(_, _, _, is_harmless)| *is_harmless), "{found:?}");
    }
}
