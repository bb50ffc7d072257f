//! The service `Points`, all but its stream.

use std::sync::Arc;

use bigrain_engine::{
    Collection, Cursor, DeleteOutput, PointId, ScrollParams, StoredPoint, UpdateOutput,
};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::encoded_points::Encodable;
use super::{Context, upsert_stream};
use crate::convert::Parts;
use crate::proto::points_server::Points;
use crate::proto::{
    self, CountReply, CountRequest, DeleteReply, DeleteRequest, FacetReply, FacetRequest, GetReply,
    GetRequest, ScrollReply, ScrollRequest, UpdatePayloadRequest, UpdateReply,
    UpdateVectorsRequest, UpsertReply, UpsertRequest, UpsertStreamReply, UpsertStreamRequest,
};
use crate::request_scope::Arrival;
use crate::runtime::Patience;
use crate::{convert, status};

/// Points of a page when a caller names no limit.
const DEFAULT_PAGE: usize = 100;

/// Writes and reads points.
#[derive(Clone, Debug)]
pub(crate) struct PointsService(pub(crate) Arc<Context>);

#[tonic::async_trait]
impl Points for PointsService {
    type UpsertStreamStream = ReceiverStream<Result<UpsertStreamReply, Status>>;

    async fn upsert(
        &self,
        request: Request<UpsertRequest>,
    ) -> Result<Response<UpsertReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut request = request.into_inner();
        let truncated = self.0.encode_points(Encodable::of(&mut request), Patience::IsRefused);
        let truncated = truncated.await?;
        let context = Arc::clone(&self.0);
        let output = self.0.runtime.writes.run(move |_| upsert(&context, request)).await?;
        Ok(Response::new(convert::upsert_reply(&output, truncated, arrival.server_time_us())))
    }

    async fn upsert_stream(
        &self,
        request: Request<Streaming<UpsertStreamRequest>>,
    ) -> Result<Response<Self::UpsertStreamStream>, Status> {
        let arrival = Arrival::of(&request);
        Ok(Response::new(upsert_stream::start(Arc::clone(&self.0), arrival, request.into_inner())))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let delete = move |_: &_| delete(&context, request);
        let output = self.0.runtime.writes.run(delete).await?;
        Ok(Response::new(DeleteReply {
            seq: output.seq.0,
            deleted: output.deleted,
            server_time_us: arrival.server_time_us(),
        }))
    }

    async fn update_payload(
        &self,
        request: Request<UpdatePayloadRequest>,
    ) -> Result<Response<UpdateReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let output = self.0.runtime.writes.run(move |_| update_payload(&context, request)).await?;
        Ok(Response::new(convert::update_reply(&output, 0, arrival.server_time_us())))
    }

    async fn update_vectors(
        &self,
        request: Request<UpdateVectorsRequest>,
    ) -> Result<Response<UpdateReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut request = request.into_inner();
        let truncated =
            self.0.encode_points(Encodable::of_update(&mut request), Patience::IsRefused).await?;
        let context = Arc::clone(&self.0);
        let output = self.0.runtime.writes.run(move |_| update_vectors(&context, request)).await?;
        Ok(Response::new(convert::update_reply(&output, truncated, arrival.server_time_us())))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let mut reply = self.0.runtime.searches.run(move |_| get(&context, request)).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<CountReply>, Status> {
        let arrival = Arrival::of(&request);
        let CountRequest { collection, filter_json } = request.into_inner();
        let filter = convert::filter(filter_json.as_deref())?;
        let context = Arc::clone(&self.0);
        let count = move |_: &_| {
            let collection = context.collection(&collection)?;
            match &filter {
                Some(filter) => collection.count_matching(filter).map_err(status::from_engine),
                None => Ok(collection.count()),
            }
        };
        let count = self.0.runtime.searches.run(count).await?;
        Ok(Response::new(CountReply { count, server_time_us: arrival.server_time_us() }))
    }

    async fn facet(&self, request: Request<FacetRequest>) -> Result<Response<FacetReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let query = convert::facet_query(&request)?;
        let context = Arc::clone(&self.0);
        let facet = move |_: &_| {
            let collection = context.collection(&request.collection)?;
            let output = collection.facet(&query).map_err(status::from_engine)?;
            context.check_reply(convert::facet_reply(output))
        };
        let mut reply = self.0.runtime.searches.run(facet).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn scroll(
        &self,
        request: Request<ScrollRequest>,
    ) -> Result<Response<ScrollReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let mut reply = self.0.runtime.searches.run(move |_| scroll(&context, request)).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }
}

/// Stores one batch.
pub(super) fn upsert(
    context: &Context,
    request: UpsertRequest,
) -> Result<bigrain_engine::UpsertOutput, Status> {
    context.check_batch("points", request.points.len())?;
    let space = convert::space(request.space.as_deref())?;
    let points = convert::points(request.points, space)?;
    let conditions = convert::conditions(request.conditions)?;
    let collection = context.collection(&request.collection)?;
    let _reserved = context.admit_points(&collection, &points)?;
    collection.upsert_if(points, conditions).map_err(status::from_engine)
}

fn delete(context: &Context, request: DeleteRequest) -> Result<DeleteOutput, Status> {
    let filter = convert::filter(request.filter_json.as_deref())?;
    if let Some(filter) = filter {
        refuse_besides_filter(&request.ids, request.conditions.as_ref())?;
        let collection = context.collection(&request.collection)?;
        return collection.delete_matching(&filter).map_err(status::from_engine);
    }
    context.check_batch("ids", request.ids.len())?;
    let ids = convert::point_ids(request.ids)?;
    let conditions = convert::conditions(request.conditions)?;
    let collection = context.collection(&request.collection)?;
    collection.delete_if(&ids, conditions).map_err(status::from_engine)
}

/// Refuses what would be ignored beside a filter.
fn refuse_besides_filter(
    ids: &[proto::PointId],
    conditions: Option<&proto::Conditions>,
) -> Result<(), Status> {
    if ids.is_empty() && conditions.is_none() {
        return Ok(());
    }
    Err(Status::invalid_argument("expected either a filter, or ids and conditions: found both"))
}

fn update_payload(
    context: &Context,
    request: UpdatePayloadRequest,
) -> Result<UpdateOutput, Status> {
    if let Some(filter) = convert::filter(request.filter_json.as_deref())? {
        refuse_besides_filter(&request.ids, request.conditions.as_ref())?;
        let update = convert::payload_update(request.change)?;
        let collection = context.collection(&request.collection)?;
        return collection.update_payload_matching(&filter, &update).map_err(status::from_engine);
    }
    context.check_batch("ids", request.ids.len())?;
    let ids = convert::point_ids(request.ids)?;
    let update = convert::payload_update(request.change)?;
    let conditions = convert::conditions(request.conditions)?;
    let collection = context.collection(&request.collection)?;
    collection.update_payload_if(&ids, &update, &conditions).map_err(status::from_engine)
}

fn update_vectors(
    context: &Context,
    request: UpdateVectorsRequest,
) -> Result<UpdateOutput, Status> {
    context.check_batch("points", request.points.len())?;
    let space = convert::space(request.space.as_deref())?;
    let points = convert::points(request.points, space)?;
    let conditions = convert::conditions(request.conditions)?;
    let collection = context.collection(&request.collection)?;
    context.spend_points(points.len())?;
    collection.update_vectors_if(&points, &conditions).map_err(status::from_engine)
}

fn get(context: &Context, request: GetRequest) -> Result<GetReply, Status> {
    context.check_batch("ids", request.ids.len())?;
    let parts =
        Parts { vectors: request.with_vectors, payload: request.with_payload.unwrap_or(true) };
    let ids = convert::point_ids(request.ids)?;
    let collection = context.collection(&request.collection)?;
    let found = collection.get(&ids).map_err(status::from_engine)?;
    let first = first_field(&collection);
    let mut reply = GetReply::default();
    for (id, point) in ids.iter().zip(found) {
        match point {
            Some(point) => reply.points.push(convert::stored_point(point, parts, &first)?),
            None => reply.missing.push(convert::id_message(id)),
        }
    }
    context.check_reply(reply)
}

fn scroll(context: &Context, request: ScrollRequest) -> Result<ScrollReply, Status> {
    let parts =
        Parts { vectors: request.with_vectors, payload: request.with_payload.unwrap_or(true) };
    let limit = page_limit(context, request.limit)?;
    let order = request.order_by.as_ref().map(convert::order_by).transpose()?;
    let filter = convert::filter(request.filter_json.as_deref())?;
    let cursor = cursor(request.after, request.cursor.as_deref())?;
    let collection = context.collection(&request.collection)?;
    // One more than wanted tells whether there is a next page.
    let more = if order.is_some() { 0 } else { 1 };
    let params = ScrollParams::new(limit + more).map_err(status::from_engine)?;
    let mut params = params.with_vectors(parts.vectors).with_payload(parts.payload);
    if let Some(cursor) = cursor {
        params = params.from_cursor(cursor);
    }
    if let Some(filter) = filter {
        params = params.with_filter(filter);
    }
    let first = first_field(&collection);
    let room = context.limits.max_message_bytes;
    let Some(order) = order else {
        let rows = collection.scroll_page(&params).map_err(status::from_engine)?.points;
        return context.check_reply(page(rows, &first, limit, parts, room)?);
    };
    let params = params.with_order(order);
    let read = collection.scroll_page(&params).map_err(status::from_engine)?;
    let (wanted, next) = (read.points.len(), read.next);
    let mut reply = page(read.points, &first, limit, parts, room)?;
    reply.next = None;
    reply.cursor = next.map(|next| next.to_string());
    if reply.points.len() < wanted {
        // Too many for a message: the place behind those that fit is that of a shorter page.
        let params = params.with_limit(reply.points.len()).map_err(status::from_engine)?;
        let read = collection.scroll_page(&params).map_err(status::from_engine)?;
        reply.cursor = read.next.map(|next| next.to_string());
        let points = read.points.into_iter();
        let points = points.map(|point| convert::stored_point(point, parts, &first));
        reply.points = points.collect::<Result<_, _>>()?;
    }
    context.check_reply(reply)
}

/// Reads where a page begins.
fn cursor(after: Option<proto::PointId>, cursor: Option<&str>) -> Result<Option<Cursor>, Status> {
    match (after, cursor) {
        (Some(_), Some(_)) => {
            Err(Status::invalid_argument("expected either after or cursor: found both"))
        }
        (Some(id), None) => Ok(Some(Cursor::after(convert::point_id(Some(id))?))),
        (None, Some(cursor)) => cursor.parse().map(Some).map_err(status::from_engine),
        (None, None) => Ok(None),
    }
}

fn first_field(collection: &Collection) -> String {
    collection.config().first().map_or_else(String::new, |first| first.name.clone())
}

fn page_limit(context: &Context, asked: Option<u32>) -> Result<usize, Status> {
    let max = context.limits.max_points_per_batch;
    let limit = asked.map_or(DEFAULT_PAGE.min(max), |limit| limit as usize);
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(Status::invalid_argument(format!(
        "limit out of range: expected 1 to {max} (max_points_per_batch), got {limit}"
    )))
}

/// Fills a page with up to `limit` points and up to `max_bytes`, but with one point at least; the
/// collection's first field is called `first`.
fn page(
    rows: Vec<StoredPoint>,
    first: &str,
    limit: usize,
    parts: Parts,
    max_bytes: usize,
) -> Result<ScrollReply, Status> {
    // Room for the ids and numbers around the points.
    let mut room = max_bytes.saturating_sub(1024);
    let mut reply = ScrollReply::default();
    let mut last: Option<PointId> = None;
    for row in rows {
        let id = row.id.clone();
        let point = convert::stored_point(row, parts, first)?;
        // A tag and a length of at most five bytes come before each point.
        let size = point.encoded_len() + 6;
        if reply.points.len() == limit || (size > room && last.is_some()) {
            reply.next = last.as_ref().map(convert::id_message);
            reply.cursor = last.map(|last| Cursor::after(last).to_string());
            break;
        }
        room = room.saturating_sub(size);
        reply.points.push(point);
        last = Some(id);
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use bigrain_engine::{Payload, SeqNo, StoredVector};

    use super::*;

    fn rows(count: u64) -> Vec<StoredPoint> {
        let payload = Payload::new().with("text", "x".repeat(1000));
        let vector = |field: &str| StoredVector { field: field.into(), values: vec![1.0; 4] };
        let row = |id| StoredPoint {
            id: PointId::from(id),
            vectors: ["v", "w"].map(vector).into(),
            sparse: Vec::new(),
            multi: Vec::new(),
            payload: payload.clone(),
            seq: SeqNo(1),
        };
        (1..=count).map(row).collect()
    }

    const ALL: Parts = Parts { vectors: true, payload: true };

    #[test]
    fn a_full_page_names_the_next_only_if_there_is_one() {
        let reply = page(rows(3), "v", 3, ALL, 1 << 20).unwrap();
        assert_eq!((reply.points.len(), reply.next), (3, None));
        let reply = page(rows(4), "v", 3, ALL, 1 << 20).unwrap();
        assert_eq!(reply.next, Some(convert::id_message(&PointId::from(3))));
    }

    #[test]
    fn a_page_is_cut_before_its_bytes_run_out_and_never_empty() {
        let reply = page(rows(10), "v", 10, ALL, 4096).unwrap();
        assert_eq!(reply.points.len(), 2);
        assert!(reply.encoded_len() <= 4096);
        assert_eq!(reply.next, Some(convert::id_message(&PointId::from(2))));
        let reply = page(rows(2), "v", 10, ALL, 16).unwrap();
        assert_eq!(reply.points.len(), 1);
    }

    #[test]
    fn parts_that_were_not_asked_for_are_left_out() {
        let bare = Parts { vectors: false, payload: false };
        let reply = page(rows(1), "v", 1, bare, 1 << 20).unwrap();
        let point = &reply.points[0];
        assert!(point.vector.is_empty() && point.vectors.is_empty());
        assert!(point.payload_json.is_empty());
        let reply = page(rows(1), "v", 1, ALL, 1 << 20).unwrap();
        assert_eq!((reply.points[0].vector.len(), &*reply.points[0].vectors[0].field), (4, "w"));
    }
}
