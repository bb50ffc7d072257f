//! One request: its body is read, its call made, its answer written, all on a lane of the runtime.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bigrain_engine::Cancel;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Status;

use super::members::{Members, Read, object};
use crate::grpc::Context;
use crate::qdrant::error::{http_code, shaped, wrong};
use crate::qdrant::service::{Call, Service};
use crate::status::{cause_of, retry_hint};

/// What may stand behind a path. What concerns replicas is passed over.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Options {
    /// Seconds that the caller waits.
    timeout: Option<u64>,
}

/// What came with a request, besides its path.
#[derive(Debug)]
pub(super) struct Given {
    /// Behind the path.
    pub options: Options,
    /// The body.
    pub body: Result<Bytes, BytesRejection>,
}

/// Which lane a call takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    /// That of searches.
    Reads,
    /// That of writes.
    Writes,
}

impl Service {
    /// Answers a request.
    pub(super) async fn answer<M, A>(
        &self,
        lane: Lane,
        given: Given,
        read: impl FnOnce(&mut Members) -> Read<M> + Send + 'static,
        call: Call<M, A>,
        write: fn(A) -> Value,
    ) -> Response
    where
        M: Send + 'static,
        A: Send + 'static,
    {
        let begun = Instant::now();
        let work = move |context: &Context, cancel: &Cancel| {
            let message = object(parsed(given.body)?, read)?;
            let result = write(call(context, message, cancel)?);
            serde_json::to_vec(&answered(&result, begun))
                .map_err(|error| Status::internal(format!("answer: {error}")))
        };
        let done = self.run(lane, work);
        let done = match given.options.timeout {
            Some(seconds) => {
                let waited = tokio::time::timeout(Duration::from_secs(seconds), done).await;
                waited.unwrap_or_else(|_| Err(expired(seconds)))
            }
            None => done.await,
        };
        match done {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(status) => refused(&status, begun),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Context, &Cancel) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let context = std::sync::Arc::clone(&self.0);
        let work = move |cancel: &Cancel| work(&context, cancel);
        match lane {
            Lane::Reads => self.0.runtime.searches.run(work).await,
            Lane::Writes => self.0.runtime.writes.run(work).await,
        }
    }
}

fn expired(seconds: u64) -> Status {
    Status::deadline_exceeded(format!("the request allowed {seconds} s (timeout)"))
}

/// Reads the JSON of a body; nothing, of one that is empty.
fn parsed(body: Result<Bytes, BytesRejection>) -> Read<Value> {
    let body = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return wrong(
                "the body is larger than the limit (max_message_bytes): split it into smaller batches",
            );
        }
        cause_of(&rejection).unwrap_or_else(|| wrong(rejection.body_text()))
    })?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("Format error in JSON body: {error}")))
}

/// Returns an answer in the shape that all have.
pub(super) fn answered(result: &Value, begun: Instant) -> Value {
    json!({"result": result, "status": "ok", "time": begun.elapsed().as_secs_f64()})
}

/// Returns an error in the shape that all have.
pub(super) fn refused(status: &Status, begun: Instant) -> Response {
    let status = shaped(status);
    let code = http_code(status.code());
    let body = json!({
        "status": {"error": status.message()},
        "time": begun.elapsed().as_secs_f64(),
    });
    let mut response = (code, axum::Json(body)).into_response();
    if let Some(wait) = retry_hint(&status) {
        // In whole seconds, and not before.
        let seconds = wait.as_millis().div_ceil(1_000) as u64;
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
