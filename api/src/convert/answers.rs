//! Facets, groups, orders, examples and batches.

use bigrain_engine as engine;
use bigrain_engine::filter::SortDirection;
use bigrain_engine::{Example, FacetQuery, GroupBy, OrderBy, RecommendStrategy};
use tonic::Status;

use super::searching::{plan_json, scored_points, stats};
use super::{at, filter, point_id};
use crate::{proto, status};

/// Reads which values to count.
pub(crate) fn facet_query(request: &proto::FacetRequest) -> Result<FacetQuery, Status> {
    let mut query = FacetQuery::new(&request.field).map_err(status::from_engine)?;
    if let Some(filter) = filter(request.filter_json.as_deref())? {
        query = query.with_filter(filter);
    }
    if let Some(limit) = request.limit {
        query = query.with_limit(limit as usize).map_err(status::from_engine)?;
    }
    Ok(query)
}

/// Writes how often values occur.
pub(crate) fn facet_reply(output: engine::FacetOutput) -> proto::FacetReply {
    let value = |value: engine::FacetValue| proto::FacetValue {
        value_json: value.value.to_json().to_string(),
        count: value.count,
    };
    proto::FacetReply {
        values: output.values.into_iter().map(value).collect(),
        distinct: output.distinct,
        points: output.points,
        server_time_us: 0,
    }
}

/// Reads an order of points.
pub(crate) fn order_by(order: &proto::OrderBy) -> Result<OrderBy, Status> {
    let direction =
        if order.descending { SortDirection::Descending } else { SortDirection::Ascending };
    OrderBy::new(&order.field, direction).map_err(status::from_engine)
}

/// Reads by what results are grouped.
pub(crate) fn group_by(field: &str, per_group: Option<u32>) -> Result<GroupBy, Status> {
    let by = GroupBy::new(field).map_err(status::from_engine)?;
    match per_group {
        Some(per_group) => by.with_per_group(per_group as usize).map_err(status::from_engine),
        None => Ok(by),
    }
}

/// Writes groups.
pub(crate) fn groups_reply(
    output: engine::GroupOutput,
    with_payload: bool,
) -> Result<proto::SearchGroupsReply, Status> {
    let group = |group: engine::Group| {
        Ok::<_, Status>(proto::PointGroup {
            value_json: group.value.to_json().to_string(),
            points: scored_points(group.points, with_payload)?,
        })
    };
    Ok(proto::SearchGroupsReply {
        groups: output.groups.into_iter().map(group).collect::<Result<_, _>>()?,
        stats: Some(stats(&output.stats)),
        plan_json: plan_json(output.plan.as_ref())?,
        query_truncated: false,
        server_time_us: 0,
    })
}

/// Reads examples; an error names the position in `list`.
pub(crate) fn examples(list: &str, examples: Vec<proto::Example>) -> Result<Vec<Example>, Status> {
    use proto::example::Example as Message;

    let mut read = Vec::with_capacity(examples.len());
    for (position, message) in examples.into_iter().enumerate() {
        let example = match message.example {
            Some(Message::Id(id)) => point_id(Some(id)).map(Example::Point),
            Some(Message::Vector(vector)) => Ok(Example::Vector(vector.values)),
            None => Err(Status::invalid_argument("example is missing")),
        };
        read.push(example.map_err(|status| at(list, position, &status))?);
    }
    Ok(read)
}

/// Reads how examples become a search.
pub(crate) fn recommend_strategy(number: i32) -> Result<RecommendStrategy, Status> {
    use proto::RecommendStrategy as Message;

    match Message::try_from(number) {
        Ok(Message::Unspecified | Message::AverageVector) => Ok(RecommendStrategy::AverageVector),
        Ok(Message::BestScore) => Ok(RecommendStrategy::BestScore),
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown strategy {number}: expected average vector or best score"
        ))),
    }
}

/// Writes the answer to one of several searches.
pub(crate) fn search_outcome(reply: Result<proto::SearchReply, Status>) -> proto::SearchOutcome {
    use proto::search_outcome::Outcome;

    let outcome = reply.map(Outcome::Found).unwrap_or_else(|status| {
        let (code, message) = (status.code() as i32, status.message().to_owned());
        Outcome::Failed(proto::SearchError { code, message })
    });
    proto::SearchOutcome { outcome: Some(outcome) }
}
