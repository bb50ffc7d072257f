//! Messages of `bigrain.v1` as the JSON of answers.

use serde_json::{Map, Value, json};
use tonic::Status;

use crate::proto::{
    self, CollectionDescription, CollectionInfo, FacetReply, GetCollectionReply, GetReply,
    ListCollectionsReply, ListModelsReply, MultiVector, ScrollReply, SearchReply, SearchStats,
    SparseVector, StoredPoint, collection_description, point_id,
};

/// Describes all collections.
pub(super) fn collections(reply: ListCollectionsReply) -> Result<Value, Status> {
    use collection_description::State;

    let one = |CollectionDescription { name, state }| match state {
        Some(State::Ready(info)) => Ok(described(&info)),
        Some(State::Quarantined(reason)) => {
            Ok(json!({"name": name, "state": "quarantined", "reason": reason}))
        }
        None => Err(Status::internal(format!("collection {name:?} is in no state"))),
    };
    let all: Vec<Value> = reply.collections.into_iter().map(one).collect::<Result<_, _>>()?;
    Ok(json!({"collections": all, "server_time_us": reply.server_time_us}))
}

/// Describes one collection.
pub(super) fn collection(reply: GetCollectionReply) -> Result<Value, Status> {
    let info = reply.collection.ok_or_else(|| Status::internal("a collection without a state"))?;
    Ok(described(&info))
}

fn described(info: &CollectionInfo) -> Value {
    let config = info.config.clone().unwrap_or_default();
    let texts = config.text_fields.iter().map(|field| {
        json!({
            "name": field.paths.join("+"),
            "paths": field.paths,
            "language": field.language,
            "drop_stop_words": field.drop_stop_words,
        })
    });
    let merging = info.merging.as_ref().map(
        |merge| json!({"segments": merge.segments, "rows": merge.rows, "percent": merge.percent}),
    );
    let flushing =
        info.flushing.as_ref().map(|flush| json!({"rows": flush.rows, "percent": flush.percent}));
    json!({
        "name": info.name,
        "state": "ready",
        "points": info.points,
        "segments": info.segments,
        "memtable_points": info.memtable_points,
        "deleted_rows": info.deleted_rows,
        "code_bytes": info.code_bytes,
        "memory_bytes": info.memory_bytes,
        "disk_bytes": info.disk_bytes,
        "fields": fields(info, &config),
        "text_fields": texts.collect::<Vec<_>>(),
        "merging": merging,
        "flushing": flushing,
    })
}

/// Fields of vectors: dense, then sparse, then multi-vectors.
fn fields(info: &CollectionInfo, config: &proto::CollectionConfig) -> Vec<Value> {
    let mut all = Vec::new();
    for (field, of) in crate::convert::field_messages(config.clone()).iter().zip(&info.fields) {
        all.push(json!({
            "name": field.name,
            "kind": "dense",
            "dims": field.dims,
            "metric": metric(field.metric()),
            "levels": field.levels,
            "space": field.space,
            "model": field.model,
            "vectors": of.vectors,
            "code_bytes": of.code_bytes,
            "disk_bytes": of.disk_bytes,
        }));
    }
    for (field, of) in config.sparse_fields.iter().zip(&info.sparse_fields) {
        all.push(json!({
            "name": field.name,
            "kind": "sparse",
            "vectors": of.vectors,
            "components": of.components,
            "disk_bytes": of.disk_bytes,
        }));
    }
    for (field, of) in config.multi_fields.iter().zip(&info.multi_fields) {
        all.push(json!({
            "name": field.name,
            "kind": "multi",
            "dims": field.dims,
            "metric": metric(field.metric()),
            "space": field.space,
            "model": field.model,
            "vectors": of.vectors,
            "code_bytes": of.code_bytes,
            "disk_bytes": of.disk_bytes,
        }));
    }
    all
}

const fn metric(metric: proto::Metric) -> Option<&'static str> {
    match metric {
        proto::Metric::Cosine => Some("cosine"),
        proto::Metric::Dot => Some("dot"),
        proto::Metric::L2 => Some("l2"),
        proto::Metric::Unspecified => None,
    }
}

/// Writes what a search found.
pub(super) fn found(reply: SearchReply) -> Result<Value, Status> {
    let one = |point: proto::ScoredPoint| {
        let payload = payload(&point.payload_json)?;
        Ok(json!({"id": id(point.id), "score": point.score, "payload": payload}))
    };
    let points: Vec<Value> = reply.points.into_iter().map(one).collect::<Result<_, Status>>()?;
    let plan = reply.plan_json.as_deref().map(parsed).transpose()?;
    Ok(json!({
        "points": points,
        "stats": reply.stats.as_ref().map(stats),
        "plan": plan,
        "query_truncated": reply.query_truncated,
        "server_time_us": reply.server_time_us,
    }))
}

fn stats(stats: &SearchStats) -> Value {
    json!({
        "segments": stats.segments,
        "lists": stats.lists,
        "codes_scanned": stats.codes_scanned,
        "components": stats.components,
        "candidates": stats.candidates,
        "rows_read": stats.rows_read,
        "bytes_read": stats.bytes_read,
        "encode_us": stats.encode_us,
        "prepare_us": stats.prepare_us,
        "filter_us": stats.filter_us,
        "candidates_us": stats.candidates_us,
        "verify_us": stats.verify_us,
        "payload_us": stats.payload_us,
    })
}

/// Writes a page of points.
pub(super) fn page(reply: ScrollReply) -> Result<Value, Status> {
    Ok(json!({
        "points": stored(reply.points)?,
        "cursor": reply.cursor,
        "server_time_us": reply.server_time_us,
    }))
}

/// Writes points that were asked for by their ids.
pub(super) fn points(reply: GetReply) -> Result<Value, Status> {
    let missing = reply.missing.into_iter().map(|missing| id(Some(missing)));
    Ok(json!({
        "points": stored(reply.points)?,
        "missing": missing.collect::<Vec<_>>(),
        "server_time_us": reply.server_time_us,
    }))
}

fn stored(points: Vec<StoredPoint>) -> Result<Vec<Value>, Status> {
    points.into_iter().map(stored_point).collect()
}

fn stored_point(point: StoredPoint) -> Result<Value, Status> {
    let mut written = Map::new();
    written.insert("id".to_owned(), id(point.id));
    written.insert("payload".to_owned(), payload(&point.payload_json)?);
    written.insert("seq".to_owned(), json!(point.seq));
    if !point.vector.is_empty() {
        written.insert("vector".to_owned(), json!(point.vector));
    }
    if !point.vectors.is_empty() {
        let named = point.vectors.into_iter().map(|vector| {
            let value = match (vector.sparse, vector.multi) {
                (Some(SparseVector { indices, values }), _) => {
                    json!({"indices": indices, "values": values})
                }
                (None, Some(MultiVector { dims, values, .. })) => {
                    json!({"dims": dims, "values": values})
                }
                (None, None) => json!(vector.values),
            };
            (vector.field, value)
        });
        written.insert("vectors".to_owned(), Value::Object(named.collect()));
    }
    Ok(Value::Object(written))
}

/// Writes how often values occur.
pub(super) fn facet(reply: FacetReply) -> Result<Value, Status> {
    let one = |value: proto::FacetValue| {
        Ok(json!({"value": parsed(&value.value_json)?, "count": value.count}))
    };
    let values: Vec<Value> = reply.values.into_iter().map(one).collect::<Result<_, Status>>()?;
    Ok(json!({
        "values": values,
        "distinct": reply.distinct,
        "points": reply.points,
        "server_time_us": reply.server_time_us,
    }))
}

/// Describes the models that are loaded.
pub(super) fn models(reply: ListModelsReply) -> Value {
    let one = |model: proto::ModelInfo| {
        json!({
            "name": model.name,
            "dims": model.dims,
            "space": model.space,
            "max_tokens": model.max_tokens,
            "images": model.images,
        })
    };
    json!({"models": reply.models.into_iter().map(one).collect::<Vec<_>>()})
}

fn id(id: Option<proto::PointId>) -> Value {
    match id.and_then(|id| id.id) {
        Some(point_id::Id::Num(number)) => json!(number),
        Some(point_id::Id::Text(text)) => json!(text),
        None => Value::Null,
    }
}

/// A payload; `null` if it was not asked for.
fn payload(json: &str) -> Result<Value, Status> {
    if json.is_empty() { Ok(Value::Null) } else { parsed(json) }
}

fn parsed(json: &str) -> Result<Value, Status> {
    serde_json::from_str(json).map_err(|error| Status::internal(format!("stored JSON: {error}")))
}
