//! An exporter whose outcomes are counted, and logged when they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::metrics::Metrics;

/// Sends by another exporter.
#[derive(Debug)]
pub(super) struct CountedExporter<E> {
    inner: E,
    metrics: Arc<Metrics>,
    is_failing: AtomicBool,
}

impl<E> CountedExporter<E> {
    pub(super) fn new(inner: E, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics, is_failing: AtomicBool::new(false) }
    }

    /// Logs the first of several failures, and the first success after them.
    fn log(&self, outcome: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector of traces does not take spans: they are dropped until it does");
            }
            Ok(()) if was_failing => tracing::info!("the collector of traces takes spans again"),
            Ok(()) | Err(_) => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let outcome = self.inner.export(batch).await;
        self.metrics.spans_exported(count, outcome.is_ok());
        self.log(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
