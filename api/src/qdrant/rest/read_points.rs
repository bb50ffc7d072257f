//! Points, and the calls that change them, from JSON.

use q::points_update_operation::{self as operations, Operation};
use qdrant_client::qdrant as q;
use serde_json::{Map, Value};

use super::members::{Members, Read, anything, expected, float, list, object, string, unsigned};
use super::read_filter::filter;
use crate::qdrant::convert::value_message;
use crate::qdrant::error::{unsupported, wrong};

/// Reads a point id.
pub(super) fn point_id(value: Value) -> Read<q::PointId> {
    let options = match value {
        Value::String(text) => q::point_id::PointIdOptions::Uuid(text),
        other => q::point_id::PointIdOptions::Num(unsigned(other)?),
    };
    Ok(q::PointId { point_id_options: Some(options) })
}

/// Reads a point id of a path: digits are a number.
pub(super) fn point_id_of_path(text: &str) -> q::PointId {
    let options = match text.parse() {
        Ok(number) => q::point_id::PointIdOptions::Num(number),
        Err(_) => q::point_id::PointIdOptions::Uuid(text.to_owned()),
    };
    q::PointId { point_id_options: Some(options) }
}

/// Reads a payload.
pub(super) fn payload(value: Value) -> Read<std::collections::HashMap<String, q::Value>> {
    let members: Map<String, Value> = Members::of(value)?.rest();
    Ok(members.iter().map(|(key, value)| (key.clone(), value_message(value))).collect())
}

/// Reads the choice of shards, which only has to be there to be refused.
pub(super) fn shard_key(members: &mut Members) -> Read<Option<q::ShardKeySelector>> {
    Ok(members.take("shard_key", anything)?.map(|()| q::ShardKeySelector::default()))
}

/// What a list in the place of a vector is.
pub(super) enum Numbers {
    /// Of numbers.
    One(q::DenseVector),
    /// Of lists of numbers.
    Many(q::MultiDenseVector),
}

/// Reads a vector, or one for each token.
pub(super) fn numbers(value: Value) -> Read<Numbers> {
    let is_many = value.as_array().and_then(|values| values.first()).is_some_and(Value::is_array);
    if is_many {
        let vectors = list(value, |row| Ok(q::DenseVector { data: list(row, float)? }))?;
        return Ok(Numbers::Many(q::MultiDenseVector { vectors }));
    }
    Ok(Numbers::One(q::DenseVector { data: list(value, float)? }))
}

/// Reads a sparse vector.
pub(super) fn sparse_vector(value: Value) -> Read<q::SparseVector> {
    object(value, |members| {
        let indices = members.need("indices", |value| list(value, unsigned))?;
        let values = members.need("values", |value| list(value, float))?;
        Ok(q::SparseVector { values, indices })
    })
}

/// Whether an object is something that a model is to encode.
pub(super) fn is_inference(value: &Value) -> bool {
    let has = |name| value.get(name).is_some();
    has("model") && (has("text") || has("image") || has("object"))
}

fn vector(value: Value) -> Read<q::Vector> {
    use q::vector::Vector;

    let vector = match value {
        Value::Array(_) => match numbers(value)? {
            Numbers::One(vector) => Vector::Dense(vector),
            Numbers::Many(vectors) => Vector::MultiDense(vectors),
        },
        value if is_inference(&value) => return Err(unsupported("inference in a request")),
        Value::Object(_) => Vector::Sparse(sparse_vector(value)?),
        other => return Err(expected("a vector", &other)),
    };
    Ok(q::Vector { vector: Some(vector), ..Default::default() })
}

fn vectors(value: Value) -> Read<q::Vectors> {
    use q::vectors::VectorsOptions;

    let options = match value {
        Value::Array(_) => VectorsOptions::Vector(vector(value)?),
        value if is_inference(&value) => return Err(unsupported("inference in a request")),
        Value::Object(named) => {
            let each = named.into_iter().filter(|(_, value)| !value.is_null());
            let each = each.map(|(name, value)| {
                let vector = vector(value)
                    .map_err(|status| wrong(format!("{name}: {}", status.message())))?;
                Ok((name, vector))
            });
            VectorsOptions::Vectors(q::NamedVectors { vectors: each.collect::<Read<_>>()? })
        }
        other => return Err(expected("a vector, or vectors by name", &other)),
    };
    Ok(q::Vectors { vectors_options: Some(options) })
}

fn point(value: Value) -> Read<q::PointStruct> {
    object(value, |members| {
        Ok(q::PointStruct {
            id: Some(members.need("id", point_id)?),
            vectors: members.take("vector", vectors)?,
            payload: members.take("payload", payload)?.unwrap_or_default(),
        })
    })
}

/// Reads points that are written as columns.
fn columns(value: Value) -> Read<Vec<q::PointStruct>> {
    object(value, |members| {
        let ids = members.need("ids", |value| list(value, point_id))?;
        let payloads = members.take("payloads", |value| {
            list(
                value,
                |value| if value.is_null() { Ok(Default::default()) } else { payload(value) },
            )
        })?;
        let count = ids.len();
        let check = |what: &str, actual: usize| {
            if actual == count {
                return Ok(());
            }
            Err(wrong(format!("batch has {count} ids and {actual} {what}")))
        };
        let rows = members.need("vectors", |value| rows(value, count))?;
        check("vectors", rows.len())?;
        let payloads = payloads.unwrap_or_else(|| vec![Default::default(); count]);
        check("payloads", payloads.len())?;
        let points = ids.into_iter().zip(rows).zip(payloads);
        let point = |((id, vectors), payload)| q::PointStruct {
            id: Some(id),
            vectors: Some(vectors),
            payload,
        };
        Ok(points.map(point).collect())
    })
}

/// Reads the vectors of each of `count` points, which may be columns by name.
fn rows(value: Value, count: usize) -> Read<Vec<q::Vectors>> {
    let Value::Object(named) = value else { return list(value, vectors) };
    let mut points: Vec<Map<String, Value>> = vec![Map::new(); count];
    for (name, column) in named {
        let column = list(column, Ok)?;
        if column.len() != count {
            let actual = column.len();
            return Err(wrong(format!("batch has {count} ids and {actual} vectors of {name:?}")));
        }
        for (point, vector) in points.iter_mut().zip(column) {
            point.insert(name.clone(), vector);
        }
    }
    points.into_iter().map(|point| vectors(Value::Object(point))).collect()
}

fn update_mode(value: Value) -> Read<i32> {
    let text = string(value)?;
    let mode = match &*text {
        "upsert" => q::UpdateMode::Upsert,
        "insert_only" => q::UpdateMode::InsertOnly,
        "update_only" => q::UpdateMode::UpdateOnly,
        _ => return Err(wrong(format!("unknown update mode {text:?}"))),
    };
    Ok(mode as i32)
}

/// Reads points to store.
pub(super) fn upsert(members: &mut Members) -> Read<operations::PointStructList> {
    let points = match members.take("batch", columns)? {
        Some(points) => points,
        None => members.need("points", |value| list(value, point))?,
    };
    Ok(operations::PointStructList {
        points,
        shard_key_selector: shard_key(members)?,
        update_filter: members.take("update_filter", filter)?,
        update_mode: members.take("update_mode", update_mode)?,
    })
}

/// Reads which points a call is about; a filter comes before ids, as in Qdrant.
fn selector(members: &mut Members) -> Read<Option<q::PointsSelector>> {
    use q::points_selector::PointsSelectorOneOf;

    let points = members.take("points", |value| list(value, point_id))?;
    let filter = members.take("filter", filter)?;
    let one_of = match (points, filter) {
        (_, Some(filter)) => PointsSelectorOneOf::Filter(filter),
        (Some(ids), None) => PointsSelectorOneOf::Points(q::PointsIdsList { ids }),
        (None, None) => return Ok(None),
    };
    Ok(Some(q::PointsSelector { points_selector_one_of: Some(one_of) }))
}

/// Reads points to delete.
pub(super) fn delete(members: &mut Members) -> Read<operations::DeletePoints> {
    let points = selector(members)?;
    Ok(operations::DeletePoints { points, shard_key_selector: shard_key(members)? })
}

/// Reads a payload to set.
pub(super) fn set_payload(members: &mut Members) -> Read<operations::SetPayload> {
    Ok(operations::SetPayload {
        payload: members.need("payload", payload)?,
        points_selector: selector(members)?,
        shard_key_selector: shard_key(members)?,
        key: members.take("key", string)?,
    })
}

/// Reads a payload to put in the place of the old one.
pub(super) fn overwrite_payload(members: &mut Members) -> Read<operations::OverwritePayload> {
    let operations::SetPayload { payload, points_selector, shard_key_selector, key } =
        set_payload(members)?;
    Ok(operations::OverwritePayload { payload, points_selector, shard_key_selector, key })
}

/// Reads members of payloads to remove.
pub(super) fn delete_payload(members: &mut Members) -> Read<operations::DeletePayload> {
    Ok(operations::DeletePayload {
        keys: members.need("keys", |value| list(value, string))?,
        points_selector: selector(members)?,
        shard_key_selector: shard_key(members)?,
    })
}

/// Reads points whose payloads are to be emptied.
pub(super) fn clear_payload(members: &mut Members) -> Read<operations::ClearPayload> {
    let points = selector(members)?;
    Ok(operations::ClearPayload { points, shard_key_selector: shard_key(members)? })
}

/// Reads vectors to replace.
pub(super) fn update_vectors(members: &mut Members) -> Read<operations::UpdateVectors> {
    let point = |value| {
        object(value, |members| {
            let id = Some(members.need("id", point_id)?);
            Ok(q::PointVectors { id, vectors: Some(members.need("vector", vectors)?) })
        })
    };
    Ok(operations::UpdateVectors {
        points: members.need("points", |value| list(value, point))?,
        shard_key_selector: shard_key(members)?,
        update_filter: members.take("update_filter", filter)?,
    })
}

/// Reads vectors to remove.
pub(super) fn delete_vectors(members: &mut Members) -> Read<operations::DeleteVectors> {
    let names = members.need("vector", |value| list(value, string))?;
    Ok(operations::DeleteVectors {
        points_selector: selector(members)?,
        vectors: Some(q::VectorsSelector { names }),
        shard_key_selector: shard_key(members)?,
    })
}

/// Reads several writes.
pub(super) fn batch(members: &mut Members) -> Read<Vec<q::PointsUpdateOperation>> {
    members.need("operations", |value| list(value, operation))
}

fn operation(value: Value) -> Read<q::PointsUpdateOperation> {
    let operation = object(value, |members| {
        let mut found = None;
        let mut add = |operation: Option<Operation>| {
            if operation.is_some() {
                found = operation;
            }
        };
        add(members.take("upsert", |value| object(value, upsert))?.map(Operation::Upsert));
        add(members.take("delete", |value| object(value, delete))?.map(Operation::DeletePoints));
        add(members
            .take("set_payload", |value| object(value, set_payload))?
            .map(Operation::SetPayload));
        add(members
            .take("overwrite_payload", |value| object(value, overwrite_payload))?
            .map(Operation::OverwritePayload));
        add(members
            .take("delete_payload", |value| object(value, delete_payload))?
            .map(Operation::DeletePayload));
        add(members
            .take("clear_payload", |value| object(value, clear_payload))?
            .map(Operation::ClearPayload));
        add(members
            .take("update_vectors", |value| object(value, update_vectors))?
            .map(Operation::UpdateVectors));
        add(members
            .take("delete_vectors", |value| object(value, delete_vectors))?
            .map(Operation::DeleteVectors));
        found.ok_or_else(|| wrong("expected an operation, such as upsert"))
    })?;
    Ok(q::PointsUpdateOperation { operation: Some(operation) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_the_same_points_as_rows() {
        let rows = json!({"points": [
            {"id": 1, "vector": {"a": [1.0], "s": {"indices": [3], "values": [0.5]}}, "payload": {"x": 1}},
            {"id": "b", "vector": {"a": [2.0], "s": {"indices": [4], "values": [1.5]}}},
        ]});
        let batch = json!({"batch": {
            "ids": [1, "b"],
            "vectors": {
                "a": [[1.0], [2.0]],
                "s": [{"indices": [3], "values": [0.5]}, {"indices": [4], "values": [1.5]}],
            },
            "payloads": [{"x": 1}, null],
        }});
        assert_eq!(object(rows, upsert).unwrap(), object(batch, upsert).unwrap());
        let short = json!({"batch": {"ids": [1], "vectors": [[1.0], [2.0]]}});
        let error = object(short, upsert).unwrap_err();
        assert!(error.message().contains("1 ids and 2 vectors"), "{error:?}");
    }

    #[test]
    fn lists_of_lists_are_a_vector_for_each_token() {
        assert!(matches!(numbers(json!([1, 2])).unwrap(), Numbers::One(v) if v.data.len() == 2));
        assert!(
            matches!(numbers(json!([[1], [2]])).unwrap(), Numbers::Many(v) if v.vectors.len() == 2)
        );
        assert!(numbers(json!([1, "x"])).is_err());
    }
}
