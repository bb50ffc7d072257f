//! What is answered in JSON and text beside gRPC, on the same port: health, metrics, embeddings, what the console
//! asks, and the console.
//!
//! Adding a call: a handler in the file of its API, and a row in [`router`], in [`CALLS`] and in `openapi.json`.

mod api;
mod health;
mod json_body;
mod metrics;
mod openai;
mod page;
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

pub(crate) use page::front;

/// Every call, and what it needs.
pub(crate) const CALLS: [(Method, &str, Need); 28] = [
    (Method::GET, "/healthz", Need::Open),
    (Method::GET, "/livez", Need::Open),
    (Method::GET, "/readyz", Need::Open),
    (Method::GET, "/metrics", Need::Read),
    (Method::GET, "/info", Need::Read),
    (Method::GET, "/v1/models", Need::Read),
    (Method::POST, "/v1/embeddings", Need::Read),
    (Method::POST, "/embed", Need::Read),
    (Method::POST, "/rerank", Need::Read),
    (Method::POST, "/tokenize", Need::Read),
    (Method::GET, "/api/v1/collections", Need::Read),
    (Method::GET, "/api/v1/collections/{collection}", Need::Read),
    (Method::POST, "/api/v1/collections/{collection}/search", Need::Read),
    (Method::POST, "/api/v1/collections/{collection}/scroll", Need::Read),
    (Method::POST, "/api/v1/collections/{collection}/points", Need::Read),
    (Method::POST, "/api/v1/collections/{collection}/facet", Need::Read),
    (Method::GET, "/api/v1/collections/{collection}/points/{id}/picture", Need::Read),
    (Method::GET, "/api/v1/models", Need::Read),
    (Method::GET, "/api/v1/memory", Need::Read),
    (Method::GET, "/console/style.css", Need::Open),
    (Method::GET, "/console/main.js", Need::Open),
    (Method::GET, "/console/dom.js", Need::Open),
    (Method::GET, "/console/server.js", Need::Open),
    (Method::GET, "/console/filter.js", Need::Open),
    (Method::GET, "/console/charts.js", Need::Open),
    (Method::GET, "/console/results.js", Need::Open),
    (Method::GET, "/console/search.js", Need::Open),
    (Method::GET, "/openapi.json", Need::Open),
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
        .route("/rerank", post(tei::rerank))
        .route("/tokenize", post(tei::tokenize))
        .merge(api::router())
        .route("/console/style.css", get(page::style))
        .route("/console/main.js", get(page::main))
        .route("/console/dom.js", get(page::dom))
        .route("/console/server.js", get(page::server))
        .route("/console/filter.js", get(page::filter))
        .route("/console/charts.js", get(page::charts))
        .route("/console/results.js", get(page::results))
        .route("/console/search.js", get(page::search))
        .route("/openapi.json", get(page::openapi))
        .layer(DefaultBodyLimit::max(context.limits.max_message_bytes))
        .with_state(Arc::clone(context))
}

/// Refuses a call that is not there.
pub(crate) async fn not_found(request: Request) -> Response {
    let (dialect, path) = (Dialect::of(&request), request.uri().path());
    let status = match dialect {
        Dialect::Grpc => Status::unimplemented(format!("no call {path}")),
        Dialect::OpenAi | Dialect::Tei | Dialect::Api | Dialect::Rest => {
            Status::not_found(format!("no call {} {path}", request.method()))
        }
    };
    dialect.refusal(&status)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_call_is_described_and_every_description_is_of_a_call() {
        let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, call) in methods.as_object().unwrap() {
                let open = call["security"].as_array().is_some_and(Vec::is_empty);
                described.insert((method.to_uppercase(), path.clone(), open));
            }
        }
        // Files of the page are none that a program would ask for, and the root is of Qdrant's protocol, too.
        let calls = CALLS.iter().filter(|(_, path, _)| !path.starts_with("/console/"));
        let root = [(&Method::GET, "/", &Need::Open)].into_iter();
        let calls = calls.map(|(method, path, need)| (method, *path, need)).chain(root);
        let calls = calls
            .map(|(method, path, need)| (method.to_string(), path.to_owned(), *need == Need::Open));
        assert_eq!(described, calls.collect());
    }

    #[test]
    fn the_document_is_of_this_version() {
        let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
