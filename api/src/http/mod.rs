//! What is answered in JSON and text beside gRPC, on the same port: health, metrics, embeddings.
//!
//! Adding a call: a handler in the file of its API, and a row in [`router`] and in [`CALLS`].

mod health;
mod json_body;
mod metrics;
mod openai;
mod tei;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::{get, post};
use tonic::Status;
use tonic::codegen::http::Method;

use crate::access::Need;
use crate::dialect::Dialect;
use crate::grpc::Context;

/// Every call, and what it needs.
pub(crate) const CALLS: [(Method, &str, Need); 8] = [
    (Method::GET, "/healthz", Need::Open),
    (Method::GET, "/livez", Need::Open),
    (Method::GET, "/readyz", Need::Open),
    (Method::GET, "/metrics", Need::Read),
    (Method::GET, "/info", Need::Read),
    (Method::GET, "/v1/models", Need::Read),
    (Method::POST, "/v1/embeddings", Need::Read),
    (Method::POST, "/embed", Need::Read),
];

/// Returns the calls as a router.
pub(crate) fn router(context: &Arc<Context>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .route("/info", get(tei::info))
        .route("/v1/models", get(openai::models))
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/embed", post(tei::embed))
        .layer(DefaultBodyLimit::max(context.limits.max_message_bytes))
        .with_state(Arc::clone(context))
}

/// Refuses a call that is not there.
pub(crate) async fn not_found(request: Request) -> Response {
    let (dialect, path) = (Dialect::of(&request), request.uri().path());
    let status = match dialect {
        Dialect::Grpc => Status::unimplemented(format!("no call {path}")),
        Dialect::OpenAi | Dialect::Tei | Dialect::Rest => {
            Status::not_found(format!("no call {} {path}", request.method()))
        }
    };
    dialect.refusal(&status)
}
