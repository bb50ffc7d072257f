//! What to search for by a multi-vector.

use bigrain_types::{Cancel, EmbeddingSpaceId, Filter, MultiVector};

use crate::query_builders::query_builders;

/// What to search for by a multi-vector: points of the largest mean, over the query's tokens, of the
/// largest similarity with any token of the point (MaxSim; FILIP's text-to-image score, and ColBERT's
/// divided by the number of the query's tokens).
///
/// ```
/// use bigrain_engine::{MultiQuery, MultiVector};
///
/// let tokens = MultiVector::from_tokens(&[[0.6, 0.8], [1.0, 0.0]])?;
/// let query = MultiQuery::new(tokens).in_field("patches");
/// # let _ = query;
/// # Ok::<(), bigrain_engine::MultiVectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiQuery {
    pub(crate) vector: MultiVector,
    pub(crate) field: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) space: Option<EmbeddingSpaceId>,
    pub(crate) cancel: Cancel,
}

impl MultiQuery {
    /// Searches the collection's first multi-vector field.
    #[must_use]
    pub fn new(vector: MultiVector) -> Self {
        Self { vector, field: None, filter: None, space: None, cancel: Cancel::new() }
    }

    /// States which embedding space made the tokens; a field of another space refuses them, one that
    /// declares no space takes any.
    #[must_use]
    pub fn in_space(mut self, space: EmbeddingSpaceId) -> Self {
        self.space = Some(space);
        self
    }
}

query_builders!(
    MultiQuery,
    field: "Searches another field.",
    filter: "Searches among the points that match a filter. Scores stay what they are without it."
);
