//! The seam every cross-encoder implements.

use bigrain_types::{Cancel, Cancelled};
use thiserror::Error;

use crate::device::DeviceReport;
use crate::encoder::{EncodeError, MAX_TEXT_BYTES};

/// Says how well passages answer a query.
///
/// A scorer is immutable and shared between threads. The score of a passage does not depend on the
/// passages scored with it.
pub trait CrossScorer: Send + Sync {
    /// The most tokens of query and passage together that are read, special tokens included. The
    /// longer of the two is cut, token by token.
    fn max_tokens(&self) -> usize;

    /// Returns what a device did in place of this CPU, where one was asked for. Default: none was.
    fn device(&self) -> Option<DeviceReport> {
        None
    }

    /// Scores each passage; larger is better. What a score is besides is the model's own.
    ///
    /// # Errors
    ///
    /// [`ScoreError`] for a query or a first passage that is empty or too long, and when cancelled;
    /// then nothing is returned.
    fn score(
        &self,
        query: &str,
        passages: &[&str],
        cancel: &Cancel,
    ) -> Result<Vec<f32>, ScoreError>;
}

/// Texts that could not be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// The query has nothing but white space, or more than [`MAX_TEXT_BYTES`].
    #[error("the query is empty or longer than {MAX_TEXT_BYTES} bytes")]
    Query,
    /// A passage that is refused; its position is that among the passages.
    #[error("passages: {0}")]
    Passage(EncodeError),
    /// The caller gave up.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
