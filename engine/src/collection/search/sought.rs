//! What a search that is made of several looks for, by vector, by words, or both.

use bigrain_types::filter::Condition;
use bigrain_types::{Filter, MAX_LIMIT, SearchParams};

use super::hybrid::HybridSearch;
use super::{MultiVectorSearch, SparseVectorSearch, TextSearch, VectorSearch};
use crate::collection::handle::Shared;
use crate::{HybridQuery, Result, SearchOutput, TextQuery, VectorQuery};

/// What is searched for.
#[derive(Clone, Copy)]
pub(super) enum Sought<'a> {
    Vector(&'a VectorQuery),
    Text(&'a TextQuery),
    Hybrid(&'a HybridQuery),
}

impl Sought<'_> {
    /// Returns the filter that all results match, where there is one.
    pub fn filter(self) -> Option<Filter> {
        match self {
            Self::Vector(query) => query.filter().cloned(),
            Self::Text(query) => query.filter.clone(),
            // Each part has its own. Values without any result cost a search, and change nothing.
            Self::Hybrid(_) => None,
        }
    }

    /// Whether a point scores the same whatever points it is searched among.
    pub fn scores_compare(self) -> bool {
        match self {
            Self::Vector(_) | Self::Text(_) => true,
            Self::Hybrid(_) => false,
        }
    }

    pub fn larger_is_better(self, shared: &Shared) -> Result<bool> {
        match self {
            Self::Vector(VectorQuery::Dense(query)) => {
                let fields = shared.fields();
                Ok(fields.named(query.field.as_deref())?.config.metric.larger_is_nearer())
            }
            Self::Vector(VectorQuery::Sparse(_) | VectorQuery::Multi(_))
            | Self::Text(_)
            | Self::Hybrid(_) => Ok(true),
        }
    }

    /// Returns the most results that one search may be asked for.
    pub fn max_depth(self) -> usize {
        match self {
            Self::Vector(_) | Self::Text(_) => MAX_LIMIT,
            Self::Hybrid(query) => query.depth().unwrap_or(MAX_LIMIT),
        }
    }

    /// Searches once, among the points that meet a condition if there is one.
    pub fn search(
        self,
        shared: &Shared,
        among: Option<&Condition>,
        params: &SearchParams,
    ) -> Result<Option<SearchOutput>> {
        let narrow = |filter: &mut Option<Filter>| {
            if let Some(condition) = among {
                *filter = Some(filter.take().unwrap_or_default().must(condition.clone()));
            }
        };
        match self {
            Self::Vector(VectorQuery::Dense(query)) => {
                let mut query = query.clone();
                narrow(&mut query.filter);
                VectorSearch::prepare(shared, &query, params)?.run()
            }
            Self::Vector(VectorQuery::Sparse(query)) => {
                let mut query = query.clone();
                narrow(&mut query.filter);
                SparseVectorSearch::prepare(shared, &query, *params)?.run()
            }
            Self::Vector(VectorQuery::Multi(query)) => {
                let mut query = query.clone();
                narrow(&mut query.filter);
                MultiVectorSearch::prepare(shared, &query, *params)?.run()
            }
            Self::Text(query) => {
                let mut query = query.clone();
                narrow(&mut query.filter);
                TextSearch::prepare(shared, &query, *params)?.run()
            }
            Self::Hybrid(query) => {
                let mut query = query.clone();
                query.filters_mut().for_each(narrow);
                HybridSearch::prepare(shared, &query, params)?.run()
            }
        }
    }
}
