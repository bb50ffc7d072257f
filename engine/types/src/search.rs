//! How hard to look, and what looking cost.

use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The number of results when a caller names none.
pub const DEFAULT_LIMIT: usize = 10;
/// The largest number of results of one search.
pub const MAX_LIMIT: usize = 16_384;
/// The largest number of candidates verified for each result.
pub const MAX_OVERSAMPLING: f32 = 1_000.0;

/// How many results to return and how hard to look for them.
///
/// ```
/// use bigrain_types::SearchParams;
///
/// let params = SearchParams::new(10)?.with_oversampling(4.0)?;
/// assert_eq!(params.limit(), 10);
/// assert_eq!(params.oversampling(), Some(4.0));
/// # Ok::<(), bigrain_types::SearchParamsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchParams {
    limit: NonZeroUsize,
    oversampling: Option<f32>,
    exact: bool,
    explain: bool,
}

/// A search parameter out of range.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SearchParamsError {
    /// `limit` is zero or above [`MAX_LIMIT`].
    #[error("limit out of range: expected 1 to {MAX_LIMIT}, got {0}")]
    Limit(usize),
    /// `oversampling` is below 1, above [`MAX_OVERSAMPLING`] or not a number.
    #[error("oversampling out of range: expected 1 to {MAX_OVERSAMPLING}, got {0}")]
    Oversampling(f32),
}

impl SearchParams {
    /// Asks for `limit` results.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::Limit`] for zero or more than [`MAX_LIMIT`].
    pub fn new(limit: usize) -> Result<Self, SearchParamsError> {
        let limit = NonZeroUsize::new(limit)
            .filter(|limit| limit.get() <= MAX_LIMIT)
            .ok_or(SearchParamsError::Limit(limit))?;
        Ok(Self { limit, oversampling: None, exact: false, explain: false })
    }

    /// Verifies at most `oversampling` candidates for each result. Without it the engine picks a
    /// number that suits the levels of the codes.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::Oversampling`] outside 1..=[`MAX_OVERSAMPLING`].
    pub fn with_oversampling(mut self, oversampling: f32) -> Result<Self, SearchParamsError> {
        if !(1.0..=MAX_OVERSAMPLING).contains(&oversampling) {
            return Err(SearchParamsError::Oversampling(oversampling));
        }
        self.oversampling = Some(oversampling);
        Ok(self)
    }

    /// Scores every dense vector instead of asking the codes first.
    #[must_use]
    pub fn with_exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Asks for the plan beside the results.
    #[must_use]
    pub fn with_explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// Returns how many results are wanted.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Returns the oversampling the caller asked for, if any.
    #[must_use]
    pub fn oversampling(&self) -> Option<f32> {
        self.oversampling
    }

    /// Whether codes are skipped.
    #[must_use]
    pub fn exact(&self) -> bool {
        self.exact
    }

    /// Whether the plan is wanted.
    #[must_use]
    pub fn explain(&self) -> bool {
        self.explain
    }
}

/// Where the time of one search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Rotating and quantising the query.
    pub prepare: Duration,
    /// Scanning codes for candidates.
    pub candidates: Duration,
    /// Reading and scoring dense vectors.
    pub verify: Duration,
    /// Reading ids and payloads of the results.
    pub payload: Duration,
}

impl StageTimes {
    /// Returns the sum of the stages.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.prepare + self.candidates + self.verify + self.payload
    }
}

/// What one search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchStats {
    /// Segments searched.
    pub segments: u64,
    /// Codes scanned, in segments and in the memtable.
    pub codes_scanned: u64,
    /// Candidates that the codes offered for verification.
    pub candidates: u64,
    /// Dense vectors scored exactly.
    pub rows_read: u64,
    /// Bytes of dense vectors read from segment files.
    pub bytes_read: u64,
    /// Time by stage.
    pub times: StageTimes,
}

impl AddAssign for SearchStats {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.codes_scanned += other.codes_scanned;
        self.candidates += other.candidates;
        self.rows_read += other.rows_read;
        self.bytes_read += other.bytes_read;
        self.times.prepare += other.times.prepare;
        self.times.candidates += other.times.candidates;
        self.times.verify += other.times.verify;
        self.times.payload += other.times.payload;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_parameters_are_refused_by_name() {
        assert_eq!(
            SearchParams::new(0).unwrap_err().to_string(),
            "limit out of range: expected 1 to 16384, got 0"
        );
        assert!(SearchParams::new(MAX_LIMIT + 1).is_err());
        let params = SearchParams::new(MAX_LIMIT).unwrap();
        for bad in [0.0, 0.99, 1e9, f32::NAN, f32::INFINITY] {
            assert!(params.with_oversampling(bad).is_err(), "{bad}");
        }
    }
}
