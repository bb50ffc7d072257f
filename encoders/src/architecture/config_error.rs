//! Why a model's configuration is refused.

use thiserror::Error;

/// Sizes beyond any published model; a file that claims more is damaged.
const MAX_SIZE: usize = 1 << 24;

/// A configuration that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelConfigError {
    /// Not JSON, or a field is missing or of another type.
    #[error("parse model configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// A model of another family.
    #[error(
        "model type {0:?} is not supported: expected bert, roberta, xlm-roberta, camembert, \
         electra, mpnet or distilbert"
    )]
    ModelType(String),
    /// A choice that is not supported.
    #[error("{field} {actual:?} is not supported: expected {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A size that is zero or absurd.
    #[error("{field} out of range: expected {expected}, got {actual}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        actual: String,
    },
}

/// Refuses the first of the named sizes that is zero or absurd.
pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), ModelConfigError> {
    match sizes.iter().find(|(_, size)| !(1..=MAX_SIZE).contains(size)) {
        Some(&(field, actual)) => Err(range(field, format!("1 to {MAX_SIZE}"), &actual)),
        None => Ok(()),
    }
}

/// A field outside its range.
pub(crate) fn range(
    field: &'static str,
    expected: String,
    actual: &impl ToString,
) -> ModelConfigError {
    ModelConfigError::Range { field, expected, actual: actual.to_string() }
}
