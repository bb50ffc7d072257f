//! Answers as JSON.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what writes an answer takes it, whether or not anything of it is kept"
)]

use qdrant_client::qdrant as q;
use serde_json::{Map, Value, json};

use crate::qdrant::convert::json_value;

/// Writes an id.
pub(super) fn point_id(id: Option<&q::PointId>) -> Value {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(q::point_id::PointIdOptions::Num(number)) => Value::from(*number),
        Some(q::point_id::PointIdOptions::Uuid(text)) => Value::from(text.as_str()),
        None => Value::Null,
    }
}

fn payload(payload: std::collections::HashMap<String, q::Value>) -> Value {
    // What is stored was JSON, so every value of it can be written.
    let members = payload.into_iter();
    Value::Object(
        members.map(|(key, value)| (key, json_value(value).unwrap_or_default())).collect(),
    )
}

fn vector(output: q::VectorOutput) -> Value {
    use q::vector_output::Vector;

    match output.vector {
        Some(Vector::Dense(vector)) => json!(vector.data),
        Some(Vector::Sparse(vector)) => {
            json!({"indices": vector.indices, "values": vector.values})
        }
        Some(Vector::MultiDense(vectors)) => {
            vectors.vectors.into_iter().map(|vector| json!(vector.data)).collect()
        }
        None => Value::Null,
    }
}

fn vectors(output: q::VectorsOutput) -> Value {
    use q::vectors_output::VectorsOptions;

    match output.vectors_options {
        Some(VectorsOptions::Vector(output)) => vector(output),
        Some(VectorsOptions::Vectors(named)) => {
            let each = named.vectors.into_iter();
            Value::Object(each.map(|(name, output)| (name, vector(output))).collect())
        }
        None => Value::Null,
    }
}

fn order_value(value: q::OrderValue) -> Value {
    match value.variant {
        Some(q::order_value::Variant::Int(integer)) => Value::from(integer),
        Some(q::order_value::Variant::Float(float)) => Value::from(float),
        None => Value::Null,
    }
}

/// Adds the parts that points of all answers have.
fn add_parts(
    point: &mut Map<String, Value>,
    parts: Option<q::VectorsOutput>,
    order: Option<q::OrderValue>,
) {
    if let Some(parts) = parts {
        point.insert("vector".to_owned(), vectors(parts));
    }
    if let Some(order) = order {
        point.insert("order_value".to_owned(), order_value(order));
    }
}

/// Writes a point that was found.
fn scored_point(point: q::ScoredPoint) -> Value {
    let mut written = Map::new();
    written.insert("id".to_owned(), point_id(point.id.as_ref()));
    written.insert("version".to_owned(), Value::from(point.version));
    written.insert("score".to_owned(), json!(point.score));
    written.insert("payload".to_owned(), payload(point.payload));
    add_parts(&mut written, point.vectors, point.order_value);
    Value::Object(written)
}

/// Writes points that were found.
fn scored_points(points: Vec<q::ScoredPoint>) -> Value {
    points.into_iter().map(scored_point).collect()
}

/// Writes a point that was read.
pub(super) fn record(point: q::RetrievedPoint) -> Value {
    let mut written = Map::new();
    written.insert("id".to_owned(), point_id(point.id.as_ref()));
    written.insert("payload".to_owned(), payload(point.payload));
    add_parts(&mut written, point.vectors, point.order_value);
    Value::Object(written)
}

/// Writes the answer to a query.
pub(super) fn query(answer: q::QueryResponse) -> Value {
    json!({"points": scored_points(answer.result)})
}

/// Writes the answers to several queries.
pub(super) fn query_batch(answer: q::QueryBatchResponse) -> Value {
    let each = answer.result.into_iter();
    each.map(|batch| json!({"points": scored_points(batch.result)})).collect()
}

/// Writes the answer to a query in groups.
pub(super) fn query_groups(answer: q::QueryGroupsResponse) -> Value {
    let groups = answer.result.unwrap_or_default().groups.into_iter().map(|group| {
        let id = match group.id.and_then(|id| id.kind) {
            Some(q::group_id::Kind::UnsignedValue(number)) => Value::from(number),
            Some(q::group_id::Kind::IntegerValue(number)) => Value::from(number),
            Some(q::group_id::Kind::StringValue(text)) => Value::from(text),
            None => Value::Null,
        };
        let mut written = json!({"id": id, "hits": scored_points(group.hits)});
        if let Some(found) = group.lookup {
            written["lookup"] = record(found);
        }
        written
    });
    json!({"groups": groups.collect::<Value>()})
}

/// Writes points that were read.
pub(super) fn records(answer: q::GetResponse) -> Value {
    answer.result.into_iter().map(record).collect()
}

/// Writes a page.
pub(super) fn scroll(answer: q::ScrollResponse) -> Value {
    let points: Value = answer.result.into_iter().map(record).collect();
    json!({"points": points, "next_page_offset": point_id(answer.next_page_offset.as_ref())})
}

/// Writes a count.
pub(super) fn count(answer: q::CountResponse) -> Value {
    json!({"count": answer.result.unwrap_or_default().count})
}

/// Writes values and their counts.
pub(super) fn facet(answer: q::FacetResponse) -> Value {
    let hits = answer.hits.into_iter().map(|hit| {
        let value = match hit.value.and_then(|value| value.variant) {
            Some(q::facet_value::Variant::StringValue(text)) => Value::from(text),
            Some(q::facet_value::Variant::IntegerValue(integer)) => Value::from(integer),
            Some(q::facet_value::Variant::BoolValue(bool)) => Value::from(bool),
            None => Value::Null,
        };
        json!({"value": value, "count": hit.count})
    });
    json!({"hits": hits.collect::<Value>()})
}

/// Writes pairs of points.
pub(super) fn matrix_pairs(answer: q::SearchMatrixPairsResponse) -> Value {
    let pairs = answer.result.unwrap_or_default().pairs.into_iter().map(|pair| {
        json!({
            "a": point_id(pair.a.as_ref()),
            "b": point_id(pair.b.as_ref()),
            "score": pair.score,
        })
    });
    json!({"pairs": pairs.collect::<Value>()})
}

/// Writes a matrix.
pub(super) fn matrix_offsets(answer: q::SearchMatrixOffsetsResponse) -> Value {
    let matrix = answer.result.unwrap_or_default();
    json!({
        "offsets_row": matrix.offsets_row,
        "offsets_col": matrix.offsets_col,
        "scores": matrix.scores,
        "ids": matrix.ids.iter().map(|id| point_id(Some(id))).collect::<Value>(),
    })
}

fn update_result(result: &q::UpdateResult) -> Value {
    json!({"operation_id": result.operation_id, "status": "completed"})
}

/// Writes what became of a write.
pub(super) fn updated(answer: q::PointsOperationResponse) -> Value {
    update_result(&answer.result.unwrap_or_default())
}

/// Writes what became of several writes.
pub(super) fn updated_batch(answer: q::UpdateBatchResponse) -> Value {
    answer.result.iter().map(update_result).collect()
}

/// Writes whether something was done.
pub(super) fn done(answer: q::CollectionOperationResponse) -> Value {
    Value::from(answer.result)
}

/// Writes whether a collection is there.
pub(super) fn exists(answer: q::CollectionExistsResponse) -> Value {
    json!({"exists": answer.result.unwrap_or_default().exists})
}

/// Writes what a snapshot is.
pub(super) fn snapshot(answer: q::CreateSnapshotResponse) -> Value {
    described(&answer.snapshot_description.unwrap_or_default())
}

/// Writes what snapshots are.
pub(super) fn snapshots(answer: q::ListSnapshotsResponse) -> Value {
    answer.snapshot_descriptions.iter().map(described).collect()
}

/// Writes that a snapshot was removed.
pub(super) fn snapshot_deleted(_: q::DeleteSnapshotResponse) -> Value {
    Value::from(true)
}

fn described(snapshot: &q::SnapshotDescription) -> Value {
    let time = snapshot.creation_time.as_ref().map(ToString::to_string);
    json!({
        "name": snapshot.name,
        // Without a zone, as Qdrant writes it.
        "creation_time": time.map(|time| time.trim_end_matches('Z').to_owned()),
        "size": snapshot.size,
        "checksum": snapshot.checksum,
    })
}

/// Writes the names of collections.
pub(super) fn collections(answer: q::ListCollectionsResponse) -> Value {
    let names = answer.collections.into_iter().map(|found| json!({"name": found.name}));
    json!({"collections": names.collect::<Value>()})
}

/// Writes aliases.
pub(super) fn aliases(answer: q::ListAliasesResponse) -> Value {
    let aliases = answer.aliases.into_iter().map(
        |alias| json!({"alias_name": alias.alias_name, "collection_name": alias.collection_name}),
    );
    json!({"aliases": aliases.collect::<Value>()})
}

/// Writes the description of a collection.
pub(super) fn collection(answer: q::GetCollectionInfoResponse) -> Value {
    let info = answer.result.unwrap_or_default();
    let config = info.config.unwrap_or_default();
    let params = config.params.unwrap_or_default();
    let hnsw = config.hnsw_config.unwrap_or_default();
    let optimizer = config.optimizer_config.unwrap_or_default();
    let wal = config.wal_config.unwrap_or_default();
    let mut written = json!({
        "vectors": match params.vectors_config.and_then(|config| config.config) {
            Some(q::vectors_config::Config::Params(params)) => vector_params(&params),
            Some(q::vectors_config::Config::ParamsMap(map)) => {
                let each = map.map.iter();
                Value::Object(each.map(|(name, one)| (name.clone(), vector_params(one))).collect())
            }
            None => Value::Object(Map::new()),
        },
        "shard_number": params.shard_number,
        "replication_factor": params.replication_factor,
        "write_consistency_factor": params.write_consistency_factor,
        "on_disk_payload": true,
    });
    if let Some(sparse) = params.sparse_vectors_config {
        let each = sparse.map.into_iter().map(|(name, one)| {
            let idf = one.modifier == Some(q::Modifier::Idf as i32);
            (name, if idf { json!({"modifier": "idf"}) } else { json!({}) })
        });
        written["sparse_vectors"] = Value::Object(each.collect());
    }
    json!({
        "status": "green",
        "optimizer_status": "ok",
        "indexed_vectors_count": info.indexed_vectors_count,
        "points_count": info.points_count,
        "segments_count": info.segments_count,
        "config": {
            "params": written,
            "hnsw_config": {
                "m": hnsw.m,
                "ef_construct": hnsw.ef_construct,
                "full_scan_threshold": hnsw.full_scan_threshold,
                "max_indexing_threads": hnsw.max_indexing_threads,
            },
            "optimizer_config": {
                "deleted_threshold": optimizer.deleted_threshold,
                "vacuum_min_vector_number": optimizer.vacuum_min_vector_number,
                "default_segment_number": optimizer.default_segment_number,
                "indexing_threshold": optimizer.indexing_threshold,
                "flush_interval_sec": optimizer.flush_interval_sec,
            },
            "wal_config": {
                "wal_capacity_mb": wal.wal_capacity_mb,
                "wal_segments_ahead": wal.wal_segments_ahead,
            },
        },
        "payload_schema": {},
        "update_queue": {"length": 0},
    })
}

fn vector_params(params: &q::VectorParams) -> Value {
    let distance = match params.distance() {
        q::Distance::Euclid => "Euclid",
        q::Distance::Dot => "Dot",
        q::Distance::Manhattan => "Manhattan",
        q::Distance::Cosine | q::Distance::UnknownDistance => "Cosine",
    };
    let mut written = json!({"size": params.size, "distance": distance});
    if params.datatype == Some(q::Datatype::Float16 as i32) {
        written["datatype"] = Value::from("float16");
    }
    if params.multivector_config.is_some() {
        written["multivector_config"] = json!({"comparator": "max_sim"});
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_written_as_they_are() {
        let point = q::ScoredPoint { score: 0.1, id: Some(7_u64.into()), ..Default::default() };
        let answer = q::QueryResponse { result: vec![point], ..Default::default() };
        let text = query(answer).to_string();
        assert!(text.contains("\"id\":7") && text.contains("\"score\":0.1"), "{text}");
    }
}
