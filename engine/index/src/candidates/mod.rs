//! The in-memory stage: offsets worth verifying, by the best they could be.

pub mod device_scan;
pub mod ivf;
pub mod list_scan;
mod mask;

use bigrain_binarize::Estimate;
use bigrain_kernels::TopK;

pub use mask::RowMask;

/// One offset of one source (a segment or the memtable) with the best its similarity could be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Which of the caller's sources the offset belongs to.
    pub source: u32,
    /// The offset inside that source.
    pub offset: u32,
    /// Estimate plus error bound.
    pub optimistic: f32,
}

impl Candidate {
    /// Orders best bound first; ties by source and offset, so that equal scans give equal results.
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        let by_bound = other.optimistic.total_cmp(&self.optimistic);
        by_bound.then(self.source.cmp(&other.source)).then(self.offset.cmp(&other.offset))
    }
}

/// The offsets of a scan that may be among the best `limit`.
///
/// Every code has an *optimistic* similarity, estimate plus error, and a *pessimistic* one, estimate
/// minus error. A code whose optimistic similarity is below the `limit`-th best pessimistic one
/// cannot be among the best `limit`, up to the probability of the bound, and is dropped. So as many
/// are kept as the bounds leave undecided: few where codes tell vectors apart, many where they do
/// not. `capacity` bounds the worst case; past it the lowest optimistic similarities go.
#[derive(Clone, Debug)]
pub struct Candidates {
    capacity: usize,
    pessimistic: TopK,
    entries: Vec<Candidate>,
    /// What has been given up for lack of room, or can enter no more, lies below this.
    floor: f32,
    /// Whether as many as are wanted were found elsewhere.
    is_rich: bool,
    source: u32,
}

impl Candidates {
    /// Returns an empty set for a search of `limit` results that verifies at most `capacity`
    /// candidates; at least `limit` of them.
    #[must_use]
    pub fn new(limit: usize, capacity: usize) -> Self {
        Self {
            capacity: capacity.max(limit),
            pessimistic: TopK::new(limit),
            entries: Vec::new(),
            floor: f32::NEG_INFINITY,
            is_rich: false,
            source: 0,
        }
    }

    /// Says that as many results as are wanted were found elsewhere, the worst of this similarity.
    #[must_use]
    pub fn above(mut self, similarity: f32) -> Self {
        self.floor = self.floor.max(similarity);
        self.is_rich = true;
        self
    }

    /// Names the source of the offsets that follow.
    pub fn begin_source(&mut self, source: u32) {
        self.source = source;
    }

    /// Returns the optimistic similarity below which nothing is kept.
    #[inline]
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.floor.max(self.pessimistic.threshold())
    }

    /// Offers an offset.
    ///
    /// An estimate that overflowed to NaN says nothing, so its offset is kept as one that could be
    /// anything.
    pub fn push(&mut self, estimate: Estimate, offset: u32) {
        let or = |bound: f32, unknown| if bound.is_nan() { unknown } else { bound };
        let optimistic = or(estimate.upper(), f32::INFINITY);
        if optimistic < self.threshold() {
            return;
        }
        self.pessimistic.push(or(estimate.lower(), f32::NEG_INFINITY), offset);
        self.entries.push(Candidate { source: self.source, offset, optimistic });
        if self.entries.len() >= 2 * self.capacity {
            self.shrink();
        }
    }

    /// Whether there are as many results as are wanted, here or elsewhere.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.is_rich || self.pessimistic.len() >= self.pessimistic.limit()
    }

    /// Returns how many results are wanted.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.pessimistic.limit()
    }

    /// Gives up now what there is no room for, so that the threshold does not depend on the order in which all that
    /// was offered came.
    pub fn settle(&mut self) {
        if self.entries.len() >= self.capacity {
            self.shrink();
        }
    }

    /// Adds what another scan of the same search has kept.
    pub fn merge(&mut self, other: Self) {
        self.floor = self.floor.max(other.floor);
        self.is_rich |= other.is_rich;
        for kept in other.pessimistic.into_sorted() {
            self.pessimistic.push(kept.score, kept.offset);
        }
        self.entries.extend(other.entries);
        if self.entries.len() >= 2 * self.capacity {
            self.shrink();
        }
    }

    /// Returns the candidates, best bound first.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        let threshold = self.threshold();
        self.entries.retain(|candidate| candidate.optimistic >= threshold);
        self.entries.sort_unstable_by(Candidate::rank);
        self.entries.truncate(self.capacity);
        self.entries
    }

    /// Drops what can no longer be among the best, and then the worst past the capacity.
    fn shrink(&mut self) {
        let threshold = self.threshold();
        self.entries.retain(|candidate| candidate.optimistic >= threshold);
        if self.entries.len() >= self.capacity && self.capacity > 0 {
            let (_, worst_kept, _) =
                self.entries.select_nth_unstable_by(self.capacity - 1, Candidate::rank);
            self.floor = self.floor.max(worst_kept.optimistic);
            self.entries.truncate(self.capacity);
        }
    }
}

/// Candidates that leave out deleted offsets.
#[derive(Debug)]
pub struct Offers<'a, F> {
    candidates: &'a mut Candidates,
    deleted: F,
}

impl<'a, F: Fn(u32) -> bool> Offers<'a, F> {
    /// Offers to `candidates`, except offsets for which `deleted` is true.
    pub fn new(candidates: &'a mut Candidates, deleted: F) -> Self {
        Self { candidates, deleted }
    }

    /// Returns the optimistic similarity below which nothing is kept.
    #[inline]
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.candidates.threshold()
    }

    /// Returns how many results are wanted.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.candidates.limit()
    }

    /// Whether there are as many results as are wanted, here or elsewhere.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.candidates.has_enough()
    }

    /// Offers one offset; only one that would be kept is asked whether it is deleted.
    #[inline]
    pub fn push(&mut self, estimate: Estimate, offset: u32) {
        // Written so that NaN, which says nothing, stays in the race.
        let hopeless = estimate.upper() < self.threshold();
        if !hopeless && !(self.deleted)(offset) {
            self.candidates.push(estimate, offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offsets(candidates: Candidates) -> Vec<u32> {
        candidates.into_sorted().iter().map(|candidate| candidate.offset).collect()
    }

    #[test]
    fn only_what_the_bounds_leave_undecided_is_kept() {
        let mut candidates = Candidates::new(1, 100);
        for (offset, similarity) in [0.1, 0.5, 0.9, 0.85, 0.3].into_iter().enumerate() {
            candidates.push(Estimate { similarity, error: 0.1 }, offset as u32);
        }
        assert_eq!(offsets(candidates), [2, 3]);
    }

    #[test]
    fn what_was_found_elsewhere_is_enough_and_bounds_what_is_kept() {
        let mut candidates = Candidates::new(3, 100).above(0.6);
        assert!(candidates.has_enough());
        for (offset, similarity) in [0.45, 0.55, 0.9].into_iter().enumerate() {
            candidates.push(Estimate { similarity, error: 0.1 }, offset as u32);
        }
        assert_eq!(offsets(candidates), [2, 1]);
    }

    #[test]
    fn unknown_similarities_are_kept() {
        let mut candidates = Candidates::new(1, 100);
        candidates.push(Estimate { similarity: 1.0, error: 0.0 }, 0);
        candidates.push(Estimate { similarity: f32::NAN, error: f32::NAN }, 1);
        candidates.push(Estimate { similarity: 0.0, error: f32::INFINITY }, 2);
        candidates.push(Estimate { similarity: 0.0, error: 0.5 }, 3);
        assert_eq!(offsets(candidates), [1, 2, 0]);
    }

    proptest! {
        #[test]
        fn the_best_are_kept_in_any_order_and_any_split(
            pairs in prop::collection::vec((-1.0_f32..1.0, 0.0_f32..0.5), 0..300),
            limit in 1..20_usize,
            capacity in 1..60_usize,
            split in 0..300_usize,
        ) {
            let mut whole = Candidates::new(limit, capacity);
            let mut parts = [whole.clone(), whole.clone()];
            for (offset, &(similarity, error)) in pairs.iter().enumerate() {
                let estimate = Estimate { similarity, error };
                whole.push(estimate, offset as u32);
                parts[usize::from(offset >= split)].push(estimate, offset as u32);
            }
            let [mut merged, second] = parts;
            merged.merge(second);
            let merged = merged.into_sorted();
            let whole = whole.into_sorted();
            prop_assert_eq!(&merged, &whole);

            let mut expected: Vec<(f32, u32)> = pairs
                .iter()
                .enumerate()
                .map(|(offset, pair)| (pair.0 + pair.1, offset as u32))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut lower: Vec<f32> = pairs.iter().map(|pair| pair.0 - pair.1).collect();
            lower.sort_by(|a, b| b.total_cmp(a));
            let threshold = lower.get(limit - 1).copied().unwrap_or(f32::NEG_INFINITY);
            expected.retain(|entry| entry.0 >= threshold);
            expected.truncate(capacity.max(limit));
            let found: Vec<(f32, u32)> =
                whole.iter().map(|candidate| (candidate.optimistic, candidate.offset)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
