//! The sections of a recipe.
//!
//! What lives here: their keys, each with its unit and where its value comes from, and what a key is where it is left out.
//! What does not: what values are allowed (`check`).

pub(crate) mod data;
pub(crate) mod losses;
pub(crate) mod networks;
pub(crate) mod optimization;
mod text;
