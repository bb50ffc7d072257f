//! The service `Search`.

use std::sync::Arc;
use std::time::Duration;

use bigrain_encoders::TextKind;
use bigrain_engine::{Cancel, EmbeddingSpaceId, Filter, Query, VectorQuery};
use tonic::{Request, Response, Status};

use super::Context;
use super::hybrid::Encoding;
use crate::convert;
use crate::models::Model;
use crate::proto::search_server::Search;
use crate::proto::{
    RecommendRequest, SearchBatchReply, SearchBatchRequest, SearchGroupsReply, SearchGroupsRequest,
    SearchHybridRequest, SearchImageRequest, SearchOptions, SearchReply, SearchRequest,
    SearchTextRequest, SearchWordsRequest,
};
use crate::request_scope::Arrival;
use crate::runtime::Lane;

/// What to do where a field has no model.
const WITHOUT_MODEL: &str = "search with a vector";

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
        let collection = request.collection.clone();
        let (query, encoding) = self.text_vector(request).await?;
        let mut reply = self.search_vector(collection, query, options).await?;
        reply.query_truncated = encoding.truncated;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(encoding.took);
        }
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_image(
        &self,
        request: Request<SearchImageRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.image(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_words(
        &self,
        request: Request<SearchWordsRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.words(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_hybrid(
        &self,
        request: Request<SearchHybridRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.hybrid(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_batch(
        &self,
        request: Request<SearchBatchRequest>,
    ) -> Result<Response<SearchBatchReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.batch(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn search_groups(
        &self,
        request: Request<SearchGroupsRequest>,
    ) -> Result<Response<SearchGroupsReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.groups(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> Result<Response<SearchReply>, Status> {
        let arrival = Arrival::of(&request);
        let mut reply = self.examples(request.into_inner()).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }
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
            let output = context.search_by_vector(&collection, &query, &params)?;
            let reply = convert::search_reply(output, convert::with_payload(&options))?;
            context.check_reply(reply)
        };
        self.0.runtime.searches.run(search).await
    }

    /// Encodes the text of a request and returns the query it becomes.
    pub(super) async fn text_vector(
        &self,
        request: SearchTextRequest,
    ) -> Result<(QueryVector, Encoding), Status> {
        let filter = convert::filter(request.filter_json.as_deref())?;
        let encoded = self.encode(request.collection, request.field.clone(), request.text).await?;
        let (truncated, took) = (encoded.truncated, encoded.took);
        let query = QueryVector { query: encoded.into_query(request.field).into(), filter };
        Ok((query, Encoding { truncated, took }))
    }

    async fn image(&self, request: SearchImageRequest) -> Result<SearchReply, Status> {
        let SearchImageRequest { collection, image, options, field, filter_json } = request;
        let options = options.unwrap_or_default();
        // Refuse what cannot be searched before spending an encoder on it.
        convert::search_params(&options)?;
        let filter = convert::filter(filter_json.as_deref())?;
        let with =
            move |model: &Model, cancel: &Cancel| Ok((model.encode_image(&image, cancel)?, false));
        // It computes where it runs, as a search does; a text waits for the queue of its model.
        let lane = &self.0.runtime.searches;
        let encoded = self.encode_with(lane, collection.clone(), field.clone(), with).await?;
        let took = encoded.took;
        let query = QueryVector { query: encoded.into_query(field).into(), filter };
        let mut reply = self.search_vector(collection, query, options).await?;
        if let Some(stats) = &mut reply.stats {
            stats.encode_us = convert::micros(took);
        }
        Ok(reply)
    }

    /// Encodes a text with the model of a field.
    pub(super) async fn encode(
        &self,
        collection: String,
        field: Option<String>,
        text: String,
    ) -> Result<EncodedQuery, Status> {
        let with = move |model: &Model, cancel: &Cancel| {
            let encoded = model.encode(&[&text], TextKind::Query, cancel)?;
            let truncated = encoded.stats().truncated > 0;
            Ok((encoded.into_data(), truncated))
        };
        self.encode_with(&self.0.runtime.encodes, collection, field, with).await
    }

    /// Encodes with the model of a field: a vector, and whether what it is of was cut. While the field's points go
    /// over from another encoder, with the model of that too, if it is here.
    async fn encode_with(
        &self,
        lane: &Lane,
        collection: String,
        field: Option<String>,
        encode: impl Fn(&Model, &Cancel) -> Result<(Vec<f32>, bool), Status> + Send + 'static,
    ) -> Result<EncodedQuery, Status> {
        let context = Arc::clone(&self.0);
        let encode = move |cancel: &Cancel| {
            let collection = context.collection(&collection)?;
            let model = context.field_model(&collection, field.as_deref(), WITHOUT_MODEL)?.model;
            let started = std::time::Instant::now();
            let (vector, truncated) = encode(&model, cancel)?;
            let before = context.former_model(&collection, field.as_deref())?;
            let former = before.map(|model| encode(&model, cancel)).transpose()?;
            let former = former.map(|(vector, _)| vector);
            let took = started.elapsed();
            context.encoded(took);
            Ok(EncodedQuery { truncated, vector, former, space: model.space(), took })
        };
        lane.run(encode).await
    }
}

/// A query by a vector and its filter, before it is known who may give it up.
pub(super) struct QueryVector {
    query: VectorQuery,
    filter: Option<Filter>,
}

impl QueryVector {
    pub fn of(request: &SearchRequest) -> Result<Self, Status> {
        let filter = convert::filter(request.filter_json.as_deref())?;
        let (field, space) = (request.field.clone(), convert::space(request.space.as_deref())?);
        let query = match (&request.sparse, &request.multi) {
            (None, None) => {
                let former = Some(request.former_vector.clone());
                convert::query(request.vector.clone(), former, field, space).into()
            }
            (Some(_), Some(_)) => {
                let reason = "expected a sparse vector or a multi-vector: found both";
                return Err(Status::invalid_argument(reason));
            }
            (None, Some(_)) if !request.vector.is_empty() => {
                let reason = "expected a vector or a multi-vector: found both";
                return Err(Status::invalid_argument(reason));
            }
            (None, Some(multi)) => convert::multi_query(multi.clone(), field, space)?.into(),
            (Some(_), None) if !request.vector.is_empty() || space.is_some() => {
                let reason = "expected a vector or a sparse vector: found both";
                return Err(Status::invalid_argument(reason));
            }
            (Some(sparse), None) => convert::sparse_query(sparse.clone(), field)?.into(),
        };
        Ok(Self { query, filter })
    }

    pub fn into_query(self, cancel: &Cancel) -> VectorQuery {
        let query = self.query.with_cancel(cancel);
        match self.filter {
            Some(filter) => query.with_filter(filter),
            None => query,
        }
    }
}

/// A query text as a vector.
pub(super) struct EncodedQuery {
    vector: Vec<f32>,
    /// By the encoder before, while points go over from one to another.
    former: Option<Vec<f32>>,
    space: EmbeddingSpaceId,
    pub truncated: bool,
    pub took: Duration,
}

impl EncodedQuery {
    pub fn into_query(self, field: Option<String>) -> Query {
        convert::query(self.vector, self.former, field, Some(self.space))
    }
}
