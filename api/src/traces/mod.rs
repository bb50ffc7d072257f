//! Spans of requests, sent to a collector as OTLP over gRPC. Nothing is sent unless `traces.endpoint` is set.
//!
//! ```text
//!  traceparent ── RequestScope ── guard ── handler ── lane ── engine | model
//!                  begins,         name    RequestTrace, task-local,
//!                  ends                    and along into the lane: stages
//!                     └────── queue (bounded, or dropped) ── thread ── collector
//! ```
//!
//! What is in a span is written here and nowhere else: the call, its code, the request's id, times and counts. That is
//! why spans are made by hand and not out of those of `tracing`, whose fields and events, of every crate below, would
//! all be sent: names of collections, and what errors quote. No payload, text, vector, filter or id of a point is in
//! a span, and of what a caller sent only its request id and the ids of its trace.
//!
//! A span that ends is put into a queue, and dropped if the queue is full: a collector that is slow or gone costs
//! spans, never a request's time.

mod exporter;
mod request_trace;
mod tracer;

pub(crate) use request_trace::RequestTrace;
pub use tracer::TraceError;
pub(crate) use tracer::Traces;
