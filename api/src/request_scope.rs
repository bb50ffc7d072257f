//! What every request gets, whichever service it goes to: an id, an arrival time, a deadline, a
//! span, a trace if it is one that is sent, and errors that a caller can act on.
//!
//! ```text
//!  x-request-id: abc ─┐                             ┌─ x-request-id: abc
//!  grpc-timeout: 2S  ─┴─ RequestScope ── services ──┴─ grpc-status, grpc-message
//!                           └ extensions: Arrival
//! ```
//!
//! It wraps the router instead of each service, so that a reply has its id even when the handler
//! never ran: an unknown method, a message over the limit, a deadline.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::{Code, Status};
use tracing::Instrument;

use crate::access;
use crate::convert::micros;
use crate::dialect::Dialect;
use crate::status::is_failure;
use crate::traces::{RequestTrace, Traces};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;
const OUR_SERVICES: &str = "/bigrain.v1.";

/// When a request came, and when its caller stops waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    at: Instant,
    deadline: Option<Instant>,
}

impl Arrival {
    fn new(headers: &HeaderMap) -> Self {
        let at = Instant::now();
        let timeout = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
        // A timeout too long for the clock is none.
        let deadline = timeout.and_then(parse_timeout).and_then(|timeout| at.checked_add(timeout));
        Self { at, deadline }
    }

    /// Returns the arrival of a request; now, for a request that skipped [`RequestScope`].
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_else(Self::now)
    }

    /// Returns the arrival, just now, of a part of a request that has no deadline of its own.
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), deadline: None }
    }

    /// Returns the microseconds since the request came.
    pub(crate) fn server_time_us(&self) -> u64 {
        micros(self.at.elapsed())
    }

    /// Completes at the deadline, with its status; never, if there is none.
    pub(crate) async fn expired(&self) -> Status {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
        self.deadline_exceeded()
    }

    fn deadline_exceeded(&self) -> Status {
        let allowed = self.deadline.map_or(Duration::ZERO, |deadline| deadline - self.at);
        Status::deadline_exceeded(format!("deadline exceeded: the request allowed {allowed:?}"))
    }
}

/// Wraps the router of all services; see the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct RequestScope<S> {
    inner: S,
    ids: Arc<RequestIds>,
    max_message_bytes: usize,
    traces: Option<Traces>,
}

impl<S> RequestScope<S> {
    /// Wraps `inner`, whose services refuse messages above `max_message_bytes`.
    pub(crate) fn new(inner: S, max_message_bytes: usize, traces: Option<Traces>) -> Self {
        Self { inner, ids: Arc::default(), max_message_bytes, traces }
    }
}

impl<S> Service<Request<Body>> for RequestScope<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = self.ids.of(request.headers());
        let arrival = Arrival::new(request.headers());
        let span = tracing::info_span!("request", method = request.uri().path(), id = ?id);
        let ours = request.uri().path().starts_with(OUR_SERVICES);
        let limit = ours.then_some(self.max_message_bytes);
        let dialect = Dialect::of(&request);
        let trace = self.traces.as_ref().and_then(|traces| traces.begin(request.headers(), &id));
        let answered_trace = trace.clone();
        request.extensions_mut().insert(arrival);
        let answer = self.inner.call(request);
        let reply = async move {
            let mut response = tokio::select! {
                biased;
                answered = answer => answered?,
                status = arrival.expired() => dialect.refusal(&status).map(Body::new),
            };
            if let Some(limit) = limit {
                name_message_limit(response.headers_mut(), limit);
            }
            response.headers_mut().insert(REQUEST_ID, id);
            if let Some(trace) = answered_trace {
                trace.answered(access::code(&response), is_failure(&response));
            }
            tracing::debug!(micros = arrival.server_time_us(), "answered");
            Ok(response)
        };
        Box::pin(RequestTrace::scope(trace, reply).instrument(span))
    }
}

/// Returns the status for a message above the limit.
///
/// Tonic refuses such a message before any handler sees it, and without the name of the setting:
/// [`is_message_too_large`] tells.
pub(crate) fn message_too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "message is larger than the limit of {limit} bytes (max_message_bytes): \
         split it into smaller batches"
    ))
}

/// Whether tonic refused a message for its size: with OUT_OF_RANGE, which nothing else here
/// answers, or, when it found out while decompressing, with words of its own.
pub(crate) fn is_message_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange
        || (status.code() == Code::ResourceExhausted
            && status.message().starts_with("Error decompressing"))
}

fn name_message_limit(headers: &mut HeaderMap, limit: usize) {
    if !Status::from_header_map(headers).is_some_and(|status| is_message_too_large(&status)) {
        return;
    }
    // Only headers that cannot be encoded fail here, and a number and ASCII text can.
    if let Err(status) = message_too_large(limit).add_header(headers) {
        tracing::error!(%status, "could not name the message limit");
    }
}

/// Reads a gRPC timeout: up to eight digits and a unit. What is not one is ignored, as the
/// protocol's other implementations do.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Names requests that came without an id: a hash, seeded per process, of a counter.
#[derive(Debug, Default)]
struct RequestIds {
    seed: RandomState,
    count: AtomicU64,
}

impl RequestIds {
    /// Returns the caller's id if it is fit to be echoed and logged, else a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let fit = |id: &&HeaderValue| {
            (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
                && id.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        headers.get(REQUEST_ID).filter(fit).cloned().unwrap_or_else(|| self.next())
    }

    fn next(&self) -> HeaderValue {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}", self.seed.hash_one(number));
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unnamed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never answers.
    #[derive(Clone)]
    struct Never;

    impl Service<Request<Body>> for Never {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test]
    async fn a_deadline_that_passes_is_answered_with_its_id() {
        let mut scope = RequestScope::new(Never, 1 << 20, None);
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("1m"));
        let grpc = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", grpc);
        request.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("a1"));
        let response = scope.call(request).await.unwrap();
        assert_eq!(response.headers()[REQUEST_ID], "a1");
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.message(), "deadline exceeded: the request allowed 1ms");
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn a_callers_request_id_is_echoed_if_it_is_fit() {
        let ids = RequestIds::default();
        assert_eq!(ids.of(&headers("x-request-id", "job-7/42")), "job-7/42");
        for unfit in ["", "a b", "é", &"x".repeat(129)] {
            let id = ids.of(&headers("x-request-id", unfit));
            assert_eq!(id.len(), 16, "{unfit:?}");
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        assert_eq!(parse_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse_timeout("150m"), Some(Duration::from_millis(150)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        for bad in ["", "S", "12", "-1S", "+1S", "1.5S", "123456789n", "1é", "5x"] {
            assert_eq!(parse_timeout(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_a_size_refusal_is_renamed() {
        let mut refused = HeaderMap::new();
        Status::out_of_range("too large").add_header(&mut refused).unwrap();
        name_message_limit(&mut refused, 7);
        let status = Status::from_header_map(&refused).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("7 bytes (max_message_bytes)"), "{status:?}");

        let mut other = HeaderMap::new();
        Status::not_found("docs").add_header(&mut other).unwrap();
        name_message_limit(&mut other, 7);
        assert_eq!(Status::from_header_map(&other).unwrap().code(), Code::NotFound);
    }
}
