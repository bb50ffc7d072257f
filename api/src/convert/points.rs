//! Points to store, what must hold for that, and points as they are stored.

use std::fmt::Display;

use bigrain_engine as engine;
use bigrain_engine::{
    Condition, Conditions, EmbeddingSpaceId, MultiVector, PatchGrid, Payload, PayloadUpdate, SeqNo,
    SparseVector,
};
use tonic::Status;

use super::{at, id_message, invalid, point_id, small, space};
use crate::{proto, status};

/// Reads points to store; an error names the position.
pub(crate) fn points(
    points: Vec<proto::Point>,
    space: Option<EmbeddingSpaceId>,
) -> Result<Vec<engine::Point>, Status> {
    let mut read = Vec::with_capacity(points.len());
    for (position, message) in points.into_iter().enumerate() {
        let point = point(message, space).map_err(|status| at("points", position, &status))?;
        read.push(point);
    }
    Ok(read)
}

fn point(
    message: proto::Point,
    first_space: Option<EmbeddingSpaceId>,
) -> Result<engine::Point, Status> {
    let id = point_id(message.id)?;
    if message.source.is_some() {
        return Err(not_encoded());
    }
    let mut point = engine::Point::empty(id).with_payload(payload(&message.payload_json)?);
    // Without any vector the engine says what it expects of the first.
    if !message.vector.is_empty() || message.vectors.is_empty() {
        let (field, values, space) = (None, message.vector, first_space);
        point.vectors.push(engine::PointVector { field, values, space });
    }
    for proto::NamedVector { field, values, space: of, sparse, multi, source } in message.vectors {
        if source.is_some() {
            return Err(not_encoded());
        }
        if let Some(multi) = multi {
            if !values.is_empty() || sparse.is_some() {
                return Err(Status::invalid_argument(format!(
                    "field {field:?}: expected one vector, found a multi-vector beside another"
                )));
            }
            let vector = multi_vector(multi).map_err(|status| {
                Status::new(status.code(), format!("field {field:?}: {}", status.message()))
            })?;
            let space = space(of.as_deref())?;
            point.multi.push(engine::MultiPointVector { field, vector, space });
            continue;
        }
        if let Some(sparse) = sparse {
            if !values.is_empty() || of.is_some() {
                return Err(Status::invalid_argument(format!(
                    "field {field:?}: expected values or a sparse vector, found both"
                )));
            }
            let vector = sparse_vector(sparse).map_err(|status| {
                Status::new(status.code(), format!("field {field:?}: {}", status.message()))
            })?;
            point.sparse.push(engine::SparsePointVector { field, vector });
            continue;
        }
        let (field, space) = (Some(field), space(of.as_deref())?);
        point.vectors.push(engine::PointVector { field, values, space });
    }
    Ok(point)
}

/// The refusal of a text or image that did not become a vector on the way here: our fault.
fn not_encoded() -> Status {
    Status::internal("a text or image of a point was not encoded")
}

/// Reads a sparse vector.
pub(super) fn sparse_vector(message: proto::SparseVector) -> Result<SparseVector, Status> {
    SparseVector::new(message.indices, message.values).map_err(invalid)
}

/// Reads a multi-vector.
pub(super) fn multi_vector(message: proto::MultiVector) -> Result<MultiVector, Status> {
    let proto::MultiVector { dims, values, grid } = message;
    let vector = MultiVector::new(dims as usize, values).map_err(invalid)?;
    let Some(proto::PatchGrid { height, width }) = grid else { return Ok(vector) };
    let side = |side: u32| {
        u8::try_from(side)
            .map_err(|_| invalid(format!("a grid of {height} by {width} patches: at most 255")))
    };
    let grid = PatchGrid { height: side(height)?, width: side(width)? };
    vector.with_grid(grid).map_err(invalid)
}

fn multi_message(vector: &MultiVector) -> proto::MultiVector {
    let grid = vector
        .grid()
        .map(|grid| proto::PatchGrid { height: grid.height.into(), width: grid.width.into() });
    let (dims, values) = (small(vector.dims()), vector.values().to_vec());
    proto::MultiVector { dims, values, grid }
}

fn sparse_message(vector: &SparseVector) -> proto::SparseVector {
    let (indices, values) = (vector.dimensions().to_vec(), vector.values().to_vec());
    proto::SparseVector { indices, values }
}

/// Reads what must hold for a write to happen.
pub(crate) fn conditions(conditions: Option<proto::Conditions>) -> Result<Conditions, Status> {
    use proto::conditions::Existence;

    let conditions = conditions.unwrap_or_default();
    let all = match Existence::try_from(conditions.all) {
        Ok(Existence::Unspecified) => Condition::Any,
        Ok(Existence::Absent) => Condition::Absent,
        Ok(Existence::Present) => Condition::Present,
        Err(_) => {
            let number = conditions.all;
            return Err(Status::invalid_argument(format!(
                "unknown existence {number}: expected absent or present"
            )));
        }
    };
    let mut read = Conditions::all(all);
    for (position, proto::PointVersion { id, seq }) in conditions.versions.into_iter().enumerate() {
        let id = point_id(id).map_err(|status| at("versions", position, &status))?;
        let version = if seq == 0 { Condition::Absent } else { Condition::Version(SeqNo(seq)) };
        read = read.with(id, version);
    }
    Ok(read)
}

/// Reads a change of payloads.
pub(crate) fn payload_update(
    change: Option<proto::update_payload_request::Change>,
) -> Result<PayloadUpdate, Status> {
    use proto::update_payload_request::Change;

    Ok(match change {
        Some(Change::MergeJson(json)) => PayloadUpdate::Merge(payload(&json)?),
        Some(Change::OverwriteJson(json)) => PayloadUpdate::Overwrite(payload(&json)?),
        Some(Change::Remove(remove)) => PayloadUpdate::Remove(remove.keys),
        Some(Change::Clear(proto::ClearPayload {})) => PayloadUpdate::Clear,
        None => return Err(Status::invalid_argument("change is missing")),
    })
}

/// Writes the answer to an update.
pub(crate) fn update_reply(
    output: &engine::UpdateOutput,
    truncated_texts: u64,
    server_time_us: u64,
) -> proto::UpdateReply {
    let engine::UpdateOutput { seq, updated, missing, .. } = *output;
    proto::UpdateReply { seq: seq.0, updated, missing, truncated_texts, server_time_us }
}

/// Writes the answer to a write.
pub(crate) fn upsert_reply(
    output: &engine::UpsertOutput,
    truncated_texts: u64,
    server_time_us: u64,
) -> proto::UpsertReply {
    proto::UpsertReply {
        seq: output.seq.0,
        inserted: output.inserted,
        updated: output.updated,
        truncated_texts,
        server_time_us,
    }
}

/// Which parts of a stored point a reply carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// The vector.
    pub vectors: bool,
    /// The payload.
    pub payload: bool,
}

/// Writes a stored point of a collection whose first field is called `first`.
pub(crate) fn stored_point(
    point: engine::StoredPoint,
    parts: Parts,
    first: &str,
) -> Result<proto::StoredPoint, Status> {
    let mut message = proto::StoredPoint {
        id: Some(id_message(&point.id)),
        payload_json: payload_message(&point.payload, parts.payload)?,
        seq: point.seq.0,
        ..proto::StoredPoint::default()
    };
    for engine::StoredVector { field, values } in point.vectors {
        if parts.vectors && &*field == first {
            message.vector = values;
        } else if parts.vectors {
            let field = field.to_string();
            message.vectors.push(proto::NamedVector { field, values, ..Default::default() });
        }
    }
    for engine::StoredSparseVector { field, vector } in point.sparse {
        if parts.vectors {
            let (field, sparse) = (field.to_string(), Some(sparse_message(&vector)));
            message.vectors.push(proto::NamedVector { field, sparse, ..Default::default() });
        }
    }
    for engine::StoredMultiVector { field, vector } in point.multi {
        if parts.vectors {
            let (field, multi) = (field.to_string(), Some(multi_message(&vector)));
            message.vectors.push(proto::NamedVector { field, multi, ..Default::default() });
        }
    }
    Ok(message)
}

fn payload(json: &str) -> Result<Payload, Status> {
    if json.is_empty() {
        return Ok(Payload::new());
    }
    Payload::from_json(json.as_bytes()).map_err(invalid)
}

pub(super) fn payload_message(payload: &Payload, wanted: bool) -> Result<String, Status> {
    if !wanted {
        return Ok(String::new());
    }
    let unwritable = |error: &dyn Display| Status::internal(format!("stored payload: {error}"));
    let json = payload.to_json().map_err(|error| unwritable(&error))?;
    String::from_utf8(json).map_err(|error| unwritable(&error))
}

/// Writes why one batch of a stream was refused.
pub(crate) fn batch_error(status: &Status) -> proto::BatchError {
    debug_assert!(status::concerns_one_batch(status.code()), "{status:?}");
    proto::BatchError { code: status.code().into(), message: status.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_integers() {
        let json = r#"{"b":18446744073709551615,"a":[1.5,null,"x"]}"#;
        let written = payload_message(&payload(json).unwrap(), true).unwrap();
        assert_eq!(payload(&written).unwrap(), payload(json).unwrap());
        assert!(written.contains("18446744073709551615"), "{written}");
        assert!(payload("").unwrap().is_empty());
        assert!(payload("[]").is_err());
    }
}
