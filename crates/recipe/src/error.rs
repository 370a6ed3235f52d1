//! What can go wrong with a recipe, and who must act.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;

use esrgan_core::{Classify, Kind};

use crate::check::Problem;

/// Where something was written: a file and its line, or an override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, `preset NAME`, `recipe` for text without a name, or `override`.
    pub name: String,
    /// The line, from 1, where it is known.
    pub line: Option<NonZero<usize>>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file could not be read.
    #[error("`{}`: cannot read the recipe", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is far longer than any recipe.
    #[error("`{}`: expected a recipe of at most {allowed_bytes} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most.
        allowed_bytes: u64,
    },
    /// TOML could not hold the file's path, and so not those that start at its folder.
    #[error("`{}`: expected a path of Unicode", path.display())]
    NotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// The text is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// No preset has this name.
    #[error("preset `{name}`: there is none of this name{}", did_you_mean(suggestion.as_deref()))]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The nearest preset.
        suggestion: Option<String>,
    },
    /// A key that no recipe has, or that this kind of section has not.
    #[error("{place}: `{key}`: unknown key{}", unknown_key(suggestion.as_deref(), known))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key, with its sections.
        key: String,
        /// The nearest known key.
        suggestion: Option<String>,
        /// The keys that this section has.
        known: String,
    },
    /// A word that is none of those the key takes.
    #[error("{place}: `{key}`: unknown word `{found}`: expected one of {expected}")]
    UnknownWord {
        /// Where.
        place: Place,
        /// The key, with its sections.
        key: String,
        /// What was found.
        found: String,
        /// The known words, and the nearest of them.
        expected: String,
    },
    /// A value of another type.
    #[error("{place}: `{key}`: expected {expected}, found {found}")]
    WrongType {
        /// Where.
        place: Place,
        /// The key, with its sections.
        key: String,
        /// The type that the key takes.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A value that cannot be understood.
    #[error("{place}: `{key}`: {message}")]
    WrongValue {
        /// Where.
        place: Place,
        /// The key, with its sections.
        key: String,
        /// Why.
        message: String,
    },
    /// A key without which there is no recipe.
    #[error("{place}: `{key}` is missing")]
    MissingKey {
        /// Where: the section that lacks it.
        place: Place,
        /// The key, with its sections.
        key: String,
    },
    /// An override that cannot be applied.
    #[error("override `{key}={value}`: {message}")]
    Override {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// Why.
        message: String,
    },
    /// Values that do not go together or are out of range.
    #[error("{}", lines(problems))]
    Problems {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// TOML cannot hold the recipe.
    #[error("the recipe cannot be written as TOML")]
    Write {
        /// Why.
        source: toml::ser::Error,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |name| format!(": did you mean `{name}`?"))
}

fn unknown_key(suggestion: Option<&str>, known: &str) -> String {
    if suggestion.is_some() { did_you_mean(suggestion) } else { format!(": expected one of `{known}`") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl Classify for RecipeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Io,
            Self::TooLong { .. } => Kind::Limit,
            Self::Syntax { .. } => Kind::Malformed,
            Self::NotUnicode { .. }
            | Self::UnknownPreset { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownWord { .. }
            | Self::WrongType { .. }
            | Self::WrongValue { .. }
            | Self::MissingKey { .. }
            | Self::Override { .. }
            | Self::Problems { .. }
            | Self::Write { .. } => Kind::Argument,
        }
    }
}
