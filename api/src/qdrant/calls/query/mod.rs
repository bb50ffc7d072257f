//! Queries: nearest, by examples, fused, in groups.
//!
//! A query is a tree: prefetches find points, the query above them fuses their lists or ranks those points anew.
//! Filters hold for everything below them. [`Level`] is one node, [`Scope::ranked`] what it comes to.
//!
//! ```text
//!   QueryPoints ── Level ─┬─ prefetch: Level ── ... ── ranked ids
//!                         ├─ prefetch: Level ── ... ── ranked ids
//!                         └─ fuse, or rank the points of both by its own query
//! ```
//!
//! Nearest and average vectors are searches of the engine. What is scored by several examples at once (best
//! score, discovery, context, feedback) looks at all points that match ([`scan`]): exact, and as long as reading
//! their vectors takes.

mod examples;
mod fusion;
mod groups;
mod level;
mod matrix;
mod nearest;
mod older;
mod scan;
mod scoring;

use bigrain_engine::{Cancel, Collection, MAX_LIMIT, PointId, StoredPoint};
use qdrant_client::qdrant as q;
use tonic::Status;

pub(in crate::qdrant) use groups::query_groups;
use level::Level;
pub(in crate::qdrant) use matrix::{matrix_offsets, matrix_pairs};
pub(in crate::qdrant) use older::{
    discover, discover_batch, recommend, recommend_batch, recommend_groups, search, search_batch,
    search_groups,
};

use crate::grpc::Context;
use crate::qdrant::convert::{self, Parts, refuse_shard_keys};
use crate::qdrant::error::wrong;
use crate::status;

/// Results unless said otherwise.
const DEFAULT_LIMIT: u64 = 10;

/// Ids and scores, best first.
type Ranked = Vec<(PointId, f32)>;

/// Where a query runs.
struct Scope<'a> {
    context: &'a Context,
    collection: &'a Collection,
    cancel: &'a Cancel,
}

/// Finds points by a query.
pub(in crate::qdrant) fn query(
    context: &Context,
    request: q::QueryPoints,
    cancel: &Cancel,
) -> Result<q::QueryResponse, Status> {
    let result = found(context, request, cancel)?;
    context.check_reply(q::QueryResponse { result, ..Default::default() })
}

/// Answers several queries of one collection.
pub(in crate::qdrant) fn query_batch(
    context: &Context,
    request: q::QueryBatchPoints,
    cancel: &Cancel,
) -> Result<q::QueryBatchResponse, Status> {
    context.check_batch("queries", request.query_points.len())?;
    let result = batch(context, &request.collection_name, request.query_points, cancel)?;
    context.check_reply(q::QueryBatchResponse { result, ..Default::default() })
}

/// Answers each of some queries.
fn batch(
    context: &Context,
    collection_name: &str,
    queries: Vec<q::QueryPoints>,
    cancel: &Cancel,
) -> Result<Vec<q::BatchResult>, Status> {
    let each = queries.into_iter().map(|query| {
        let query = q::QueryPoints { collection_name: collection_name.to_owned(), ..query };
        Ok(q::BatchResult { result: found(context, query, cancel)? })
    });
    each.collect()
}

fn found(
    context: &Context,
    request: q::QueryPoints,
    cancel: &Cancel,
) -> Result<Vec<q::ScoredPoint>, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let parts = Parts::of(request.with_payload, request.with_vectors, false)?;
    let offset = usize::try_from(request.offset.unwrap_or(0)).unwrap_or(usize::MAX);
    let collection = context.collection(&request.collection_name)?;
    let scope = Scope { context, collection: &collection, cancel };
    let limit = limit(request.limit)?;
    let level = Level {
        prefetch: request.prefetch,
        query: request.query,
        using: request.using,
        filter: convert::optional_filter(request.filter)?,
        params: request.params,
        score_threshold: request.score_threshold,
        limit: limit.saturating_add(offset),
        lookup_from: request.lookup_from,
    };
    let mut ranked = scope.ranked(level)?;
    ranked.drain(..offset.min(ranked.len()));
    scope.filled(ranked, &parts)
}

/// Reads how many results are wanted.
fn limit(asked: Option<u64>) -> Result<usize, Status> {
    let limit = usize::try_from(asked.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    if limit == 0 {
        return Err(wrong("limit value 0 is invalid: must be 1 or larger"));
    }
    Ok(limit)
}

impl Scope<'_> {
    /// Returns ranked points with the parts that are asked for; those that were deleted meanwhile are left out.
    fn filled(&self, ranked: Ranked, parts: &Parts) -> Result<Vec<q::ScoredPoint>, Status> {
        if !parts.needs_payload() && !parts.needs_vectors() {
            return Ok(ranked
                .into_iter()
                .map(|found| convert::scored(found, None, parts))
                .collect());
        }
        let ids: Vec<PointId> = ranked.iter().map(|(id, _)| id.clone()).collect();
        let mut points = Vec::with_capacity(ranked.len());
        let stored = if parts.needs_vectors() { self.stored(&ids)? } else { self.payloads(&ids)? };
        for (found, point) in ranked.into_iter().zip(stored) {
            if let Some(point) = point {
                points.push(convert::scored(found, Some(point), parts));
            }
        }
        Ok(points)
    }

    /// Returns points by id.
    fn stored(&self, ids: &[PointId]) -> Result<Vec<Option<StoredPoint>>, Status> {
        let mut points = Vec::with_capacity(ids.len());
        for ids in ids.chunks(bigrain_engine::MAX_POINTS_PER_BATCH) {
            points.extend(self.collection.get(ids).map_err(status::from_engine)?);
        }
        Ok(points)
    }

    /// Returns points by id without their vectors.
    fn payloads(&self, ids: &[PointId]) -> Result<Vec<Option<StoredPoint>>, Status> {
        let mut points = Vec::with_capacity(ids.len());
        for ids in ids.chunks(bigrain_engine::MAX_POINTS_PER_BATCH) {
            points.extend(self.collection.get_payloads(ids).map_err(status::from_engine)?);
        }
        Ok(points)
    }

    /// Refuses to go on once nobody waits.
    fn check_cancelled(&self) -> Result<(), Status> {
        if self.cancel.is_cancelled() {
            return Err(Status::cancelled("the caller went away"));
        }
        Ok(())
    }
}

/// Refuses more results than a search gives.
fn check_limit(limit: usize) -> Result<(), Status> {
    if limit > MAX_LIMIT {
        return Err(wrong(format!(
            "limit and offset reach to {limit}: expected at most {MAX_LIMIT}"
        )));
    }
    Ok(())
}
