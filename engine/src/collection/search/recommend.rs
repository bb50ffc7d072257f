//! Searching by examples.
//!
//! By the *average vector* it is one search. By the [*best score*](best_score) every positive example is
//! searched by itself, and what comes of these is scored by all examples.

mod best_score;
mod multi;
mod sparse;

use std::collections::BTreeSet;
use std::sync::Arc;

use bigrain_index::verify::similarity;
use bigrain_types::filter::Condition;
use bigrain_types::{Filter, Metric, PointId, SearchParams, SeqNo};

use super::{VectorSearch, refuse_diversity};
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::field::{Field, Fields};
use crate::recommend_query::MAX_EXAMPLES;
use crate::scroll::PointParts;
use crate::{
    Error, ErrorKind, Example, Query, RecommendQuery, RecommendStrategy, Result, SearchOutput,
    StoredPoint,
};
use best_score::{BestScore, Scored};

impl Collection {
    /// Returns the points that are like the positive examples and unlike the negative ones, best first;
    /// examples that are points are not among them. In a sparse field examples are points, and are
    /// averaged. In a multi-vector field they are points, too: their tokens are put together, for a
    /// MaxSim with all is the average of one with each, by its tokens; negative ones are for the best score.
    ///
    /// # Errors
    ///
    /// `NotFound` for an example that does not exist, which is named; `FailedPrecondition` for one that
    /// has no vector in the field; `InvalidArgument` for more than [`MAX_EXAMPLES`], or for diverse
    /// results by the best score; for what a sparse or multi-vector field does not do; and as [`search`](Self::search).
    pub fn recommend(&self, query: &RecommendQuery, params: &SearchParams) -> Result<SearchOutput> {
        let shared = &*self.0;
        shared.run("recommend from", || {
            let examples = query.positive.len() + query.negative.len();
            if examples > MAX_EXAMPLES {
                let reason = format!("{examples} examples exceed the limit of {MAX_EXAMPLES}");
                return Err(Error::invalid(reason));
            }
            if query.strategy == RecommendStrategy::BestScore {
                refuse_diversity(params)?;
            }
            if let Some(field) = sparse::field_of(&shared.fields(), query) {
                return shared.retried(|| sparse::search(shared, query, &field, params));
            }
            if let Some(field) = multi::field_of(&shared.fields(), query) {
                return shared.retried(|| multi::search(shared, query, &field, params));
            }
            shared.retried(|| {
                let seq = shared.state.read().seq;
                let Some(examples) = Examples::of(shared, query)? else { return Ok(None) };
                match query.strategy {
                    RecommendStrategy::AverageVector => {
                        let query = examples.query(examples.average());
                        VectorSearch::prepare(shared, &query, params)?.run()
                    }
                    RecommendStrategy::BestScore => {
                        BestScore { shared, examples: &examples, params, seq }.run()
                    }
                }
            })
        })
    }
}

/// Examples as vectors of one field, in the form in which they are stored.
struct Examples<'a> {
    shared: &'a Shared,
    query: &'a RecommendQuery,
    field: Arc<Field>,
    /// All points but those that are examples, if they match the filter.
    filter: Filter,
    positive: Vec<Vec<f32>>,
    negative: Vec<Vec<f32>>,
}

impl<'a> Examples<'a> {
    /// Returns the examples of a query; nothing when a flush or merge is between its commit and its
    /// publication.
    fn of(shared: &'a Shared, query: &'a RecommendQuery) -> Result<Option<Self>> {
        let field = Arc::clone(shared.fields().named(query.field.as_deref())?);
        let vectors = |examples: &[Example]| vectors(shared, &field, examples);
        let Some(positive) = vectors(&query.positive)? else { return Ok(None) };
        let Some(negative) = vectors(&query.negative)? else { return Ok(None) };
        Ok(Some(Self { shared, query, field, filter: among_others(query), positive, negative }))
    }

    /// Searches for the points near a vector that are not examples.
    fn query(&self, vector: Vec<f32>) -> Query {
        let query = Query::new(vector).with_filter(self.filter.clone());
        let query = query.in_field(&*self.field.name);
        query.with_cancel(self.query.cancel.clone())
    }

    fn average(&self) -> Vec<f32> {
        let mut average = mean(&self.positive);
        if !self.negative.is_empty() {
            for (value, away) in average.iter_mut().zip(mean(&self.negative)) {
                *value += *value - away;
            }
        }
        average
    }
}

impl Scored for Examples<'_> {
    type Example = Vec<f32>;
    type Stored = Vec<f32>;

    fn positive(&self) -> &[Self::Example] {
        &self.positive
    }

    fn negative(&self) -> &[Self::Example] {
        &self.negative
    }

    fn search(&self, example: &Vec<f32>, params: &SearchParams) -> Result<Option<SearchOutput>> {
        VectorSearch::prepare(self.shared, &self.query(example.clone()), params)?.run()
    }

    fn stored(&self, ids: &[PointId], seq: SeqNo) -> Result<Option<Vec<Self::Stored>>> {
        self.shared.stored_vectors(ids, &self.field, seq)
    }

    fn metric(&self) -> Metric {
        self.field.config.metric
    }

    fn similarity(&self, example: &Vec<f32>, stored: &Vec<f32>) -> f32 {
        similarity(self.metric(), example, stored)
    }
}

/// Returns the vectors of examples, points first.
fn vectors(shared: &Shared, field: &Field, examples: &[Example]) -> Result<Option<Vec<Vec<f32>>>> {
    let vector = |point: &StoredPoint| point.vector(&field.name).map(<[f32]>::to_vec);
    let Some(mut vectors) = of_points(shared, &field.name, examples, vector)? else {
        return Ok(None);
    };
    for example in examples {
        if let Example::Vector(vector) = example {
            field.check_query(vector, None)?;
            let mut vector = vector.clone();
            field.normalize(&mut vector);
            vectors.push(vector);
        }
    }
    Ok(Some(vectors))
}

/// Returns what `part` finds in the examples that are points, in their order; nothing when a flush or merge is
/// between its commit and its publication.
fn of_points<T>(
    shared: &Shared,
    field: &str,
    examples: &[Example],
    part: impl Fn(&StoredPoint) -> Option<T>,
) -> Result<Option<Vec<T>>> {
    let ids: Vec<PointId> = ids(examples).collect();
    let parts = PointParts { vectors: true, payload: false };
    let Some(points) = shared.moment().points(&ids, parts)? else { return Ok(None) };
    let of_point = |(id, point): (&PointId, Option<StoredPoint>)| {
        let point = point.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("example {id} does not exist"))
        })?;
        part(&point).ok_or_else(|| {
            let reason = format!("example {id} has no vector in field {field:?}");
            Error::new(ErrorKind::FailedPrecondition, reason)
        })
    };
    ids.iter().zip(points).map(of_point).collect::<Result<_>>().map(Some)
}

/// Returns the name that a query has for its field, if that need not be a dense one; it has none where the
/// collection has no dense field.
fn name_of_field<'q>(fields: &Fields, query: &'q RecommendQuery) -> Option<Option<&'q str>> {
    let name = query.field.as_deref();
    (name.is_some() || fields.iter().next().is_none()).then_some(name)
}

/// Returns a filter for all points but those that are examples, if they match the query's.
fn among_others(query: &RecommendQuery) -> Filter {
    let ids: BTreeSet<PointId> = ids(&query.positive).chain(ids(&query.negative)).collect();
    query.filter.clone().unwrap_or_default().must_not(Condition::Ids(ids))
}

fn ids(examples: &[Example]) -> impl Iterator<Item = PointId> + '_ {
    examples.iter().filter_map(|example| match example {
        Example::Point(id) => Some(id.clone()),
        Example::Vector(_) => None,
    })
}

/// There is one vector at least: every query has a positive example, and negative ones are asked after.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let (first, others) = vectors.split_first().map_or((&[][..], &[][..]), |(a, b)| (&a[..], b));
    let mut sum = first.to_vec();
    for vector in others {
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|sum| *sum /= vectors.len() as f32);
    sum
}
