//! Searching a multi-vector field by examples.
//!
//! Token matrices have no average. What comes nearest is to put the tokens of all examples together: the
//! MaxSim with all of them is the mean of that with each example, weighed by how many tokens it has.

use std::sync::Arc;

use bigrain_index::multi::{max_sim, round};
use bigrain_types::{Filter, HalfTokens, Metric, MultiVector, PointId, SearchParams, SeqNo};

use super::super::MultiVectorSearch;
use super::best_score::{BestScore, Scored};
use super::{among_others, ids, name_of_field, of_points};
use crate::collection::handle::Shared;
use crate::field::{Fields, MultiField};
use crate::{Error, Example, MultiQuery, RecommendQuery, RecommendStrategy, Result, SearchOutput};

/// Returns the multi-vector field of a query; nothing where its field is of another kind, or unknown.
pub(super) fn field_of(fields: &Fields, query: &RecommendQuery) -> Option<Arc<MultiField>> {
    fields.named_multi(name_of_field(fields, query)?).ok().map(Arc::clone)
}

/// Searches once; nothing when a flush or merge is between its commit and its publication, or a result
/// was deleted meanwhile.
pub(super) fn search(
    shared: &Shared,
    query: &RecommendQuery,
    field: &Arc<MultiField>,
    params: &SearchParams,
) -> Result<Option<SearchOutput>> {
    let is_average = query.strategy == RecommendStrategy::AverageVector;
    if is_average && !query.negative.is_empty() {
        let reason = format!(
            "field {:?} has multi-vectors, which nothing can be taken from: negative examples are for \
             the best score",
            field.name
        );
        return Err(Error::invalid(reason));
    }
    let seq = shared.state.read().seq;
    let Some(positive) = vectors(shared, field, &query.positive)? else { return Ok(None) };
    let Some(negative) = vectors(shared, field, &query.negative)? else { return Ok(None) };
    let (field, filter) = (Arc::clone(field), among_others(query));
    let examples = Examples { shared, query, field, filter, positive, negative };
    if is_average {
        return examples.search(&together(&examples.positive)?, params);
    }
    BestScore { shared, examples: &examples, params, seq }.run()
}

/// Examples as they are stored.
struct Examples<'a> {
    shared: &'a Shared,
    query: &'a RecommendQuery,
    field: Arc<MultiField>,
    /// All points but those that are examples, if they match the filter.
    filter: Filter,
    positive: Vec<MultiVector>,
    negative: Vec<MultiVector>,
}

impl Scored for Examples<'_> {
    type Example = MultiVector;
    type Stored = HalfTokens;

    fn positive(&self) -> &[MultiVector] {
        &self.positive
    }

    fn negative(&self) -> &[MultiVector] {
        &self.negative
    }

    fn search(&self, example: &MultiVector, params: &SearchParams) -> Result<Option<SearchOutput>> {
        let query = MultiQuery::new(example.clone())
            .in_field(&*self.field.name)
            .with_filter(self.filter.clone())
            .with_cancel(self.query.cancel.clone());
        MultiVectorSearch::prepare(self.shared, &query, *params)?.run()
    }

    fn stored(&self, ids: &[PointId], seq: SeqNo) -> Result<Option<Vec<HalfTokens>>> {
        let vectors = self.shared.stored_multi(ids, &self.field, seq)?;
        Ok(vectors.map(|vectors| vectors.iter().map(round).collect()))
    }

    fn metric(&self) -> Metric {
        self.field.config.metric
    }

    fn similarity(&self, example: &MultiVector, stored: &HalfTokens) -> f32 {
        max_sim(example, stored.view())
    }
}

/// Returns the multi-vectors of examples, in the form in which a query is compared.
fn vectors(
    shared: &Shared,
    field: &MultiField,
    examples: &[Example],
) -> Result<Option<Vec<MultiVector>>> {
    if ids(examples).count() < examples.len() {
        let reason = format!("field {:?} has multi-vectors: its examples are points", field.name);
        return Err(Error::invalid(reason));
    }
    of_points(shared, &field.name, examples, |point| {
        let mut vector = point.multi(&field.name)?.clone();
        field.normalize(&mut vector);
        Some(vector)
    })
}

/// Puts the tokens of all examples together.
fn together(examples: &[MultiVector]) -> Result<MultiVector> {
    let dims = examples.first().map_or(0, MultiVector::dims);
    let values = examples.iter().flat_map(MultiVector::values).copied().collect();
    MultiVector::new(dims, values)
        .map_err(|error| Error::invalid(format!("the tokens of all examples together: {error}")))
}
