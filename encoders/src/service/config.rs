//! How a service works.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which requests go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lane {
    /// Somebody waits for the answer.
    Query,
    /// Taken when no query is waiting.
    Bulk,
}

/// How an [`EncoderService`](crate::EncoderService) works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Threads that take batches; all but one of several may be at bulk work. Default: 2.
    pub workers: usize,
    /// The most tokens of a batch, estimated; one text may have more. Default: 2,048.
    pub max_batch_tokens: usize,
    /// How long a query waits for others to fill its batch. Default: 0.
    pub query_wait: Duration,
    /// How long a bulk request waits for others to fill its batch. Default: 2 ms.
    pub bulk_wait: Duration,
    /// The most requests that wait. Default: 1,024.
    pub max_queued_requests: usize,
    /// The most tokens that wait, estimated; one request may have more. Default: 524,288.
    pub max_queued_tokens: usize,
    /// Bytes of embeddings kept, 0 for none. Default: 64 MiB.
    pub cache_bytes: usize,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            max_batch_tokens: 2_048,
            query_wait: Duration::ZERO,
            bulk_wait: Duration::from_millis(2),
            max_queued_requests: 1_024,
            max_queued_tokens: 1 << 19,
            cache_bytes: 64 << 20,
        }
    }
}

impl ServiceConfig {
    /// Refuses sizes with which nothing would ever be done.
    ///
    /// # Errors
    ///
    /// The name of the first field that is zero and must not be.
    pub fn validate(&self) -> Result<(), &'static str> {
        let fields = [
            ("workers", self.workers),
            ("max_batch_tokens", self.max_batch_tokens),
            ("max_queued_requests", self.max_queued_requests),
            ("max_queued_tokens", self.max_queued_tokens),
        ];
        match fields.into_iter().find(|(_, value)| *value == 0) {
            Some((field, _)) => Err(field),
            None => Ok(()),
        }
    }

    /// How long a request of a lane waits for others to fill its batch.
    pub(super) fn wait(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Query => self.query_wait,
            Lane::Bulk => self.bulk_wait,
        }
    }
}
