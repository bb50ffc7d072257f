//! What a refusal looks like in the protocol that a request speaks.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, header};

use crate::status;

/// The protocol that a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// gRPC.
    Grpc,
    /// The embeddings API of OpenAI.
    OpenAi,
    /// text-embeddings-inference.
    Tei,
    /// Our own API, `/api/v1`.
    Api,
    /// Qdrant's REST, whose shape everything else takes too.
    Rest,
}

/// Paths of text-embeddings-inference.
const TEI: [&str; 4] = ["/embed", "/info", "/rerank", "/tokenize"];

/// Whether the headers of a request or an answer are of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

impl Dialect {
    /// Tells a request's protocol by its content type and path.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        if is_grpc(request.headers()) {
            Self::Grpc
        } else if path.starts_with("/v1/") {
            Self::OpenAi
        } else if path.starts_with("/api/") {
            Self::Api
        } else if TEI.contains(&path) {
            Self::Tei
        } else {
            Self::Rest
        }
    }

    /// Refuses a request.
    pub(crate) fn refusal(self, refused: &Status) -> Response {
        let code = status::http_status(refused);
        let message = refused.message();
        let body = match self {
            Self::Grpc => return refused.clone().into_http(),
            Self::OpenAi => json!({"error": {
                "message": message,
                "type": if code.is_server_error() { "server_error" } else { "invalid_request_error" },
                "param": null,
                "code": code.as_u16(),
            }}),
            Self::Tei => json!({
                "error": message,
                "error_type": if code.is_server_error() { "Backend" } else { "Validation" },
            }),
            Self::Api => json!({"error": message}),
            Self::Rest => json!({"status": {"error": message}, "time": 0.0}),
        };
        let mut response = (code, Json(body)).into_response();
        if let Some(wait) = status::retry_hint(refused) {
            let seconds = wait.as_millis().div_ceil(Duration::from_secs(1).as_millis());
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}
