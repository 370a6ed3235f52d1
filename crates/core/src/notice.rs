//! Things a user should know although nothing failed.

use std::fmt;

/// Something a user should know although nothing failed, such as "animated: only the first frame is used".
///
/// One sentence, lower case, no full stop; it names the file or item itself where that is not obvious.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice(String);

impl Notice {
    /// Wraps one sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// The sentence.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
