//! What a service has done.

use std::time::Duration;

/// What a service has done since it started, and what is waiting now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// Requests that wait, whole or in part.
    pub queued_requests: usize,
    /// Their tokens, estimated.
    pub queued_tokens: usize,
    /// Batches encoded.
    pub batches: u64,
    /// Texts encoded.
    pub texts: u64,
    /// Tokens encoded, estimated as those that wait are.
    pub tokens: u64,
    /// Time workers spent encoding.
    pub busy: Duration,
    /// The sum over all pieces taken of the time they had waited.
    pub waited: Duration,
    /// Texts the cache had.
    pub cache_hits: u64,
    /// Texts it did not have.
    pub cache_misses: u64,
    /// Requests refused because too much was waiting.
    pub refused: u64,
    /// Requests dropped before they were done, because their callers gave up.
    pub cancelled: u64,
}
