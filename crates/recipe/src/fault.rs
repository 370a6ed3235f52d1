//! What is wrong with a value, gathered from the inside out: the value says what, its tables say which key.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::error::{Place, RecipeError};
use crate::keys::KEYS;
use crate::suggest::{nearest, nearest_key};
use crate::tree::Origin;

/// A fault of a value.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    what: What,
    /// Keys, the innermost first.
    path: Vec<String>,
    origin: Option<Origin>,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) enum What {
    Syntax { message: String },
    UnknownKey { name: String, known: &'static [&'static str] },
    UnknownWord { found: String, known: &'static [&'static str] },
    WrongType { expected: String, found: String },
    WrongValue { message: String },
    MissingKey { name: &'static str },
}

impl Fault {
    pub(crate) fn new(what: What) -> Self {
        Self(Box::new(Inner { what, path: Vec::new(), origin: None }))
    }

    /// The fault of a value that has this key.
    pub(crate) fn below(mut self, key: &str) -> Self {
        self.0.path.push(key.to_owned());
        self
    }

    /// Where it is, if nothing further inside has said so.
    pub(crate) fn with_origin(mut self, origin: Option<Origin>) -> Self {
        self.0.origin = self.0.origin.or(origin);
        self
    }

    /// The error that people see. `name`: of the file.
    pub(crate) fn into_error(self, name: &str) -> RecipeError {
        let Inner { what, path, origin } = *self.0;
        let parents = path.into_iter().rev().collect::<Vec<_>>().join(".");
        let place = place(origin, name);
        let key_of =
            |name: &str| if parents.is_empty() { name.to_owned() } else { format!("{parents}.{name}") };
        match what {
            What::Syntax { message } => RecipeError::Syntax { place, message },
            What::UnknownKey { name, known } => {
                let key = key_of(&name);
                let siblings: Vec<_> = known.iter().map(|sibling| key_of(sibling)).collect();
                let suggestion = nearest_key(&key, &siblings, KEYS);
                RecipeError::UnknownKey { place, key, suggestion, known: known.join("`, `") }
            }
            What::UnknownWord { found, known } => {
                let suggestion = nearest(&found, known.iter().copied());
                let suggestion = suggestion.map_or(String::new(), |word| format!(": did you mean `{word}`?"));
                let expected = format!("`{}`{suggestion}", known.join("`, `"));
                RecipeError::UnknownWord { place, key: parents, found, expected }
            }
            What::WrongType { expected, found } => {
                RecipeError::WrongType { place, key: parents, expected, found }
            }
            What::WrongValue { message } => RecipeError::WrongValue { place, key: parents, message },
            What::MissingKey { name } => RecipeError::MissingKey { place, key: key_of(name) },
        }
    }
}

fn place(origin: Option<Origin>, name: &str) -> Place {
    match origin {
        Some(Origin::Override) => Place { name: "override".to_owned(), line: None },
        Some(Origin::Line(line)) => Place { name: name.to_owned(), line: Some(line) },
        None => Place { name: name.to_owned(), line: None },
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            What::Syntax { message } | What::WrongValue { message } => formatter.write_str(message),
            What::UnknownKey { name, .. } => write!(formatter, "unknown key `{name}`"),
            What::UnknownWord { found, .. } => write!(formatter, "unknown word `{found}`"),
            What::WrongType { expected, found } => write!(formatter, "expected {expected}, found {found}"),
            What::MissingKey { name } => write!(formatter, "`{name}` is missing"),
        }
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::WrongValue { message: message.to_string() })
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(text) => format!("the text `{text}`"),
            Unexpected::Bool(switch) => format!("`{switch}`"),
            Unexpected::Signed(number) => format!("`{number}`"),
            Unexpected::Unsigned(number) => format!("`{number}`"),
            Unexpected::Float(number) => format!("`{number:?}`"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a table".to_owned(),
            other => other.to_string(),
        };
        Self::new(What::WrongType { expected: in_words(&expected.to_string()), found })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownWord { found: found.to_owned(), known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey { name: name.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(What::MissingKey { name })
    }
}

/// What a person would write, for what a Rust type is called.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u64" | "usize" => "a whole number from 0",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}
