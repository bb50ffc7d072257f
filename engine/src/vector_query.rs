//! A query by a vector of any kind.

use bigrain_types::{Cancel, Filter};

use crate::{MultiQuery, Query, SparseQuery};

/// A query by a vector of any kind: for what takes all.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum VectorQuery {
    /// By a dense vector.
    Dense(Query),
    /// By a sparse vector.
    Sparse(SparseQuery),
    /// By a multi-vector.
    Multi(MultiQuery),
}

impl VectorQuery {
    /// Lets the search be given up from another thread.
    #[must_use]
    pub fn with_cancel(self, cancel: &Cancel) -> Self {
        match self {
            Self::Dense(query) => Self::Dense(query.with_cancel(cancel.clone())),
            Self::Sparse(query) => Self::Sparse(query.with_cancel(cancel.clone())),
            Self::Multi(query) => Self::Multi(query.with_cancel(cancel.clone())),
        }
    }

    /// Returns the filter, if there is one.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Dense(query) => query.filter.as_ref(),
            Self::Sparse(query) => query.filter.as_ref(),
            Self::Multi(query) => query.filter.as_ref(),
        }
    }

    /// Searches among the points that match a filter, in place of the one before.
    #[must_use]
    pub fn with_filter(self, filter: Filter) -> Self {
        match self {
            Self::Dense(query) => Self::Dense(query.with_filter(filter)),
            Self::Sparse(query) => Self::Sparse(query.with_filter(filter)),
            Self::Multi(query) => Self::Multi(query.with_filter(filter)),
        }
    }
}

impl From<Query> for VectorQuery {
    fn from(query: Query) -> Self {
        Self::Dense(query)
    }
}

impl From<SparseQuery> for VectorQuery {
    fn from(query: SparseQuery) -> Self {
        Self::Sparse(query)
    }
}

impl From<MultiQuery> for VectorQuery {
    fn from(query: MultiQuery) -> Self {
        Self::Multi(query)
    }
}

impl From<&Query> for VectorQuery {
    fn from(query: &Query) -> Self {
        Self::Dense(query.clone())
    }
}

impl From<&SparseQuery> for VectorQuery {
    fn from(query: &SparseQuery) -> Self {
        Self::Sparse(query.clone())
    }
}

impl From<&MultiQuery> for VectorQuery {
    fn from(query: &MultiQuery) -> Self {
        Self::Multi(query.clone())
    }
}
