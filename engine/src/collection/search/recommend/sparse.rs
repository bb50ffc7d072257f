//! Searching a sparse field by examples: by their average vector.

use std::collections::BTreeMap;
use std::sync::Arc;

use bigrain_types::{SearchParams, SparseVector};

use super::super::SparseVectorSearch;
use super::{among_others, ids, name_of_field, of_points};
use crate::collection::handle::Shared;
use crate::field::{Fields, SparseField};
use crate::{Error, Example, RecommendQuery, RecommendStrategy, Result, SearchOutput, SparseQuery};

/// Returns the sparse field of a query; nothing where its field is dense, or unknown.
pub(super) fn field_of(fields: &Fields, query: &RecommendQuery) -> Option<Arc<SparseField>> {
    fields.named_sparse(name_of_field(fields, query)?).ok().map(Arc::clone)
}

/// Searches once; nothing when a flush or merge is between its commit and its publication, or a result
/// was deleted meanwhile.
pub(super) fn search(
    shared: &Shared,
    query: &RecommendQuery,
    field: &SparseField,
    params: &SearchParams,
) -> Result<Option<SearchOutput>> {
    if query.strategy == RecommendStrategy::BestScore {
        let reason = format!(
            "field {:?} is sparse: its examples are averaged, the best score is of dense fields",
            field.name
        );
        return Err(Error::invalid(reason));
    }
    let Some(positive) = vectors(shared, field, &query.positive)? else { return Ok(None) };
    let Some(negative) = vectors(shared, field, &query.negative)? else { return Ok(None) };
    let query = SparseQuery::new(average(&positive, &negative)?)
        .in_field(&*field.name)
        .with_filter(among_others(query))
        .with_cancel(query.cancel.clone());
    SparseVectorSearch::prepare(shared, &query, *params)?.run()
}

/// Returns the vectors of examples.
fn vectors(
    shared: &Shared,
    field: &SparseField,
    examples: &[Example],
) -> Result<Option<Vec<SparseVector>>> {
    if ids(examples).count() < examples.len() {
        let reason = format!("field {:?} is sparse: its examples are points", field.name);
        return Err(Error::invalid(reason));
    }
    of_points(shared, &field.name, examples, |point| point.sparse(&field.name).cloned())
}

/// Returns `p + (p - n)` for the means of positive and negative vectors; `p` where none is negative.
fn average(positive: &[SparseVector], negative: &[SparseVector]) -> Result<SparseVector> {
    let mut sum: BTreeMap<u32, f32> = BTreeMap::new();
    let mut add = |vectors: &[SparseVector], weight: f32| {
        let share = weight / vectors.len().max(1) as f32;
        for (dimension, value) in vectors.iter().flat_map(SparseVector::iter) {
            *sum.entry(dimension).or_default() += share * value;
        }
    };
    add(positive, if negative.is_empty() { 1.0 } else { 2.0 });
    add(negative, -1.0);
    let (dimensions, values) = sum.into_iter().unzip();
    Ok(SparseVector::new(dimensions, values)?)
}
