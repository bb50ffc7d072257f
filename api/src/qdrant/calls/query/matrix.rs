//! How near some points are to each other.

use std::collections::{BTreeMap, BTreeSet};

use bigrain_engine::{Cancel, Filter, MAX_LIMIT, PointId};
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{Level, Scope, limit};
use crate::grpc::Context;
use crate::qdrant::calls::{both, check_field};
use crate::qdrant::convert::{self, refuse_shard_keys, stored_vector};
use crate::qdrant::error::wrong;

/// Points that are compared unless said otherwise, and neighbours of each.
const DEFAULT_SAMPLE: u64 = 10;
const DEFAULT_NEIGHBOURS: u64 = 3;

/// The neighbours of each of some points, among these.
struct Matrix {
    rows: Vec<(PointId, Vec<(PointId, f32)>)>,
}

/// Compares some points with each other, as pairs.
pub(in crate::qdrant) fn matrix_pairs(
    context: &Context,
    request: q::SearchMatrixPoints,
    cancel: &Cancel,
) -> Result<q::SearchMatrixPairsResponse, Status> {
    let mut pairs = Vec::new();
    for (id, neighbours) in matrix(context, request, cancel)?.rows {
        for (other, score) in neighbours {
            let (a, b) = (Some(convert::id_message(&id)), Some(convert::id_message(&other)));
            pairs.push(q::SearchMatrixPair { a, b, score });
        }
    }
    let result = Some(q::SearchMatrixPairs { pairs });
    context.check_reply(q::SearchMatrixPairsResponse { result, ..Default::default() })
}

/// Compares some points with each other, as the rows and columns of a matrix.
pub(in crate::qdrant) fn matrix_offsets(
    context: &Context,
    request: q::SearchMatrixPoints,
    cancel: &Cancel,
) -> Result<q::SearchMatrixOffsetsResponse, Status> {
    let matrix = matrix(context, request, cancel)?;
    let place: BTreeMap<&PointId, u64> =
        (0..).zip(&matrix.rows).map(|(at, (id, _))| (id, at)).collect();
    let mut result = q::SearchMatrixOffsets::default();
    for (id, neighbours) in &matrix.rows {
        result.ids.push(convert::id_message(id));
        for (other, score) in neighbours {
            let (Some(&row), Some(&column)) = (place.get(id), place.get(other)) else { continue };
            result.offsets_row.push(row);
            result.offsets_col.push(column);
            result.scores.push(*score);
        }
    }
    let result = Some(result);
    context.check_reply(q::SearchMatrixOffsetsResponse { result, ..Default::default() })
}

fn matrix(
    context: &Context,
    request: q::SearchMatrixPoints,
    cancel: &Cancel,
) -> Result<Matrix, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let sample = limit(Some(request.sample.unwrap_or(DEFAULT_SAMPLE)))?;
    let neighbours = limit(Some(request.limit.unwrap_or(DEFAULT_NEIGHBOURS)))?;
    if sample > MAX_LIMIT {
        return Err(wrong(format!("sample {sample}: expected at most {MAX_LIMIT}")));
    }
    let collection = context.collection(&request.collection_name)?;
    let scope = Scope { context, collection: &collection, cancel };
    let filter = convert::optional_filter(request.filter)?;
    let mut level = Level {
        prefetch: Vec::new(),
        query: Some(q::Query {
            variant: Some(q::query::Variant::Sample(q::Sample::Random as i32)),
        }),
        using: request.using,
        filter,
        params: None,
        score_threshold: None,
        // Some of them may have no vector in the field.
        limit: MAX_LIMIT,
        lookup_from: None,
    };
    let field = level.field();
    check_field(&collection, &field)?;
    let ids: Vec<PointId> = scope.ranked(level.clone())?.into_iter().map(|(id, _)| id).collect();
    let mut vectors = Vec::new();
    for ids in ids.chunks(sample) {
        let points = scope.stored(ids)?.into_iter().flatten();
        vectors.extend(points.filter_map(|point| {
            let vector = stored_vector(&point, &field)?;
            Some((point.id, vector))
        }));
        if vectors.len() >= sample {
            break;
        }
    }
    vectors.truncate(sample);
    vectors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let all: BTreeSet<PointId> = vectors.iter().map(|(id, _)| id.clone()).collect();
    let mut rows = Vec::with_capacity(vectors.len());
    for (id, vector) in vectors {
        scope.check_cancelled()?;
        let mut others = all.clone();
        others.remove(&id);
        let among = Filter::new().must(convert::has_ids(others));
        level.filter = both(None, Some(among));
        level.limit = neighbours;
        rows.push((id, scope.near(&level, vector)?));
    }
    Ok(Matrix { rows })
}
