//! How a service refuses.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::encoder::EncodeError;

/// A service that could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartServiceError {
    /// A field of the configuration is zero and must not be.
    #[error("encoder service: {0} must not be 0")]
    Config(&'static str),
    /// The system refused a thread.
    #[error("start a thread of the encoder service")]
    Thread(#[from] io::Error),
}

/// A request that was not answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A text is refused, or the caller gave up.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Too much is waiting.
    #[error(transparent)]
    Full(#[from] QueueFull),
    /// The service has been shut down.
    #[error("the encoder service is shut down")]
    Closed,
    /// The encoder panicked on the batch.
    #[error("the encoder panicked")]
    Panicked,
}

/// Too much is waiting: nothing was queued.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "{requests} requests of about {tokens} tokens are waiting to be encoded: try again in {retry_after:?}"
)]
pub struct QueueFull {
    /// Requests that wait.
    pub requests: usize,
    /// Their tokens, estimated.
    pub tokens: usize,
    /// When about half of that will be done, at the pace so far.
    pub retry_after: Duration,
}
