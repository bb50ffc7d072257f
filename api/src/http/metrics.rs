//! `GET /metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::prometheus_text;
use tonic::Status;

use crate::access::Caller;
use crate::dialect::Dialect;
use crate::grpc::Context;

pub(super) async fn scrape(State(context): State<Arc<Context>>) -> Response {
    let shared = Arc::clone(&context);
    let text = move |_: &_| {
        let caller = Caller::current()?;
        let text = shared.metrics_text(|collection| caller.covers(collection));
        text.map_err(|error| Status::internal(format!("metrics: {error}")))
    };
    match context.runtime.searches.run(text).await {
        Ok(text) => ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response(),
        Err(status) => Dialect::Rest.refusal(&status),
    }
}
