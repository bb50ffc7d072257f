//! The span of a request, and those of what is done for it.

use std::future::Future;
use std::time::{Duration, SystemTime};

use bigrain_engine::SearchStats;
use opentelemetry::trace::{Span, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use crate::metrics::stages;

tokio::task_local! {
    static TRACE: Option<RequestTrace>;
}

/// The attribute with the code of an answer, as metrics have it.
const CODE: &str = "bigrain.code";

/// The span of a request that is sent.
#[derive(Clone, Debug)]
pub(crate) struct RequestTrace {
    tracer: SdkTracer,
    /// Holds the span, which ends at the latest when nobody works for the request any more.
    context: Context,
}

impl RequestTrace {
    /// Wraps a context that has the span.
    pub(super) fn new(tracer: SdkTracer, context: Context) -> Self {
        Self { tracer, context }
    }

    /// Returns the span of the work at hand, if it has one.
    pub(crate) fn current() -> Option<Self> {
        TRACE.try_with(Self::clone_of).ok().flatten()
    }

    fn clone_of(trace: &Option<Self>) -> Option<Self> {
        trace.clone()
    }

    /// Runs a future for the request.
    pub(crate) fn scope<F: Future>(
        trace: Option<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> {
        TRACE.scope(trace, work)
    }

    /// Runs a function for the request.
    pub(crate) fn run<T>(trace: Option<Self>, work: impl FnOnce() -> T) -> T {
        TRACE.sync_scope(trace, work)
    }

    /// Names the span by the call, as metrics do: with names of parameters in place of their values.
    pub(crate) fn named(&self, call: &str) {
        self.context.span().update_name(call.to_owned());
    }

    /// Ends the span by the code of the answer; `is_failure` is for codes that are not the caller's doing.
    pub(crate) fn answered(&self, code: String, is_failure: bool) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new(CODE, code));
        if is_failure {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Adds a stage that has just ended.
    pub(crate) fn stage(&self, name: &'static str, took: Duration) {
        let now = SystemTime::now();
        self.child(&self.context, name, before(now, took), now);
    }

    /// Adds a search that has just ended, and its stages. A stage is the sum over all segments, so stages are drawn
    /// one after another.
    pub(crate) fn searched(&self, stats: &SearchStats) {
        let now = SystemTime::now();
        let mut at = before(now, stats.times.total());
        let counts = [
            ("segments", stats.segments),
            ("codes_scanned", stats.codes_scanned),
            ("candidates", stats.candidates),
            ("rows_read", stats.rows_read),
            ("bytes_read", stats.bytes_read),
        ];
        let attributes = counts.map(|(name, count)| {
            KeyValue::new(format!("bigrain.{name}"), i64::try_from(count).unwrap_or(i64::MAX))
        });
        let search = self.tracer.span_builder("search").with_start_time(at);
        let search = search.with_attributes(attributes);
        let search = self.context.with_span(search.start_with_context(&self.tracer, &self.context));
        for (stage, took) in stages(stats).into_iter().filter(|(_, took)| !took.is_zero()) {
            self.child(&search, stage, at, at + took);
            at += took;
        }
        search.span().end_with_timestamp(now);
    }

    fn child(&self, parent: &Context, name: &'static str, from: SystemTime, to: SystemTime) {
        let span = self.tracer.span_builder(name).with_start_time(from);
        span.start_with_context(&self.tracer, parent).end_with_timestamp(to);
    }
}

fn before(now: SystemTime, took: Duration) -> SystemTime {
    now.checked_sub(took).unwrap_or(now)
}
