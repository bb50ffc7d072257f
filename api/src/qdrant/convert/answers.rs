//! Points as answers.

use std::collections::HashMap;

use bigrain_engine::filter::Scalar;
use bigrain_engine::{MultiVector, PointId, StoredPoint};
use q::vectors_output::VectorsOptions;
use q::with_payload_selector::SelectorOptions as WithPayload;
use q::with_vectors_selector::SelectorOptions as WithVectors;
use qdrant_client::qdrant as q;
use serde_json::{Map, Value};
use tonic::Status;

use super::{AnyVector, id_message, payload_message};
use crate::qdrant::error::wrong;
use crate::qdrant::names::{field_of, vector_of};

/// Which parts of points an answer carries.
#[derive(Clone, Debug)]
pub(in crate::qdrant) struct Parts {
    payload: PayloadParts,
    vectors: VectorParts,
}

#[derive(Clone, Debug)]
enum PayloadParts {
    All,
    Nothing,
    Only(Vec<Path>),
    But(Vec<Path>),
}

#[derive(Clone, Debug)]
enum VectorParts {
    All,
    Nothing,
    /// Of these fields.
    Only(Vec<String>),
}

/// The names on the way to a member of a payload; arrays are passed through.
type Path = Vec<String>;

impl Parts {
    /// Reads what is asked for; `payload` says whether that is so unless it is said.
    pub(in crate::qdrant) fn of(
        with_payload: Option<q::WithPayloadSelector>,
        with_vectors: Option<q::WithVectorsSelector>,
        payload: bool,
    ) -> Result<Self, Status> {
        let asked = with_payload.and_then(|with| with.selector_options);
        let payload = match asked.unwrap_or(WithPayload::Enable(payload)) {
            WithPayload::Enable(true) => PayloadParts::All,
            WithPayload::Enable(false) => PayloadParts::Nothing,
            WithPayload::Include(include) => PayloadParts::Only(paths(&include.fields)?),
            WithPayload::Exclude(exclude) => PayloadParts::But(paths(&exclude.fields)?),
        };
        let vectors = match with_vectors.and_then(|with| with.selector_options) {
            None | Some(WithVectors::Enable(false)) => VectorParts::Nothing,
            Some(WithVectors::Enable(true)) => VectorParts::All,
            Some(WithVectors::Include(include)) => {
                VectorParts::Only(include.names.iter().map(|name| field_of(name)).collect())
            }
        };
        Ok(Self { payload, vectors })
    }

    /// Whether payloads have to be read.
    pub(in crate::qdrant) fn needs_payload(&self) -> bool {
        !matches!(self.payload, PayloadParts::Nothing)
    }

    /// Whether vectors have to be read.
    pub(in crate::qdrant) fn needs_vectors(&self) -> bool {
        !matches!(self.vectors, VectorParts::Nothing)
    }

    fn payload_of(&self, point: &StoredPoint) -> HashMap<String, q::Value> {
        let all = point.payload.as_map();
        match &self.payload {
            PayloadParts::All => payload_message(all),
            PayloadParts::Nothing => HashMap::new(),
            PayloadParts::Only(paths) => payload_message(&kept(all, &tails(paths))),
            PayloadParts::But(paths) => payload_message(&without(all, &tails(paths))),
        }
    }

    fn vectors_of(&self, point: StoredPoint) -> Option<q::VectorsOutput> {
        let wanted = |field: &str| match &self.vectors {
            VectorParts::All => true,
            VectorParts::Nothing => false,
            VectorParts::Only(fields) => fields.iter().any(|wanted| wanted == field),
        };
        if !self.needs_vectors() {
            return None;
        }
        let dense = point.vectors.into_iter().map(|v| (v.field, AnyVector::Dense(v.values)));
        let sparse = point.sparse.into_iter().map(|v| (v.field, AnyVector::Sparse(v.vector)));
        let multi = point.multi.into_iter().map(|v| (v.field, AnyVector::Multi(v.vector)));
        let all = dense.chain(sparse).chain(multi).filter(|(field, _)| wanted(field));
        let mut vectors: HashMap<String, q::VectorOutput> =
            all.map(|(field, vector)| (vector_of(&field), vector_message(vector))).collect();
        let unnamed = if vectors.len() == 1 { vectors.remove("") } else { None };
        let options = match unnamed {
            Some(vector) => VectorsOptions::Vector(vector),
            None => VectorsOptions::Vectors(q::NamedVectorsOutput { vectors }),
        };
        Some(q::VectorsOutput { vectors_options: Some(options) })
    }
}

fn paths(fields: &[String]) -> Result<Vec<Path>, Status> {
    use bigrain_engine::filter::{FieldPath, Step};

    let names = |field: &String| {
        let path = FieldPath::parse(field).map_err(wrong)?;
        let names = path.steps().iter().filter_map(|step| match step {
            Step::Member(name) => Some(name.clone()),
            _ => None,
        });
        Ok(names.collect())
    };
    fields.iter().map(names).collect()
}

fn tails(paths: &[Path]) -> Vec<&[String]> {
    paths.iter().map(Vec::as_slice).collect()
}

/// Returns what of the paths goes on below a member, and whether one ends there.
fn below<'p>(paths: &[&'p [String]], name: &str) -> (Vec<&'p [String]>, bool) {
    let on = paths.iter().filter(|path| path.first().is_some_and(|first| first == name));
    let on: Vec<&[String]> = on.map(|path| &path[1..]).collect();
    let ends = on.iter().any(|path| path.is_empty());
    (on, ends)
}

/// Returns the members that paths lead to.
fn kept(members: &Map<String, Value>, paths: &[&[String]]) -> Map<String, Value> {
    let keep = |(name, value): (&String, &Value)| {
        let (on, ends) = below(paths, name);
        let value = match (on.is_empty(), ends) {
            (true, _) => return None,
            (false, true) => value.clone(),
            (false, false) => kept_of(value, &on)?,
        };
        Some((name.clone(), value))
    };
    members.iter().filter_map(keep).collect()
}

fn kept_of(value: &Value, paths: &[&[String]]) -> Option<Value> {
    match value {
        Value::Object(members) => Some(Value::Object(kept(members, paths))),
        Value::Array(values) => {
            Some(Value::Array(values.iter().filter_map(|value| kept_of(value, paths)).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Returns the members that paths do not lead to.
fn without(members: &Map<String, Value>, paths: &[&[String]]) -> Map<String, Value> {
    let keep = |(name, value): (&String, &Value)| {
        let (on, ends) = below(paths, name);
        (!ends).then(|| (name.clone(), without_of(value, &on)))
    };
    members.iter().filter_map(keep).collect()
}

fn without_of(value: &Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Object(members) => Value::Object(without(members, paths)),
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| without_of(value, paths)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn vector_message(vector: AnyVector) -> q::VectorOutput {
    let vector = match vector {
        AnyVector::Dense(data) => q::vector_output::Vector::Dense(q::DenseVector { data }),
        AnyVector::Sparse(vector) => {
            let (indices, values) = (vector.dimensions().to_vec(), vector.values().to_vec());
            q::vector_output::Vector::Sparse(q::SparseVector { values, indices })
        }
        AnyVector::Multi(vector) => q::vector_output::Vector::MultiDense(multi_message(&vector)),
    };
    q::VectorOutput { vector: Some(vector), ..Default::default() }
}

fn multi_message(vector: &MultiVector) -> q::MultiDenseVector {
    let vectors = vector.iter().map(|token| q::DenseVector { data: token.to_vec() });
    q::MultiDenseVector { vectors: vectors.collect() }
}

/// Returns a point's vector in a field, whatever its kind.
pub(in crate::qdrant) fn stored_vector(point: &StoredPoint, field: &str) -> Option<AnyVector> {
    let dense = || point.vector(field).map(|values| AnyVector::Dense(values.to_vec()));
    let sparse = || point.sparse(field).cloned().map(AnyVector::Sparse);
    let multi = || point.multi(field).cloned().map(AnyVector::Multi);
    dense().or_else(sparse).or_else(multi)
}

/// Writes a point that was read.
pub(in crate::qdrant) fn retrieved(point: StoredPoint, parts: &Parts) -> q::RetrievedPoint {
    q::RetrievedPoint {
        id: Some(id_message(&point.id)),
        payload: parts.payload_of(&point),
        vectors: parts.vectors_of(point),
        ..Default::default()
    }
}

/// Writes a point that was found.
pub(in crate::qdrant) fn scored(
    (id, score): (PointId, f32),
    point: Option<StoredPoint>,
    parts: &Parts,
) -> q::ScoredPoint {
    let (payload, version) = match &point {
        Some(point) => (parts.payload_of(point), point.seq.0),
        None => (HashMap::new(), 0),
    };
    q::ScoredPoint {
        id: Some(id_message(&id)),
        payload,
        score,
        version,
        vectors: point.and_then(|point| parts.vectors_of(point)),
        ..Default::default()
    }
}

/// Writes the value of a group; one that is neither text nor an integer has no counterpart.
pub(in crate::qdrant) fn group_id(value: &Scalar) -> Option<q::GroupId> {
    use q::group_id::Kind;

    let kind = match value {
        Scalar::Text(text) => Kind::StringValue(text.clone()),
        Scalar::Number(number) => {
            let number = number.to_json();
            match (number.as_u64(), number.as_i64()) {
                (Some(unsigned), _) => Kind::UnsignedValue(unsigned),
                (None, Some(integer)) => Kind::IntegerValue(integer),
                (None, None) => return None,
            }
        }
        Scalar::Bool(_) => return None,
    };
    Some(q::GroupId { kind: Some(kind) })
}

/// Writes what a point was ordered by: its number, or its time in microseconds.
pub(in crate::qdrant) fn order_value(
    payload: &Map<String, Value>,
    key: &str,
) -> Option<q::OrderValue> {
    use q::order_value::Variant;

    let value = key.split('.').try_fold(None, |at: Option<&Value>, name| {
        let members = at.map_or(Some(payload), Value::as_object)?;
        Some(Some(members.get(name)?))
    })??;
    let variant = match value {
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Variant::Int(integer),
            None => Variant::Float(number.as_f64()?),
        },
        Value::String(text) => {
            let time: prost_types::Timestamp = text.parse().ok()?;
            Variant::Int(time.seconds.checked_mul(1_000_000)? + i64::from(time.nanos) / 1_000)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(q::OrderValue { variant: Some(variant) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn members_are_kept_or_left_out_by_their_paths() {
        let payload = map(r#"{"a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}, 3], "g": 4}"#);
        let of = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
            paths(&fields).unwrap()
        };
        let only = of(&["a.b", "d[].e", "g"]);
        assert_eq!(
            kept(&payload, &tails(&only)),
            map(r#"{"a": {"b": 1}, "d": [{"e": 1}], "g": 4}"#)
        );
        let but = of(&["a.b", "d[].e", "g"]);
        assert_eq!(without(&payload, &tails(&but)), map(r#"{"a": {"c": 2}, "d": [{"f": 2}, 3]}"#));
    }

    #[test]
    fn times_are_ordered_in_microseconds() {
        let value = order_value(&map(r#"{"a": {"t": "1970-01-01T00:00:01.5Z"}}"#), "a.t").unwrap();
        assert_eq!(value.variant, Some(q::order_value::Variant::Int(1_500_000)));
        assert_eq!(order_value(&map(r#"{"a": "x"}"#), "a"), None);
    }
}
