//! Calls that change points.

use std::collections::{BTreeSet, HashMap};

use bigrain_engine::filter::{FieldPath, Step};
use bigrain_engine::{
    Cancel, Collection, Condition, Conditions, ErrorKind, Filter, Payload, PayloadUpdate, Point,
    PointId,
};
use qdrant_client::qdrant as q;
use serde_json::{Map, Value};
use tonic::Status;

use super::collections::completed;
use super::rewrite::{attempts, rewrite};
use super::{Selected, both, check_field, selected};
use crate::grpc::Context;
use crate::qdrant::convert::{self, refuse_shard_keys};
use crate::qdrant::error::{unsupported, wrong};
use crate::status;

/// Stores points, each as a whole.
pub(in crate::qdrant) fn upsert(
    context: &Context,
    request: q::UpsertPoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    if request.points.is_empty() {
        return Err(wrong("Empty update request"));
    }
    context.check_batch("points", request.points.len())?;
    let collection = context.collection(&request.collection_name)?;
    let points = last_of_each(request.points)?;
    let _reserved = context.admit_points(&collection, &points)?;
    let filter = convert::optional_filter(request.update_filter)?;
    let mode = q::UpdateMode::try_from(request.update_mode.unwrap_or_default()).map_err(wrong)?;
    let seq = if mode == q::UpdateMode::Upsert && filter.is_none() {
        Some(collection.upsert(points).map_err(status::from_engine)?.seq.0)
    } else {
        upsert_some(&collection, &points, filter.as_ref(), mode)?
    };
    Ok(completed(seq))
}

/// Reads points; of those with one id the last counts.
fn last_of_each(messages: Vec<q::PointStruct>) -> Result<Vec<Point>, Status> {
    let mut at: HashMap<PointId, usize> = HashMap::with_capacity(messages.len());
    let mut points: Vec<Point> = Vec::with_capacity(messages.len());
    for message in messages {
        let mut point = convert::point_vectors(message.id, message.vectors)?;
        point.payload = convert::payload(message.payload)?;
        match at.get(&point.id) {
            Some(&earlier) => points[earlier] = point,
            None => {
                at.insert(point.id.clone(), points.len());
                points.push(point);
            }
        }
    }
    Ok(points)
}

/// Stores those points that may be stored: new ones, or those that are there and match a filter.
fn upsert_some(
    collection: &Collection,
    points: &[Point],
    filter: Option<&Filter>,
    mode: q::UpdateMode,
) -> Result<Option<u64>, Status> {
    let ids: BTreeSet<PointId> = points.iter().map(|point| point.id.clone()).collect();
    let among = Filter::new().must(convert::has_ids(ids));
    attempts(|| {
        let matching = |filter: &Filter| -> bigrain_engine::Result<BTreeSet<PointId>> {
            Ok(collection.matching(filter)?.ids.into_iter().collect())
        };
        let present = matching(&among)?;
        let changed = match filter {
            Some(filter) => {
                let both = both(Some(among.clone()), Some(filter.clone()));
                matching(&both.unwrap_or_default())?
            }
            None => present.clone(),
        };
        let (mut conditions, mut wanted) = (Conditions::default(), Vec::new());
        for point in points {
            let condition = match (present.contains(&point.id), mode) {
                (true, q::UpdateMode::InsertOnly) | (false, q::UpdateMode::UpdateOnly) => continue,
                (true, _) if !changed.contains(&point.id) => continue,
                (true, _) => Condition::Present,
                (false, _) => Condition::Absent,
            };
            conditions = conditions.with(point.id.clone(), condition);
            wanted.push(point.clone());
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        Ok(Some(collection.upsert_if(wanted, conditions)?.seq.0))
    })
}

/// Deletes points.
pub(in crate::qdrant) fn delete(
    context: &Context,
    request: q::DeletePoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = context.collection(&request.collection_name)?;
    let deleted = match selected(request.points)? {
        Selected::Ids(ids) => {
            context.check_batch("ids", ids.len())?;
            collection.delete(&ids)
        }
        Selected::Filter(filter) => collection.delete_matching(&filter),
    };
    Ok(completed(Some(deleted.map_err(status::from_engine)?.seq.0)))
}

/// Replaces vectors of points, which must all be there.
pub(in crate::qdrant) fn update_vectors(
    context: &Context,
    request: q::UpdatePointVectors,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    context.check_batch("points", request.points.len())?;
    let collection = context.collection(&request.collection_name)?;
    context.spend_points(request.points.len())?;
    let points = request.points.into_iter();
    let points = points.map(|point| convert::point_vectors(point.id, point.vectors));
    let mut points: Vec<Point> = points.collect::<Result<_, _>>()?;
    if let Some(filter) = convert::optional_filter(request.update_filter)? {
        let ids = points.iter().map(|point| point.id.clone()).collect();
        let among = Filter::new().must(convert::has_ids(ids));
        let among = both(Some(among), Some(filter)).unwrap_or_default();
        let matching = collection.matching(&among).map_err(status::from_engine)?.ids;
        let matching: BTreeSet<PointId> = matching.into_iter().collect();
        points.retain(|point| matching.contains(&point.id));
    }
    if points.is_empty() {
        return Ok(completed(None));
    }
    let present = Conditions::all(Condition::Present);
    let updated = collection.update_vectors_if(&points, &present).map_err(not_there)?;
    Ok(completed(Some(updated.seq.0)))
}

/// Says of a change of points that must all be there why it was refused.
fn not_there(error: bigrain_engine::Error) -> Status {
    if error.kind() == ErrorKind::Aborted {
        return Status::not_found(format!("no such point: {error}"));
    }
    status::from_engine(error)
}

/// Removes vectors of points.
pub(in crate::qdrant) fn delete_vectors(
    context: &Context,
    request: q::DeletePointVectors,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = context.collection(&request.collection_name)?;
    let fields = convert::vector_names(request.vectors);
    fields.iter().try_for_each(|field| check_field(&collection, field))?;
    let points = selected(request.points_selector)?.ids(&collection)?;
    let remains = |field: &str| !fields.iter().any(|removed| removed == field);
    let seq = rewrite(&collection, &points, &|mut point| {
        point.vectors.retain(|vector| vector.field.as_deref().is_none_or(remains));
        point.sparse.retain(|vector| remains(&vector.field));
        point.multi.retain(|vector| remains(&vector.field));
        if point.vectors.is_empty() && point.sparse.is_empty() && point.multi.is_empty() {
            let of = format!("removal of the last vector of a point, of {}", point.id);
            return Err(unsupported(&of));
        }
        Ok(point)
    })?;
    Ok(completed(seq))
}

/// Sets members of payloads, at the top or in the objects that a path leads to. Null removes a member.
pub(in crate::qdrant) fn set_payload(
    context: &Context,
    request: q::SetPayloadPoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let new = convert::payload(request.payload)?;
    let collection = context.collection(&request.collection_name)?;
    let points = selected(request.points_selector)?;
    let path = request.key.map(|key| FieldPath::parse(&key).map_err(wrong)).transpose()?;
    if path.is_none() && !new.as_map().values().any(Value::is_null) {
        return change_payloads(context, &collection, points, &PayloadUpdate::Merge(new));
    }
    let steps = path.as_ref().map(FieldPath::steps).unwrap_or_default();
    let points = points.ids(&collection)?;
    let seq = rewrite(&collection, &points, &|mut point| {
        let mut members = point.payload.as_map().clone();
        merge_at(&mut members, steps, new.as_map());
        point.payload = payload_of(members);
        Ok(point)
    })?;
    Ok(completed(seq))
}

/// Replaces payloads.
pub(in crate::qdrant) fn overwrite_payload(
    context: &Context,
    request: q::SetPayloadPoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    if request.key.is_some() {
        return Err(unsupported("key of overwrite_payload"));
    }
    let collection = context.collection(&request.collection_name)?;
    let update = PayloadUpdate::Overwrite(convert::payload(request.payload)?);
    change_payloads(context, &collection, selected(request.points_selector)?, &update)
}

/// Removes members of payloads.
pub(in crate::qdrant) fn delete_payload(
    context: &Context,
    request: q::DeletePayloadPoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let paths = request.keys.iter().map(|key| FieldPath::parse(key).map_err(wrong));
    let paths: Vec<FieldPath> = paths.collect::<Result<_, _>>()?;
    let top = paths.iter().map(|path| match path.steps() {
        [Step::Member(name)] => Some(name.clone()),
        _ => None,
    });
    let collection = context.collection(&request.collection_name)?;
    let points = selected(request.points_selector)?;
    if let Some(names) = top.collect() {
        return change_payloads(context, &collection, points, &PayloadUpdate::Remove(names));
    }
    let points = points.ids(&collection)?;
    let seq = rewrite(&collection, &points, &|mut point| {
        let mut root = Value::Object(point.payload.as_map().clone());
        paths.iter().for_each(|path| remove_at(&mut root, path.steps()));
        if let Value::Object(members) = root {
            point.payload = payload_of(members);
        }
        Ok(point)
    })?;
    Ok(completed(seq))
}

/// Empties payloads.
pub(in crate::qdrant) fn clear_payload(
    context: &Context,
    request: q::ClearPayloadPoints,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = context.collection(&request.collection_name)?;
    change_payloads(context, &collection, selected(request.points)?, &PayloadUpdate::Clear)
}

/// Changes payloads; points that are named must all be there.
fn change_payloads(
    context: &Context,
    collection: &Collection,
    points: Selected,
    update: &PayloadUpdate,
) -> Result<q::PointsOperationResponse, Status> {
    let updated = match points {
        Selected::Ids(ids) => {
            context.check_batch("ids", ids.len())?;
            collection.update_payload_if(&ids, update, &Conditions::all(Condition::Present))
        }
        Selected::Filter(filter) => collection.update_payload_matching(&filter, update),
    };
    Ok(completed(Some(updated.map_err(not_there)?.seq.0)))
}

fn payload_of(members: Map<String, Value>) -> Payload {
    members.into_iter().fold(Payload::new(), |payload, (key, value)| payload.with(key, value))
}

/// Merges members into the objects that a path leads to; what is in the way becomes an object.
fn merge_at(members: &mut Map<String, Value>, path: &[Step], new: &Map<String, Value>) {
    let Some((Step::Member(name), rest)) = path.split_first() else {
        for (key, value) in new {
            if value.is_null() {
                members.remove(key);
            } else {
                members.insert(key.clone(), value.clone());
            }
        }
        return;
    };
    let value = members.entry(name.clone()).or_insert(Value::Null);
    merge_into(value, rest, new);
}

fn merge_into(value: &mut Value, path: &[Step], new: &Map<String, Value>) {
    match (path.first(), value) {
        (Some(Step::Elements), Value::Array(values)) => {
            values.iter_mut().for_each(|value| merge_into(value, &path[1..], new));
        }
        (Some(Step::Elements), value) => *value = Value::Array(Vec::new()),
        (_, Value::Object(members)) => merge_at(members, path, new),
        (_, value) => {
            let mut members = Map::new();
            merge_at(&mut members, path, new);
            *value = Value::Object(members);
        }
    }
}

/// Removes the members that a path leads to.
fn remove_at(value: &mut Value, path: &[Step]) {
    match (path, value) {
        ([Step::Member(name)], Value::Object(members)) => {
            members.remove(name);
        }
        ([Step::Member(name), rest @ ..], Value::Object(members)) => {
            if let Some(value) = members.get_mut(name) {
                remove_at(value, rest);
            }
        }
        ([Step::Elements], Value::Array(values)) => values.clear(),
        ([Step::Elements, rest @ ..], Value::Array(values)) => {
            values.iter_mut().for_each(|value| remove_at(value, rest));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Step> {
        FieldPath::parse(path).unwrap().steps().to_vec()
    }

    fn map(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn members_are_set_where_a_path_leads() {
        let set = |before: &str, path: &str| {
            let mut members = map(before);
            merge_at(&mut members, &steps(path), &map(r#"{"x": 1}"#));
            Value::Object(members).to_string()
        };
        assert_eq!(set(r#"{"a":{"b":2}}"#, "a"), r#"{"a":{"b":2,"x":1}}"#);
        assert_eq!(set("{}", "a.b"), r#"{"a":{"b":{"x":1}}}"#);
        assert_eq!(set(r#"{"a":[{"y":1},2]}"#, "a[]"), r#"{"a":[{"x":1,"y":1},{"x":1}]}"#);
        assert_eq!(set(r#"{"a":3}"#, "a"), r#"{"a":{"x":1}}"#);
    }

    #[test]
    fn null_removes_a_member() {
        let mut members = map(r#"{"a":1,"b":2}"#);
        merge_at(&mut members, &[], &map(r#"{"a":null,"c":3,"d":null}"#));
        assert_eq!(Value::Object(members).to_string(), r#"{"b":2,"c":3}"#);
    }

    #[test]
    fn members_are_removed_where_a_path_leads() {
        let remove = |before: &str, path: &str| {
            let mut value = Value::Object(map(before));
            remove_at(&mut value, &steps(path));
            value.to_string()
        };
        assert_eq!(remove(r#"{"a":{"b":2,"c":3}}"#, "a.b"), r#"{"a":{"c":3}}"#);
        assert_eq!(remove(r#"{"a":[{"b":2},{"b":3}]}"#, "a[].b"), r#"{"a":[{},{}]}"#);
        assert_eq!(remove(r#"{"a":1}"#, "b.c"), r#"{"a":1}"#);
    }
}
