//! How hard to look, and what looking cost.

use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::diversity::{Diversity, MAX_DIVERSITY_DEPTH};

/// The number of results when a caller names none.
pub const DEFAULT_LIMIT: usize = 10;
/// The largest number of results of one search.
pub const MAX_LIMIT: usize = 16_384;
/// The largest number of candidates verified for each result.
pub const MAX_OVERSAMPLING: f32 = 1_000.0;

/// The share of the true neighbours that a search aims to find when a caller states none.
pub const DEFAULT_TARGET_RECALL: f32 = 0.95;

/// How many results to return and how hard to look for them.
///
/// The usual knob is the *target recall*: the share of the true nearest neighbours that results should
/// contain. Every segment was calibrated for it when it was built, so that a target becomes a number of
/// lists to probe and a width of the error bounds. Each of these can also be set by hand.
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
    target_recall: f32,
    probes: Option<NonZeroUsize>,
    oversampling: Option<f32>,
    exact: bool,
    verify: bool,
    payload: bool,
    explain: bool,
    score_threshold: Option<f32>,
    diversity: Option<Diversity>,
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
    /// `target_recall` is not above 0 and at most 1.
    #[error("target recall out of range: expected above 0, at most 1, got {0}")]
    TargetRecall(f32),
    /// `probes` is zero.
    #[error("probes out of range: expected at least 1, got 0")]
    Probes,
    /// A score threshold is not a number.
    #[error("score threshold is not a number")]
    ScoreThreshold,
    /// The weight of diversity lies outside 0 to 1.
    #[error("diversity out of range: expected 0 to 1, got {0}")]
    Diversity(f32),
    /// The depth of diversity is zero or above [`MAX_DIVERSITY_DEPTH`].
    #[error("depth of diversity out of range: expected 1 to {MAX_DIVERSITY_DEPTH}, got {0}")]
    DiversityDepth(usize),
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
        Ok(Self {
            limit,
            target_recall: DEFAULT_TARGET_RECALL,
            probes: None,
            oversampling: None,
            exact: false,
            verify: true,
            payload: true,
            explain: false,
            score_threshold: None,
            diversity: None,
        })
    }

    /// Asks for another number of results.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::Limit`] for zero or more than [`MAX_LIMIT`].
    pub fn with_limit(mut self, limit: usize) -> Result<Self, SearchParamsError> {
        self.limit = Self::new(limit)?.limit;
        Ok(self)
    }

    /// Aims at this share of the true neighbours, [`DEFAULT_TARGET_RECALL`] unless stated. 1 probes
    /// every list and leaves errors of codes to wide bounds; only [`SearchParams::with_exact`] is
    /// certain.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::TargetRecall`] unless it is above 0 and at most 1.
    pub fn with_target_recall(mut self, target_recall: f32) -> Result<Self, SearchParamsError> {
        if !(target_recall > 0.0 && target_recall <= 1.0) {
            return Err(SearchParamsError::TargetRecall(target_recall));
        }
        self.target_recall = target_recall;
        Ok(self)
    }

    /// Probes this many lists of each segment, whatever the target says.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::Probes`] for zero. More than a segment has means all of them.
    pub fn with_probes(mut self, probes: usize) -> Result<Self, SearchParamsError> {
        self.probes = Some(NonZeroUsize::new(probes).ok_or(SearchParamsError::Probes)?);
        Ok(self)
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

    /// Without verification results are ranked and scored by their codes alone, and no dense vector
    /// is read.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Without payloads results carry ids and scores only, and the store is not read.
    #[must_use]
    pub fn with_payload(mut self, payload: bool) -> Self {
        self.payload = payload;
        self
    }

    /// Asks for the plan beside the results.
    #[must_use]
    pub fn with_explain(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// Leaves out results whose score is worse: below the threshold, or above it where scores are
    /// distances. Then there may be fewer than `limit`.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError::ScoreThreshold`] for NaN.
    pub fn with_score_threshold(mut self, threshold: f32) -> Result<Self, SearchParamsError> {
        if threshold.is_nan() {
            return Err(SearchParamsError::ScoreThreshold);
        }
        self.score_threshold = Some(threshold);
        Ok(self)
    }

    /// Without a threshold every score is good enough.
    #[must_use]
    pub fn without_score_threshold(mut self) -> Self {
        self.score_threshold = None;
        self
    }

    /// Picks results that are near the query without being all alike.
    #[must_use]
    pub fn with_diversity(mut self, diversity: Option<Diversity>) -> Self {
        self.diversity = diversity;
        self
    }

    /// Returns how many results are wanted.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Returns the share of the true neighbours to aim at.
    #[must_use]
    pub fn target_recall(&self) -> f32 {
        self.target_recall
    }

    /// Returns how many lists of a segment the caller wants probed, if stated.
    #[must_use]
    pub fn probes(&self) -> Option<usize> {
        self.probes.map(NonZeroUsize::get)
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

    /// Whether candidates are verified against dense vectors.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.verify
    }

    /// Whether results carry payloads.
    #[must_use]
    pub fn payload(&self) -> bool {
        self.payload
    }

    /// Whether the plan is wanted.
    #[must_use]
    pub fn explain(&self) -> bool {
        self.explain
    }

    /// Returns the worst score that is good enough, if stated.
    #[must_use]
    pub fn score_threshold(&self) -> Option<f32> {
        self.score_threshold
    }

    /// Whether a score is good enough, given which scores are better.
    #[must_use]
    pub fn is_good_enough(&self, score: f32, larger_is_better: bool) -> bool {
        self.score_threshold.is_none_or(|threshold| {
            if larger_is_better { score >= threshold } else { score <= threshold }
        })
    }

    /// Returns how unlike each other results should be, if stated.
    #[must_use]
    pub fn diversity(&self) -> Option<Diversity> {
        self.diversity
    }
}

/// Where the time of one search went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Rotating and quantising the query.
    pub prepare: Duration,
    /// Finding the rows that match a filter.
    pub filter: Duration,
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
        self.prepare + self.filter + self.candidates + self.verify + self.payload
    }
}

/// What one search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchStats {
    /// Segments searched.
    pub segments: u64,
    /// Lists of codes probed, in all segments; of a search by a sparse vector, its inverted lists.
    pub lists: u64,
    /// Codes scanned, in segments and in the memtable.
    pub codes_scanned: u64,
    /// Candidates that the codes offered for verification.
    pub candidates: u64,
    /// Components of inverted lists that were added up, in segments and in the memtable.
    #[serde(default)]
    pub components: u64,
    /// Vectors scored exactly, one by one.
    pub rows_read: u64,
    /// Bytes of dense vectors read from segment files.
    pub bytes_read: u64,
    /// Time by stage.
    pub times: StageTimes,
}

impl AddAssign for SearchStats {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.lists += other.lists;
        self.codes_scanned += other.codes_scanned;
        self.candidates += other.candidates;
        self.components += other.components;
        self.rows_read += other.rows_read;
        self.bytes_read += other.bytes_read;
        self.times.prepare += other.times.prepare;
        self.times.filter += other.times.filter;
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
        for bad in [0.0, -0.1, 1.01, f32::NAN] {
            assert!(params.with_target_recall(bad).is_err(), "{bad}");
        }
        assert!(params.with_target_recall(1.0).is_ok());
        assert_eq!(params.with_probes(0), Err(SearchParamsError::Probes));
        assert!(params.with_score_threshold(f32::NAN).is_err());
    }

    #[test]
    fn a_threshold_keeps_what_equals_it_on_either_side() {
        let params = SearchParams::new(3).unwrap();
        assert!(params.is_good_enough(-9.0, true));
        let params = params.with_score_threshold(0.5).unwrap();
        let good =
            [0.4, 0.5, 0.6].map(|score| [true, false].map(|up| params.is_good_enough(score, up)));
        assert_eq!(good, [[false, true], [true, true], [true, false]]);
        assert!(!params.is_good_enough(f32::NAN, true));
    }
}
