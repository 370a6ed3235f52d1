//! Who must act on an error. Exit codes and HTTP statuses come from here alone.

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The operating system refused: a missing file, a full disk, a lacking permission.
    Io,
    /// The bytes are not what their format says.
    Malformed,
    /// The bytes are well formed, but of a feature or an architecture that this program does not handle.
    Unsupported,
    /// A limit of size or number would be exceeded; a flag lifts it.
    Limit,
    /// The request cannot be met as it is worded.
    Argument,
    /// A fault of this program.
    Internal,
}

/// Every error of the workspace says who must act.
pub trait Classify: std::error::Error {
    /// Who must act.
    fn kind(&self) -> Kind;
}
