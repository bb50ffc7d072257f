//! The shape of one sparse vector field.

use serde::{Deserialize, Serialize};

use super::config::check_field_name;
use crate::Result;

/// The shape of one sparse vector field: a name. Its vectors have any dimensions below 2^32, of which
/// almost all are zero, and are compared by dot product.
///
/// ```
/// use bigrain_engine::{CollectionConfig, FieldConfig, Metric, SparseFieldConfig};
///
/// let config = CollectionConfig::new(384, Metric::Cosine)
///     .with_sparse(SparseFieldConfig::new("splade"));
/// config.validate()?;
/// # Ok::<(), bigrain_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseFieldConfig {
    /// What the field is called, in requests and in file names: letters, digits, `_` and `-`.
    pub name: String,
}

impl SparseFieldConfig {
    /// Returns the shape of a field.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// An error of kind [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the value.
    pub fn validate(&self) -> Result<()> {
        check_field_name(&self.name)
    }
}
