//! The nearest known word to one that is not known.

use strsim::damerau_levenshtein;

/// The nearest of some words, if it is near: at most a third of the letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    let distances = known.map(|candidate| (damerau_levenshtein(&word, &normal(candidate)), candidate));
    let allowed = (word.chars().count() / 3).max(1);
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, candidate)| candidate)
}

/// The nearest known key to a dotted one: among its siblings, else one of any section with the same or nearly the same last
/// name. A key that is known elsewhere by its full name suggests nothing.
pub(crate) fn nearest_key(key: &str, siblings: &[String], all: &[&str]) -> Option<String> {
    let last = last_name(key);
    let sibling = nearest(last, siblings.iter().map(|sibling| last_name(sibling)));
    if let Some(sibling) = sibling {
        return siblings.iter().find(|candidate| last_name(candidate) == sibling).cloned();
    }
    if all.contains(&key) {
        return None;
    }
    let name = nearest(last, all.iter().map(|candidate| last_name(candidate)))?;
    let named = all.iter().filter(|candidate| last_name(candidate) == name);
    named.min_by_key(|candidate| damerau_levenshtein(key, candidate)).map(|key| (*key).to_owned())
}

fn last_name(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
}

/// Without what people mix up: case, hyphens.
fn normal(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["relativistic", "vanilla", "lsgan", "hinge"];
        for (word, expected) in [
            ("relatvistic", Some("relativistic")),
            ("Vanilla", Some("vanilla")),
            ("ls-gan", Some("lsgan")),
            ("wgan", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn keys_are_sought_among_siblings_first() {
        let siblings = ["data.batch".to_owned(), "data.lr".to_owned()];
        let all = ["data.batch", "generator.start", "discriminator.start", "schedule.gamma"];
        for (key, expected) in [
            ("data.bacth", Some("data.batch")),
            ("data.start", Some("generator.start")),
            ("schedule.gamma", None),
            ("data.unheard_of", None),
        ] {
            assert_eq!(nearest_key(key, &siblings, &all).as_deref(), expected, "{key}");
        }
    }
}
