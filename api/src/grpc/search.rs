//! The service `Search`.

use std::sync::Arc;
use std::time::Duration;

use bigrain_encoders::TextKind;
use bigrain_engine::{Cancel, Collection, EmbeddingSpaceId, Filter, Query, RecommendQuery};
use tonic::{Request, Response, Status};

use super::Context;
use crate::models::Model;
use crate::proto::search_server::Search;
use crate::proto::{
    RecommendRequest, SearchBatchReply, SearchBatchRequest, SearchGroupsReply, SearchGroupsRequest,
    SearchOptions, SearchReply, SearchRequest, SearchTextRequest,
};
use crate::request_scope::Arrival;
use crate::{convert, status};

/// Finds the points nearest to a query.
#[derive(Clone, Debug)]
pub(crate) struct SearchService(pub(crate) Arc<Context>);

#[tonic::async_trait]
impl Search for SearchService {
    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let options = request.options.unwrap_or_default();
        let query = QueryVector::of(&request)?;
        let mut reply = self.search_vector(request.collection, query, options).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_text(
        &self,
        request: Request<SearchTextRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let options = request.options.unwrap_or_default();
        // Refuse what cannot be searched before spending an encoder on it.
        convert::search_params(&options)?;
        let filter = convert::filter(request.filter_json.as_deref())?;
        let (collection, field) = (request.collection.clone(), request.field.clone());
        let encoded = self.encode(collection, field, request.text).await?;
        let (field, space) = (request.field, Some(encoded.space));
        let query = QueryVector { vector: encoded.vector, field, space, filter };
        let mut reply = self.search_vector(request.collection, query, options).await?;
        reply.query_truncated = encoded.truncated;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(encoded.took);
        }
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_batch(
        &self,
        request: Request<SearchBatchRequest>,
    ) -> Result<Response<SearchBatchReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| context.search_batch(request, cancel);
        let mut reply = self.0.runtime.searches.run(search).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_groups(
        &self,
        request: Request<SearchGroupsRequest>,
    ) -> Result<Response<SearchGroupsReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let by = convert::group_by(&request.group_by, request.per_group)?;
        let search = request.search.unwrap_or_default();
        let options = search.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let query = QueryVector::of(&search)?;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&search.collection)?;
            let query = query.into_query(cancel);
            let output = collection.search_groups(&query, &by, &params);
            let output = output.map_err(status::from_engine)?;
            context.check_reply(convert::groups_reply(output, convert::with_payload(&options))?)
        };
        let mut reply = self.0.runtime.searches.run(search).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let options = request.options.unwrap_or_default();
        let params = convert::search_params(&options)?;
        let collection = request.collection.clone();
        let query = recommend_query(request)?;
        let context = Arc::clone(&self.0);
        let recommend = move |cancel: &Cancel| {
            let collection = context.collection(&collection)?;
            let query = query.with_cancel(cancel.clone());
            let output = collection.recommend(&query, &params).map_err(status::from_engine)?;
            context.check_reply(convert::search_reply(output, convert::with_payload(&options))?)
        };
        let mut reply = self.0.runtime.searches.run(recommend).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }
}

impl Context {
    fn search_batch(
        &self,
        request: SearchBatchRequest,
        cancel: &Cancel,
    ) -> Result<SearchBatchReply, Status> {
        self.check_batch("searches", request.searches.len())?;
        let collection = self.collection(&request.collection)?;
        let (mut searches, mut outcomes) = (Vec::new(), Vec::new());
        for search in &request.searches {
            if !search.collection.is_empty() && search.collection != request.collection {
                return Err(Status::invalid_argument(format!(
                    "searches of one batch are of one collection: expected {:?}, got {:?}",
                    request.collection, search.collection
                )));
            }
            let options = search.options.unwrap_or_default();
            let read = convert::search_params(&options)
                .and_then(|params| Ok((QueryVector::of(search)?.into_query(cancel), params)));
            outcomes.push(read.map(|search| {
                searches.push(search);
                convert::with_payload(&options)
            }));
        }
        let mut found = collection.search_batch(&searches).into_iter();
        let mut reply = SearchBatchReply::default();
        for outcome in outcomes {
            let outcome = outcome.and_then(|with_payload| {
                let found =
                    found.next().ok_or_else(|| Status::internal("a search has no answer"))?;
                convert::search_reply(found.map_err(status::from_engine)?, with_payload)
            });
            reply.outcomes.push(convert::search_outcome(outcome));
        }
        self.check_reply(reply)
    }
}

fn recommend_query(request: RecommendRequest) -> Result<RecommendQuery, Status> {
    let positive = convert::examples("positive", request.positive)?;
    let negative = convert::examples("negative", request.negative)?;
    let mut positive = positive.into_iter();
    let first = positive.next().ok_or_else(|| {
        Status::invalid_argument("positive is empty: expected at least one example")
    })?;
    let mut query = positive.fold(RecommendQuery::like(first), RecommendQuery::and_like);
    query = negative.into_iter().fold(query, RecommendQuery::unlike);
    query = query.with_strategy(convert::recommend_strategy(request.strategy)?);
    if let Some(field) = request.field {
        query = query.in_field(field);
    }
    if let Some(filter) = convert::filter(request.filter_json.as_deref())? {
        query = query.with_filter(filter);
    }
    Ok(query)
}

impl SearchService {
    async fn search_vector(
        &self,
        collection: String,
        query: QueryVector,
        options: SearchOptions,
    ) -> Result<SearchReply, Status> {
        let params = convert::search_params(&options)?;
        let context = Arc::clone(&self.0);
        let search = move |cancel: &Cancel| {
            let collection = context.collection(&collection)?;
            let query = query.into_query(cancel);
            let output = collection.search(&query, &params).map_err(status::from_engine)?;
            let reply = convert::search_reply(output, convert::with_payload(&options))?;
            context.check_reply(reply)
        };
        self.0.runtime.searches.run(search).await
    }

    async fn encode(
        &self,
        collection: String,
        field: Option<String>,
        text: String,
    ) -> Result<EncodedQuery, Status> {
        let context = Arc::clone(&self.0);
        let encode = move |cancel: &Cancel| {
            let collection = context.collection(&collection)?;
            let model = query_model(&context, &collection, field.as_deref())?;
            let started = std::time::Instant::now();
            let encoded = model.encode(&[&text], TextKind::Query, cancel)?;
            Ok(EncodedQuery {
                truncated: encoded.stats().truncated > 0,
                vector: encoded.into_data(),
                space: model.space(),
                took: started.elapsed(),
            })
        };
        self.0.runtime.encodes.run(encode).await
    }
}

/// Returns the model of a field, the first without a name, having checked that both mean the same
/// space.
fn query_model(
    context: &Context,
    collection: &Collection,
    field: Option<&str>,
) -> Result<Arc<Model>, Status> {
    let config = collection.config();
    let config = config.field(field).map_err(status::from_engine)?;
    let name = config.model.as_deref().ok_or_else(|| {
        Status::failed_precondition(format!(
            "field {:?} of collection {:?} has no model to encode text with: search with a vector",
            config.name,
            collection.name()
        ))
    })?;
    let model = context.models.get(name)?;
    model.check_space(config.space)?;
    Ok(model)
}

struct QueryVector {
    vector: Vec<f32>,
    field: Option<String>,
    space: Option<EmbeddingSpaceId>,
    filter: Option<Filter>,
}

impl QueryVector {
    fn of(request: &SearchRequest) -> Result<Self, Status> {
        Ok(Self {
            vector: request.vector.clone(),
            field: request.field.clone(),
            space: convert::space(request.space.as_deref())?,
            filter: convert::filter(request.filter_json.as_deref())?,
        })
    }

    fn into_query(self, cancel: &Cancel) -> Query {
        let query = convert::query(self.vector, self.field, self.space);
        let query = query.with_cancel(cancel.clone());
        match self.filter {
            Some(filter) => query.with_filter(filter),
            None => query,
        }
    }
}

struct EncodedQuery {
    vector: Vec<f32>,
    space: EmbeddingSpaceId,
    truncated: bool,
    took: Duration,
}
