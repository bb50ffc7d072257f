//! What to search for by a sparse vector.

use bigrain_types::{Cancel, Filter, SparseVector};

use crate::query_builders::query_builders;

/// What to search for by a sparse vector: points whose vector shares a dimension with it, those of the
/// largest dot product first.
///
/// ```
/// use bigrain_engine::{SparseQuery, SparseVector};
///
/// let vector = SparseVector::new(vec![7, 30_000], vec![0.5, 1.5])?;
/// let query = SparseQuery::new(vector).in_field("splade");
/// # let _ = query;
/// # Ok::<(), bigrain_engine::SparseVectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparseQuery {
    pub(crate) vector: SparseVector,
    pub(crate) field: Option<String>,
    pub(crate) filter: Option<Filter>,
    pub(crate) cancel: Cancel,
}

impl SparseQuery {
    /// Searches the collection's first sparse field. An empty vector finds nothing.
    #[must_use]
    pub fn new(vector: SparseVector) -> Self {
        Self { vector, field: None, filter: None, cancel: Cancel::new() }
    }
}

query_builders!(
    SparseQuery,
    field: "Searches another field.",
    filter: "Searches among the points that match a filter. Scores stay what they are without it."
);
