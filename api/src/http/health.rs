//! Whether the server is there, and whether it serves.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::grpc::Context;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "alive"
}

/// Requests are taken: 503 once a stop has begun.
pub(super) async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if context.runtime.is_serving() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "server is shutting down")
    }
}
