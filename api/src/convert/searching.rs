//! How to search, what for, and what was found.

use bigrain_engine as engine;
use bigrain_engine::{
    Diversity, EmbeddingSpaceId, Filter, MultiQuery, Query, SearchParams, SparseQuery,
};
use tonic::Status;

use super::points::{multi_vector, payload_message, sparse_vector};
use super::{id_message, invalid, micros};
use crate::proto;

/// Reads how to search.
pub(crate) fn search_params(options: &proto::SearchOptions) -> Result<SearchParams, Status> {
    let limit = options.limit.map_or(engine::DEFAULT_LIMIT, |limit| limit as usize);
    let mut params = SearchParams::new(limit).map_err(invalid)?;
    if let Some(oversampling) = options.oversampling {
        params = params.with_oversampling(oversampling).map_err(invalid)?;
    }
    if let Some(target) = options.target_recall {
        params = params.with_target_recall(target).map_err(invalid)?;
    }
    if let Some(probes) = options.probes {
        params = params.with_probes(probes as usize).map_err(invalid)?;
    }
    if let Some(threshold) = options.score_threshold {
        params = params.with_score_threshold(threshold).map_err(invalid)?;
    }
    if let Some(proto::Diversity { weight, depth }) = options.diversity {
        let mut diversity = Diversity::new(weight).map_err(invalid)?;
        if let Some(depth) = depth {
            diversity = diversity.with_depth(depth as usize).map_err(invalid)?;
        }
        params = params.with_diversity(Some(diversity));
    }
    Ok(params
        .with_exact(options.exact)
        .with_verify(options.verify.unwrap_or(true))
        .with_payload(with_payload(options))
        .with_explain(options.explain))
}

/// Reads a filter.
pub(crate) fn filter(json: Option<&str>) -> Result<Option<Filter>, Status> {
    json.map(|json| Filter::from_json(json.as_bytes())).transpose().map_err(invalid)
}

/// Whether a search is to return payloads.
pub(crate) fn with_payload(options: &proto::SearchOptions) -> bool {
    options.with_payload.unwrap_or(true)
}

/// Reads a query vector; that of an encoder before, if there is any.
pub(crate) fn query(
    vector: Vec<f32>,
    former: Option<Vec<f32>>,
    field: Option<String>,
    space: Option<EmbeddingSpaceId>,
) -> Query {
    let mut query = Query::new(vector);
    if let Some(former) = former.filter(|former| !former.is_empty()) {
        query = query.with_former_vector(former);
    }
    if let Some(field) = field {
        query = query.in_field(field);
    }
    if let Some(space) = space {
        query = query.in_space(space);
    }
    query
}

/// Reads a sparse query.
pub(crate) fn sparse_query(
    vector: proto::SparseVector,
    field: Option<String>,
) -> Result<SparseQuery, Status> {
    let query = SparseQuery::new(sparse_vector(vector)?);
    Ok(match field {
        Some(field) => query.in_field(field),
        None => query,
    })
}

/// Reads a query by a multi-vector.
pub(crate) fn multi_query(
    vector: proto::MultiVector,
    field: Option<String>,
    space: Option<EmbeddingSpaceId>,
) -> Result<MultiQuery, Status> {
    let mut query = MultiQuery::new(multi_vector(vector)?);
    if let Some(field) = field {
        query = query.in_field(field);
    }
    Ok(match space {
        Some(space) => query.in_space(space),
        None => query,
    })
}

/// Writes results; the caller adds what it alone knows: encoding and server time.
pub(crate) fn search_reply(
    output: engine::SearchOutput,
    with_payload: bool,
) -> Result<proto::SearchReply, Status> {
    Ok(proto::SearchReply {
        points: scored_points(output.points, with_payload)?,
        stats: Some(stats(&output.stats)),
        plan_json: plan_json(output.plan.as_ref())?,
        query_truncated: false,
        server_time_us: 0,
    })
}

pub(super) fn scored_points(
    points: Vec<engine::ScoredPoint>,
    with_payload: bool,
) -> Result<Vec<proto::ScoredPoint>, Status> {
    let point = |point: engine::ScoredPoint| {
        Ok(proto::ScoredPoint {
            id: Some(id_message(&point.id)),
            score: point.score,
            payload_json: payload_message(&point.payload, with_payload)?,
        })
    };
    points.into_iter().map(point).collect()
}

pub(super) fn plan_json(plan: Option<&engine::SearchPlan>) -> Result<Option<String>, Status> {
    let json = plan.map(serde_json::to_string).transpose();
    json.map_err(|error| Status::internal(format!("search plan: {error}")))
}

pub(super) fn stats(stats: &engine::SearchStats) -> proto::SearchStats {
    proto::SearchStats {
        segments: stats.segments,
        codes_scanned: stats.codes_scanned,
        candidates: stats.candidates,
        rows_read: stats.rows_read,
        bytes_read: stats.bytes_read,
        encode_us: 0,
        prepare_us: micros(stats.times.prepare),
        filter_us: micros(stats.times.filter),
        candidates_us: micros(stats.times.candidates),
        verify_us: micros(stats.times.verify),
        payload_us: micros(stats.times.payload),
        lists: stats.lists,
        components: stats.components,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_options_are_the_defaults() {
        let params = search_params(&proto::SearchOptions::default()).unwrap();
        assert_eq!(params, SearchParams::new(engine::DEFAULT_LIMIT).unwrap());
    }

    #[test]
    fn every_option_reaches_the_engine() {
        let options = proto::SearchOptions {
            limit: Some(3),
            oversampling: Some(2.0),
            exact: true,
            explain: true,
            with_payload: Some(false),
            target_recall: Some(0.9),
            probes: Some(7),
            verify: Some(false),
            score_threshold: Some(0.25),
            diversity: Some(proto::Diversity { weight: 0.5, depth: Some(77) }),
        };
        let diversity = Diversity::new(0.5).and_then(|diversity| diversity.with_depth(77));
        let params = SearchParams::new(3)
            .and_then(|params| params.with_oversampling(2.0))
            .and_then(|params| params.with_target_recall(0.9))
            .and_then(|params| params.with_probes(7))
            .and_then(|params| params.with_score_threshold(0.25))
            .map(|params| params.with_diversity(diversity.ok()));
        let params = params.unwrap().with_exact(true).with_explain(true).with_payload(false);
        assert_eq!(search_params(&options).unwrap(), params.with_verify(false));
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let limit = proto::SearchOptions { limit: Some(u32::MAX), ..Default::default() };
        assert!(search_params(&limit).unwrap_err().message().contains("4294967295"));
        let nan = proto::SearchOptions { oversampling: Some(f32::NAN), ..Default::default() };
        assert!(search_params(&nan).unwrap_err().message().contains("NaN"));
        let target = proto::SearchOptions { target_recall: Some(1.5), ..Default::default() };
        assert!(search_params(&target).unwrap_err().message().starts_with("target recall out of"));
        let probes = proto::SearchOptions { probes: Some(0), ..Default::default() };
        assert!(search_params(&probes).unwrap_err().message().starts_with("probes out of range"));
    }
}
