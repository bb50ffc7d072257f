//! Calls that read points, and count them.

use std::collections::BTreeSet;

use bigrain_engine::filter::Scalar;
use bigrain_engine::{
    Cancel, Collection, Cursor, FacetQuery, Filter, MAX_LIMIT, PointId, ScrollParams, StoredPoint,
};
use qdrant_client::qdrant as q;
use tonic::Status;

use super::{both, page};
use crate::grpc::Context;
use crate::qdrant::convert::{self, Ordering, Parts, refuse_shard_keys};
use crate::qdrant::error::wrong;
use crate::status;

/// Points of a page unless said otherwise.
const DEFAULT_PAGE: u32 = 10;

/// Returns points by id; those that do not exist are left out.
pub(in crate::qdrant) fn get(
    context: &Context,
    request: q::GetPoints,
    _: &Cancel,
) -> Result<q::GetResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    context.check_batch("ids", request.ids.len())?;
    let parts = Parts::of(request.with_payload, request.with_vectors, true)?;
    let ids: Vec<PointId> = convert::point_ids(request.ids)?;
    let collection = context.collection(&request.collection_name)?;
    let found =
        if parts.needs_vectors() { collection.get(&ids) } else { collection.get_payloads(&ids) };
    let found = found.map_err(status::from_engine)?.into_iter().flatten();
    let result = found.map(|point| convert::retrieved(point, &parts)).collect();
    context.check_reply(q::GetResponse { result, ..Default::default() })
}

/// Returns the point of one id, which must be there.
pub(in crate::qdrant) fn get_one(
    context: &Context,
    request: q::GetPoints,
    cancel: &Cancel,
) -> Result<q::RetrievedPoint, Status> {
    let found = get(context, request, cancel)?.result.into_iter().next();
    found.ok_or_else(|| Status::not_found("no point with this id found"))
}

/// Returns a page of points, in the order of their ids or by a payload field.
pub(in crate::qdrant) fn scroll(
    context: &Context,
    request: q::ScrollPoints,
    _: &Cancel,
) -> Result<q::ScrollResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let parts = Parts::of(request.with_payload, request.with_vectors, true)?;
    let limit = request.limit.unwrap_or(DEFAULT_PAGE) as usize;
    if limit == 0 {
        return Err(wrong("limit value 0 is invalid: must be 1 or larger"));
    }
    let filter = convert::optional_filter(request.filter)?;
    let offset = request.offset.map(|id| convert::point_id(Some(id))).transpose()?;
    let collection = context.collection(&request.collection_name)?;
    let scroll = Scroll { collection: &collection, filter, parts: &parts };
    let Some(order) = request.order_by else {
        let (points, next) = scroll.by_id(offset, limit)?;
        let result = points.into_iter().map(|point| convert::retrieved(point, &parts)).collect();
        let next_page_offset = next.as_ref().map(convert::id_message);
        return context.check_reply(q::ScrollResponse {
            next_page_offset,
            result,
            ..Default::default()
        });
    };
    if offset.is_some() {
        return Err(wrong(
            "Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a filter to exclude the IDs that you've already seen for the `order_by.start_from` value.",
        ));
    }
    let order = convert::order_by(order)?;
    let points = scroll.ordered(&order, limit)?.into_iter();
    let result = points.map(|point| {
        let order_value = convert::order_value(point.payload.as_map(), &order.key);
        q::RetrievedPoint { order_value, ..convert::retrieved(point, &parts) }
    });
    context.check_reply(q::ScrollResponse { result: result.collect(), ..Default::default() })
}

/// Reads pages of a collection.
pub(super) struct Scroll<'a> {
    /// Which collection.
    pub collection: &'a Collection,
    /// Which points.
    pub filter: Option<Filter>,
    /// What of them.
    pub parts: &'a Parts,
}

impl Scroll<'_> {
    fn params(&self, limit: usize) -> Result<ScrollParams, Status> {
        let params = ScrollParams::new(limit).map_err(status::from_engine)?;
        let params = params.with_payload(self.parts.needs_payload());
        Ok(params.with_vectors(self.parts.needs_vectors()))
    }

    /// Returns the points from an id on, and the id of the one behind them.
    pub(super) fn by_id(
        &self,
        from: Option<PointId>,
        limit: usize,
    ) -> Result<(Vec<StoredPoint>, Option<PointId>), Status> {
        let mut points = Vec::new();
        // One more than wanted is the one behind.
        let mut params = self.params(limit.saturating_add(1).min(MAX_LIMIT))?;
        if let Some(from) = from {
            // Pages begin behind an id here, and at one in Qdrant.
            let first = Filter::new().must(convert::has_ids(BTreeSet::from([from.clone()])));
            let first = both(Some(first), self.filter.clone()).unwrap_or_default();
            points = page(self.collection, &self.params(1)?.with_filter(first))?;
            params = params.from_cursor(Cursor::after(from));
        }
        if let Some(filter) = &self.filter {
            params = params.with_filter(filter.clone());
        }
        points.extend(page(self.collection, &params)?);
        let next = points.get(limit).map(|point| point.id.clone());
        points.truncate(limit);
        Ok((points, next))
    }

    /// Returns the first points in an order, with their payloads.
    pub(super) fn ordered(
        &self,
        order: &Ordering,
        limit: usize,
    ) -> Result<Vec<StoredPoint>, Status> {
        let among = both(self.filter.clone(), Some(order.among.clone())).unwrap_or_default();
        let params = self.params(limit)?.with_payload(true);
        page(self.collection, &params.with_filter(among).with_order(order.order.clone()))
    }
}

/// Counts points, always exactly.
pub(in crate::qdrant) fn count(
    context: &Context,
    request: q::CountPoints,
    _: &Cancel,
) -> Result<q::CountResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let filter = convert::optional_filter(request.filter)?;
    let collection = context.collection(&request.collection_name)?;
    let count = match &filter {
        Some(filter) => collection.count_matching(filter).map_err(status::from_engine)?,
        None => collection.count(),
    };
    Ok(q::CountResponse { result: Some(q::CountResult { count }), ..Default::default() })
}

/// Counts the values of a payload field, always exactly. Numbers that are no integers are left out: a facet of
/// Qdrant's has no place for them.
pub(in crate::qdrant) fn facet(
    context: &Context,
    request: q::FacetCounts,
    _: &Cancel,
) -> Result<q::FacetResponse, Status> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let limit = usize::try_from(request.limit.unwrap_or(10)).unwrap_or(usize::MAX);
    let mut query = FacetQuery::new(&request.key).map_err(status::from_engine)?;
    query = query.with_limit(limit).map_err(status::from_engine)?;
    if let Some(filter) = convert::optional_filter(request.filter)? {
        query = query.with_filter(filter);
    }
    let collection = context.collection(&request.collection_name)?;
    let output = collection.facet(&query).map_err(status::from_engine)?;
    let hits = output.values.into_iter().filter_map(|found| {
        let variant = match found.value {
            Scalar::Text(text) => q::facet_value::Variant::StringValue(text),
            Scalar::Bool(bool) => q::facet_value::Variant::BoolValue(bool),
            Scalar::Number(number) => {
                q::facet_value::Variant::IntegerValue(number.to_json().as_i64()?)
            }
        };
        let value = Some(q::FacetValue { variant: Some(variant) });
        Some(q::FacetHit { value, count: found.count })
    });
    context.check_reply(q::FacetResponse { hits: hits.collect(), ..Default::default() })
}
