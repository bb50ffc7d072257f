//! What makes spans and sends them.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use thiserror::Error;
use tonic::codegen::http::{HeaderMap, HeaderValue};
use tonic::transport::Endpoint;

use super::exporter::CountedExporter;
use super::request_trace::RequestTrace;
use crate::metrics::Metrics;
use crate::settings::TraceConfig;

/// What spans are said to be of.
const SERVICE: &str = "bigrain";
/// The header with the trace and the span that a request belongs to.
const TRACEPARENT: &str = "traceparent";
/// What the span of a request is called until its call is known.
const UNNAMED: &str = "unlisted";
/// The attribute with the id of a request.
const REQUEST_ID: &str = "bigrain.request_id";
/// Spans that wait to be sent; more are dropped.
const QUEUE: usize = 2048;
/// Spans in one message to the collector.
const BATCH: usize = 512;
/// How often spans are sent.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the collector may take to connect, and to answer.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stop waits until the last spans are sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes spans, and sends them to a collector.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Why spans cannot be sent.
#[derive(Debug, Error)]
#[error("traces: {0}")]
pub struct TraceError(#[from] opentelemetry_otlp::ExporterBuildError);

impl Traces {
    /// Gets ready to send. Connects when there is something to send. Needs the context of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`TraceError`] for a variable of the environment that the exporter reads and refuses, such as
    /// `OTEL_EXPORTER_OTLP_COMPRESSION`.
    pub(crate) fn open(config: &TraceConfig, metrics: Arc<Metrics>) -> Result<Self, TraceError> {
        let channel = Endpoint::from(config.endpoint.clone())
            .connect_timeout(EXPORT_TIMEOUT)
            .timeout(EXPORT_TIMEOUT)
            .connect_lazy();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let processor = BatchSpanProcessor::builder(CountedExporter::new(exporter, metrics))
            .with_batch_config(batches)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(SERVICE)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler =
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample.into())));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer(SERVICE);
        Ok(Self { provider, tracer })
    }

    /// Begins the span of a request, below the one that its caller names; none, if it is not to be sent.
    pub(crate) fn begin(&self, headers: &HeaderMap, id: &HeaderValue) -> Option<RequestTrace> {
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &ParentHeader(headers));
        let id = id.to_str().unwrap_or_default().to_owned();
        let span = self
            .tracer
            .span_builder(UNNAMED)
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new(REQUEST_ID, id)])
            .start_with_context(&self.tracer, &parent);
        if !span.is_recording() {
            return None;
        }
        Some(RequestTrace::new(self.tracer.clone(), parent.with_span(span)))
    }

    /// Sends what is left, as far as that takes no longer than [`FLUSH_TIMEOUT`].
    pub(crate) async fn close(self) {
        // The sending thread waits for this runtime, which therefore must not wait for it.
        let provider = self.provider;
        let closed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        let failed = match closed.await {
            Ok(outcome) => outcome.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = failed {
            tracing::warn!(error, "the last spans were not sent");
        }
    }
}

/// The header of a request that names its span. What else callers hand on (`tracestate`, baggage) is theirs, and is
/// not sent.
struct ParentHeader<'a>(&'a HeaderMap);

impl Extractor for ParentHeader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key != TRACEPARENT {
            return None;
        }
        self.0.get(TRACEPARENT)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
