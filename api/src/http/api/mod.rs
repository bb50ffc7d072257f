//! `/api/v1`: what the console asks, and whoever prefers JSON to gRPC for reading.
//!
//! ```text
//!  JSON ── requests ── messages of bigrain.v1 ── grpc::* ── messages ── answers ── JSON
//! ```
//!
//! A handler makes the message of a call of `bigrain.v1` and has that call answered, so that what it means, what it
//! is refused for and what it is counted as are written once. All calls are reads.

mod answers;
mod picture;
mod requests;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tonic::{Request, Status};

use super::json_body::Body;
use crate::dialect::Dialect;
use crate::grpc::{CollectionsService, Context, EncoderService, PointsService, SearchService};
use crate::metrics::owners;
use crate::proto::collections_server::Collections as _;
use crate::proto::encoder_server::Encoder as _;
use crate::proto::points_server::Points as _;
use crate::proto::search_server::Search as _;
use crate::proto::{GetCollectionRequest, ListCollectionsRequest, ListModelsRequest};
use crate::request_scope::Arrival;
use requests::{FacetBody, PointsBody, Query, ScrollBody, SearchBody};

/// Returns the calls as a router.
pub(super) fn router() -> Router<Arc<Context>> {
    Router::new()
        .route("/api/v1/collections", get(collections))
        .route("/api/v1/collections/{collection}", get(collection))
        .route("/api/v1/collections/{collection}/search", post(search))
        .route("/api/v1/collections/{collection}/scroll", post(scroll))
        .route("/api/v1/collections/{collection}/points", post(points))
        .route("/api/v1/collections/{collection}/facet", post(facet))
        .route("/api/v1/collections/{collection}/points/{id}/picture", get(picture::show))
        .route("/api/v1/models", get(models))
        .route("/api/v1/memory", get(memory))
}

type Name = Result<Path<String>, PathRejection>;

/// The collection of a path.
fn named(name: Name) -> Result<String, Status> {
    let Path(name) = name.map_err(|rejection| Status::invalid_argument(rejection.body_text()))?;
    Ok(name)
}

/// A message as the call of gRPC takes it.
fn asked<M>(message: M, arrival: Arrival) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(arrival);
    request
}

fn answered(answer: Result<Value, Status>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(status) => Dialect::Api.refusal(&status),
    }
}

async fn collections(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
) -> Response {
    let service = CollectionsService(context);
    let reply = service.list(asked(ListCollectionsRequest {}, arrival)).await;
    answered(reply.and_then(|reply| answers::collections(reply.into_inner())))
}

async fn collection(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    name: Name,
) -> Response {
    let answer = async {
        let request = GetCollectionRequest { name: named(name)? };
        let reply = CollectionsService(context).get(asked(request, arrival)).await?;
        answers::collection(reply.into_inner())
    };
    answered(answer.await)
}

async fn search(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    name: Name,
    body: Body,
) -> Response {
    let answer = async {
        let query = body.read::<SearchBody>()?.into_query(named(name)?)?;
        let service = SearchService(context);
        let reply = match query {
            Query::Vector(request) => service.search(asked(request, arrival)).await,
            Query::Text(request) => service.search_text(asked(request, arrival)).await,
            Query::Image(request) => service.search_image(asked(request, arrival)).await,
            Query::Words(request) => service.search_words(asked(request, arrival)).await,
            Query::Like(request) => service.recommend(asked(request, arrival)).await,
        };
        answers::found(reply?.into_inner())
    };
    answered(answer.await)
}

async fn scroll(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    name: Name,
    body: Body,
) -> Response {
    let answer = async {
        let request = body.read::<ScrollBody>()?.into_request(named(name)?);
        let reply = PointsService(context).scroll(asked(request, arrival)).await?;
        answers::page(reply.into_inner())
    };
    answered(answer.await)
}

async fn points(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    name: Name,
    body: Body,
) -> Response {
    let answer = async {
        let request = body.read::<PointsBody>()?.into_request(named(name)?);
        let reply = PointsService(context).get(asked(request, arrival)).await?;
        answers::points(reply.into_inner())
    };
    answered(answer.await)
}

async fn facet(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    name: Name,
    body: Body,
) -> Response {
    let answer = async {
        let request = body.read::<FacetBody>()?.into_request(named(name)?);
        let reply = PointsService(context).facet(asked(request, arrival)).await?;
        answers::facet(reply.into_inner())
    };
    answered(answer.await)
}

async fn models(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
) -> Response {
    let reply = EncoderService(context).list_models(asked(ListModelsRequest {}, arrival)).await;
    answered(reply.map(|reply| answers::models(reply.into_inner())))
}

/// What metrics say of memory, too.
async fn memory(State(context): State<Arc<Context>>) -> Json<Value> {
    let memory = context.memory();
    let owned: Map<String, Value> = owners(&memory)
        .into_iter()
        .map(|(owner, bytes)| (owner.to_owned(), json!(bytes)))
        .collect();
    Json(json!({"budget": memory.budget, "used": memory.used(), "owners": owned}))
}
