//! Why a filter is refused.

use std::fmt;

use thiserror::Error;

/// A filter that is refused: where, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("filter{at}: {reason}")]
pub struct FilterError {
    at: At,
    reason: String,
}

impl FilterError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { at: At(String::new()), reason: reason.into() }
    }

    /// Puts a member's name before the place of the error.
    pub(super) fn in_member(mut self, name: &str) -> Self {
        let next = if self.at.0.is_empty() || self.at.0.starts_with('[') { "" } else { "." };
        self.at.0 = format!("{name}{next}{}", self.at.0);
        self
    }

    /// Puts an element's index before the place of the error.
    pub(super) fn in_element(mut self, index: usize) -> Self {
        let next = if self.at.0.is_empty() || self.at.0.starts_with('[') { "" } else { "." };
        self.at.0 = format!("[{index}]{next}{}", self.at.0);
        self
    }
}

/// Where in the filter's JSON, such as `must[1].gte`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct At(String);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " at {}", self.0) }
    }
}
