//! A bounded heap of the best scores.

use std::cmp::Ordering;

/// An offset with its score; larger scores are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The score. Never NaN once inside a [`TopK`].
    pub score: f32,
    /// The position it belongs to.
    pub offset: u32,
}

impl Scored {
    /// Orders from best to worst: the larger score first, among equals the smaller offset.
    fn rank(&self, other: &Self) -> Ordering {
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then(self.offset.cmp(&other.offset))
    }

    fn is_worse_than(&self, other: &Self) -> bool {
        self.rank(other) == Ordering::Greater
    }
}

/// Keeps the best `limit` of all that is pushed, in any order of pushing.
///
/// Which entries remain depends only on what was pushed: among equal scores the smaller offset
/// wins, and NaN never enters.
///
/// ```
/// use bigrain_kernels::TopK;
///
/// let mut best = TopK::new(2);
/// for (offset, score) in [0.1, 0.9, 0.9, f32::NAN].into_iter().enumerate() {
///     best.push(score, offset as u32);
/// }
/// assert_eq!(best.threshold(), 0.9);
/// let offsets: Vec<u32> = best.into_sorted().iter().map(|scored| scored.offset).collect();
/// assert_eq!(offsets, [1, 2]);
/// ```
#[derive(Clone, Debug)]
pub struct TopK {
    limit: usize,
    /// A binary heap whose root is the worst entry kept.
    heap: Vec<Scored>,
}

impl TopK {
    /// Returns an empty heap that keeps `limit` entries; with 0 it keeps none.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: Vec::with_capacity(limit.min(4096)) }
    }

    /// Offers an entry and says whether it was kept.
    #[inline]
    pub fn push(&mut self, score: f32, offset: u32) -> bool {
        // A NaN threshold cannot occur, and a NaN score fails this comparison.
        if score >= self.threshold() { self.insert(Scored { score, offset }) } else { false }
    }

    /// Returns the score below which nothing can enter: the worst one kept when full, before that
    /// minus infinity. With limit 0 it is infinity.
    #[inline]
    #[must_use]
    pub fn threshold(&self) -> f32 {
        if self.heap.len() < self.limit {
            return f32::NEG_INFINITY;
        }
        self.heap.first().map_or(f32::INFINITY, |worst| worst.score)
    }

    /// Offers everything that `other` kept.
    pub fn merge(&mut self, other: &Self) {
        for scored in &other.heap {
            self.push(scored.score, scored.offset);
        }
    }

    /// Returns how many entries are kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Returns how many entries may be kept.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Forgets the entries and keeps their memory.
    pub fn clear(&mut self) {
        self.heap.clear();
    }

    /// Returns the entries, the best first.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Scored> {
        self.heap.sort_unstable_by(Scored::rank);
        self.heap
    }

    fn insert(&mut self, scored: Scored) -> bool {
        if self.heap.len() < self.limit {
            self.heap.push(scored);
            self.sift_up(self.heap.len() - 1);
            return true;
        }
        match self.heap.first_mut() {
            Some(worst) if worst.is_worse_than(&scored) => {
                *worst = scored;
                self.sift_down();
                true
            }
            _ => false,
        }
    }

    fn sift_up(&mut self, mut child: usize) {
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.heap[child].is_worse_than(&self.heap[parent]) {
                break;
            }
            self.heap.swap(child, parent);
            child = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            let Some(mut worst) = self.heap.get(left).map(|_| left) else { break };
            if self.heap.get(right).is_some_and(|entry| entry.is_worse_than(&self.heap[left])) {
                worst = right;
            }
            if !self.heap[worst].is_worse_than(&self.heap[parent]) {
                break;
            }
            self.heap.swap(worst, parent);
            parent = worst;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(limit: usize, entries: &[(f32, u32)]) -> Vec<(f32, u32)> {
        let mut best = TopK::new(limit);
        for &(score, offset) in entries {
            best.push(score, offset);
        }
        best.into_sorted().iter().map(|scored| (scored.score, scored.offset)).collect()
    }

    #[test]
    fn nan_never_enters_and_infinities_do() {
        let entries = [(f32::NAN, 0), (f32::NEG_INFINITY, 1), (f32::INFINITY, 2), (-f32::NAN, 3)];
        assert_eq!(best(9, &entries), [(f32::INFINITY, 2), (f32::NEG_INFINITY, 1)]);
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        assert!(best(0, &[(1.0, 1), (f32::INFINITY, 2)]).is_empty());
    }

    #[test]
    fn the_smaller_offset_wins_a_tie_even_between_zeros_of_either_sign() {
        assert_eq!(best(1, &[(0.0, 7), (-0.0, 3), (0.0, 5)])[0].1, 3);
    }

    fn scores() -> impl Strategy<Value = f32> {
        prop_oneof![(-3i8..3).prop_map(f32::from), Just(f32::NAN), any::<f32>()]
    }

    proptest! {
        #[test]
        fn equals_sorting_and_cutting(
            scores in prop::collection::vec(scores(), 0..200),
            limit in 0usize..40,
            cut in 0usize..200,
        ) {
            let entries: Vec<_> = scores.into_iter().zip(0u32..).collect();
            let mut expected: Vec<_> =
                entries.iter().copied().filter(|(score, _)| !score.is_nan()).collect();
            expected.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
            expected.truncate(limit);
            prop_assert_eq!(best(limit, &entries), expected.clone());

            let reversed: Vec<_> = entries.iter().rev().copied().collect();
            prop_assert_eq!(best(limit, &reversed), expected.clone());

            let (left, right) = entries.split_at(cut.min(entries.len()));
            let (mut one, mut two) = (TopK::new(limit), TopK::new(limit));
            left.iter().for_each(|&(score, offset)| { one.push(score, offset); });
            right.iter().for_each(|&(score, offset)| { two.push(score, offset); });
            one.merge(&two);
            let merged: Vec<_> =
                one.into_sorted().iter().map(|scored| (scored.score, scored.offset)).collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
