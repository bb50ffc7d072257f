//! The JSON of a request, with refusals that say what was wrong.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tonic::Status;

use crate::grpc::Context;
use crate::request_scope::message_too_large;
use crate::status::cause_of;

/// A body as it came, or why it was not read.
pub(super) struct Body(Result<Bytes, Status>);

impl Body {
    /// Reads its JSON.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Status> {
        serde_json::from_slice(&self.0?)
            .map_err(|error| Status::invalid_argument(format!("request body: {error}")))
    }
}

impl FromRequest<Arc<Context>> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, context: &Arc<Context>) -> Result<Self, Infallible> {
        let limit = context.limits.max_message_bytes;
        if announced(request.headers()).is_some_and(|length| length > limit as u64) {
            // What is refused anyway is not waited for.
            return Ok(Self(Err(too_large(limit))));
        }
        let body = Bytes::from_request(request, context).await;
        Ok(Self(body.map_err(|rejection| {
            match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(limit),
                _ => cause_of(&rejection)
                    .unwrap_or_else(|| Status::invalid_argument(rejection.body_text())),
            }
        })))
    }
}

/// Returns how long a body is to be.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Status {
    Status::out_of_range(message_too_large(limit).message())
}
