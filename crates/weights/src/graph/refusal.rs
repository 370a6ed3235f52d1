//! The three ways in which a graph file is refused.

use super::Site;
use crate::WeightsError;

/// A node that belongs to no network of a known family.
pub(crate) fn foreign(site: &Site, expected: &str) -> WeightsError {
    WeightsError::ForeignLayer { layer: site.to_string(), expected: expected.to_owned() }
}

/// Bytes that are not what the format says.
pub(crate) fn malformed(item: &str, expected: impl Into<String>, found: String) -> WeightsError {
    WeightsError::Malformed { item: item.to_owned(), expected: expected.into(), found }
}

/// More of something than the limits allow.
pub(crate) fn limit(item: &str, limit: u64, found: u64) -> WeightsError {
    WeightsError::Limit { item: item.to_owned(), limit, found }
}
