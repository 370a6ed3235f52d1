//! TOML as a tree of values that know where they come from, and overrides put into it.

use std::collections::BTreeMap;
use std::num::NonZero;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::RecipeError;
use crate::fault::{Fault, What};
use crate::suggest::nearest;

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the text, in this line.
    Line(NonZero<usize>),
    /// In an override.
    Override,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub tree: Tree,
    pub origin: Origin,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Text(String),
    Whole(i64),
    Number(f64),
    Switch(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// Reads a file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| {
            let origin = error.span().map(|span| lines.origin(span.start));
            Fault::new(What::Syntax { message: error.message().to_owned() }).with_origin(origin)
        })?;
        convert_table(table.get_ref(), lines.origin(0), &|byte| lines.origin(byte))
    }

    /// Reads an override's value: TOML, or where it does not look like any, text.
    fn parse_value(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let as_text = Ok(Self { tree: Tree::Text(text.to_owned()), origin: Origin::Override });
        let value = match DeValue::parse(trimmed) {
            Ok(value) => value,
            Err(error) if trimmed.starts_with(['[', '{', '"', '\'']) => {
                return Err(error.message().to_owned());
            }
            Err(_) => return as_text,
        };
        if let DeValue::Datetime(_) = value.get_ref() {
            return as_text;
        }
        convert(&value, &|_| Origin::Override).map_err(|fault| fault.to_string())
    }
}

/// Where a text's lines begin.
struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        Self { ends: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    fn origin(&self, byte: usize) -> Origin {
        let before = self.ends.partition_point(|end| *end < byte);
        Origin::Line(NonZero::<usize>::MIN.saturating_add(before))
    }
}

fn convert_table(table: &DeTable<'_>, origin: Origin, at: &dyn Fn(usize) -> Origin) -> Result<Node, Fault> {
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let mut node = convert(value, at).map_err(|fault| fault.below(key.get_ref()))?;
        // A table's own span may begin anywhere among its keys.
        node.origin = at(key.span().start);
        entries.insert(key.get_ref().clone().into_owned(), node);
    }
    Ok(Node { tree: Tree::Table(entries), origin })
}

fn convert(value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Origin) -> Result<Node, Fault> {
    let origin = at(value.span().start);
    let too_long = |found: String| {
        let what = What::WrongType { expected: "a number of 64 bits".to_owned(), found };
        Fault::new(what).with_origin(Some(origin))
    };
    let tree = match value.get_ref() {
        DeValue::String(text) => Tree::Text(text.clone().into_owned()),
        DeValue::Integer(digits) => Tree::Whole(
            i64::from_str_radix(digits.as_str(), digits.radix()).map_err(|_| too_long(digits.to_string()))?,
        ),
        DeValue::Float(digits) => {
            Tree::Number(digits.as_str().parse().map_err(|_| too_long(digits.to_string()))?)
        }
        DeValue::Boolean(switch) => Tree::Switch(*switch),
        DeValue::Datetime(date) => Tree::Text(date.to_string()),
        DeValue::Array(items) => {
            Tree::List(items.iter().map(|item| convert(item, at)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => return convert_table(table, origin, at),
    };
    Ok(Node { tree, origin })
}

/// Puts overrides into a recipe, one after the other.
pub(crate) fn apply_overrides(root: &mut Node, overrides: &[(String, String)]) -> Result<(), RecipeError> {
    for (key, value) in overrides {
        apply(root, key, value).map_err(|message| RecipeError::Override {
            key: key.clone(),
            value: value.clone(),
            message,
        })?;
    }
    Ok(())
}

fn apply(root: &mut Node, key: &str, value: &str) -> Result<(), String> {
    let (parents, last) = match key.rsplit_once('.') {
        Some((parents, last)) => (parents.split('.').collect(), last),
        None => (Vec::new(), key),
    };
    let is_removal = value.trim().is_empty();
    let mut table = table_of(root, "the recipe")?;
    for name in parents {
        let origin = Origin::Override;
        let fresh = || Node { tree: Tree::Table(BTreeMap::new()), origin };
        let parent = if is_removal {
            table.get_mut(name).ok_or_else(|| format!("there is no `{name}` to take something out of"))?
        } else {
            table.entry(name.to_owned()).or_insert_with(fresh)
        };
        table = table_of(parent, name)?;
    }
    if is_removal {
        return match table.remove(last) {
            Some(_) => Ok(()),
            None => Err(nothing_to_remove(last, table)),
        };
    }
    table.insert(last.to_owned(), Node::parse_value(value)?);
    Ok(())
}

fn table_of<'a>(node: &'a mut Node, name: &str) -> Result<&'a mut BTreeMap<String, Node>, String> {
    match &mut node.tree {
        Tree::Table(table) => Ok(table),
        _ => Err(format!("`{name}` has no keys: it is no table")),
    }
}

fn nothing_to_remove(name: &str, table: &BTreeMap<String, Node>) -> String {
    let hint = nearest(name, table.keys().map(String::as_str));
    let hint = hint.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
    format!("there is no `{name}` to take out{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\nb\n\nc");
        let found: Vec<_> = [0, 1, 2, 3, 4, 5].map(|byte| lines.origin(byte)).into();
        let expected = [1, 1, 2, 2, 3, 4].map(|line| Origin::Line(NonZero::new(line).unwrap()));
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_toml_or_text() {
        let shown = |text: &str| Node::parse_value(text).map(|node| format!("{:?}", node.tree));
        for (text, expected) in [
            ("8", "Whole(8)"),
            ("0x10", "Whole(16)"),
            ("1e-4", "Number(0.0001)"),
            ("true", "Switch(true)"),
            ("cosine-restart", "Text(\"cosine-restart\")"),
            ("some/folder of mine", "Text(\"some/folder of mine\")"),
            ("2026-01-02", "Text(\"2026-01-02\")"),
            ("\"8\"", "Text(\"8\")"),
            ("8\nseed = 3", "Text(\"8\\nseed = 3\")"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for broken in ["[1, 2", "{ a = ", "\"open", "123456789012345678901234567890"] {
            assert!(shown(broken).is_err(), "{broken}");
        }
    }
}
