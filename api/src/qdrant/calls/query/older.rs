//! Calls that came before queries, as the queries that they are.

use bigrain_engine::Cancel;
use q::query::Variant;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{batch, found, query_groups};
use crate::grpc::Context;
use crate::qdrant::convert;
use crate::qdrant::error::missing;

/// Finds the points nearest to a vector.
pub(in crate::qdrant) fn search(
    context: &Context,
    request: q::SearchPoints,
    cancel: &Cancel,
) -> Result<q::SearchResponse, Status> {
    let result = found(context, of_search(request), cancel)?;
    context.check_reply(q::SearchResponse { result, ..Default::default() })
}

/// Finds the points nearest to each of some vectors.
pub(in crate::qdrant) fn search_batch(
    context: &Context,
    request: q::SearchBatchPoints,
    cancel: &Cancel,
) -> Result<q::SearchBatchResponse, Status> {
    let queries = request.search_points.into_iter().map(of_search).collect();
    let result = batch(context, &request.collection_name, queries, cancel)?;
    context.check_reply(q::SearchBatchResponse { result, ..Default::default() })
}

/// Finds the points nearest to a vector, in groups.
pub(in crate::qdrant) fn search_groups(
    context: &Context,
    request: q::SearchPointGroups,
    cancel: &Cancel,
) -> Result<q::SearchGroupsResponse, Status> {
    let query = q::QueryPointGroups {
        collection_name: request.collection_name,
        query: Some(nearest(request.vector, request.sparse_indices)),
        using: request.vector_name,
        filter: request.filter,
        params: request.params,
        score_threshold: request.score_threshold,
        with_payload: request.with_payload,
        with_vectors: request.with_vectors,
        limit: Some(request.limit.into()),
        group_size: Some(request.group_size.into()),
        group_by: request.group_by,
        with_lookup: request.with_lookup,
        shard_key_selector: request.shard_key_selector,
        ..Default::default()
    };
    let result = query_groups(context, query, cancel)?.result;
    Ok(q::SearchGroupsResponse { result, ..Default::default() })
}

/// Finds points like examples.
pub(in crate::qdrant) fn recommend(
    context: &Context,
    request: q::RecommendPoints,
    cancel: &Cancel,
) -> Result<q::RecommendResponse, Status> {
    let result = found(context, of_recommend(request)?, cancel)?;
    context.check_reply(q::RecommendResponse { result, ..Default::default() })
}

/// Finds points like each of some sets of examples.
pub(in crate::qdrant) fn recommend_batch(
    context: &Context,
    request: q::RecommendBatchPoints,
    cancel: &Cancel,
) -> Result<q::RecommendBatchResponse, Status> {
    let queries = request.recommend_points.into_iter().map(of_recommend);
    let queries = queries.collect::<Result<_, _>>()?;
    let result = batch(context, &request.collection_name, queries, cancel)?;
    context.check_reply(q::RecommendBatchResponse { result, ..Default::default() })
}

/// Finds points like examples, in groups.
pub(in crate::qdrant) fn recommend_groups(
    context: &Context,
    request: q::RecommendPointGroups,
    cancel: &Cancel,
) -> Result<q::RecommendGroupsResponse, Status> {
    let positive = examples(request.positive, request.positive_vectors)?;
    let negative = examples(request.negative, request.negative_vectors)?;
    let input = q::RecommendInput { positive, negative, strategy: request.strategy };
    let query = q::QueryPointGroups {
        collection_name: request.collection_name,
        query: Some(q::Query { variant: Some(Variant::Recommend(input)) }),
        using: request.using,
        filter: request.filter,
        params: request.params,
        score_threshold: request.score_threshold,
        with_payload: request.with_payload,
        with_vectors: request.with_vectors,
        lookup_from: request.lookup_from,
        limit: Some(request.limit.into()),
        group_size: Some(request.group_size.into()),
        group_by: request.group_by,
        with_lookup: request.with_lookup,
        shard_key_selector: request.shard_key_selector,
        ..Default::default()
    };
    let result = query_groups(context, query, cancel)?.result;
    Ok(q::RecommendGroupsResponse { result, ..Default::default() })
}

/// Finds points by a target and pairs of examples.
pub(in crate::qdrant) fn discover(
    context: &Context,
    request: q::DiscoverPoints,
    cancel: &Cancel,
) -> Result<q::DiscoverResponse, Status> {
    let result = found(context, of_discover(request)?, cancel)?;
    context.check_reply(q::DiscoverResponse { result, ..Default::default() })
}

/// Finds points by each of some targets and pairs.
pub(in crate::qdrant) fn discover_batch(
    context: &Context,
    request: q::DiscoverBatchPoints,
    cancel: &Cancel,
) -> Result<q::DiscoverBatchResponse, Status> {
    let queries = request.discover_points.into_iter().map(of_discover);
    let queries = queries.collect::<Result<_, _>>()?;
    let result = batch(context, &request.collection_name, queries, cancel)?;
    context.check_reply(q::DiscoverBatchResponse { result, ..Default::default() })
}

fn of_search(request: q::SearchPoints) -> q::QueryPoints {
    q::QueryPoints {
        collection_name: request.collection_name,
        query: Some(nearest(request.vector, request.sparse_indices)),
        using: request.vector_name,
        filter: request.filter,
        params: request.params,
        score_threshold: request.score_threshold,
        limit: Some(request.limit),
        offset: request.offset,
        with_vectors: request.with_vectors,
        with_payload: request.with_payload,
        shard_key_selector: request.shard_key_selector,
        ..Default::default()
    }
}

fn nearest(data: Vec<f32>, indices: Option<q::SparseIndices>) -> q::Query {
    use q::vector_input::Variant as Input;

    let input = match indices {
        Some(indices) => Input::Sparse(q::SparseVector { values: data, indices: indices.data }),
        None => Input::Dense(q::DenseVector { data }),
    };
    let input = q::VectorInput { variant: Some(input) };
    q::Query { variant: Some(Variant::Nearest(input)) }
}

fn of_recommend(request: q::RecommendPoints) -> Result<q::QueryPoints, Status> {
    let positive = examples(request.positive, request.positive_vectors)?;
    let negative = examples(request.negative, request.negative_vectors)?;
    let input = q::RecommendInput { positive, negative, strategy: request.strategy };
    Ok(q::QueryPoints {
        collection_name: request.collection_name,
        query: Some(q::Query { variant: Some(Variant::Recommend(input)) }),
        using: request.using,
        filter: request.filter,
        params: request.params,
        score_threshold: request.score_threshold,
        limit: Some(request.limit),
        offset: request.offset,
        with_vectors: request.with_vectors,
        with_payload: request.with_payload,
        lookup_from: request.lookup_from,
        shard_key_selector: request.shard_key_selector,
        ..Default::default()
    })
}

fn of_discover(request: q::DiscoverPoints) -> Result<q::QueryPoints, Status> {
    let pairs = request.context.into_iter().map(|pair| {
        let (positive, negative) = (one(pair.positive)?, one(pair.negative)?);
        Ok(q::ContextInputPair { positive: Some(positive), negative: Some(negative) })
    });
    let context = q::ContextInput { pairs: pairs.collect::<Result<_, Status>>()? };
    let target = request.target.and_then(|target| target.target);
    let variant = match target {
        Some(q::target_vector::Target::Single(target)) => {
            let target = Some(one(Some(target))?);
            Variant::Discover(q::DiscoverInput { target, context: Some(context) })
        }
        None => Variant::Context(context),
    };
    Ok(q::QueryPoints {
        collection_name: request.collection_name,
        query: Some(q::Query { variant: Some(variant) }),
        using: request.using,
        filter: request.filter,
        params: request.params,
        limit: Some(request.limit),
        offset: request.offset,
        with_vectors: request.with_vectors,
        with_payload: request.with_payload,
        lookup_from: request.lookup_from,
        shard_key_selector: request.shard_key_selector,
        ..Default::default()
    })
}

fn one(example: Option<q::VectorExample>) -> Result<q::VectorInput, Status> {
    match example.and_then(|example| example.example) {
        Some(q::vector_example::Example::Id(id)) => Ok(of_id(id)),
        Some(q::vector_example::Example::Vector(vector)) => convert::input_of(vector),
        None => Err(missing("example")),
    }
}

fn of_id(id: q::PointId) -> q::VectorInput {
    q::VectorInput { variant: Some(q::vector_input::Variant::Id(id)) }
}

fn examples(ids: Vec<q::PointId>, vectors: Vec<q::Vector>) -> Result<Vec<q::VectorInput>, Status> {
    let vectors = vectors.into_iter().map(convert::input_of);
    ids.into_iter().map(|id| Ok(of_id(id))).chain(vectors).collect()
}
