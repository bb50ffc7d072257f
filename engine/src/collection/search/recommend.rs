//! Searching by examples.
//!
//! By the *average vector* it is one search. By the *best score* every positive example is searched by
//! itself, and what comes of these is scored by all examples. What no search returned cannot be nearer
//! to a positive example than the last that its search did return: so the best are known once enough
//! of them, which no negative example pushes back, score at least as well as all of these last ones;
//! and until then the searches go deeper.

mod sparse;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use bigrain_index::verify::similarity;
use bigrain_types::filter::Condition;
use bigrain_types::{Filter, MAX_LIMIT, PointId, SearchParams, SearchStats, SeqNo};

use super::{VectorSearch, refuse_diversity};
use crate::collection::Collection;
use crate::collection::handle::Shared;
use crate::field::Field;
use crate::recommend_query::MAX_EXAMPLES;
use crate::scroll::PointParts;
use crate::{
    Error, ErrorKind, Example, Query, RecommendQuery, RecommendStrategy, Result, SearchOutput,
};

/// Results of each positive example's search at first, for each one that is wanted, and at least.
const DEPTH_FACTOR: usize = 2;
const MIN_DEPTH: usize = 50;

/// How much deeper the next searches go.
const DEEPER: usize = 4;

impl Collection {
    /// Returns the points that are like the positive examples and unlike the negative ones, best first;
    /// examples that are points are not among them. In a sparse field examples are points, and are
    /// averaged.
    ///
    /// # Errors
    ///
    /// `NotFound` for an example that does not exist, which is named; `FailedPrecondition` for one that
    /// has no vector in the field; `InvalidArgument` for more than [`MAX_EXAMPLES`], or for diverse
    /// results by the best score; for what a sparse field does not do; and as [`search`](Self::search).
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
            shared.retried(|| {
                let seq = shared.state.read().seq;
                let Some(examples) = Examples::of(shared, query)? else { return Ok(None) };
                match query.strategy {
                    RecommendStrategy::AverageVector => {
                        let query = examples.query(examples.average());
                        VectorSearch::prepare(shared, &query, params)?.run()
                    }
                    RecommendStrategy::BestScore => BestScore { examples, params, seq }.run(),
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

/// Returns the vectors of examples, points first.
fn vectors(shared: &Shared, field: &Field, examples: &[Example]) -> Result<Option<Vec<Vec<f32>>>> {
    let ids: Vec<PointId> = ids(examples).collect();
    let parts = PointParts { vectors: true, payload: false };
    let Some(points) = shared.moment().points(&ids, parts)? else { return Ok(None) };
    let mut vectors = Vec::with_capacity(examples.len());
    for (id, point) in ids.iter().zip(points) {
        let point = point.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("example {id} does not exist"))
        })?;
        let vector = point.vector(&field.name).ok_or_else(|| {
            let reason = format!("example {id} has no vector in field {:?}", field.name);
            Error::new(ErrorKind::FailedPrecondition, reason)
        })?;
        vectors.push(vector.to_vec());
    }
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

/// One search by the best score.
struct BestScore<'a> {
    examples: Examples<'a>,
    params: &'a SearchParams,
    seq: SeqNo,
}

/// A point as all examples see it.
struct Judged {
    id: PointId,
    /// Its similarity to the nearest positive example.
    liked: f32,
    /// Its similarity to the nearest negative example, if that is the nearest of all.
    disliked: Option<f32>,
}

/// What the searches of one depth came to.
struct Round {
    points: Vec<Judged>,
    /// No other point is more similar to a positive example; nothing if there are no others.
    others: Option<f32>,
}

impl BestScore<'_> {
    fn run(&self) -> Result<Option<SearchOutput>> {
        let limit = self.params.limit();
        let mut stats = SearchStats::default();
        let mut depth = (limit * DEPTH_FACTOR).clamp(MIN_DEPTH, MAX_LIMIT);
        loop {
            let Some(round) = self.round(depth, &mut stats)? else { return Ok(None) };
            if depth == MAX_LIMIT || round.is_enough(limit) {
                return self.finish(round.points, stats);
            }
            depth = (depth * DEEPER).min(MAX_LIMIT);
        }
    }

    fn round(&self, depth: usize, stats: &mut SearchStats) -> Result<Option<Round>> {
        let Examples { shared, field, positive, .. } = &self.examples;
        let params = self.params.with_limit(depth)?.with_payload(false).without_score_threshold();
        let (mut ids, mut last) = (BTreeSet::new(), Vec::new());
        for vector in positive {
            let query = self.examples.query(vector.clone());
            let output = VectorSearch::prepare(shared, &query, &params)?.run()?;
            let Some(output) = output else { return Ok(None) };
            *stats += output.stats;
            if output.points.len() == depth {
                last.extend(output.points.last().map(|point| (vector, point.id.clone())));
            }
            ids.extend(output.points.into_iter().map(|point| point.id));
        }
        let ids: Vec<PointId> = ids.into_iter().collect();
        let vectors = shared.stored_vectors(&ids, field, self.seq)?;
        let Some(vectors) = vectors else { return Ok(None) };
        let last = last.into_iter().filter_map(|(vector, id)| {
            let at = ids.binary_search(&id).ok()?;
            Some(similarity(field.config.metric, vector, &vectors[at]))
        });
        let others = last.max_by(f32::total_cmp);
        let points = ids.into_iter().zip(&vectors).map(|(id, vector)| self.judge(id, vector));
        Ok(Some(Round { points: points.collect(), others }))
    }

    fn judge(&self, id: PointId, vector: &[f32]) -> Judged {
        let metric = self.examples.field.config.metric;
        let nearest = |examples: &[Vec<f32>]| {
            let similarities = examples.iter().map(|example| similarity(metric, example, vector));
            similarities.max_by(f32::total_cmp)
        };
        let liked = nearest(&self.examples.positive).unwrap_or(f32::NEG_INFINITY);
        let disliked = nearest(&self.examples.negative).filter(|&disliked| disliked >= liked);
        Judged { id, liked, disliked }
    }

    fn finish(&self, mut points: Vec<Judged>, stats: SearchStats) -> Result<Option<SearchOutput>> {
        points.sort_by(Judged::compare);
        points.truncate(self.params.limit());
        let metric = self.examples.field.config.metric;
        let scored = points.into_iter().map(|point| (point.id, metric.score(point.liked)));
        let good = |(_, score): &(PointId, f32)| {
            self.params.is_good_enough(*score, metric.larger_is_nearer())
        };
        let scored: Vec<(PointId, f32)> = scored.filter(good).collect();
        let points = self.examples.shared.results(scored, self.params, self.seq)?;
        Ok(points.map(|points| SearchOutput { points, stats, plan: None }))
    }
}

impl Round {
    /// Whether the best points are among these.
    fn is_enough(&self, limit: usize) -> bool {
        let Some(others) = self.others else { return true };
        let sure = |point: &&Judged| point.disliked.is_none() && point.liked >= others;
        self.points.iter().filter(sure).count() >= limit
    }
}

impl Judged {
    /// Which of two points comes first.
    fn compare(&self, other: &Self) -> Ordering {
        match (self.disliked, other.disliked) {
            (None, None) => other.liked.total_cmp(&self.liked),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
        .then_with(|| self.id.cmp(&other.id))
    }
}
