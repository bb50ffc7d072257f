//! Queries whose results stand in groups by a payload field.

use std::collections::HashMap;

use bigrain_engine::filter::{Condition, FieldPath, FieldTest, Scalar, Step};
use bigrain_engine::{Cancel, Filter, MAX_LIMIT, PointId, StoredPoint};
use q::query::Variant;
use qdrant_client::qdrant as q;
use serde_json::Value;
use tonic::Status;

use super::{Level, Ranked, Scope, limit};
use crate::grpc::Context;
use crate::qdrant::calls::both;
use crate::qdrant::convert::{self, Parts, refuse_shard_keys};
use crate::qdrant::error::wrong;

/// Points of a group unless said otherwise.
const DEFAULT_GROUP: u64 = 3;
/// Results that are looked at first, for each that is wanted, and how many more then.
const DEPTH_FACTOR: usize = 4;

/// Finds points by a query, the best of each value of a payload field.
pub(in crate::qdrant) fn query_groups(
    context: &Context,
    request: q::QueryPointGroups,
    cancel: &Cancel,
) -> Result<q::QueryGroupsResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let parts = Parts::of(request.with_payload, request.with_vectors, false)?;
    let (groups, size) =
        (limit(request.limit)?, limit(Some(request.group_size.unwrap_or(DEFAULT_GROUP)))?);
    let by = By { path: FieldPath::parse(&request.group_by).map_err(wrong)?, groups, size };
    let collection = context.collection(&request.collection_name)?;
    let scope = Scope { context, collection: &collection, cancel };
    let level = Level {
        prefetch: request.prefetch,
        query: request.query,
        using: request.using,
        filter: convert::optional_filter(request.filter)?,
        params: request.params,
        score_threshold: request.score_threshold,
        limit: groups.saturating_mul(size),
        lookup_from: request.lookup_from,
    };
    let found = scope.grouped(&level, &by)?;
    let mut messages = Vec::with_capacity(found.len());
    for (value, ranked) in found {
        messages.push(q::PointGroup {
            id: convert::group_id(&value),
            hits: scope.filled(ranked, &parts)?,
            lookup: match &request.with_lookup {
                Some(with) => lookup(context, with, &value)?,
                None => None,
            },
        });
    }
    let result = Some(q::GroupsResult { groups: messages });
    context.check_reply(q::QueryGroupsResponse { result, ..Default::default() })
}

/// What groups are made of.
struct By {
    path: FieldPath,
    groups: usize,
    size: usize,
}

impl Scope<'_> {
    /// Returns groups in the order of their best points. Deeper and deeper results are looked at until enough
    /// groups are full, or there are no more results.
    fn grouped(&self, level: &Level, by: &By) -> Result<Vec<(Scalar, Ranked)>, Status> {
        let is_sample = level.query.as_ref().and_then(|query| query.variant.as_ref());
        let is_sample = matches!(is_sample, Some(Variant::Sample(_)));
        let has_value = Condition::Field { path: by.path.clone(), test: FieldTest::Exists };
        let among = both(level.filter.clone(), Some(Filter::new().must(has_value)));
        let wanted = level.limit;
        let mut depth = wanted.saturating_mul(DEPTH_FACTOR).min(MAX_LIMIT);
        loop {
            let mut deeper = Level { filter: among.clone(), limit: depth, ..level.clone() };
            deepen(&mut deeper.prefetch, depth);
            let ranked = self.ranked(deeper)?;
            let all = ranked.len() < depth || depth == MAX_LIMIT || is_sample;
            let groups = self.by_value(ranked, by)?;
            let full = groups.iter().filter(|(_, points)| points.len() == by.size).count();
            if all || (groups.len() == by.groups && full == by.groups) {
                return Ok(groups);
            }
            depth = depth.saturating_mul(DEPTH_FACTOR).min(MAX_LIMIT);
        }
    }

    fn by_value(&self, ranked: Ranked, by: &By) -> Result<Vec<(Scalar, Ranked)>, Status> {
        let ids: Vec<PointId> = ranked.iter().map(|(id, _)| id.clone()).collect();
        let mut groups: Vec<(Scalar, Ranked)> = Vec::new();
        let mut place: HashMap<Scalar, usize> = HashMap::new();
        for (found, point) in ranked.into_iter().zip(self.payloads(&ids)?) {
            let values = point.map(|point| values_of(&point, &by.path)).unwrap_or_default();
            for value in values {
                let at = *place.entry(value.clone()).or_insert_with(|| {
                    groups.push((value, Vec::new()));
                    groups.len() - 1
                });
                let points = &mut groups[at].1;
                if points.len() < by.size {
                    points.push(found.clone());
                }
            }
        }
        groups.truncate(by.groups);
        Ok(groups)
    }
}

/// Lets prefetches find as many as may be wanted.
fn deepen(prefetches: &mut [q::PrefetchQuery], depth: usize) {
    for prefetch in prefetches {
        prefetch.limit = Some(prefetch.limit.unwrap_or(0).max(depth as u64));
        deepen(&mut prefetch.prefetch, depth);
    }
}

/// Returns the groups that a point belongs to: each text or integer in the field, once. A point with a value of
/// another kind there belongs to none, as in Qdrant.
fn values_of(point: &StoredPoint, path: &FieldPath) -> Vec<Scalar> {
    let mut found = Vec::new();
    let root = Value::Object(point.payload.as_map().clone());
    collect(&root, path.steps(), &mut found);
    let mut values = Vec::new();
    for value in found {
        match Scalar::from_json(&value).filter(|value| convert::group_id(value).is_some()) {
            None => return Vec::new(),
            Some(value) if values.contains(&value) => {}
            Some(value) => values.push(value),
        }
    }
    values
}

fn collect(value: &Value, path: &[Step], found: &mut Vec<Value>) {
    match (path, value) {
        ([], Value::Array(values)) => found.extend(values.iter().cloned()),
        ([], value) => found.push(value.clone()),
        ([Step::Member(name), rest @ ..], Value::Object(members)) => {
            if let Some(value) = members.get(name) {
                collect(value, rest, found);
            }
        }
        ([Step::Elements, rest @ ..], Value::Array(values)) => {
            values.iter().for_each(|value| collect(value, rest, found));
        }
        _ => {}
    }
}

/// Returns the point of another collection whose id is the value of a group.
fn lookup(
    context: &Context,
    with: &q::WithLookup,
    value: &Scalar,
) -> Result<Option<q::RetrievedPoint>, Status> {
    let parts = Parts::of(with.with_payload.clone(), with.with_vectors.clone(), true)?;
    let id = match value.to_json() {
        Value::Number(number) => number.as_u64().map(PointId::from),
        Value::String(text) => PointId::parse(&text).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let Some(id) = id else { return Ok(None) };
    let collection = context.collection(&with.collection)?;
    let found = collection.get(&[id]).map_err(crate::status::from_engine)?;
    Ok(found.into_iter().flatten().next().map(|point| convert::retrieved(point, &parts)))
}

#[cfg(test)]
mod tests {
    use bigrain_engine::{Payload, SeqNo};

    use super::*;

    #[test]
    fn a_point_belongs_to_each_of_its_values_or_to_none() {
        let of = |json: &str| {
            let payload = Payload::from_json(json.as_bytes()).unwrap();
            let (id, seq) = (PointId::from(1), SeqNo(1));
            let (vectors, sparse, multi) = (Vec::new(), Vec::new(), Vec::new());
            let point = StoredPoint { id, vectors, sparse, multi, payload, seq };
            values_of(&point, &FieldPath::parse("a").unwrap())
        };
        assert_eq!(of(r#"{"a": ["x", 2, "x"]}"#), [Scalar::from("x"), Scalar::from(2)]);
        assert_eq!(of(r#"{"a": [1, true]}"#), []);
        assert_eq!(of("{}"), []);
    }
}
