//! The shape of one sparse vector field.

use serde::{Deserialize, Serialize};

use super::config::check_field_name;
use crate::Result;

/// The shape of one sparse vector field: a name, and whether rare dimensions count more. Its vectors have
/// any dimensions below 2^32, of which almost all are zero, and are compared by dot product.
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
    /// What queries are multiplied with. Default: nothing.
    #[serde(default, skip_serializing_if = "SparseModifier::is_none")]
    pub modifier: SparseModifier,
}

/// What the values of a query are multiplied with before it is compared with a sparse field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SparseModifier {
    /// Nothing: for vectors whose values say all, as those of learned encoders do.
    #[default]
    None,
    /// The inverse document frequency of each dimension, `ln(1 + (N - n + ½) / (n + ½))`: `n` of the `N`
    /// points with a vector in the field use it. For vectors of word counts, or of encoders that were
    /// trained for it. `N` and `n` are those of all live points at the moment of the search, exactly.
    Idf,
}

impl SparseModifier {
    /// Every modifier.
    pub const ALL: [Self; 2] = [Self::None, Self::Idf];

    /// Returns its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Idf => "idf",
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl SparseFieldConfig {
    /// Returns the shape of a field.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), modifier: SparseModifier::None }
    }

    /// Sets what queries are multiplied with.
    #[must_use]
    pub fn with_modifier(mut self, modifier: SparseModifier) -> Self {
        self.modifier = modifier;
        self
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
