//! What a query is compared with stored vectors as, once codes have found candidates.

use std::sync::Arc;

use bigrain_binarize::Adapter;
use bigrain_types::{MAX_LIMIT, Metric};

use crate::{Champion, Error, ErrorKind, FieldConfig, Result};

/// A dense adapter: the contents of a file that `bigrain train adapt` wrote. Cheap to clone.
///
/// A search with it ([`Query::with_adapter`](crate::Query::with_adapter)) takes the points nearest by
/// codes, as many as it was fitted on, and scores each by the product of its vector with the adapted query
/// plus a share of what its code says (BiDR). Scores are no cosines then, and may be above 1.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryAdapter(Arc<Adapter>);

impl QueryAdapter {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for bytes that are no adapter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = Adapter::from_bytes(bytes);
        read.map(Self::from).map_err(|error| Error::invalid(error.to_string()))
    }

    /// Returns the components of the vectors it takes.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.0.parts().dims
    }

    /// Returns how many points a search scores by it, unless more results are wanted.
    #[must_use]
    pub fn shortlist(&self) -> usize {
        self.0.parts().shortlist.min(MAX_LIMIT)
    }

    /// Returns the weight of what codes say.
    #[must_use]
    pub fn code_weight(&self) -> f32 {
        self.0.parts().code_weight
    }

    /// Returns how it compares with verification by the vectors as they are.
    #[must_use]
    pub fn champion(&self) -> Champion {
        self.0.parts().champion
    }

    /// Refuses a field whose vectors it was not made for.
    pub(crate) fn check_field(&self, field: &FieldConfig) -> Result<()> {
        let refuse = |reason: String| Err(Error::new(ErrorKind::FailedPrecondition, reason));
        if field.metric != Metric::Cosine {
            return refuse(format!("an adapter compares by cosine, the field by {}", field.metric));
        }
        if field.dims != self.dims() {
            let (dims, has) = (self.dims(), field.dims);
            return refuse(format!("the adapter takes {dims} dims, the field has {has}"));
        }
        Ok(())
    }

    /// Returns what stored vectors are compared with; `query` has length one.
    pub(crate) fn adapt(&self, query: &[f32]) -> Vec<f32> {
        self.0.adapt(query)
    }

    /// Returns the score of a point from the product of its vector and what its code says.
    pub(crate) fn score(&self, dense: f32, code: f32) -> f32 {
        self.0.score(dense, code)
    }
}

impl From<Adapter> for QueryAdapter {
    fn from(adapter: Adapter) -> Self {
        Self(Arc::new(adapter))
    }
}
